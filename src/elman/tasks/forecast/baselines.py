"""What every forecast is measured against: the last value, the last season, the drift, a linear model on lags."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np


@dataclass(frozen=True, eq=False)
class Simple:
    """A forecast of one coordinate.

    Attributes:
        mean: [H].
        deviation: of the error at each step [H].
    """

    mean: np.ndarray
    deviation: np.ndarray

    def quantile(self, level: float) -> np.ndarray:
        """The quantile of a normal distribution [H]."""
        return self.mean + NormalDist().inv_cdf(level) * self.deviation


def naive(y: np.ndarray, horizon: int) -> Simple:
    """The last value, for ever: deviation σ sqrt(h)."""
    steps = np.arange(1, horizon + 1)
    return Simple(np.full(horizon, y[-1]), spread(np.diff(y)) * np.sqrt(steps))


def seasonal_naive(y: np.ndarray, horizon: int, season: int) -> Simple:
    """The value one season before: deviation σ sqrt(seasons ahead)."""
    season = min(season, len(y))
    steps = np.arange(horizon)
    error = y[season:] - y[:-season] if season < len(y) else np.zeros(1)
    return Simple(y[len(y) - season + steps % season], spread(error) * np.sqrt(steps // season + 1))


def drift(y: np.ndarray, horizon: int) -> Simple:
    """The line through the first and the last value: deviation σ sqrt(h (1 + h / T))."""
    steps = np.arange(1, horizon + 1)
    slope = (y[-1] - y[0]) / max(1, len(y) - 1)
    return Simple(y[-1] + slope * steps, spread(np.diff(y) - slope) * np.sqrt(steps * (1 + steps / max(1, len(y) - 1))))


def spread(errors: np.ndarray) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(errors**2))) if len(errors) else 0.0


def linear(y: np.ndarray, horizon: int, lags: int) -> Callable[[np.ndarray], Simple] | None:
    """One ridge regression for each step ahead on the last values; None where there are too few to learn from.

    Args:
        y: what is learned from [T].
        horizon: H.
        lags: how many of the last values are read; fewer for a short series.

    Returns:
        A forecast of a history.
    """
    lags = min(lags, (len(y) - horizon + 1) // 3)
    if lags < 1:
        return None
    mean, scale = y.mean(), y.std() or 1.0
    z = (y - mean) / scale
    rows = np.lib.stride_tricks.sliding_window_view(z, lags + horizon)
    f, targets = rows[:, :lags] - rows[:, lags - 1 : lags], rows[:, lags:] - rows[:, lags - 1 : lags]
    f = np.concatenate([f[:, :-1], rows[:, lags - 1 : lags], np.ones((len(f), 1))], 1)
    W = np.linalg.solve(f.T @ f + 1e-3 * len(f) * np.eye(f.shape[1]), f.T @ targets)
    deviation = np.sqrt(((targets - f @ W) ** 2).mean(0)) * scale

    def forecast(history: np.ndarray) -> Simple:
        known = (history[-lags:] - mean) / scale
        last = known[-1]
        read = np.concatenate([(known - last)[:-1], [last, 1.0]])
        return Simple((last + read @ W) * scale + mean, deviation)

    return forecast
