"""Pictures of the examples: a figure to draw on, and the file that it goes to."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from elman.errors import DataError, SetupError

INK, FAINT = "#222222", "#d9d9d9"
COLOURS = ("#c4452d", "#2d6fa3", "#8a8a8a", "#d99a2b")


def check_picture(path: Path | None) -> None:
    """Raise unless a picture can be drawn and written at `path`; None is no picture. To be asked before the work.

    Raises:
        SetupError: matplotlib is not installed.
        DataError: the name does not end in .png, is taken by something else than a file, or its folder is missing.
    """
    if path is None:
        return
    if find_spec("matplotlib") is None:
        raise SetupError("pictures are drawn by matplotlib, which is not installed: pip install 'elman[jobs]'.")
    if path.suffix != ".png":
        raise DataError(f"{path}: expected the name of a picture, such as picture.png.")
    if not path.parent.is_dir() or (path.exists() and not path.is_file()):
        raise DataError(f"{path}: expected a name to write a file at, in a folder that exists.")


def new_axes(columns: int = 1, size: tuple[float, float] = (8, 4.5), ratios: tuple[float, ...] | None = None) -> Any:
    """A figure and its axes side by side, without a frame."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=150, layout="constrained")
    every = figure.subplots(1, columns, squeeze=False, width_ratios=ratios)[0]
    for axes in every:
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(colors=INK, length=0)
        axes.grid(axis="y", color=FAINT, linewidth=0.8)
    return figure, every
