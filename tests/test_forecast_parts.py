"""The parts of the forecast job against oracles: distributions, the linear part, free running, simple methods."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from elman.data import Columns, read_series
from elman.errors import ArgumentError
from elman.tasks import ForecastModel
from elman.tasks.forecast import baselines
from elman.tasks.forecast.compare import groups_of
from elman.tasks.forecast.heads import HEADS
from elman.tasks.forecast.paths import draw_paths
from elman.tasks.forecast.recipe import Window, make_batch
from elman.tasks.forecast.score import Figures, Score, Tally
from elman.tasks.forecast.windows import make_windows

SCALE = torch.tensor([[0.7], [0.5]])


def head(name):
    made = HEADS[name](torch.tensor([-0.4]))
    torch.manual_seed(0)
    raw = torch.randn(1, made.size).unsqueeze(0) * 0.3
    return made, raw, torch.tensor([[0.8]])


@pytest.mark.parametrize("name", ["gaussian", "student_t"])
def test_densities_are_those_of_torch(name):
    made, raw, place = head(name)
    mean, log_deviation = made.parts(raw, place)
    z = torch.tensor([[-1.3]])
    if name == "gaussian":
        oracle = torch.distributions.Normal(mean, log_deviation.exp())
    else:
        oracle = torch.distributions.StudentT(made.nu, mean, log_deviation.exp())
    torch.testing.assert_close(made.loss(raw, place, z, SCALE), -oracle.log_prob(z))


def test_counts_are_those_of_torch_and_sum_to_one():
    made, raw, place = head("negative_binomial")
    mean, alpha = made.parts(raw, place, SCALE)
    counts = torch.arange(400.0).view(-1, 1)
    z = (torch.log1p(counts) - SCALE[0]) / SCALE[1]
    found = -made.loss(raw, place, z, SCALE)
    oracle = torch.distributions.NegativeBinomial(1 / alpha, probs=alpha * mean / (1 + alpha * mean))
    torch.testing.assert_close(found, oracle.log_prob(counts), rtol=1e-3, atol=1e-3)
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-3)


def test_the_pinball_loss_is_that_of_its_definition():
    made, raw, place = head("quantiles")
    quantiles = made.parts(raw, place)[0, 0].tolist()
    assert quantiles == sorted(quantiles)
    z, total = 1.1, 0.0
    for level, quantile in zip(made.LEVELS, quantiles, strict=True):
        total += (level if z >= quantile else level - 1) * (z - quantile) / math.exp(-0.4)
    assert made.loss(raw, place, torch.tensor([[z]]), SCALE).item() == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_draws_follow_the_distribution(name):
    made, raw, place = head(name)
    count = 40_000
    torch.manual_seed(1)
    drawn = made.draw(raw.expand(count, -1, -1), place.expand(count, -1), SCALE)[:, 0]
    if name == "quantiles":
        wanted = made.parts(raw, place)[0, 0]
        torch.testing.assert_close(torch.quantile(drawn, made.levels), wanted, rtol=0, atol=0.03)
        return
    if name == "negative_binomial":
        counts = torch.expm1(drawn * SCALE[1] + SCALE[0])
        mean, alpha = (float(each) for each in made.parts(raw, place, SCALE))
        assert counts.mean().item() == pytest.approx(mean, rel=0.03)
        assert counts.var().item() == pytest.approx(mean + alpha * mean**2, rel=0.06)
        return
    losses = made.loss(raw, place, drawn.unsqueeze(1), SCALE)
    grid = torch.linspace(-30, 30, 120_001).unsqueeze(1)
    density = torch.exp(-made.loss(raw, place, grid, SCALE))
    entropy = (density * made.loss(raw, place, grid, SCALE)).sum() * 60 / 120_000
    assert losses.mean().item() == pytest.approx(entropy.item(), abs=0.02)
    # mirrored draws: their mean is the place itself
    mean, _ = made.parts(raw, place)
    assert drawn.mean().item() == pytest.approx(mean.item(), abs=1e-3)


@pytest.mark.parametrize("name", HEADS)
def test_spread_widens(name):
    made, raw, place = head(name)
    torch.manual_seed(1)
    widths = []
    for spread in (0.5, 1.0, 2.0):
        made.spread.fill_(spread)
        drawn = made.draw(raw.expand(4000, -1, -1), place.expand(4000, -1), SCALE).detach()
        widths.append(float(torch.quantile(drawn, 0.9) - torch.quantile(drawn, 0.1)))
    assert widths[0] < widths[1] < widths[2]


def series_of(count=140, size=1, seed=0):
    draw = np.random.default_rng(seed)
    return {"time": np.arange(count), **{f"y{at}": draw.normal(size=count).cumsum() for at in range(size)}}


def untrained(size=1, seed=0, **options):
    """A model whose readout is random, of which `prepare_data` has been called."""
    model = ForecastModel(y=tuple(f"y{at}" for at in range(size)), hidden_size=8, window=20, **options)
    model.prepare_data(series_of(size=size, seed=seed))
    torch.manual_seed(seed)
    torch.nn.init.normal_(model.network.readout.weight, std=0.2)
    model.network.eval()
    return model


def test_the_linear_part_finds_an_autoregression():
    draw, y = np.random.default_rng(3), np.zeros((3000, 2))
    for t in range(2, len(y)):
        y[t] = 0.5 * y[t - 1] - 0.3 * y[t - 2] + [0.4 * y[t - 1, 1], 0] + draw.normal(size=2)
    frame = {"time": np.arange(len(y)), "y0": y[:, 0], "y1": y[:, 1]}
    model = ForecastModel(y=("y0", "y1"), lags=2, season=(), scale="linear")
    model.prepare_data(frame)
    deviation = y[: len(y)].std(0)
    wanted = np.array([[[0.5, 0], [0.4, 0.5]], [[-0.3, 0], [0, -0.3]]])  # [lag, from, to]
    found = model.network.linear.A.numpy() * deviation[None, None, :] / deviation[None, :, None]
    np.testing.assert_allclose(found, wanted, atol=0.06)


def test_the_mean_of_linear_paths_is_that_of_a_loop():
    model = untrained(size=2, distribution="gaussian")
    torch.nn.init.zeros_(model.network.readout.weight)
    drawn = model.paths(horizon=15, samples=8).values.mean(1)[0]
    lane = model._lane(model.panel.series[0], 140, 0)
    A, B, c = (
        part.double().numpy() for part in (model.network.linear.A, model.network.linear.B, model.network.linear.c)
    )
    z = list(lane.z.double().numpy())
    for _ in range(15):
        z.append(sum(z[-lag] @ A[at] for at, lag in enumerate(model.recipe.lags)) + c)
    assert B.shape == (1, 2)  # what is missing: nothing
    scale = lane.scale.numpy()
    np.testing.assert_allclose(drawn, np.array(z[140:]) * scale[1] + scale[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["student_t", "gaussian", "quantiles"])
@pytest.mark.parametrize(
    "options", [{}, {"cell": "lstm", "layers": 2}, {"blocks": ((2, 10), (3, 5))}], ids=["gru", "lstm", "blocks"]
)
def test_free_running_is_teacher_forcing_on_its_own_path(name, options):
    """Each step of a path is drawn from the distribution that the network gives of the series with the path so far."""
    model = untrained(size=2, distribution=name, **options)
    network, recipe = model.network, model.recipe
    network.head.spread.fill_(1e-6)
    lane = model._lane(model.panel.series[0], 140, 9)
    ((_, path),) = draw_paths(network, recipe, [lane], [(0, 140)], 9, 2, 0)
    whole = replace(lane, z=torch.cat([lane.z, path[0, 0]]), seen=torch.ones(149, 2, dtype=torch.bool))
    batch = make_batch(recipe, [whole], [Window(0, 120, 140, 149)])
    with torch.no_grad():
        raw, place, _ = network(batch.z, batch.extra, batch.who)
        said = network.head.draw(raw[20:, 0], place[20:, 0], batch.scale[0])
    torch.testing.assert_close(path[0, 0], said, rtol=1e-4, atol=1e-4)


def test_windows_side_by_side_are_windows_one_by_one():
    model = untrained()
    lane = model._lane(model.panel.series[0], 140, 0)
    windows = [Window(0, 1, 1, 9), Window(0, 5, 12, 25), Window(0, 119, 119, 120)]
    together = model.network.loss(make_batch(model.recipe, [lane], windows), None)
    alone = [model.network.loss(make_batch(model.recipe, [lane], [each]), None) for each in windows]
    assert together.count == sum(each.count for each in alone) == 8 + 13 + 1
    torch.testing.assert_close(together.total, sum(each.total for each in alone), rtol=1e-5, atol=1e-4)


def test_windows_cover_each_step_and_validation_comes_after():
    for end in (2, 5, 9, 30, 200):
        training, checking = make_windows([None], [end], 20, 0.1)
        learned = {step for each in training for step in range(each.counted, each.stop)}
        checked = [step for each in checking for step in range(each.counted, each.stop)]
        assert sorted([*learned, *checked]) == list(range(1, end))
        assert all(0 < each.stop - each.start <= 40 and each.start >= 1 for each in training + checking)


def test_simple_methods_are_those_of_a_loop():
    y = np.random.default_rng(0).normal(size=40).cumsum()
    naive, drift = baselines.naive(y, 5), baselines.drift(y, 5)
    seasonal = baselines.seasonal_naive(y, 9, 4)
    spread = math.sqrt(sum((b - a) ** 2 for a, b in pairwise(y)) / 39)
    for h in range(1, 6):
        assert naive.mean[h - 1] == y[-1]
        assert naive.deviation[h - 1] == pytest.approx(spread * math.sqrt(h))
        assert drift.mean[h - 1] == pytest.approx(y[-1] + h * (y[-1] - y[0]) / 39)
    assert seasonal.mean.tolist() == [y[36 + h % 4] for h in range(9)]
    ratio = seasonal.deviation / seasonal.deviation[0]
    np.testing.assert_allclose(ratio, np.sqrt([1, 1, 1, 1, 2, 2, 2, 2, 3]))
    assert naive.quantile(0.95)[0] - y[-1] == pytest.approx(1.6449 * spread, rel=1e-3)


def test_the_linear_rival_knows_a_line_and_a_wave():
    t = np.arange(200.0)
    for y in (3 * t, np.sin(t / 3)):
        found = baselines.linear(y[:190], 10, 8)(y[:190])
        np.testing.assert_allclose(found.mean, y[190:], atol=0.02 * y.std())
    assert baselines.linear(t[:3], 10, 8) is None


def test_figures_are_those_of_a_loop():
    draw = np.random.default_rng(0)
    truth, paths, tally = draw.normal(size=6), draw.normal(size=(50, 6)), Tally(0.8)
    truth[2] = np.nan
    tally.add("network", 0, truth, paths.mean(0), lambda level: np.quantile(paths, level, 0), 2.0)
    found, total = tally.figures()["network"], np.zeros(5)
    for h in (0, 1, 3, 4, 5):
        low, middle, high = np.quantile(paths[:, h], (0.1, 0.5, 0.9))
        fine = 10 * max(low - truth[h], 0, truth[h] - high)  # 2 / alpha
        off = abs(truth[h] - middle)
        total += [(truth[h] - paths[:, h].mean()) ** 2, off, off / 2, low <= truth[h] <= high, high - low + fine]
    np.testing.assert_allclose([found.mse, found.mae, found.mase, found.coverage, found.interval], total / 5)


def test_the_interval_of_a_figure_holds_it_as_often_as_it_says():
    draw, held, tried = np.random.default_rng(3), 0, 400
    for _ in range(tried):
        tally = Tally(0.9)
        for group, level in enumerate(draw.exponential(size=12)):  # errors of a series are alike
            for _ in range(3):
                tally.add("network", group, level * draw.exponential(size=5), np.zeros(5), lambda _: np.zeros(5), 1.0)
        found = tally.figures()["network"]
        held += found.mae_from <= 1 <= found.mae_to
    assert 0.85 < held / tried < 0.99  # sums of so few skewed errors are a little too narrow
    empty = Tally(0.9)  # eleven series without a value
    for group in range(12):
        empty.add("network", group, np.full(3, np.nan if group else 1.5), np.zeros(3), lambda _: np.zeros(3), 1.0)
    assert empty.figures()["network"].mae_from is None
    few = Tally(0.9)
    few.add("network", 0, np.ones(3), np.zeros(3), lambda _: np.zeros(3), 1.0)
    assert few.figures()["network"].mae_from is None
    assert "network mae_from" not in Score(3, 1, 3, 0.9, few.figures()).flat()


def test_forecasts_whose_errors_are_alike_stand_in_one_group():
    assert len(set(groups_of([[5, 9]] * 12, 4).values())) == 12
    alone = groups_of([list(range(100, 400))], 24)
    assert len(set(alone.values())) == 13 and alone[0, 100] == alone[0, 123] != alone[0, 124]
    assert groups_of([[], [7]], 3) == {(1, 7): (1, 0)}


def test_a_model_that_is_no_better_than_naive_is_told():
    def score(**mae):
        return Score(3, 1, 3, 0.9, {name.replace("_", " "): Figures(1, each, 1, 1, 1) for name, each in mae.items()})

    assert score(network=1, naive=2, seasonal_naive=1.5).warning is None
    assert "does not beat the naive forecast (1)" in score(network=1, naive=1).warning
    assert "the seasonal naive forecast (0.5)" in score(network=1, naive=2, seasonal_naive=0.5).warning


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"distribution": "normal"}, "student_t"),
        ({"scale": "counts"}, "auto, linear or log"),
        ({"horizon": 0}, "horizon >= 1"),
        ({"held_out": -1}, "held_out >= 0"),
        ({"y": ("a", "a")}, "got twice: a"),
        ({"id": "time"}, "got twice: time"),
        ({"blocks": ((0, 3),)}, ">= 1"),
        ({"cell": "tree"}, "gru"),
        ({"dropout": 1.0}, "dropout < 1"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ArgumentError, match=message):
        ForecastModel(**options)


def test_missing_values_are_carried_on_and_do_not_count():
    y = [1.0, 2.0, None, None, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
    model = ForecastModel(lags=2, window=4, scale="linear", season=())
    model.prepare_data({"time": range(10), "y": y})
    lane = model._lane(read_series({"time": range(10), "y": y}, Columns("time", ("y",))).series[0], 10, 0)
    back = (lane.z[:, 0] * lane.scale[1] + lane.scale[0]).float()
    torch.testing.assert_close(back, torch.tensor([1.0, 2, 2, 2, 5, 6, 7, 8, 9, 10]))
    assert lane.extra[:, -1].tolist() == [0, 0, 0, -1, -1, 0, 0, 0, 0, 0]  # whether the value before was there
    batch = make_batch(model.recipe, [lane], [Window(0, 1, 1, 10)])
    assert batch.counts[:, 0, 0].tolist() == [True, False, False, True, True, True, True, True, True]


def test_few_values_say_little_of_the_width():
    """What layers say of the width is halved where the validation part has 100 values, and nearly left out of few."""
    for steps, share in ((1000, 0.5), (120, 12 / 112)):
        model = ForecastModel(horizon=4, epochs=1, hidden_size=4, lags=2, season=(), y="y0").fit(series_of(steps))
        assert model.network.gain[1].item() == pytest.approx(share, abs=0.01)
