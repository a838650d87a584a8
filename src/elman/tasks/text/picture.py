"""The picture of a text: how much each symbol of it surprised a model."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from elman.training.curve import INK
from elman.training.files import write_picture

WIDTH, HEIGHT = 90, 40  # characters of a line, lines
MOST = 8.0  # bits from which on all is dark
RETURN = "↵"


def draw_surprise(symbols: Sequence[str], bits: Sequence[float], path: Path) -> None:
    """Draw the beginning of a text as a PNG file, the darker the more bits a symbol costs.

    Args:
        symbols: of the text.
        bits: that each costs; NaN for one that was not foreseen.
        path: the file.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    cells = [cell for cell in _laid_out(symbols, bits) if cell[0] < HEIGHT]
    rows, columns = 1 + cells[-1][0], max(40, *(1 + cell[1] for cell in cells))
    figure = Figure(figsize=(0.2 + 0.14 * columns, 0.9 + 0.25 * rows), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(0, columns), ylim=(rows, 0))
    axes.set_axis_off()
    blues = colormaps["Blues"]
    for row, column, character, cost in cells:
        if cost == cost:  # not NaN
            axes.add_patch(Rectangle((column, row), 1, 1, facecolor=blues(min(1.0, cost / MOST)), edgecolor="none"))
        shade = "white" if cost > 0.6 * MOST else INK
        axes.text(
            column + 0.5, row + 0.55, character, ha="center", va="center", family="monospace", size=9, color=shade
        )
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, MOST), blues), ax=axes, location="bottom", shrink=0.5, aspect=30, pad=0.02
    )
    bar.set_label("bits that a symbol costs", color=INK)
    bar.outline.set_visible(False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box stands for it
        write_picture(figure, path)


def _laid_out(symbols: Sequence[str], bits: Sequence[float]) -> Iterator[tuple[int, int, str, float]]:
    """Row, column, character and bits of each character; a mark stands for the end of a line."""
    row = column = 0
    for symbol, cost in zip(symbols, bits, strict=True):
        for character in symbol:
            shown = RETURN if character == "\n" else character if character.isprintable() else "·"
            yield row, column, shown, cost
            column += 1
            if character == "\n" or column == WIDTH:
                row, column = row + 1, 0
