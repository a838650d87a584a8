"""The forecast job as a whole: fit, predict, score, save, load, resume; and what it promises of its forecasts."""

import datetime as dt
import warnings

import numpy as np
import polars as pl
import pytest
import torch

import elman
from elman.errors import ArgumentError, DataError
from elman.tasks import ForecastModel
from elman.tasks.forecast import passengers
from elman.training.sidefile import SideFile

SMALL = {"hidden_size": 8, "epochs": 2, "batch_size": 16, "window": 14}
START = dt.date(2023, 1, 1)


def daily(count=80, series=1, seed=0, shape=lambda at, t: 10 + np.sin(2 * np.pi * t / 7)):
    """A long frame of noisy weeks."""
    draw, t = np.random.default_rng(seed), np.arange(count)
    rows = [
        pl.DataFrame(
            {
                "shop": [f"s{at}"] * count,
                "day": [START + dt.timedelta(days=int(number)) for number in t],
                "sold": shape(at, t) + 0.2 * draw.normal(size=count),
                "price": (draw.random(count) < 0.2) * 1.0,
                "rain": draw.normal(size=count),
            }
        )
        for at in range(series)
    ]
    return pl.concat(rows)


def shops(**options):
    return ForecastModel(time="day", y="sold", id="shop", horizon=7, **{**SMALL, **options})


@pytest.fixture(scope="module")
def fitted():
    frame = daily(series=3)
    return shops(held_out=7).fit(frame), frame


def test_a_forecast_goes_on_where_the_series_end(fitted):
    model, frame = fitted
    found = model.predict(quantiles=(0.1, 0.5, 0.9))
    assert found.columns == ["shop", "day", "mean", "q0.1", "q0.5", "q0.9"]
    assert found.height == 3 * 7
    assert found["day"][0] == frame["day"].max() + dt.timedelta(days=1)
    assert (found["q0.1"] < found["q0.5"]).all()
    assert (found["q0.5"] < found["q0.9"]).all()
    assert found.equals(model.predict(quantiles=(0.1, 0.5, 0.9)))  # the same seed
    assert not found.equals(model.predict(quantiles=(0.1, 0.5, 0.9), seed=1))


@pytest.mark.parametrize("horizon", [1, 3, 50])
def test_any_horizon(fitted, horizon):
    model, _ = fitted
    longer = model.predict(horizon=horizon)
    assert longer.height == 3 * horizon
    assert longer["mean"].is_finite().all()
    assert longer["mean"].is_between(5, 15).all()


@pytest.mark.slow
def test_a_file_holds_all_that_a_forecast_needs(fitted, tmp_path):
    model, frame = fitted
    model.save(tmp_path / "m.elman")
    loaded = elman.load(tmp_path / "m.elman")
    assert isinstance(loaded, ForecastModel)
    assert loaded.predict().equals(model.predict())
    assert loaded.predict(frame).equals(model.predict())
    assert loaded.score(frame) == model.score()
    assert loaded.configuration() == model.configuration()
    with pytest.raises(ArgumentError, match="expected data to score"):
        loaded.score()


@pytest.mark.slow
def test_missing_values_before_what_a_file_keeps(tmp_path):
    frame = daily(200).with_columns(
        pl.when(pl.int_range(200).is_between(150, 180)).then(None).otherwise(pl.col("sold")).alias("sold")
    )
    model = shops(season=(7,)).fit(frame, out=tmp_path / "m.elman")
    assert elman.load(tmp_path / "m.elman").predict().equals(model.predict())


def test_a_forecast_knows_nothing_of_what_came_after():
    frame = daily(90, 2)
    columns = {"known": ("price",), "past": ("rain",)}
    model = shops(held_out=14, **columns).fit(frame)
    cut = START + dt.timedelta(days=83)
    known = frame.with_columns(
        pl.when(pl.col("day") >= cut).then(None).otherwise(pl.col(name)).alias(name) for name in ("sold", "rain")
    )
    honest = model.predict(known, 7)
    assert honest["day"][0] == cut
    lanes = [model._lane(each, 83, 0) for each in model.panel.series]
    ((_, drawn),) = model._drawn(lanes, [(0, 83), (1, 83)], 7, 200, 0)
    np.testing.assert_allclose(honest["mean"].to_numpy(), drawn.mean(1)[:, :, 0].ravel(), rtol=1e-5)


def test_covariates_that_are_known_ahead_move_the_forecast():
    frame = daily(120).with_columns(sold=pl.col("sold") + 5 * pl.col("price"))
    model = shops(known=("price",)).fit(frame)
    with pytest.raises(DataError, match="expected price at 7 steps after its last value, got 0"):
        model.predict(frame)
    days = [START + dt.timedelta(days=120 + at) for at in range(7)]
    future = {"shop": ["s0"] * 7, "day": days, "sold": [None] * 7, "price": [0.0, 1, 0, 0, 0, 0, 0], "rain": [0.0] * 7}
    found = model.predict(pl.concat([frame, pl.DataFrame(future, schema=frame.schema)]))
    means = found["mean"].to_numpy()
    assert means[1] - max(means[0], *means[2:]) > 2.5


def test_a_series_that_was_not_seen_in_training(fitted):
    model, _ = fitted
    other = daily(60, 1, seed=5, shape=lambda at, t: 1000 + 100 * np.sin(2 * np.pi * t / 7))
    found = model.predict(other.with_columns(shop=pl.lit("new")))
    assert found["shop"].unique().to_list() == ["new"]
    assert found["mean"].is_between(800, 1200).all()


def test_other_units_are_told(fitted):
    model, frame = fitted
    with pytest.warns(UserWarning, match="'s0' has values around 1.*e\\+04, in training they were around 10.*units"):
        model.predict(frame.with_columns(sold=pl.col("sold") * 1000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(frame)


def test_prediction_data_with_other_columns(fitted):
    model, frame = fitted
    with pytest.raises(DataError, match="did you mean 'sold_'"):
        model.predict(frame.rename({"sold": "sold_"}))
    with pytest.raises(DataError, match="as in training"):
        model.predict(frame.with_columns(day=pl.int_range(pl.len()).over("shop")))


@pytest.mark.slow
def test_forecasts_follow_the_units_of_the_data():
    frame = daily(60)
    one = shops().fit(frame).predict()
    other = shops().fit(frame.with_columns(sold=1000 * pl.col("sold") - 7)).predict()
    np.testing.assert_allclose(other["mean"].to_numpy(), 1000 * one["mean"].to_numpy() - 7, rtol=1e-3)


def test_a_high_level_is_only_added():
    frame, level = daily(60), 1_700_000_033.0
    far = shops(held_out=7, scale="linear").fit(frame.with_columns(sold=pl.col("sold") + level))
    near = shops(held_out=7, scale="linear").fit(frame)
    for name in ("mean", "q0.05", "q0.95"):
        np.testing.assert_allclose(far.predict()[name].to_numpy() - level, near.predict()[name].to_numpy(), atol=0.5)
    assert far.score().network.mae == pytest.approx(near.score().network.mae, abs=0.1)


@pytest.mark.slow
def test_intervals_of_a_random_walk_widen_with_the_root_of_the_time():
    walk = np.random.default_rng(0).normal(size=1200).cumsum()
    options = {**SMALL, "lags": 3, "season": (), "epochs": 1}
    model = ForecastModel(horizon=16, distribution="gaussian", scale="linear", **options)
    model.fit({"time": range(1200), "y": walk})
    spread = model.paths(horizon=16, samples=2000).values[0, :, :, 0].std(0)
    assert spread[15] / spread[0] == pytest.approx(4, rel=0.2)
    assert spread[0] == pytest.approx(1, rel=0.2)


def test_counts_are_counts():
    draw = np.random.default_rng(0)
    frame = daily(100).with_columns(sold=pl.Series(draw.poisson(0.7, 100)))
    model = shops(distribution="negative_binomial").fit(frame)
    values = model.paths(horizon=30).values
    assert (values >= 0).all()
    assert (values == np.round(values)).all()
    assert 0.3 < values.mean() < 1.5
    with pytest.raises(DataError, match="expected counts"):
        shops(distribution="negative_binomial").fit(daily(50))


def test_coordinates_of_a_trajectory_are_drawn_together():
    draw, t = np.random.default_rng(0), np.arange(400)
    angle = 2 * np.pi * t / 25
    frame = {"time": t, "east": np.cos(angle) + 0.02 * draw.normal(size=400), "north": 3 * np.sin(angle)}
    model = ForecastModel(y=("east", "north"), horizon=20, held_out=40, **SMALL).fit(frame)
    drawn = model.paths(horizon=20).values[0]
    assert drawn.shape == (200, 20, 2)
    radius = np.sqrt(drawn[..., 0] ** 2 + (drawn[..., 1] / 3) ** 2)
    assert abs(np.median(radius) - 1) < 0.15
    found = model.predict()
    assert found["coordinate"].to_list()[:1] == ["east"]
    assert found.height == 40
    assert model.score().figures["network"].mae < 0.3 * model.score().figures["naive"].mae


def test_scores_follow_the_origins(fitted):
    model, frame = fitted
    assert model.score().origins == 3
    many = model.score(frame, 5, origins=4, stride=2)
    assert (many.origins, many.values, many.horizon) == (12, 60, 5)
    assert set(many.figures) == {"network", "naive", "seasonal naive", "drift", "linear"}
    assert many.to_json()["figures"]["network"]["mae"] == many.network.mae
    assert many.notes == ()
    most = model.score(
        frame.filter(pl.int_range(pl.len()).over("shop") < 30 + 20 * (pl.col("shop") == "s1")), origins=6
    )
    assert most.origins == 3 + 6 + 3
    assert most.notes[0] == "2 of 3 series are too short for 6 forecasts: 12 were made in all"
    assert most.notes[1].startswith("linear is measured on the others alone: too few steps to learn from before")
    assert "in 1 of 3 series" in most.notes[1]
    most = model.score(frame, origins=100)
    assert "linear" not in most.figures
    assert "linear is left out" in most.notes[1]
    assert "in 3 of 3 series" in most.notes[1]
    with pytest.raises(DataError, match="smaller horizon"):
        model.score(frame, 100)
    for stride in (0, -1):
        with pytest.raises(ArgumentError, match="stride >= 1"):
            model.score(frame, stride=stride)


@pytest.mark.slow
def test_folds_learn_from_nothing_that_they_are_scored_on(monkeypatch):
    frame, seen = daily(60), []
    fit = ForecastModel.fit

    def watched(self, data, **options):
        found = fit(self, data, **options)
        seen.append((len(data.series[0].y), self.held_out, self.about["steps"]))
        return found

    monkeypatch.setattr(ForecastModel, "fit", watched)
    scores = shops(epochs=1).cross_validate(frame, folds=3, horizon=5)
    assert seen == [(50, 5, 45), (55, 5, 50), (60, 5, 55)]
    assert [each.values for each in scores] == [5, 5, 5]


@pytest.mark.slow
def test_a_training_is_resumed_to_the_same_numbers(tmp_path):
    from elman.training.learner import Learner

    frame = daily(60, 2)
    whole = shops().fit(frame, out=tmp_path / "whole.elman")
    step, count = Learner.training_step, 0

    def stopping(self, batch):
        nonlocal count
        count += 1
        if count == 25:
            self.stop_asked = True
        return step(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "training_step", stopping)
        with pytest.raises(KeyboardInterrupt):
            shops().fit(frame, out=tmp_path / "m.elman")
    resumed = shops().fit(frame, out=tmp_path / "m.elman", resume=True)
    assert resumed.predict().equals(whole.predict())


SHORT = {
    "three steps": {"count": 3},
    "no validation": {"count": 20, "validation": 0.0},
    "a constant": {"count": 40, "shape": lambda at, t: 5.0 + 0 * t, "noise": 0},
    "many, unequal": {"count": 40, "series": 9},
}


@pytest.mark.parametrize("name", SHORT)
def test_short_and_odd_series(name):
    options = dict(SHORT[name])
    frame = daily(options.pop("count"), options.pop("series", 1), shape=options.pop("shape", lambda at, t: 5 + t % 3))
    if options.pop("noise", 1) == 0:
        frame = frame.with_columns(sold=pl.lit(5.0))
    if "unequal" in name:
        frame = frame.filter(pl.int_range(pl.len()).over("shop") < 1 + 4 * pl.col("shop").str.slice(1).cast(pl.Int64))
    model = shops(epochs=1, **options).fit(frame)
    found = model.predict()
    assert found.height == 7 * frame["shop"].n_unique()
    assert found["mean"].is_finite().all()
    if name == "a constant":
        assert (found["mean"] - 5).abs().max() < 0.05
        assert "never change" in model.panel.report[0]
    if "unequal" in name:
        assert "1 series are too short to be learned from" in model.panel.report


def test_a_series_that_is_too_short_is_refused():
    with pytest.raises(DataError, match="at least 3 values beside the 30 that are held out, the longest has 31"):
        shops(held_out=30).fit(daily(31))


def test_arguments_are_checked(fitted):
    model, _ = fitted
    for options, message in (
        ({"horizon": 0}, "horizon >= 1"),
        ({"samples": 1}, "samples >= 2"),
        ({"quantiles": (1.0,)}, "between 0 and 1"),
        ({"seed": -1}, "seed"),
    ):
        with pytest.raises(ArgumentError, match=message):
            model.predict(**options)
    with pytest.raises(ArgumentError, match="not been trained"):
        shops().predict()
    with pytest.raises(ArgumentError, match="lags <= 80, the steps of the longest series, got 5000"):
        shops(lags=5000).fit(daily(80))
    with pytest.warns(UserWarning, match=r"other units\? It is forecast by its own scale"):
        far = model.predict(daily(80).with_columns(sold=pl.col("sold") * 1e20))
    moved = daily(80).with_columns(sold=pl.when(pl.int_range(pl.len()).over("shop") < 73).then("sold").otherwise(1e6))
    with pytest.warns(UserWarning, match="other units"):  # forecast from what was before, not from what came
        assert model.score(moved).network.mae > 9e5
    near, far = model.predict(daily(80))["mean"].to_numpy(), far["mean"].to_numpy() / 1e20
    np.testing.assert_allclose(far, near, rtol=0.3)


@pytest.mark.slow
def test_a_model_goes_on_learning():
    frame = daily(90)
    model = shops().fit(frame[:80])
    recipe, first = model.recipe, model.predict(frame)
    model.network.gain.zero_()  # whatever was found the last time is found anew
    again = model.fit(frame).predict(frame)
    assert model.recipe is recipe
    assert not again.equals(first)
    assert (again["mean"] - first["mean"]).abs().max() < 1


@pytest.mark.slow
def test_passengers_are_forecast_well():
    """Asked: MASE at most 1.1 and 85 % coverage; seasonal naive has 2.49."""
    for seed in range(3):
        found = ForecastModel(held_out=24, seed=seed).fit(passengers()).score()
        assert found.figures["seasonal naive"].mase == pytest.approx(2.49, abs=0.01)
        assert found.network.mase < 1.0
        assert found.network.coverage >= 0.85
        assert found.network.interval < found.figures["seasonal naive"].interval


@pytest.mark.slow
def test_intervals_hold_what_they_say():
    """An autoregression whose noise swings with a period: 90 % of what comes lies inside, at each step ahead."""
    draw, y, t = np.random.default_rng(0), np.zeros(4000), np.arange(4000)
    for now in range(1, 4000):
        y[now] = 0.8 * y[now - 1] + (1 + 0.7 * np.sin(2 * np.pi * now / 24)) * draw.normal()
    model = ForecastModel(horizon=24, held_out=1000, season=(24,), scale="linear", epochs=8)
    model.fit({"time": t, "y": y})
    for horizon in (1, 6, 24):
        assert model.score(None, horizon, origins=120, stride=8).network.coverage == pytest.approx(0.9, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_mixed_resolutions_help_with_a_slow_and_a_fast_rhythm(seed):
    draw, t = np.random.default_rng(seed), np.arange(4000)
    y = 2 * np.sin(2 * np.pi * t / 365) + np.sin(2 * np.pi * t / 7) + draw.normal(size=4000)
    options = {"horizon": 30, "held_out": 800, "season": (7,), "window": 24, "seed": seed}
    errors = []
    for blocks in ((), ((12, 30), (4, 7))):
        model = ForecastModel(epochs=10, patience=10, validation=0.2, blocks=blocks, **options)
        found = model.fit({"time": t, "y": y}).score(stride=10, origins=78, samples=50)
        errors.append(found.network.mae)
        assert found.warning is None
    assert errors[1] < 0.96 * errors[0]


def test_intervals_are_calibrated_before_the_side_file_goes(tmp_path, monkeypatch):
    out, seen = tmp_path / "m.elman", []
    real = SideFile.remove_checkpoint

    def remove(self, path):
        if out.exists():
            seen.append({name: weight.clone() for name, weight in ForecastModel.load(out).network.state_dict().items()})
        real(self, path)

    monkeypatch.setattr(SideFile, "remove_checkpoint", remove)
    model = shops(epochs=2).fit(daily(300), out=out)
    (kept,) = seen
    assert kept.keys() == model.network.state_dict().keys()
    assert all(torch.equal(weight, kept[name]) for name, weight in model.network.state_dict().items())
    assert (kept["head.spread"] != 1).any() or (kept["gain"] != 1).any()


def test_the_states_before_a_forecast(fitted):
    model = fitted[0] if isinstance(fitted, tuple) else fitted
    states = model.states()
    assert len(states) == len(model.panel.series)
    for each in states:
        assert each.shape[1] == model.hidden_size and each.isfinite().all() and each.std() > 0
    state = []
    keep = model.network.stack.register_forward_hook(lambda *call: state.append(call[2][0]))
    model.predict(horizon=1, samples=2)
    keep.remove()
    torch.testing.assert_close(torch.stack([each[-1] for each in states]).to(state[0].device), state[0][-1])
