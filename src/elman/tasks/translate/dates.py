"""The built-in example of the translate job: dates as people write them in many languages, to ISO 8601."""

import random
from datetime import date, timedelta
from typing import TYPE_CHECKING

from elman.errors import SetupError

from ..classify.terms import LANGUAGES

if TYPE_CHECKING:
    from polars import DataFrame

FORMS = ("long", "medium", "full")
COUNT, FIRST, DAYS = 6000, date(1900, 1, 1), 55_000


def builtin_dates() -> "DataFrame":
    """A table with the columns "date" and "iso": "4 juillet 1976" and "1976-07-04", always the same rows.

    Raises:
        SetupError: Babel is not installed.
    """
    import polars

    try:
        from babel.dates import format_date
    except ImportError:
        raise SetupError(
            "the built-in example is made by Babel, not installed here: pip install 'elman[jobs]', or give data."
        ) from None
    draw, rows = random.Random(0), {}
    for _ in range(COUNT):
        day = FIRST + timedelta(draw.randrange(DAYS))
        written = format_date(day, draw.choice(FORMS), locale=draw.choice(sorted(LANGUAGES)))
        rows[written] = day.isoformat()
    return polars.DataFrame({"date": list(rows), "iso": list(rows.values())})
