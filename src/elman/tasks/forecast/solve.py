"""The linear autoregression by ridge regression, and the scales of what layers read."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from elman.errors import DataError

from .network import ForecastNetwork
from .paths import known_ahead
from .recipe import Lane, Recipe, Window, make_batch
from .windows import picked_origins, spans_of

ROWS = 30_000
LOOKED_AT = 20 * ROWS  # steps of windows, of which equations are made, and so many of these taken
NUMBERS = 40_000_000  # of all equations at once
ORIGINS = 512  # of forecasts by which spans are chosen
STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)  # of the ridge, for each row


def solve(
    network: ForecastNetwork,
    recipe: Recipe,
    lanes: Sequence[Lane],
    training: Sequence[Window],
    checking: Sequence[Window],
    starts: Sequence[int],
    horizon: int,
) -> None:
    """Solve the linear part of a network in place.

        min Σ_t (z(t) - z(t-1) - W f(t))² + λ |W|²        f(t) = (z(t-k) - z(t-1), z(t-1), extra(t))

    z(t-k) are the lags and, with blocks, means over steps before them. What is penalised is how far the forecast is
    from repeating the last value. W is the mean of such solutions, each for a longer span of lags (`spans_of`). λ is
    the one whose forecasts of the checked windows are best, or 1e-2 a row without such; then the shortest spans are
    dropped where forecasts of the whole horizon are better without them. A solution that would grow without bound, fed
    its own forecasts, is drawn towards the last value until it does not.

    Args:
        network: changed in place, also its `strength` (λ for each row) and `dropped` (how many spans are).
        recipe: by which the lanes were made.
        lanes: the training series.
        training: the windows of which equations are made.
        checking: those by which λ is chosen.
        starts: the first validation step of each lane.
        horizon: H.

    Raises:
        DataError: there is nothing to learn from.
    """
    f, y = _equations(network, recipe, lanes, training)
    if not len(f):
        raise DataError(
            f"expected steps with a value in {', '.join(recipe.columns.y)} to learn from, found none before the "
            "validation part: give more history, or a smaller validation."
        )
    g, u = _equations(network, recipe, lanes, checking)
    ridge, best, W = _Ridge(f, y, _columns(recipe, network.size, f.size(1))), np.inf, f.new_zeros(0)
    origins = picked_origins(lanes, starts, horizon, ORIGINS)
    for dropped in range(len(ridge.columns)):
        strength = 1e-2
        if len(g):
            errors = {each: ((g @ ridge.solution(each, dropped) - u) ** 2).mean().item() for each in STRENGTHS}
            strength = min(errors, key=lambda each: errors[each])
        tried = _set_linear(network, recipe, ridge.solution(strength, dropped))
        error = _error(network, recipe, lanes, origins, horizon)
        if error < best or not dropped:
            best, W = error, tried
            network.strength.fill_(strength)
            network.dropped.fill_(dropped)
    _set_linear(network, recipe, W)
    free = max(1.0, len(f) - ridge.freedom(network.strength.item(), int(network.dropped)))
    deviation = ((y - f @ W).square().sum(0) / free).sqrt().clamp_min(1e-4)
    network.head.base.copy_(network.head.first_base(deviation))


def solve_again(network: ForecastNetwork, recipe: Recipe, lanes: Sequence[Lane], windows: Sequence[Window]) -> None:
    """Solve the linear part once more on other windows, those of training and validation, as it was found to be best.

    Only where there are ten steps for each weight: what the layers add is then added to nearly the same.
    """
    f, y = _equations(network, recipe, lanes, windows)
    if len(f) >= 10 * f.size(1):
        ridge = _Ridge(f, y, _columns(recipe, network.size, f.size(1)))
        _set_linear(network, recipe, ridge.solution(network.strength.item(), int(network.dropped)))


def _set_linear(network: ForecastNetwork, recipe: Recipe, W: Tensor) -> Tensor:
    """Write a solution [F, D] into the network, drawn towards the last value until it does not grow; returns it."""
    W, size = W.clone(), network.size
    count = (len(recipe.lags) + sum(blocks for blocks, _ in recipe.history)) * size
    for _ in range(60):
        if _growth(_absolute(W[:count], recipe, size)) <= 1.0005:
            break
        W[:count] *= 0.9
    network.linear.A.copy_(_absolute(W[:count], recipe, size))
    network.linear.B.copy_(W[count:-1])
    network.linear.c.copy_(W[-1])
    return W


def _error(
    network: ForecastNetwork, recipe: Recipe, lanes: Sequence[Lane], origins: Sequence[tuple[int, int]], horizon: int
) -> float:
    """The mean square error of the linear part alone, fed its own forecasts; inf where there is nothing to compare."""
    if not origins:
        return math.inf
    ahead = min(horizon, *(len(lanes[lane].z) - step for lane, step in origins))
    batch = make_batch(recipe, lanes, [Window(lane, step, step, step + ahead) for lane, step in origins])
    z, extra = batch.z.clone(), known_ahead(recipe, lanes, origins, ahead)
    for step in range(ahead):
        place = network.linear(z[step : step + recipe.memory + 1], extra[step : step + 1])
        z[recipe.memory + step] = place[0]
    off = (z - batch.z)[recipe.memory :][batch.counts]
    return float(off.square().mean()) if len(off) else math.inf


def set_scales(network: ForecastNetwork, recipe: Recipe, lanes: Sequence[Lane], training: Sequence[Window]) -> None:
    """Mean and deviation of what the layers read, over the training windows."""
    rows = []
    for window in training[:: -(-len(training) // 200)]:
        batch = make_batch(recipe, lanes, [window])
        read = network.features(batch.z, batch.extra)
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
    most = max(ROWS, min(LOOKED_AT, NUMBERS // (len(recipe.lags) * network.size)))
    for window in sorted(windows)[:: max(1, -(-steps // most))]:
        start = max(window.counted, covered.get(window.lane, 0))
        if start >= window.stop:
            continue
        covered[window.lane] = window.stop
        batch = make_batch(recipe, lanes, [Window(window.lane, start, start, window.stop)])
        earlier = batch.z[:-1, 0].double().unfold(0, recipe.memory, 1).flip(-1)  # [steps, D, M]
        extra = batch.extra[recipe.reach :, 0].double()
        last = earlier[..., 0]
        relative = (torch.cat(_parts(earlier, recipe), -1) - last.unsqueeze(-1)).transpose(1, 2).flatten(1)
        use = batch.counts[:, 0].all(1)
        # What lies before the first value is a guess: such steps are left out where there is enough without them.
        whole = torch.arange(start, window.stop) >= recipe.memory
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
    every = max(1, -(-len(f) // ROWS))
    return f[::every], y[::every]


class _Ridge:
    """The mean of ridge regressions, each of which reads some columns of f [n, F] to say y [n, D].

        argmin |f W - y|² + λ n |W|², but for the last row, the constant

    They are solved once for each λ.
    """

    def __init__(self, f: Tensor, y: Tensor, columns: Sequence[Tensor]) -> None:
        self.square, self.product, self.columns = f.T @ f, f.T @ y, columns
        self.rows = len(f)
        self._found: dict[float, list[Tensor]] = {}

    def solution(self, strength: float, dropped: int) -> Tensor:
        """W [F, D] for a λ, in the mean over all but the first regressions."""
        if strength not in self._found:
            self._found[strength] = [self._solved(columns, strength) for columns in self.columns]
        return torch.stack(self._found[strength][dropped:]).mean(0)

    def freedom(self, strength: float, dropped: int) -> float:
        """How many parameters a solution is worth: the trace of the matrix that takes y to f W."""
        worth = []
        for columns in self.columns[dropped:]:
            square, penalty = self._square(columns, strength)
            worth.append(torch.linalg.solve(square + penalty, square).trace().item())
        return sum(worth) / len(worth)

    def _solved(self, columns: Tensor, strength: float) -> Tensor:
        square, penalty = self._square(columns, strength)
        W = torch.zeros_like(self.product)
        W[columns] = torch.linalg.solve(square + penalty, self.product[columns])
        return W

    def _square(self, columns: Tensor, strength: float) -> tuple[Tensor, Tensor]:
        """f'f of some columns, and what is added to it."""
        penalty = torch.full((len(columns),), strength * self.rows).double()
        penalty[-1] = 1e-6 * self.rows
        return self.square[columns][:, columns], torch.diag(penalty)


def _parts(earlier: Tensor, recipe: Recipe) -> list[Tensor]:
    """What the linear part reads of the last values [..., M] beside the first: its lags, then a mean for each block."""
    parts, at = [earlier[..., torch.tensor(recipe.lags[1:], dtype=torch.long) - 1]], recipe.lags[-1]
    for count, steps in reversed(recipe.history):
        parts.append(earlier[..., at : at + count * steps].unflatten(-1, (count, steps)).mean(-1))
        at += count * steps
    return parts


def _columns(recipe: Recipe, size: int, count: int) -> list[Tensor]:
    """The columns of f that each solution reads: the distances of its lags to the last value, and all that follows.

    Where series are is left out if the recipe says so.
    """
    after = torch.arange((len(recipe.lags) - 1) * size, count)
    if recipe.moves is not None:
        blocks = sum(blocks for blocks, _ in recipe.history) * size
        after = torch.cat([after[:blocks], after[blocks + size :]])
    read = []
    for places in spans_of(recipe):
        lags = torch.tensor([at - 1 for at in places if at > 0], dtype=torch.long)
        read.append(torch.cat([(lags.unsqueeze(1) * size + torch.arange(size)).flatten(), after]))
    return read


def _absolute(W: Tensor, recipe: Recipe, size: int) -> Tensor:
    """Weights of the last values themselves [M, D, D], of those of distances to the last of what is read [C D, D]."""
    parts = W.unflatten(0, (-1, size))
    A = torch.zeros(recipe.memory, size, size).double()
    A[torch.tensor(recipe.lags[1:], dtype=torch.long) - 1] = parts[: len(recipe.lags) - 1]
    row, at = len(recipe.lags) - 1, recipe.lags[-1]
    for count, steps in reversed(recipe.history):
        A[at : at + count * steps] = (parts[row : row + count] / steps).repeat_interleave(steps, 0)
        row, at = row + count, at + count * steps
    A[0] = torch.eye(size).double() - parts[:-1].sum(0) + parts[-1]
    return A


def _growth(A: Tensor) -> float:
    """By how much the autoregression A [M, D, D] grows at each step, in the long run, fed its own forecasts."""
    memory, size = A.shape[:2]
    weights = A.flip(0).flatten(0, 1).numpy()
    z = np.random.default_rng(0).normal(size=(memory + 50, size))
    grown = []
    for _ in range(max(80, min(memory // 2, 300))):
        for step in range(50):
            z[memory + step] = z[step : step + memory].ravel() @ weights
        largest = np.abs(z[50:]).max()
        if largest == 0:
            return 0.0
        grown.append(math.log(largest))
        z[:memory] = z[50:] / largest
    later = grown[len(grown) // 2 :]
    return math.exp(sum(later) / (50 * len(later)))
