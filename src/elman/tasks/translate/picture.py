"""The picture of a translation: what each written symbol looked at."""

from pathlib import Path
from typing import TYPE_CHECKING

from elman.training.curve import INK
from elman.training.files import write_picture

if TYPE_CHECKING:
    from .model import Attended


def draw_attention(attended: "Attended", path: Path) -> None:
    """Draw the weights as a PNG file: a row for each written symbol, a column for each that was read."""
    from matplotlib.figure import Figure

    rows, columns = attended.weights.shape
    figure = Figure(figsize=(1.5 + 0.3 * columns, 1.2 + 0.3 * rows), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(attended.weights.numpy(), cmap="Blues", vmin=0, vmax=1, aspect="equal")
    axes.set_xticks(range(columns), attended.source)
    axes.set_yticks(range(rows), attended.written)
    axes.xaxis.tick_top()
    if any(len(symbol) > 1 for symbol in attended.source):
        axes.tick_params(axis="x", rotation=90)
    axes.tick_params(colors=INK, length=0, labelsize=9)
    axes.spines[:].set_visible(False)
    write_picture(figure, path)
