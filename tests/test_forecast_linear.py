"""The linear part of a forecast against oracles: what it reads, the mean of ridge regressions, growth."""

import numpy as np
import pytest
import torch

from elman.errors import DataError
from elman.tasks import ForecastModel
from elman.tasks.forecast.solve import STRENGTHS, _growth
from elman.tasks.forecast.windows import spans_of


def prepared(y, **options):
    """A model of a series in plain steps whose linear part has been solved."""
    y = np.asarray(y)
    columns = [f"y{at}" for at in range(y.shape[1])]
    model = ForecastModel(y=tuple(columns), hidden_size=4, window=24, scale="linear", **options)
    model.prepare_data({"time": np.arange(len(y)), **dict(zip(columns, y.T, strict=True))})
    return model


def noise(steps, size=1, seed=0):
    return np.random.default_rng(seed).normal(size=(steps, size))


@pytest.mark.parametrize(
    ("steps", "size", "season", "longest"),
    [(2000, 1, (24,), 169), (1100, 1, (24,), 97), (300, 1, (24,), 25), (2000, 3, (24,), 49), (600, 1, (), 50)],
)
def test_lags_reach_as_far_back_as_there_are_steps_to_learn_from(steps, size, season, longest):
    recipe = prepared(noise(steps, size), season=season, validation=0).recipe
    assert recipe.lags == tuple(range(1, longest + 1))
    assert [len(each) for each in spans_of(recipe)] == [
        times * (season or (7,))[0] + 1 for times in (1, 2, 4, 7) if times * (season or (7,))[0] < longest
    ]


def test_lags_of_a_longer_season_are_read_by_all_spans():
    recipe = prepared(noise(1200), season=(24, 168)).recipe
    assert recipe.lags == (*range(1, 98), 167, 168, 169)
    assert [len(places) for places in spans_of(recipe)] == [28, 52, 100]
    for places in spans_of(recipe):
        assert [recipe.lags[at] for at in places][-3:] == [167, 168, 169]


@pytest.mark.parametrize("size", [1, 2])
def test_the_linear_part_is_the_mean_of_ridge_regressions(size):
    """By a loop over the steps and the spans in NumPy, from the values alone."""
    z = noise(1200, size)
    for t in range(7, len(z)):
        z[t] += 0.5 * z[t - 1] + 0.3 * z[t - 7, ::-1]
    model = prepared(z, season=(7,), horizon=10)
    network, recipe = model.network, model.recipe
    strength, lags = network.strength.item(), len(recipe.lags)
    assert lags == 50
    assert min(abs(strength / each - 1) for each in STRENGTHS) < 1e-6
    z = (z - recipe.scales[0][0]) / recipe.scales[0][1]
    windows = range(lags, 1080)  # without the last tenth, which is for validation
    found = np.zeros((lags, size, size))
    constant = np.zeros(size)
    spans = [8, 15, 29, 50][int(network.dropped) :]
    for span in spans:
        rows = [
            np.concatenate([*(z[t - k] - z[t - 1] for k in range(2, span + 1)), z[t - 1], [0.0, 1.0]]) for t in windows
        ]
        f, y = np.array(rows), z[windows.start : windows.stop] - z[windows.start - 1 : windows.stop - 1]
        penalty = np.full(f.shape[1], strength * len(f))
        penalty[-1] = 1e-6 * len(f)
        W = np.linalg.lstsq(
            np.concatenate([f, np.diag(np.sqrt(penalty))]),
            np.concatenate([y, np.zeros((f.shape[1], size))]),
            rcond=None,
        )[0]
        parts = W[: span * size].reshape(span, size, size)
        found[1:span] += parts[:-1] / len(spans)
        found[0] += (np.eye(size) - parts[:-1].sum(0) + parts[-1]) / len(spans)
        constant += W[-1] / len(spans)
    np.testing.assert_allclose(network.linear.A.numpy(), found, atol=2e-3)
    np.testing.assert_allclose(network.linear.c.numpy(), constant, atol=2e-3)


def test_short_spans_are_dropped_where_they_forecast_worse():
    """A slow rhythm in noise: one step ahead seven lags do nearly as well as fifty, thirty ahead they do not."""
    t = np.arange(2000)
    y = 2 * np.sin(2 * np.pi * t / 120) + np.sin(2 * np.pi * t / 7) + noise(2000)[:, 0]
    model = prepared(y[:, None], season=(7,), horizon=30)
    assert model.network.dropped == 3
    before = model.network.linear.A.clone()
    model.finished(None, None)  # with the validation part, as it was found to be best
    assert (model.network.linear.A - before).abs().sum() < 0.3 * before.abs().sum()


def test_nothing_to_learn_from_is_told():
    y = np.full((60, 1), np.nan)
    y[0], y[55:] = 1.0, np.arange(5)[:, None]
    with pytest.raises(DataError, match="to learn from, found none before the validation part"):
        prepared(y, horizon=5)


def test_means_over_blocks_are_read_by_the_linear_part():
    """y(t) is the mean of the steps 11 to 20 before, and noise: no lag up to 10 says it."""
    y = noise(4000)
    for t in range(20, len(y)):
        y[t] += 0.9 * y[t - 20 : t - 10].mean(0)
    A = prepared(y, lags=10, season=(), blocks=((1, 10),)).network.linear.A.numpy().ravel()
    assert A.shape == (20,)
    assert np.abs(A[:10]).max() < 0.06
    assert np.ptp(A[10:]) < 1e-6
    assert A[10:].sum() == pytest.approx(0.9, abs=0.12)


@pytest.mark.parametrize("seed", range(6))
def test_growth_is_that_of_the_largest_eigenvalue(seed):
    draw = np.random.default_rng(seed)
    memory, size = int(draw.integers(1, 40)), int(draw.integers(1, 4))
    A = torch.from_numpy(draw.normal(size=(memory, size, size)) / (memory * size) * draw.uniform(0.2, 2))
    companion = np.zeros((memory * size, memory * size))
    companion[:size] = A.permute(2, 0, 1).reshape(size, -1)
    companion[size:, :-size] = np.eye((memory - 1) * size)
    assert _growth(A) == pytest.approx(np.abs(np.linalg.eigvals(companion)).max(), rel=2e-4)


def test_a_line_does_not_grow_without_bound():
    """Forecasts of 2 z(t-1) - z(t-2) grow by the same each step, not by the same factor."""
    assert _growth(torch.tensor([2.0, -1.0]).double().view(2, 1, 1)) < 1.0005
    assert _growth(torch.tensor([1.01]).double().view(1, 1, 1)) == pytest.approx(1.01)
    assert _growth(torch.zeros(3, 1, 1).double()) == 0
