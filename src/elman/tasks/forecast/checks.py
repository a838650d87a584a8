"""What is checked of options and of data that a trained model is given."""

import warnings
from typing import Any

import numpy as np

from elman.data import Columns, Panel, Series
from elman.errors import ArgumentError

from .recipe import Recipe
from .scaling import bent, named, unbent


def listed(value: Any) -> Any:
    """Tuples, also nested ones, as lists."""
    return [listed(each) for each in value] if isinstance(value, tuple) else value


def check_columns(columns: Columns) -> None:
    """Raise ArgumentError unless each column has one purpose."""
    names = [columns.time, *columns.y, *columns.known, *columns.past, *([columns.id] if columns.id else [])]
    twice = {name for name in names if names.count(name) > 1}
    if twice or not columns.y:
        raise ArgumentError(f"expected a column to be one thing, got twice: {', '.join(sorted(twice)) or 'no y'}.")


def is_far(recipe: Recipe, series: Series) -> bool:
    """Whether the last values of a series of the training are far from all that was seen of it there: other units."""
    scale, last = recipe.scales[recipe.numbers[series.name] - 1], series.y[-recipe.window :]
    if not np.isfinite(last).any():
        return False
    with np.errstate(all="ignore"):
        z = np.abs((bent(recipe.kind, last) - scale[0]) / scale[1])
    now, then = _around(recipe, series)
    return bool(np.nanmedian(z) > 10 and abs(now - then) > abs(then))


def warn_of_units(recipe: Recipe, panel: Panel) -> None:
    """Warn of series that are far from what was seen of them in training."""
    far = [series for series in panel.series if series.name in recipe.numbers and is_far(recipe, series)]
    if far:
        now, then = _around(recipe, far[0])
        more = f" ({len(far)} series are like that)" if len(far) > 1 else ""
        warnings.warn(
            f"{named(far[0])} has values around {now:.4g}, in training they were around {then:.4g}{more}: other units? "
            "It is forecast by its own scale.",
            stacklevel=5,
        )


def _around(recipe: Recipe, series: Series) -> tuple[float, float]:
    """Where the last values of a series are, and where those of the training were."""
    scale = recipe.scales[recipe.numbers[series.name] - 1]
    return float(np.nanmedian(series.y[-recipe.window :])), float(np.median(unbent(recipe.kind, scale[0])))
