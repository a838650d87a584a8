"""Series that move away from where they began: their scale, and forecasts by how they move alone."""

import numpy as np
import polars as pl
import pytest

import elman
from elman.data import Columns, read_series
from elman.tasks import ForecastModel
from elman.tasks.forecast.scaling import learn_moves, learn_scale


def long(name, values):
    """The rows of one series, values [T, D]."""
    columns = {f"y{at}": each for at, each in enumerate(np.asarray(values, dtype=float).reshape(len(values), -1).T)}
    return pl.DataFrame({"id": [name] * len(values), "time": np.arange(len(values)), **columns})


def tracks(count, seed, steps=20, unit=1.0):
    """Walkers who turn and change their speed now and then."""
    draw, frames = np.random.default_rng(seed), []
    for number in range(count):
        angle, speed, turn, place, seen = draw.uniform(0, 6.28), draw.uniform(0.2, 0.7), 0.0, draw.uniform(0, 15, 2), []
        for _ in range(steps):
            turn = 0.8 * turn + 0.06 * draw.normal()
            angle, speed = angle + turn, max(0.0, 0.95 * speed + 0.025 + 0.03 * draw.normal())
            place = place + speed * np.array([np.cos(angle), np.sin(angle)])
            seen.append(place + 0.01 * draw.normal(size=2))
        frames.append(long(f"{seed}-{number}", unit * np.array(seen)))
    return pl.concat(frames)


def series(kind, count, steps, seed=0):
    draw, t, frames = np.random.default_rng(seed), np.arange(steps), []
    for number in range(count):
        level = 10 ** draw.uniform(0, 4)
        y = {
            "walks": 50 + draw.normal(size=steps).cumsum(),
            "trends": level * (1 + 0.03 * draw.normal() * t + 0.03 * draw.normal(size=steps).cumsum()),
            "noise": level * (3 + draw.normal(size=steps)),
        }[kind]
        frames.append(long(f"{seed}-{number}", y))
    return pl.concat(frames)


def panel(frame):
    y = tuple(name for name in frame.columns if name.startswith("y"))
    return read_series(frame, Columns("time", y, "id"))


TRACKS = {"id": "id", "y": ("y0", "y1"), "horizon": 12}


@pytest.fixture(scope="module")
def walker():
    return ForecastModel(**TRACKS, epochs=2, hidden_size=8).fit(tracks(40, 0))


def test_series_move_or_keep_around_a_mean():
    assert learn_moves("linear", panel(series("noise", 20, 30))) is None
    assert learn_moves("linear", panel(series("walks", 7, 30))) is None  # too few to say
    assert not learn_moves("linear", panel(series("walks", 30, 40))).own
    assert not learn_moves("linear", panel(tracks(30, 0))).own
    assert learn_moves("linear", panel(series("trends", 30, 40))).own


def test_what_comes_later_does_not_change_a_scale():
    whole = panel(tracks(20, 0))
    moves = learn_moves("linear", whole)
    for each in whole.series:
        np.testing.assert_array_equal(learn_scale("linear", each, moves), learn_scale("linear", each.until(8), moves))
        np.testing.assert_array_equal(learn_scale("linear", each, moves)[0], each.y[0])


def test_series_that_never_move_among_those_that_do():
    frame = pl.concat(
        [series("trends", 20, 30), long("still", np.full(30, 7.0)), long("once", [1.0] * 15 + [2.0] * 15)]
    )
    model = ForecastModel(id="id", y="y0", horizon=4, epochs=1, hidden_size=4).fit(frame)
    assert model.recipe.moves.own
    still = model.predict(frame.filter(pl.col("id") == "still"), quantiles=(0.5,))
    assert still["q0.5"].is_between(6.5, 7.5).all()


def test_one_that_jumps_out_of_rounding_is_scored():
    """What differs by rounding alone has no size of its own."""
    model = ForecastModel(id="id", y="y0", horizon=5, epochs=1, hidden_size=4).fit(series("trends", 20, 30))
    assert model.recipe.moves.own
    found = model.score(long("jump", [0.3, 0.1 + 0.2] * 5 + [1, 2, 3, 4, 5]))
    assert np.isfinite(found.network.mae)


def test_one_odd_series_does_not_speak_for_the_others():
    draw, frames = np.random.default_rng(0), []
    for number in range(16):
        y = draw.normal(size=60)
        for t in range(1, 60):
            y[t] += 0.5 * y[t - 1]
        y[: 30 if number == 15 else 0] = 0.001 * draw.normal(size=30 if number == 15 else 0)
        frames.append(long(str(number), y))
    assert learn_moves("linear", panel(pl.concat(frames))) is None


def test_forecasts_go_with_the_place(walker):
    """Where a track is does not matter: the same track elsewhere is forecast the same way, elsewhere."""
    assert walker.recipe.moves is not None
    here = tracks(3, 5)
    there = here.with_columns(pl.col("y0") + 100, pl.col("y1") - 30)
    found, moved = walker.paths(here).values, walker.paths(there).values
    np.testing.assert_allclose(moved - found, np.broadcast_to([100.0, -30.0], found.shape), atol=1e-3)


def test_a_file_keeps_how_series_move(walker, tmp_path):
    walker.save(tmp_path / "walk.elman")
    loaded = elman.load(tmp_path / "walk.elman")
    assert loaded.recipe.moves == walker.recipe.moves
    new = tracks(2, 6)
    assert loaded.predict(new).equals(walker.predict(new))


@pytest.mark.parametrize("unit", [0.001, 10, 1000])
def test_tracks_in_other_units_are_said(walker, unit):
    with pytest.warns(UserWarning, match=r"moves by about \d.* a step, in training it was about 0\.\d.*other units"):
        found = walker.predict(tracks(2, 5, unit=unit))
    assert (found["q0.95"] - found["q0.05"]).max() < 60 * unit


@pytest.mark.slow
@pytest.mark.parametrize("held_out", [0, 12])
def test_short_tracks_that_were_not_in_training(held_out):
    """Eight steps are seen, twelve are forecast; before, by the mean and deviation of what was seen: 1.08 and 45 %."""
    model = ForecastModel(**TRACKS, held_out=held_out).fit(tracks(400, 0))
    score = model.score(tracks(150, 1), origins=1)
    assert score.network.mae < 0.8 * score.figures["drift"].mae
    assert 0.82 < score.network.coverage < 0.96


@pytest.mark.slow
def test_trends_in_many_units():
    model = ForecastModel(id="id", y="y0", horizon=6, held_out=6).fit(series("trends", 100, 30))
    score = model.score()
    assert score.network.mase < 0.7 * score.figures["naive"].mase
    assert 0.75 < score.network.coverage < 0.97
