"""Long frames as regular series: calendars, gaps, what is refused; scales and rhythms."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from elman.data import Columns, Frequency, read_series
from elman.errors import DataError
from elman.tasks.forecast import scaling
from elman.tasks.forecast.example import passengers

ONE = Columns("time", ("y",))
DAY, SECOND = dt.timedelta(days=1), dt.timedelta(seconds=1)
START = dt.datetime(2024, 2, 28, 22, 30)


def days(count, start=dt.date(2024, 1, 1), step=DAY):
    return [start + number * step for number in range(count)]


def months(count, day):
    last = [(dt.date(2023 + (at + 1) // 12, (at + 1) % 12 + 1, 1) - DAY) for at in range(count)]
    return last if day == 31 else [each.replace(day=day) for each in last]


def moments(count, **step):
    return [START + number * dt.timedelta(**step) for number in range(count)]


CALENDARS = {
    "day": days(40),
    "weekday": [day for day in days(40) if day.weekday() < 5],
    "week": days(12, step=7 * DAY),
    "month": months(20, 1),
    "month (end)": months(20, 31),
    "quarter": months(36, 31)[::3],
    "year": months(120, 15)[::12],
    "hour": moments(60, hours=1),
    "15 minutes": moments(60, minutes=15),
    "step": list(range(5, 30)),
    "3": list(range(5, 50, 3)),
}


@pytest.mark.parametrize("name", CALENDARS)
def test_the_calendar_is_found_and_goes_on(name):
    times = CALENDARS[name]
    panel = read_series({"time": times, "y": range(len(times))}, ONE)
    (series,) = panel.series
    assert panel.frequency.name == name.removesuffix(" (end)")
    assert panel.report == () or "within months" in panel.report[0]
    assert series.y[:, 0].tolist() == list(range(len(times)))
    assert panel.frequency.column("time", np.arange(series.start, series.start + len(times))).to_list() == times
    known = Frequency(**panel.frequency.to_json())
    assert known == panel.frequency


@pytest.mark.parametrize("name", CALENDARS)
def test_gaps_are_found(name):
    times = CALENDARS[name]
    kept = [number for number in range(len(times)) if number not in (3, 4)]
    panel = read_series({"time": [times[at] for at in kept], "y": [float(at) for at in kept]}, ONE)
    y = panel.series[0].y[:, 0]
    assert len(y) == len(times)
    assert np.flatnonzero(np.isnan(y)).tolist() == [3, 4]
    assert f"2 of {len(times)} steps miss a value" in panel.report


def test_rows_in_any_order_and_several_series():
    shuffled = pl.DataFrame(
        {"id": ["b", "a", "b", "a", "a"], "time": [days(9)[at] for at in (5, 1, 4, 0, 2)], "y": [5, 1, 4, 0, 2]}
    )
    panel = read_series(shuffled, Columns("time", ("y",), "id"))
    assert [(each.name, each.y[:, 0].tolist()) for each in panel.series] == [("b", [4, 5]), ("a", [0, 1, 2])]
    assert panel.series[0].start - panel.series[1].start == 4


def test_time_zones_come_back():
    for step in ("1h", "1d"):
        times = pl.datetime_range(
            dt.datetime(2024, 3, 1), dt.datetime(2024, 4, 20), step, time_zone="Europe/Zurich", eager=True
        )
        panel = read_series(pl.DataFrame({"time": times, "y": np.arange(len(times)) * 1.0}), ONE)
        series = panel.series[0]
        assert len(series.y) == len(times)  # neither a gap nor a moment twice where the clocks are changed
        assert panel.frequency.column("time", series.start + np.arange(len(times))).equals(times.alias("time"))


@pytest.mark.parametrize(
    ("written", "second"),
    [("%Y-%m-%d", dt.date(2024, 1, 2)), ("%Y-%m-%d %H:%M", dt.datetime(2024, 1, 2)), ("%b %d %Y", dt.date(2024, 1, 2))],
)
def test_times_as_text(written, second):
    panel = read_series({"time": [day.strftime(written) for day in days(30)], "y": range(30)}, ONE)
    assert panel.frequency.column("time", panel.series[0].start + np.arange(1, 2)).to_list() == [second]


def test_the_future_of_a_series_is_no_gap():
    frame = {"time": days(6), "y": [1.0, None, 3.0, None, None, None], "p": range(6)}
    series = read_series(frame, Columns("time", ("y",), known=("p",))).series[0]
    assert len(series.y) == 3
    assert series.known[:, 0].tolist() == [0, 1, 2, 3, 4, 5]


REFUSED = {
    "a misspelt column": ({"time": days(9), "Y": range(9)}, "did you mean 'Y'"),
    "a moment twice": ({"time": days(4) * 2, "y": range(8)}, "expected each time once"),
    "a moment twice for want of an id": ({"time": days(4) * 2, "at": [*"aaaabbbb"], "y": range(8)}, "is 'at' the id"),
    "infinity": ({"time": days(3), "y": [1.0, 2.0, float("inf")]}, "row 2: .* got infinity"),
    "words": ({"time": days(3), "y": ["1", "x", "2"]}, "row 1: .* got 'x'"),
    "no values": ({"time": days(3), "y": [None] * 3}, "expected numbers in the column 'y', got none"),
    "no time": ({"time": [None, *days(2)], "y": range(3)}, "row 0: expected a time"),
    "no times": ({"time": ["soon", "later"], "y": range(2)}, "expected times of one form"),
    "months or days": ({"time": ["01/02/2024", "02/02/2024"], "y": range(2)}, "can be read as .* and as"),
    "one moment": ({"time": days(1), "y": [1.0]}, "at least two moments"),
    "no calendar": ({"time": [START + 7 * n * n * SECOND for n in range(20)], "y": range(20)}, "Bring the series"),
    "fractions": ({"time": [0.5, 1.5], "y": range(2)}, "expected dates, moments or integers"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    frame, message = REFUSED[name]
    with pytest.raises(DataError, match=message):
        read_series(frame, ONE)


def test_a_calendar_that_is_given_must_hold():
    frequency = read_series({"time": days(9), "y": range(9)}, ONE).frequency
    with pytest.raises(DataError, match="one value a day"):
        read_series({"time": moments(9, hours=5), "y": range(9)}, ONE, frequency)
    with pytest.raises(DataError, match="as in training"):
        read_series({"time": range(9), "y": range(9)}, ONE, frequency)


def test_constant_series_are_told():
    panel = read_series({"time": days(9), "y": [2.0] * 9}, ONE)
    assert panel.report == ("1 of 1 series never change",)
    assert scaling.learn_scale("linear", panel.series[0]).tolist() == [[2.0], [1.0]]


def test_logarithms_and_rhythms_are_chosen():
    panel = read_series(passengers(), ONE)
    assert (scaling.choose_kind(panel, 12), scaling.find_seasons(panel)) == ("log", (12,))
    draw = np.random.default_rng(0)
    t = np.arange(400)
    for season in (9, 24):
        wave = read_series({"time": t, "y": 5 + np.sin(2 * np.pi * t / season) + 0.1 * draw.normal(size=400)}, ONE)
        assert (scaling.choose_kind(wave, season), scaling.find_seasons(wave)) == ("linear", (season,))
    noise = read_series({"time": days(400), "y": draw.normal(size=400)}, ONE)
    assert scaling.find_seasons(noise) == ()


def test_correlation_is_that_of_numpy():
    values = np.random.default_rng(1).normal(size=60).cumsum()
    steps = np.diff(values)
    assert scaling.correlation(values, 7) == pytest.approx(np.corrcoef(steps[7:], steps[:-7])[0, 1])


def test_the_example_is_the_published_one():
    frame = passengers()
    assert (frame.height, frame["y"].sum(), frame["y"][0], frame["y"][-1]) == (144, 40363, 112, 432)
