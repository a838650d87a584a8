"""The calendar of a series: which moments follow each other, found from those that are there."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.errors import DataError

if TYPE_CHECKING:
    from polars import Series

SECOND = 1_000_000  # microseconds: times are int64 numbers of them since 1970
DAY = 86_400 * SECOND
NAMES = {SECOND: "second", 60 * SECOND: "minute", 3600 * SECOND: "hour", DAY: "day", 7 * DAY: "week"}
MONTHS = {1: "month", 3: "quarter", 12: "year"}
FORMATS = (
    "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d", "%Y/%m/%d",
    "%d.%m.%Y", "%b %d %Y", "%B %d, %Y", "%d %b %Y", "%m/%d/%Y", "%d/%m/%Y",
)  # fmt: skip
COMPACT = r"^(1[89]|2[01])\d{6}$"  # 20240131
ZONED = r"^(.*\d:\d{2}(?::\d{2}(?:\.\d+)?)?) ?(Z|z|UTC|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)$"  # 13:00+01:00


@dataclass(frozen=True)
class Frequency:
    """How far apart the steps of a series are.

    Attributes:
        unit: "months", "time" (microseconds), "weekdays" (Monday to Friday), or "steps" of plain numbers.
        every: how many of the unit a step is.
        phase: the unit at which step 0 stands.
        day: of the month, for months; 31 for the last one.
        clock: microseconds after midnight, for months and weekdays.
        dates: whether times are dates, without a time of day.
        zone: the time zone of the column, or None.
        wall: whether steps follow the clock on the wall (days, which may have 23 hours), not time itself.
    """

    unit: str
    every: int
    phase: int = 0
    day: int = 1
    clock: int = 0
    dates: bool = False
    zone: str | None = None
    wall: bool = True

    @property
    def name(self) -> str:
        """In words: "month", "2 hours"."""
        if self.unit == "weekdays":
            return "weekday"
        if self.unit == "steps":
            return "step" if self.every == 1 else f"{self.every} units"
        names = MONTHS if self.unit == "months" else NAMES
        size = max(size for size in names if self.every % size == 0) if self.every % min(names) == 0 else self.every
        count = self.every // size
        return names.get(size, "microseconds") if count == 1 else f"{count} {names.get(size, 'microsecond')}s"

    def index(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The number of each step, int64, and whether it is one of the calendar, bool."""
        if self.unit == "months":
            units = times.view("datetime64[us]").astype("datetime64[M]").astype(np.int64)
        elif self.unit == "weekdays":
            days = times.view("datetime64[us]").astype("datetime64[D]")
            return np.busday_count("1970-01-01", days).astype(np.int64), np.is_busday(days)
        else:
            units = times
        return (units - self.phase) // self.every, (units - self.phase) % self.every == 0

    def times(self, steps: np.ndarray) -> np.ndarray:
        """The times of steps, as `index` takes them."""
        units = steps * self.every + self.phase
        if self.unit == "months":
            months = units.astype("datetime64[M]")
            last = (months + 1).astype("datetime64[D]") - np.timedelta64(1, "D")
            days = np.minimum(months.astype("datetime64[D]") + np.timedelta64(self.day - 1, "D"), last)
            return days.astype("datetime64[us]").astype(np.int64) + self.clock
        if self.unit == "weekdays":
            days = np.busday_offset("1970-01-01", steps, roll="forward")
            return days.astype("datetime64[us]").astype(np.int64) + self.clock
        return units

    def column(self, name: str, steps: np.ndarray) -> "Series":
        """The times of steps as a column like the one that was read."""
        import polars

        times = polars.Series(name, self.times(steps))
        if self.unit == "steps":
            return times
        moments = times.cast(polars.Datetime("us"))
        if self.dates:
            return moments.cast(polars.Date)
        if self.zone is None:
            return moments
        if self.wall:
            return moments.dt.replace_time_zone(self.zone, ambiguous="earliest", non_existent="null")
        return moments.dt.replace_time_zone("UTC").dt.convert_time_zone(self.zone)

    def cycles(self) -> dict[str, float]:
        """The lengths, in steps, of the rhythms that people live by: day, week, year; those of two steps and more."""
        if self.unit == "months":
            found = {"year": 12 / self.every}
        elif self.unit == "weekdays":
            found = {"week": 5.0, "year": 261.0}
        elif self.unit == "time":
            found = {"day": DAY / self.every, "week": 7 * DAY / self.every, "year": 365.2425 * DAY / self.every}
        else:
            found = {}
        return {name: length for name, length in found.items() if length >= 2}

    def phases(self, steps: np.ndarray) -> dict[str, np.ndarray]:
        """Where in each cycle steps stand, from 0 to 1."""
        times = self.times(steps)
        days = times // DAY
        years = times.view("datetime64[us]").astype("datetime64[Y]").astype("datetime64[us]").astype(np.int64)
        every = {
            "day": (times % DAY) / DAY,
            "week": ((days + 3) % 7 + (times % DAY) / DAY) / 7,
            "year": (times - years) / (365.2425 * DAY),
        }
        return {name: every[name] for name in self.cycles()}

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Times:
    """A column of times as numbers.

    Attributes:
        numbers: int64: microseconds since 1970, or what stood in a column of integers.
        like: a Frequency that holds what is known of the column: its unit "time" or "steps", dates, time zone.
        report: how the column was read, where people should know it.
    """

    numbers: np.ndarray
    like: Frequency
    report: tuple[str, ...] = ()


def read_times(values: "Series", like: Frequency | None = None, rows: Sequence[int] | None = None) -> Times:
    """A column of dates, of moments, of integers, or of any of these as text.

    Integers that all are days, 20240131, or months of several years, 202401, become dates. Text with offsets from UTC,
    2024-01-31T13:00+01:00, becomes moments in a zone; where no zone fits (half hours, or midnights in summer and
    winter), it is the clock on the wall.

    Args:
        values: the column.
        like: the calendar that the times should follow; None to find out what they are.
        rows: of the table, for messages, where they are not those of the column.

    Raises:
        DataError: times are missing, cannot be read, or could be read in two ways.
    """
    import polars

    name, rows = values.name, range(len(values)) if rows is None else rows
    report: tuple[str, ...] = ()
    if values.null_count():
        row = values.is_null().arg_max() or 0
        raise DataError(f"the column {name!r}, row {rows[row]}: expected a time, got nothing.")
    if values.dtype == polars.String:
        values, report = _parsed(values, like, rows)
    if values.dtype.is_integer():
        steps = Times(values.cast(polars.Int64).to_numpy(), Frequency("steps", 1))
        if like is not None and like.unit == "steps":
            return steps
        days, what = _days(values, rows), "days"
        if days is None:
            days, what = _year_months(values), "months"
        if days is None:
            return steps
        report = (f"the numbers of {name!r} are read as {what}: {values[0]} as {days[0]}",)
        values = days
    if values.dtype == polars.Date:
        moments = values.cast(polars.Datetime("us"))
        return Times(moments.cast(polars.Int64).to_numpy(), Frequency("time", DAY, dates=True), report)
    if not isinstance(values.dtype, polars.Datetime):
        raise DataError(f"the column {name!r}: expected dates, moments or integers, got {values.dtype}.")
    zone, moments = values.dtype.time_zone, values.cast(polars.Datetime("us", values.dtype.time_zone))
    if zone is None:
        return Times(moments.cast(polars.Int64).to_numpy(), Frequency("time", DAY), report)
    if like is not None and like.zone is not None:
        zone, moments = like.zone, moments.dt.convert_time_zone(like.zone)
    wall = moments.dt.replace_time_zone(None).cast(polars.Int64).to_numpy()
    if len(np.unique(wall % DAY)) == 1 if like is None else like.wall:
        return Times(wall, Frequency("time", DAY, zone=zone), report)
    utc = moments.dt.convert_time_zone("UTC").cast(polars.Int64).to_numpy()
    return Times(utc, Frequency("time", DAY, zone=zone, wall=False), report)


def _parsed(values: "Series", like: Frequency | None, rows: Sequence[int]) -> tuple["Series", tuple[str, ...]]:
    """Text as dates, moments or integers, and what should be said of it."""
    import polars

    text = values.str.strip_chars()
    if text.str.contains(r"^-?\d{1,18}$").all():
        return text.cast(polars.Int64), ()
    if text.str.contains(ZONED).all():
        return _zoned(text, like, rows)
    if text.str.contains(r"^\d{4}-\d{1,2}$").all():
        text = text + "-01"
    return _moments(text, rows), ()


def _days(values: "Series", rows: Sequence[int]) -> "Series | None":
    """Integers like 20240131 as dates; None where they are none."""
    import polars

    text = values.cast(polars.String)
    days = text.str.strptime(polars.Date, "%Y%m%d", strict=False)
    good = text.str.contains(COMPACT) & days.is_not_null()
    if good.all():
        return days
    if good.sum() < 0.9 * len(good):
        return None
    row = int(np.argmin(good.to_numpy()))
    raise DataError(
        f"the column {values.name!r}, row {rows[row]}: expected a day like 20240131, as {good.sum()} of {len(good)} "
        f"are, got {values[row]}: mend it."
    )


def _year_months(values: "Series") -> "Series | None":
    """Integers like 202401, of several years, as the first days of months; None where they are none."""
    import polars

    text = values.cast(polars.String)
    days = (text + "01").str.strptime(polars.Date, "%Y%m%d", strict=False)
    good = text.str.contains(r"^(19|20)\d{4}$") & days.is_not_null()
    return days if good.all() and days.dt.year().n_unique() > 1 else None


def _zoned(text: "Series", like: Frequency | None, rows: Sequence[int]) -> tuple["Series", tuple[str, ...]]:
    """Text with offsets from UTC as moments, and what should be said of it."""
    import polars

    local = _moments(text.str.extract(ZONED, 1), rows)
    offsets = text.str.extract(ZONED, 2)
    minutes = {written: _minutes(written) for written in offsets.unique(maintain_order=True)}
    off = offsets.replace_strict(minutes, return_dtype=polars.Int64)
    hours = minutes[offsets[0]] / 60 if len(set(minutes.values())) == 1 else None
    if like is not None:
        wall, zone = like.zone is None, like.zone or "UTC"
    elif hours in range(-12, 15):
        wall, zone = False, f"Etc/GMT{-int(hours):+d}" if hours else "UTC"  # the sign of these names is the other one
    else:
        wall, zone = hours is not None or (local.cast(polars.Int64) % DAY).n_unique() == 1, "UTC"
    several = ", ".join(list(minutes)[:3])
    told = f"the offsets of {text.name!r} ({several}) are left out: times are those of the clock on the wall"
    if wall:
        return local, (told,)
    utc = (local.cast(polars.Int64) - off * 60 * SECOND).cast(polars.Datetime("us"))
    moments = utc.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    return moments, () if hours is not None else (f"the times of {text.name!r} ({several}) are taken to UTC",)


def _minutes(offset: str) -> int:
    """An offset from UTC like +01:00, +0130 or Z in minutes."""
    if offset[0] not in "+-":
        return 0
    digits = offset[1:].replace(":", "")
    size = int(digits[:2]) * 60 + int(digits[2:] or 0)
    return -size if offset[0] == "-" else size


def _moments(text: "Series", rows: Sequence[int]) -> "Series":
    """Text without a zone as dates or moments."""
    name = text.name
    found = []
    for written in FORMATS:
        read = text.str.strptime(_kind(written), written, strict=False)
        if not read.null_count():
            found.append(read)
    if not found:
        readable = [text.str.strptime(_kind(written), written, strict=False).is_not_null() for written in FORMATS]
        row = int(np.argmin(max(readable, key=lambda each: each.sum()).to_numpy()))
        raise DataError(
            f"the column {name!r}, row {rows[row]}: expected times of one form, like 2024-01-31, 2024-01-31 13:00 or "
            f"whole numbers, got {text[row]!r}."
        )
    first = found[0]
    for other in found[1:]:
        if not first.equals(other):
            row = int((first != other).arg_max() or 0)
            raise DataError(
                f"the column {name!r}, row {rows[row]}: {text[row]!r} can be read as {first[row]} and as {other[row]}: "
                "write times as 2024-01-31."
            )
    return first.alias(name)


def _kind(written: str) -> Any:
    """The type of what is written so."""
    import polars

    return polars.Datetime("us") if "%H" in written else polars.Date


def find_frequency(times: Sequence[np.ndarray], like: Frequency) -> Frequency:
    """The calendar of series: the steps that most of their moments are apart.

    Args:
        times: of each series, ascending and different.
        like: what is known of their column.

    Raises:
        DataError: no series has two moments, or most of them follow no calendar.
    """
    apart = np.concatenate([np.diff(each) for each in times])
    if not len(apart):
        raise DataError("expected series of at least two moments, got one of each: is the id the name of a row?")
    every = np.concatenate(times)
    first = int(every[0])
    if like.unit == "steps":
        step = _common(apart)
        return Frequency("steps", step, first % step)
    of: dict[str, Any] = {"dates": like.dates, "zone": like.zone, "wall": like.wall}
    moments = every.view("datetime64[us]")
    clock = first % DAY
    months = moments.astype("datetime64[M]").astype(np.int64)
    days = (moments.astype("datetime64[D]") - months.astype("datetime64[M]")).astype(np.int64) + 1
    if apart.min() >= 28 * DAY and not (len(np.unique(apart)) == 1 and apart[0] == 28 * DAY):
        between = np.concatenate([np.diff(_months(each)) for each in times])
        if between.min() >= 1:
            step = _common(between)
            ends = ((moments + np.timedelta64(1, "D")).astype("datetime64[M]").astype(np.int64) > months).all()
            day = 31 if ends and days.max() > 28 else int(np.bincount(days).argmax())
            return Frequency("months", step, int(months[0]) % step, day, clock, **of)
    step = _common(apart)
    if step == DAY and np.is_busday(moments.astype("datetime64[D]")).all() and len(every) >= 10:
        return Frequency("weekdays", 1, 0, 1, clock, **of)
    return Frequency("time", step, first % step, **of)


def _months(times: np.ndarray) -> np.ndarray:
    return times.view("datetime64[us]").astype("datetime64[M]").astype(np.int64)


def _common(apart: np.ndarray) -> int:
    """What all differences are multiples of, if some are just that; else the most frequent one."""
    sizes, counts = np.unique(apart, return_counts=True)
    common = gcd(*map(int, sizes))
    often = int(sizes[counts.argmax()])
    return common if counts[sizes == common].sum() * 10 >= counts.sum() else often
