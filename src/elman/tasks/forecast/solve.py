"""The linear autoregression by ridge regression, and the scales of what layers read."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .network import ForecastNetwork
from .recipe import Lane, Recipe, Window, make_batch

ROWS = 30_000
LOOKED_AT = 20 * ROWS  # steps of windows, of which equations are made, and so many of these taken
STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)  # of the ridge, for each row


def solve(
    network: ForecastNetwork,
    recipe: Recipe,
    lanes: Sequence[Lane],
    training: Sequence[Window],
    checking: Sequence[Window],
) -> float:
    """Solve the linear part of a network in place.

        min Σ_t (z(t) - z(t-1) - W f(t))² + λ |W|²        f(t) = (z(t-k) - z(t-1), z(t-1), extra(t))

    What is penalised is how far the forecast is from repeating the last value. λ is the one whose forecasts of the
    checked windows are best, or 1e-2 a row without such. A solution that would grow without bound, fed its own
    forecasts, is drawn towards the last value until it does not.

    Returns:
        λ for each row.
    """
    f, y = _equations(network, recipe, lanes, training)
    best = 1e-2
    if checking:
        g, u = _equations(network, recipe, lanes, checking)
        if len(g):
            errors = {each: ((g @ _ridge(f, y, each) - u) ** 2).mean().item() for each in STRENGTHS}
            best = min(errors, key=lambda each: errors[each])
    W = _set_linear(network, recipe, f, y, best)
    deviation = (y - f @ W).square().mean(0).sqrt().clamp_min(1e-4)
    network.head.base.copy_(network.head.first_base(deviation))
    return best


def solve_again(
    network: ForecastNetwork, recipe: Recipe, lanes: Sequence[Lane], windows: Sequence[Window], strength: float
) -> None:
    """Solve the linear part once more on other windows, those of training and validation, with the λ that was found.

    Only where there are ten steps for each weight: what the layers add is then added to nearly the same.
    """
    f, y = _equations(network, recipe, lanes, windows)
    if len(f) >= 10 * f.size(1):
        _set_linear(network, recipe, f, y, strength)


def _set_linear(network: ForecastNetwork, recipe: Recipe, f: Tensor, y: Tensor, strength: float) -> Tensor:
    """Write a solution that does not grow without bound into the network; returns it [F, D]."""
    W = _ridge(f, y, strength)
    lags, size = len(recipe.lags), network.size
    for _ in range(60):
        if _radius(_absolute(W, lags, size), recipe.lags) <= 1.0005:
            break
        W[: lags * size] *= 0.9
    network.linear.A.copy_(_absolute(W, lags, size))
    network.linear.B.copy_(W[lags * size : -1])
    network.linear.c.copy_(W[-1])
    return W


def set_scales(network: ForecastNetwork, recipe: Recipe, lanes: Sequence[Lane], training: Sequence[Window]) -> None:
    """Mean and deviation of what the layers read, over the training windows."""
    rows = []
    for window in training[:: -(-len(training) // 200)]:
        batch = make_batch(recipe, lanes, [window])
        read = network.features(network.lagged(batch.z, len(batch.extra)), batch.extra)
        rows.append(read[recipe.reach :].flatten(0, 1))
    found = torch.cat(rows)
    network.center.copy_(found.mean(0))
    deviation = found.std(0, correction=0)
    network.deviation.copy_(torch.where(deviation > 1e-6, deviation, 1.0))


def _equations(
    network: ForecastNetwork, recipe: Recipe, lanes: Sequence[Lane], windows: Sequence[Window]
) -> tuple[Tensor, Tensor]:
    """What is read f [n, F] and what is to be said y [n, D], in float64; each step once."""
    covered: dict[int, int] = {}
    left, right = [], []
    steps = sum(window.stop - window.counted for window in windows)
    for window in sorted(windows)[:: -(-steps // LOOKED_AT)]:
        start = max(window.counted, covered.get(window.lane, 0))
        if start >= window.stop:
            continue
        covered[window.lane] = window.stop
        batch = make_batch(recipe, lanes, [Window(window.lane, start, start, window.stop)])
        lagged = network.lagged(batch.z, window.stop - start)[:, 0].double()
        extra = batch.extra[recipe.reach :, 0].double()
        last = lagged[:, 0]
        relative = (lagged[:, 1:] - last.unsqueeze(1)).flatten(1)
        use = batch.counts[:, 0].all(1)
        # Lags that reach before the first value are guesses: they are left out where there is enough without them.
        whole = torch.arange(start, window.stop) >= recipe.lags[-1]
        f = torch.cat([relative, last, extra, torch.ones(len(last), 1).double()], 1)
        y = batch.z[-len(last) :, 0].double() - last
        left.append(torch.cat([f, whole.unsqueeze(1).double()], 1)[use])
        right.append(y[use])
    if not left:
        return torch.zeros(0, 1), torch.zeros(0, 1)
    f, y = torch.cat(left), torch.cat(right)
    whole = f[:, -1] > 0
    f = f[:, :-1]
    if whole.sum() >= 2 * f.size(1) or whole.sum() > 0.7 * len(f):
        f, y = f[whole], y[whole]
    every = -(-len(f) // ROWS)
    return f[::every], y[::every]


def _ridge(f: Tensor, y: Tensor, strength: float) -> Tensor:
    """argmin |f W - y|² + λ n |W|², but for the last row, the constant."""
    penalty = torch.full((f.size(1),), strength * len(f)).double()
    penalty[-1] = 1e-6 * len(f)
    return torch.linalg.solve(f.T @ f + torch.diag(penalty), f.T @ y)


def _absolute(W: Tensor, lags: int, size: int) -> Tensor:
    """Weights of the lags themselves [L, D, D], of those of their distances to the last value."""
    A = torch.zeros(lags, size, size).double()
    A[1:] = W[: (lags - 1) * size].view(lags - 1, size, size)
    A[0] = torch.eye(size).double() - A[1:].sum(0) + W[(lags - 1) * size : lags * size]
    return A


def _radius(A: Tensor, lags: Sequence[int]) -> float:
    """By how much the autoregression grows at each step, in the long run."""
    size, longest = A.size(1), lags[-1]
    companion = torch.zeros(longest * size, longest * size).double()
    for place, lag in enumerate(lags):
        companion[:size, (lag - 1) * size : lag * size] = A[place].T
    companion[size:, :-size] = torch.eye((longest - 1) * size).double()
    return float(torch.linalg.eigvals(companion).abs().max())
