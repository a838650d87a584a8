"""The built-in example of the describe job: colours, and what people call them."""

from typing import TYPE_CHECKING

from elman.errors import SetupError

if TYPE_CHECKING:
    from polars import DataFrame

COLOURS = (("r", "g", "b"), ("red", "green", "blue"))
"""Names of three columns that are a colour, from 0 to 1 or from 0 to 255."""


def builtin_colours() -> "DataFrame":
    """A table with the columns "r", "g", "b" (0 to 255) and "name", of the 949 colours of the xkcd survey.

    Source: R. Munroe, Color Survey Results, xkcd, 2010; as matplotlib ships it.

    Raises:
        SetupError: matplotlib is not installed.
    """
    import polars

    try:
        from matplotlib.colors import XKCD_COLORS, to_rgb
    except ImportError:
        raise SetupError(
            "the built-in example comes with matplotlib, not installed here: pip install 'elman[jobs]', or give data."
        ) from None
    names = sorted(XKCD_COLORS)
    colours = [tuple(round(255 * part) for part in to_rgb(XKCD_COLORS[name])) for name in names]
    r, g, b = zip(*colours, strict=True)
    return polars.DataFrame({"r": r, "g": g, "b": b, "name": [name.removeprefix("xkcd:") for name in names]})
