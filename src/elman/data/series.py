"""Series: a long frame (id, time, y) as regular steps, with what is irregular in it found and told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.errors import DataError

from .frequency import Frequency, Times, find_frequency, read_times
from .spool import Spool
from .table import Column, Table, coded, open_table

if TYPE_CHECKING:
    from polars import Series as Values

LARGEST = 1e100  # sums of squares are finite up to there


@dataclass(frozen=True)
class Columns:
    """Which columns of a long frame are what.

    Attributes:
        time: dates, moments or integers.
        y: what is forecast, one column or several.
        id: the name of the series that a row belongs to; None for a single series.
        known: covariates whose future is known: prices, holidays.
        past: covariates that are known up to now only.
    """

    time: str
    y: tuple[str, ...]
    id: str | None = None
    known: tuple[str, ...] = ()
    past: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Series:
    """One series in regular steps, from its first observed value to its last.

    Attributes:
        name: its id; "" where there is none.
        start: the number of its first step in the calendar.
        y: [T, D], NaN where nothing was observed.
        known: [T + F, K]; F steps beyond the last observed value.
        past: [T, P].
    """

    name: str
    start: int
    y: np.ndarray
    known: np.ndarray
    past: np.ndarray

    def until(self, end: int) -> "Series":
        """The first `end` steps; the rest is its future."""
        return Series(self.name, self.start, self.y[:end], self.known, self.past[:end])


@dataclass(frozen=True, eq=False)
class Panel:
    """Series on one calendar.

    Attributes:
        columns: what was read.
        frequency: the calendar.
        series: in the order of their first rows.
        report: what was found that people should know, a sentence each.
    """

    columns: Columns
    frequency: Frequency
    series: tuple[Series, ...]
    report: tuple[str, ...]

    @property
    def observed(self) -> int:
        """How many values there are."""
        return int(sum(np.isfinite(each.y).sum() for each in self.series))


def read_series(source: Any, columns: Columns, frequency: Frequency | None = None) -> Panel:
    """The series of a long frame.

    Rows without y at the end of a series are its future: they carry what is known of it. Steps that are missing, and
    values that are null or NaN, become NaN.

    Args:
        source: what `read_table` takes.
        columns: which column is what.
        frequency: the calendar that the series must follow; None to find it.

    Raises:
        DataError: a column is missing or holds other things than it should, a moment occurs twice in a series, the
            calendar is irregular, a value is infinite, or a series has no value at all.
    """
    table = open_table(source, as_text=True)
    times, when = _times(table.column(columns.time, "the time"), frequency)
    names, codes = _names(table, columns, len(when))
    numbers = {name: _numbers(table.column(name, what), what) for name, what in _wanted(columns)}
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))
    rows = dict(zip(names, np.split(np.lexsort((when, codes)), ends[:-1]), strict=True))
    for name, own in rows.items():
        _check_duplicates(table, columns, name, own, when[own])
    given = frequency is not None
    if frequency is None:
        frequency = find_frequency([when[own] for own in rows.values()], times.like)
    elif (frequency.unit == "steps") != (times.like.unit == "steps"):
        kind = "integers" if frequency.unit == "steps" else "dates or moments"
        raise DataError(
            f"the column {columns.time!r}: expected {kind}, as in training, got {table.row(0)[columns.time]}."
        )
    report = list(times.report)
    found = []
    for name, own in rows.items():
        series = _regular(name, when[own], {key: each[own] for key, each in numbers.items()}, columns, frequency)
        if series is not None:
            found.append(series)
    if not given:
        _check_filled(found, frequency)
    empty = len(rows) - len(found)
    if not found:
        raise DataError(f"expected numbers in the column {columns.y[0]!r}, got none.")
    if empty:
        report.append(f"{empty} series without any value left out")
    report += _told(found, columns, frequency)
    return Panel(columns, frequency, tuple(found), tuple(report))


def _wanted(columns: Columns) -> list[tuple[str, str]]:
    return (
        [(name, "the values") for name in columns.y]
        + [(name, "what is known of the future") for name in columns.known]
        + [(name, "a covariate of the past") for name in columns.past]
    )


def _times(values: Column, frequency: Frequency | None) -> tuple[Times, np.ndarray]:
    """The times of a table, and those of each row; text, which takes longer, is read once where it is the same."""
    import polars

    if values.dtype == polars.String:
        written = coded(values)
        times = read_times(written.different, frequency, written.rows)
        return times, times.numbers[written.codes]
    times = read_times(polars.concat(values.parts()), frequency)
    return times, times.numbers


def _names(table: Table, columns: Columns, count: int) -> tuple[list[str], np.ndarray]:
    """The names of the series, in the order of their first rows, and which of them each row belongs to."""
    if columns.id is None:
        return [""], np.zeros(count, dtype=np.int32)
    ids = coded(table.column(columns.id, "the id of a series"))
    if ids.different.null_count():
        row = ids.rows[ids.different.is_null().arg_max() or 0]
        raise DataError(f"the column {columns.id!r}, row {row}: expected an id, got nothing.")
    return ids.different.to_list(), ids.codes


def _numbers(values: Column, what: str) -> np.ndarray:
    """A column as float64, NaN where it is empty."""
    import polars

    if not (values.dtype.is_numeric() or values.dtype in (polars.Boolean, polars.String, polars.Null)):
        raise DataError(f"the column {values.name!r}: expected numbers for {what}, got {values.dtype}.")
    spool, seen = Spool(), 0
    for part in values.parts():
        spool.write(_numbers_of(part, what, seen).data)
        seen += len(part)
    return spool.read().view(np.float64)


def _numbers_of(values: "Values", what: str, first: int) -> np.ndarray:
    """A part of a column, from row `first` on, as float64."""
    import polars

    name = values.name
    if values.dtype == polars.String:
        values = values.str.strip_chars()
        plain = values.str.to_lowercase()  # the fields of CSV are text, truth values too
        values = values.set(plain.is_in(["", "na", "null", "none", "?"]), None)
        numbers = plain.replace({"true": "1", "false": "0"}).cast(polars.Float64, strict=False)
    else:
        numbers = values.cast(polars.Float64, strict=False)
    wrong = numbers.is_null() & values.is_not_null()
    if wrong.any():
        row = int(np.argmax(wrong.to_numpy()))
        raise DataError(
            f"the column {name!r}, row {first + row}: expected a number for {what}, got {values[row]!r}: leave what is "
            "missing empty."
        )
    found = numbers.fill_null(float("nan")).to_numpy().copy()
    if np.isinf(found).any():
        row = int(np.isinf(found).argmax())
        raise DataError(f"the column {name!r}, row {first + row}: expected a number for {what}, got infinity.")
    if (np.abs(found) > LARGEST).any():
        row = int(np.nanargmax(np.abs(found)))
        raise DataError(
            f"the column {name!r}, row {first + row}: expected numbers up to {LARGEST:g} for {what} (their squares "
            f"must be finite), got {found[row]:g}: give them in larger units."
        )
    return found


def _check_duplicates(table: Table, columns: Columns, name: str, rows: np.ndarray, times: np.ndarray) -> None:
    twice = np.flatnonzero(np.diff(times) == 0)
    if not len(twice):
        return
    row, other = int(rows[twice[0]]), int(rows[twice[0] + 1])
    one, same = table.row(row), table.row(other)
    where = f" in the series {name!r}" if columns.id is not None else ""
    used = {columns.time, columns.id, *columns.y, *columns.known, *columns.past}
    told = next((each for each in table.columns if each not in used and one[each] != same[each]), None)
    hint = f"is {told!r} the id?" if told is not None and columns.id is None else "sum or average them first."
    raise DataError(
        f"the column {columns.time!r}: expected each time once{where}, got {one[columns.time]} in the rows {row} and "
        f"{other}, {len(twice)} times in all: {hint}"
    )


def _regular(
    name: str, times: np.ndarray, numbers: dict[str, np.ndarray], columns: Columns, frequency: Frequency
) -> Series | None:
    """The rows of one series on its calendar; None where nothing was observed."""
    steps, exact = frequency.index(times)
    shown = f"the series {name!r}" if name else "the series"
    off = np.flatnonzero(~exact)
    if len(off) or (np.diff(steps) == 0).any():
        at = off[0] if len(off) else np.flatnonzero(np.diff(steps) == 0)[0] + 1
        written = frequency.column("", np.array([0])).dtype
        moment = times[at] if frequency.unit == "steps" else times[at : at + 1].view("datetime64[us]")[0]
        raise DataError(
            f"{shown}: expected one value every {frequency.name}, got {moment} ({written}), which is off this "
            f"calendar; {max(len(off), 1)} of {len(times)} are: bring them to regular steps first, by averages over "
            "days, say."
        )
    y = np.stack([numbers[key] for key in columns.y], 1)
    seen = np.flatnonzero(np.isfinite(y).any(1))
    if not len(seen):
        return None
    first, last, end = steps[seen[0]], steps[seen[-1]], steps[-1]
    if end - first >= 50 * len(steps) + 1000:
        raise DataError(
            f"{shown}: expected one value every {frequency.name}, got {len(steps)} values over {end - first + 1} "
            "steps: the calendar is irregular; bring them to regular steps first."
        )

    def laid(keys: Sequence[str], until: int) -> np.ndarray:
        laid_out = np.full((until - first + 1, len(keys)), np.nan)
        inside = (steps >= first) & (steps <= until)
        for place, key in enumerate(keys):
            laid_out[steps[inside] - first, place] = numbers[key][inside]
        return laid_out

    return Series(name, int(first), laid(columns.y, last), laid(columns.known, end), laid(columns.past, last))


def _check_filled(found: list[Series], frequency: Frequency) -> None:
    """Raise DataError where nearly all steps of a calendar that was found are missing: it is none."""
    steps = sum(len(each.y) for each in found)
    seen = sum(int(np.isfinite(each.y).any(1).sum()) for each in found)
    if seen * 10 < steps and steps > 50:
        raise DataError(
            f"expected a calendar: at one value every {frequency.name}, as some moments are apart, {seen} of {steps} "
            "steps have a value. Bring the series to regular steps first; if what is not there is zero, add rows that "
            "say it."
        )


def _told(found: list[Series], columns: Columns, frequency: Frequency) -> list[str]:
    """What people should know of the series."""
    report = []
    gaps = [(each, int(np.isnan(each.y).any(1).sum())) for each in found]
    missing = sum(count for _, count in gaps)
    if missing:
        worst, count = max(gaps, key=lambda pair: pair[1])
        where = f"; most of them, {count}, in {worst.name!r}" if len(found) > 1 else ""
        report.append(f"{missing} of {sum(len(each.y) for each in found)} steps miss a value{where}")
    constant = [each.name for each in found if (np.nanmax(each.y, 0) == np.nanmin(each.y, 0)).any()]
    if constant:
        named = f": {', '.join(map(repr, constant[:3]))}" if columns.id is not None else ""
        report.append(f"{len(constant)} of {len(found)} series never change{named}")
    if frequency.unit == "months" and frequency.day not in (1, 31):
        report.append(f"moments within months are taken as one a {frequency.name}, on day {frequency.day}")
    return report
