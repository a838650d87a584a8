"""The built-in example of the tag job: where English words may be divided."""

import re
from typing import TYPE_CHECKING

from elman.data import builtin_text
from elman.errors import SetupError

if TYPE_CHECKING:
    from polars import DataFrame


def builtin_hyphens() -> "DataFrame":
    """A table with the columns "word" and "points": 1 behind which letter a word may be divided, 0 behind the others.

    The words are those of the English text that comes with Python, the points are of pyphen's dictionary.

    Raises:
        SetupError: pyphen is not installed.
    """
    import polars

    try:
        from pyphen import Pyphen
    except ImportError:
        raise SetupError(
            "the built-in example is made by pyphen, not installed here: pip install 'elman[jobs]', or give data."
        ) from None
    divide = Pyphen(lang="en_US")
    words = sorted(set(re.findall(r"\b[a-z]{5,}\b", builtin_text().lower())))
    points = [set(divide.positions(word)) for word in words]
    marks = [
        "".join(str(int(n + 1 in some)) for n in range(len(word))) for word, some in zip(words, points, strict=True)
    ]
    return polars.DataFrame({"word": words, "points": marks})
