"""The fan chart: what was, and bands that widen over what may come."""

from pathlib import Path
from typing import Any

import numpy as np

from elman.data import Panel
from elman.errors import ArgumentError
from elman.training.files import write_picture

from .paths import Paths
from .recipe import Recipe

INK, FAINT, BAND, LINE = "#222222", "#d9d9d9", "#c4452d", "#a3311c"
BANDS = ((0.025, 0.975, 0.14), (0.1, 0.9, 0.2), (0.25, 0.75, 0.3))
MOST = 12


def draw_fan(
    recipe: Recipe,
    panel: Panel,
    drawn: Paths,
    path: Path,
    names: tuple[str, ...] | None = None,
    before: int | None = None,
) -> None:
    """Draw the last steps of series and the bands of 50, 80 and 95 % of their futures, as a PNG file.

    Args:
        recipe: whose calendar it is.
        panel: the series up to where the futures begin; what goes on beyond is drawn as what came.
        drawn: the futures.
        path: the file.
        names: which series; None for the first 12.
        before: how many steps before; by default three times the horizon.

    Raises:
        ArgumentError: there is no series of a name.
    """
    from matplotlib.figure import Figure

    rows = _rows(drawn, names)
    charts = [(row, place) for row in rows for place in range(len(recipe.columns.y))][:MOST]
    wide = 1 if len(charts) == 1 else 2 if len(charts) <= 4 else 3
    high = -(-len(charts) // wide)
    figure = Figure(
        figsize=(9 if wide == 1 else 5.5 * wide, 4.5 if wide == 1 else 3.2 * high), dpi=130, layout="constrained"
    )
    for number, (row, place) in enumerate(charts, 1):
        axes = figure.add_subplot(high, wide, number)
        _draw(axes, recipe, panel, drawn, row, place, before or 3 * drawn.values.shape[2])
    parts, labels = figure.axes[0].get_legend_handles_labels()
    where = {"loc": "outside upper right", "ncols": len(labels)}
    figure.legend(parts, labels, frameon=False, labelcolor=INK, fontsize=8, **where)
    write_picture(figure, path)


def _rows(drawn: Paths, names: tuple[str, ...] | None) -> list[int]:
    if names is None:
        return list(range(len(drawn.names)))
    unknown = [name for name in names if name not in drawn.names]
    if unknown:
        raise ArgumentError(f"expected names of series, got {unknown[0]!r}; there are {', '.join(drawn.names[:8])}.")
    return [drawn.names.index(name) for name in names]


def _draw(axes: Any, recipe: Recipe, panel: Panel, drawn: Paths, row: int, place: int, before: int) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    series = next(each for each in panel.series if each.name == drawn.names[row])
    start, paths = drawn.starts[row], drawn.values[row, :, :, place]
    first = max(series.start, start - before)
    until = min(series.start + len(series.y), start + paths.shape[1])
    axes.plot(
        _times(recipe, np.arange(first, until)),
        series.y[first - series.start : until - series.start, place],
        color=INK,
        lw=1.2,
        label="observed",
    )
    ahead = _times(recipe, np.arange(start, start + paths.shape[1]))
    for low, high, alpha in BANDS:
        edges = np.quantile(paths, (low, high), 0)
        axes.fill_between(ahead, *edges, color=BAND, alpha=alpha, lw=0, label=f"{high - low:.0%}")
    axes.plot(ahead, np.median(paths, 0), color=LINE, lw=1.6, label="median")
    shown = [part for part in (drawn.names[row], recipe.columns.y[place]) if part]
    axes.set_title(" · ".join(shown), loc="left", color=INK, fontsize=10)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(colors=INK, length=0, labelsize=8)
    if recipe.frequency.unit != "steps":
        locator = AutoDateLocator()
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axes.xaxis.get_offset_text().set(color=INK, fontsize=8)


def _times(recipe: Recipe, steps: np.ndarray) -> np.ndarray:
    times = recipe.frequency.times(steps)
    return times if recipe.frequency.unit == "steps" else times.view("datetime64[us]")
