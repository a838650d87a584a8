"""What is checked of options and of data that a trained model is given."""

import warnings
from typing import Any

import numpy as np

from elman.data import Columns, Panel, Series
from elman.errors import ArgumentError

from .recipe import Recipe
from .scaling import bent, learn_scale, named, unbent


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
    """Whether the last values of a series are far from all that was seen of it in training: other units.

    Where only the moves of series are read, that is asked of these, also of a series that was not in training.
    """
    last = series.y[-recipe.window :]
    if not np.isfinite(last).any():
        return False
    with np.errstate(all="ignore"):
        if recipe.moves is not None:
            moved = _steps(recipe, series) / _usual(recipe, series)
            return bool(moved.max() > 5 or 0 < moved.max() < 0.01)
        if series.name not in recipe.numbers:
            return False
        scale = recipe.scales[recipe.numbers[series.name] - 1]
        z = np.abs((bent(recipe.kind, last) - scale[0]) / scale[1])
        now, then = _around(recipe, series)
        return bool(np.nanmedian(z) > 10 and abs(now - then) > abs(then))


def warn_of_units(recipe: Recipe, panel: Panel) -> None:
    """Warn of series that are far from what was seen of them in training."""
    far = [series for series in panel.series if is_far(recipe, series)]
    if not far:
        return
    more = f" ({len(far)} series are like that)" if len(far) > 1 else ""
    if recipe.moves is None:
        now, then = _around(recipe, far[0])
        told = f"has values around {now:.4g}, in training they were around {then:.4g}"
    else:
        moved, usual = _steps(recipe, far[0]), _usual(recipe, far[0])
        most = int(np.argmax(moved / usual))
        told = f"moves by about {moved[most]:.4g} a step, in training it was about {usual[most]:.4g}"
    warnings.warn(f"{named(far[0])} {told}{more}: other units? It is forecast by its own scale.", stacklevel=5)


def _usual(recipe: Recipe, series: Series) -> np.ndarray:
    """How much a series is expected to move in a step, by what moved in training, before it is scaled [D]."""
    moves = recipe.moves
    assert moves is not None
    if not moves.own:
        return np.array(moves.step)
    known = series.name in recipe.numbers
    scale = recipe.scales[recipe.numbers[series.name] - 1] if known else learn_scale(recipe.kind, series, moves)
    return scale[1] / moves.size


def _steps(recipe: Recipe, series: Series) -> np.ndarray:
    """How much the last values of a series move in a step, before they are scaled [D]."""
    steps = np.diff(bent(recipe.kind, series.y[-recipe.window :]), axis=0)
    return np.sqrt([np.mean(each[np.isfinite(each)] ** 2) if np.isfinite(each).any() else 0.0 for each in steps.T])


def _around(recipe: Recipe, series: Series) -> tuple[float, float]:
    """Where the last values of a series are, and where those of the training were."""
    scale = recipe.scales[recipe.numbers[series.name] - 1]
    return float(np.nanmedian(series.y[-recipe.window :])), float(np.median(unbent(recipe.kind, scale[0])))
