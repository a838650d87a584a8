"""What is checked of options and of data that a trained model is given."""

import warnings
from typing import Any

import numpy as np

from elman.data import Columns, Panel
from elman.errors import ArgumentError

from .recipe import Recipe
from .scaling import bent, unbent


def listed(value: Any) -> Any:
    """Tuples, also nested ones, as lists."""
    return [listed(each) for each in value] if isinstance(value, tuple) else value


def check_columns(columns: Columns) -> None:
    """Raise ArgumentError unless each column has one purpose."""
    names = [columns.time, *columns.y, *columns.known, *columns.past, *([columns.id] if columns.id else [])]
    twice = {name for name in names if names.count(name) > 1}
    if twice or not columns.y:
        raise ArgumentError(f"expected a column to be one thing, got twice: {', '.join(sorted(twice)) or 'no y'}.")


def warn_of_units(recipe: Recipe, panel: Panel) -> None:
    """Warn where values are far from all that was seen of their series in training."""
    far = []
    for series in panel.series:
        if series.name in recipe.numbers:
            scale, last = recipe.scales[recipe.numbers[series.name] - 1], series.y[-recipe.window :]
            with np.errstate(all="ignore"):
                z = np.abs((bent(recipe.kind, last) - scale[0]) / scale[1])
            if np.nanmedian(z) > 10:
                far.append((series.name, np.nanmedian(last), np.median(unbent(recipe.kind, scale[0]))))
    if far:
        name, now, then = far[0]
        named = f"the series {name!r}" if name else "the series"
        more = f" ({len(far)} series are like that)" if len(far) > 1 else ""
        warnings.warn(
            f"{named} has values around {now:.4g}, in training they were around {then:.4g}{more}: other units?",
            stacklevel=5,
        )
