"""After training: how far the layers' part of a forecast, and its width, hold several steps ahead."""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from .network import ForecastNetwork
from .paths import draw_paths
from .recipe import Lane, Recipe
from .windows import picked_origins

GAINS = (1.0, 0.75, 0.5, 0.25, 0.0)
SPREADS = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0)
LEVELS = np.arange(0.05, 0.96, 0.1)
ORIGINS, SAMPLES, FEWEST, BELIEF = 128, 40, 40, 10
WIDTH = 100  # validation values with which half of what the layers say of the width is kept


def calibrate(
    network: ForecastNetwork, recipe: Recipe, lanes: Sequence[Lane], starts: Sequence[int], horizon: int, seed: int
) -> None:
    """Set `gain` and `spread` of a network by forecasts from origins in the validation part of its series.

    Training looks one step ahead, from true values. Fed with its own, a network is often too sure of itself, and what
    its layers add to the linear part may hold for one step only. Both factors are those with the smallest error of
    quantiles; the spread is drawn towards 1 where few forecasts speak for it. With fewer than 40 values to compare with
    they stay 1. What the layers say of the width is drawn towards that of the linear part, the more so the fewer values
    there are: few do not tell when a forecast is sure.

    Args:
        network: a trained network, changed in place.
        recipe: by which the lanes were made.
        lanes: the training series.
        starts: the first validation step of each.
        horizon: steps ahead.
        seed: of the draws.
    """
    values = sum(int(lane.seen[start:].sum()) for lane, start in zip(lanes, starts, strict=True))
    network.gain[1:] = values / (values + WIDTH)
    origins = picked_origins(lanes, starts, horizon, ORIGINS)
    if not origins:
        return
    ahead = min(horizon, *(len(lanes[lane].z) - step for lane, step in origins))
    truth = [lanes[lane].z[step : step + ahead].numpy() for lane, step in origins]
    seen = [lanes[lane].seen[step : step + ahead].numpy() for lane, step in origins]
    if sum(each.sum() for each in seen) < FEWEST:
        return

    def errors() -> np.ndarray:
        found = []
        for first, drawn in draw_paths(network, recipe, lanes, origins, ahead, SAMPLES, seed):
            for place, paths in enumerate(drawn.cpu().numpy()):
                off = truth[first + place] - np.quantile(paths, LEVELS, 0)
                tau = LEVELS[:, None, None]
                found.append((np.maximum(tau * off, (tau - 1) * off) * seen[first + place]).sum())
        return np.array(found)

    # Forecasts that overlap err together: so many stand for themselves.
    apart = sum((len(lane.z) - start) / ahead for lane, start in zip(lanes, starts, strict=True))
    tried = _tried(network.gain[:1], GAINS, errors)
    best = min(tried, key=lambda gain: tried[gain].sum())
    network.gain[:1] = best
    tried = _tried(network.head.spread, SPREADS, errors)
    network.head.spread.fill_(min(tried, key=lambda spread: tried[spread].sum()))
    network.head.spread.pow_(apart / (apart + BELIEF))


def _tried(factor: Tensor, choices: Sequence[float], errors: Callable[[], np.ndarray]) -> dict[float, np.ndarray]:
    """The errors of all origins at each choice of a factor."""
    found = {}
    for choice in choices:
        factor.fill_(choice)
        found[choice] = errors()
    return found
