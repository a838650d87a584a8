"""The examples: passengers of airlines a month, 1949 to 1960, and prices of five stocks a month, 2000 to 2010.

Source: G. E. P. Box, G. M. Jenkins, Time Series Analysis: Forecasting and Control, 1970, series G: passengers of
    international airlines in thousands. Numbers are facts, and in the public domain.
"""

from typing import TYPE_CHECKING

from elman.errors import SetupError

if TYPE_CHECKING:
    from polars import DataFrame

PASSENGERS = """
112 118 132 129 121 135 148 148 136 119 104 118
115 126 141 135 125 149 170 170 158 133 114 140
145 150 178 163 172 178 199 199 184 162 146 166
171 180 193 181 183 218 230 242 209 191 172 194
196 196 236 235 229 243 264 272 237 211 180 201
204 188 235 227 234 264 302 293 259 229 203 229
242 233 267 269 270 315 364 347 312 274 237 278
284 277 317 313 318 374 413 405 355 306 271 306
315 301 356 348 355 422 465 467 404 347 305 336
340 318 362 348 363 435 491 505 404 359 310 337
360 342 406 396 420 472 548 559 463 407 362 405
417 391 419 461 472 535 622 606 508 461 390 432
"""


def passengers() -> "DataFrame":
    """The 144 months: `time` (the first of each month) and `y` (thousands of passengers)."""
    import polars

    numbers = [int(number) for number in PASSENGERS.split()]
    months = [f"{1949 + at // 12}-{at % 12 + 1:02}-01" for at in range(len(numbers))]
    return polars.DataFrame({"time": polars.Series(months).str.to_date(), "y": numbers})


def stocks() -> "DataFrame":
    """Prices of five stocks each month: `id`, `time` and `y` (dollars). No method foresees them.

    Raises:
        SetupError: vega_datasets is not installed.
    """
    import polars

    try:
        from vega_datasets import data
    except ImportError:
        raise SetupError(
            "the example of stocks comes with vega_datasets, not installed here: pip install 'elman[jobs]', or give "
            "data."
        ) from None
    table = polars.read_csv(data.stocks.filepath)
    return table.select(id="symbol", time=polars.col("date").str.to_date("%b %e %Y"), y="price")
