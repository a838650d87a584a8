"""The other built-in example of the translate job: numbers as words, in twelve languages."""

import random
from typing import TYPE_CHECKING

from elman.errors import SetupError

if TYPE_CHECKING:
    from polars import DataFrame

LANGUAGES = ("cs", "de", "en", "es", "fi", "fr", "hu", "it", "nl", "pl", "pt", "sv")
COUNT, DIGITS = 6000, 5


def builtin_numbers() -> "DataFrame":
    """A table with the columns "number" and "words": "fr 71" and "soixante et onze", always the same rows.

    How many digits a number has is drawn first, 1 to 5; the language is read before the number.

    Raises:
        SetupError: num2words is not installed.
    """
    import polars

    try:
        from num2words import num2words
    except ImportError:
        raise SetupError(
            "the example of numbers is made by num2words, not installed here: pip install 'elman[jobs]', or give data."
        ) from None
    draw, rows = random.Random(0), dict[str, str]()
    while len(rows) < COUNT:
        language, number = draw.choice(LANGUAGES), draw.randrange(10 ** draw.randint(1, DIGITS))
        rows[f"{language} {number}"] = num2words(number, lang=language)
    return polars.DataFrame({"number": list(rows), "words": list(rows.values())})
