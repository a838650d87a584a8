"""Long frames as regular series: calendars, gaps, what is refused; scales and rhythms."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from elman.data import Columns, Frequency, read_series
from elman.errors import DataError
from elman.tasks import ForecastModel
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
    "3 units": list(range(5, 50, 3)),
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


@pytest.mark.parametrize("kind", [int, str, "csv"])
def test_numbers_that_are_days(kind, tmp_path):
    frame = pl.DataFrame({"time": [int(day.strftime("%Y%m%d")) for day in days(70)], "y": range(70)})
    if kind == "csv":
        frame.write_csv(source := tmp_path / "days.csv")
    else:
        source = frame.with_columns(pl.col("time").cast(pl.Int64 if kind is int else pl.String))
    panel = read_series(source, ONE)
    assert panel.frequency.name == "day"
    assert panel.report == ("the numbers of 'time' are read as days: 20240101 as 2024-01-01",)
    assert panel.frequency.column("time", panel.series[0].start + np.arange(70)).to_list() == days(70)
    steps = Frequency("steps", 1)  # a counter that passes by such numbers stays one
    assert read_series(frame[:20], ONE, steps).series[0].start == 20240101
    wrong = frame.with_columns(time=pl.when(pl.col("y") == 50).then(20240230).otherwise(pl.col("time")))
    months = [100 * year + month for year in (2023, 2024, 2025) for month in range(1, 13)]
    panel = read_series({"time": months, "y": list(range(36))}, Columns("time", ("y",)))
    assert panel.frequency.unit == "months" and len(panel.series[0].y) == 36
    assert panel.report == ("the numbers of 'time' are read as months: 202301 as 2023-01-01",)
    for steps in (list(range(202401, 202413)), list(range(199_990, 200_030))):
        assert read_series({"time": steps, "y": steps}, Columns("time", ("y",))).frequency.unit == "steps"
    with pytest.raises(DataError, match=r"row 50: expected a day like 20240131, .*got 20240230"):
        read_series(wrong, ONE)


@pytest.mark.parametrize("start", [20240120, 1704067200, -3, 12345678])
def test_numbers_that_are_none(start, tmp_path):
    (tmp_path / "steps.csv").write_text("time,y\n" + "".join(f"{start + at},{at}\n" for at in range(40)))
    panel = read_series(tmp_path / "steps.csv", ONE)
    assert (panel.frequency.unit, panel.series[0].start, panel.report) == ("steps", start, ())


def test_the_fields_of_a_file_are_what_is_written(tmp_path):
    rows = [
        "007,2024-01-0{},{},true,1e2",
        "7,2024-01-0{},{}.5,False,+3",
        "1,2024-01-0{},NA,TRUE, 5 ",
        "01,2024-01-0{},,,",
    ]
    text = "".join(row.format(at, at) + "\n" for row in rows for at in (1, 2))
    (tmp_path / "shops.csv").write_text("id,time,y,k,p\n" + text + "1,2024-01-03,9,true,1\n01,2024-01-03,8,,\n")
    panel = read_series(tmp_path / "shops.csv", Columns("time", ("y",), "id", ("k",), ("p",)))
    assert [each.name for each in panel.series] == ["007", "7", "1", "01"]
    first, second, third, fourth = panel.series
    assert (first.y[:, 0].tolist(), first.known[:, 0].tolist(), first.past[:, 0].tolist()) == (
        [1, 2],
        [1, 1],
        [100, 100],
    )
    assert (second.y[:, 0].tolist(), second.known[:, 0].tolist(), second.past[0, 0]) == ([1.5, 2.5], [0, 0], 3)
    assert (third.y[:, 0].tolist(), third.known[:, 0].tolist()) == ([9], [1])
    assert (fourth.y[:, 0].tolist(), np.isnan(fourth.known).all()) == ([8], True)


OFFSETS = {
    "Z": ("UTC", ()),
    "+01:00": ("Etc/GMT-1", ()),
    "-0500": ("Etc/GMT+5", ()),
    "+05:30": (None, ("the offsets of 'time' (+05:30) are left out: times are those of the clock on the wall",)),
}


@pytest.mark.parametrize("written", OFFSETS)
@pytest.mark.parametrize("step", [dt.timedelta(hours=1), DAY])
def test_text_with_an_offset(written, step):
    times = [dt.datetime(2024, 2, 28) + step * at for at in range(60)]
    panel = read_series({"time": [f"{each.isoformat()}{written}" for each in times], "y": range(60)}, ONE)
    zone, report = OFFSETS[written]
    assert (panel.frequency.zone, panel.report) == (zone, report)
    found = panel.frequency.column("time", panel.series[0].start + np.arange(60))
    assert [each.replace(tzinfo=None) for each in found.to_list()] == times
    if zone is not None:  # the same moments by another clock follow the same calendar
        moved = found.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%d %H:%M+00")
        again = read_series({"time": moved, "y": range(60)}, ONE, panel.frequency)
        assert again.series[0].start == panel.series[0].start


def test_offsets_of_summer_and_winter():
    zurich = pl.datetime_range(
        dt.datetime(2024, 3, 20), dt.datetime(2024, 4, 20), "1d", time_zone="Europe/Zurich", eager=True
    )
    panel = read_series({"time": zurich.dt.strftime("%FT%T%:z"), "y": range(len(zurich))}, ONE)
    assert "clock on the wall" in panel.report[0]
    assert panel.frequency.column("time", panel.series[0].start + np.arange(32)).equals(
        zurich.dt.replace_time_zone(None).alias("time")
    )
    last = read_series({"time": zurich.dt.strftime("%FT%T%:z")[-3:], "y": range(3)}, ONE, panel.frequency)
    assert last.series[0].start == panel.series[0].start + 29
    hours = pl.datetime_range(zurich[0], zurich[-1], "1h", time_zone="Europe/Zurich", eager=True)
    panel = read_series({"time": hours.dt.strftime("%FT%T%:z"), "y": range(len(hours))}, ONE)
    assert len(panel.series[0].y) == len(hours)
    assert "are taken to UTC" in panel.report[0]


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
    "squares that are infinite": ({"time": days(3), "y": [1.0, -1e300, 2.0]}, "row 1: .* got -1e\\+300"),
    "words": ({"time": days(3), "y": ["1", "x", "2"]}, "row 1: .* got 'x'"),
    "no values": ({"time": days(3), "y": [None] * 3}, "expected numbers in the column 'y', got none"),
    "no time": ({"time": [None, *days(2)], "y": range(3)}, "row 0: expected a time"),
    "no times": ({"time": ["soon", "later"], "y": range(2)}, "expected times of one form"),
    "months or days": (
        {"time": ["02/02/2024", "03/02/2024"], "y": range(2)},
        "row 1: '03/02/2024' can be read as 2024-03-02 and as 2024-02-03",
    ),
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
    with pytest.raises(DataError, match="one value every day"):
        read_series({"time": moments(9, hours=5), "y": range(9)}, ONE, frequency)
    with pytest.raises(DataError, match="as in training"):
        read_series({"time": range(9), "y": range(9)}, ONE, frequency)


def test_constant_series_are_told():
    panel = read_series({"time": days(9), "y": [2.0] * 9}, ONE)
    assert panel.report == ("1 of 1 series never change",)
    assert scaling.learn_scale("linear", panel.series[0]).tolist() == [[2.0], [1.0]]


def test_small_series_have_a_scale():
    y = 1e-11 * np.random.default_rng(0).normal(size=(2, 50)) + [[0], [1e-6]]
    for values in y:
        series = read_series({"time": days(50), "y": values}, ONE).series[0]
        np.testing.assert_allclose(scaling.learn_scale("linear", series)[:, 0], [values.mean(), values.std()])
        assert scaling.scaled("linear", series, scaling.learn_scale("linear", series)).std() == pytest.approx(1)
    same = read_series({"time": days(50), "y": [0.1, 0.1 * (1 + 1e-15)] * 25}, ONE).series[0]
    assert scaling.learn_scale("linear", same)[1].tolist() == [1.0]
    tiny = read_series({"time": days(50), "y": 1e-190 * y[0]}, ONE).series[0]
    with pytest.raises(DataError, match="squares are above 0"):
        scaling.learn_scale("linear", tiny)


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


@pytest.mark.parametrize(("weekend", "seasons"), [(0.0, (24,)), (0.2, (24, 168))])
@pytest.mark.parametrize("series", [1, 40])
def test_a_week_is_more_than_seven_days_that_are_alike(series, weekend, seasons):
    draw, hours = np.random.default_rng(1), np.arange(1500)
    shape = (1 + weekend * (hours // 24 % 7 >= 5)) * (1 + 0.5 * np.sin(hours * np.pi / 12))
    frame = pl.DataFrame(
        {
            "id": np.repeat(np.arange(series), 1500),
            "time": [dt.datetime(2024, 1, 1) + dt.timedelta(hours=int(hour)) for hour in hours] * series,
            "y": np.concatenate([shape + 0.1 * draw.normal(size=1500) for _ in range(series)]),
        }
    )
    assert scaling.find_seasons(read_series(frame, Columns("time", ("y",), "id"))) == seasons


def test_correlation_is_that_of_numpy():
    values = np.random.default_rng(1).normal(size=60).cumsum()
    steps = np.diff(values)
    assert scaling.correlation(values, 7) == pytest.approx(np.corrcoef(steps[7:], steps[:-7])[0, 1])


def test_the_example_is_the_published_one():
    frame = passengers()
    assert (frame.height, frame["y"].sum(), frame["y"][0], frame["y"][-1]) == (144, 40363, 112, 432)


def test_what_is_held_out_says_too_whether_logarithms_can_be_taken():
    """Positive values that swing in proportion to their level; the last one, which is held out, is 0."""
    t = np.arange(120)
    y = (100 + 10 * t) * (1 + 0.3 * np.sin(2 * np.pi * t / 12))
    options = {"season": (12,), "horizon": 6, "held_out": 6}
    model = ForecastModel(**options)
    model.prepare_data({"time": t, "y": y})
    assert model.recipe.kind == "log"
    y[-1] = 0
    model = ForecastModel(**options)
    model.prepare_data({"time": t, "y": y})
    assert model.recipe.kind == "linear"
    with pytest.raises(DataError, match="expected values above 0"):
        ForecastModel(**options, scale="log").prepare_data({"time": t, "y": y})
    with pytest.raises(DataError, match="expected counts"):
        ForecastModel(**options, distribution="negative_binomial").prepare_data(
            {"time": t, "y": np.append(t[:-1], 0.5)}
        )


def test_a_year_is_found_in_noisy_days_and_read_by_the_calendar():
    t, draw = np.arange(4 * 365), np.random.default_rng(0)
    y = 15 + 8 * np.sin(2 * np.pi * t / 365.25) + np.convolve(draw.normal(size=len(t) + 4), np.ones(5), "valid")
    model = ForecastModel(horizon=30)
    model.prepare_data({"time": days(len(t)), "y": y})
    assert model.recipe.seasons == (365,)
    assert model.recipe.lags[-1] == 50
    assert [name for name, _ in model.recipe.cycles] == ["year"]
    model = ForecastModel(horizon=30, season=(350,))  # no cycle of the calendar: its values are read
    model.prepare_data({"time": days(len(t)), "y": y})
    assert model.recipe.lags[-3:] == (349, 350, 351)


@pytest.mark.parametrize("outliers", [0, 1, 12])
def test_weeks_are_no_year_and_outliers_hide_none(outliers):
    t, draw = np.arange(3 * 365), np.random.default_rng(1)
    y = 20.0 + 5 * (t % 7 > 4) + draw.normal(size=len(t))
    y[draw.choice(len(t), outliers, replace=False)] += 300
    model = ForecastModel(horizon=14)
    model.prepare_data({"time": days(len(t)), "y": y})
    assert model.recipe.seasons == (7,)
