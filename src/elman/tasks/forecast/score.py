"""How good forecasts are, beside those of simple methods from the same origins."""

import math
from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from ..intervals import ratio_interval
from .baselines import Simple

NETWORK = "network"


@dataclass(frozen=True)
class Figures:
    """The figures of one method.

    Attributes:
        mse: mean square error of the mean.
        mae: mean absolute error of the median.
        mase: mean absolute error in units of the seasonal naive error before the first origin (of the naive error,
            where there is no season).
        coverage: share of the values inside the interval.
        interval: mean interval score, in units of y: the width, and 2 / α times by how much a value lies outside.
        mae_from, mae_to: the 95 % interval of mae, from how it differs between series or, of fewer than ten, between
            parts of them; None where there are fewer than five.
    """

    mse: float
    mae: float
    mase: float
    coverage: float
    interval: float
    mae_from: float | None = None
    mae_to: float | None = None


@dataclass(frozen=True)
class Score:
    """How good forecasts are.

    Attributes:
        horizon: steps ahead.
        origins: how many forecasts were made.
        values: how many observed values they were compared with.
        level: of the interval: 0.9.
        figures: of "network", "naive", "seasonal naive" (where there is a season), "drift" and "linear".
        notes: where it is less than was asked for, a sentence each.
    """

    horizon: int
    origins: int
    values: int
    level: float
    figures: dict[str, Figures]
    notes: tuple[str, ...] = ()

    @property
    def network(self) -> Figures:
        """The figures of the model."""
        return self.figures[NETWORK]

    @property
    def warning(self) -> str | None:
        """What should be said where the model is no better than the naive forecasts; None where it is."""
        simple = [name for name in ("naive", "seasonal naive") if name in self.figures]
        better = [name for name in simple if self.figures[name].mae <= self.network.mae]
        if not better:
            return None
        told = " and ".join(f"the {name} forecast ({self.figures[name].mae:.4g})" for name in better)
        return (
            f"the model (mean absolute error {self.network.mae:.4g}) does not beat {told}: use that one, or give the "
            "model what moves the series (covariates, more history)."
        )

    def flat(self) -> dict[str, float]:
        """The figures by one name each: "network mae"."""
        told = {"forecasts": self.origins, "values": self.values}
        each = {f"{name} {figure}": v for name, found in self.figures.items() for figure, v in asdict(found).items()}
        return {**told, **{name: v for name, v in each.items() if v is not None and not math.isnan(v)}}

    def to_json(self) -> dict[str, Any]:
        """As plain values; what cannot be measured is None."""
        plain = asdict(self)
        for figures in plain["figures"].values():
            for name, value in figures.items():
                figures[name] = None if value is None or math.isnan(value) else value
        return {**plain, "warning": self.warning}


@dataclass
class Tally:
    """Sums over forecasts, by method and by group: forecasts whose errors are alike.

    Attributes:
        level: of the interval.
    """

    level: float
    sums: dict[str, dict[Hashable, np.ndarray]] = field(default_factory=dict)

    def add(
        self,
        name: str,
        group: Hashable,
        truth: np.ndarray,
        mean: np.ndarray,
        at: Callable[[float], np.ndarray],
        unit: float,
    ) -> None:
        """One forecast of a method.

        Args:
            name: of the method.
            group: of forecasts that it belongs to.
            truth: [H], NaN where nothing was observed.
            mean: [H].
            at: its quantiles [H] by level.
            unit: what an absolute error is measured in.
        """
        seen = np.isfinite(truth)
        alpha = 1 - self.level
        y, low, high = truth[seen], at(alpha / 2)[seen], at(1 - alpha / 2)[seen]
        off = np.abs(y - at(0.5)[seen])
        outside = np.maximum(low - y, 0) + np.maximum(y - high, 0)
        scaled = off / unit if unit > 0 else np.zeros(0)
        found = np.array(
            [
                len(y),
                ((y - mean[seen]) ** 2).sum(),
                off.sum(),
                scaled.sum(),
                len(scaled),
                ((y >= low) & (y <= high)).sum(),
                (high - low + 2 / alpha * outside).sum(),
            ]
        )
        groups = self.sums.setdefault(name, {})
        groups[group] = groups.get(group, 0) + found

    def add_simple(self, name: str, group: Hashable, truth: np.ndarray, forecast: Simple, unit: float) -> None:
        """One forecast of a simple method."""
        self.add(name, group, truth, forecast.mean, forecast.quantile, unit)

    @property
    def values(self) -> int:
        """How many observed values the network's forecasts were compared with."""
        return int(sum(each[0] for each in self.sums[NETWORK].values()))

    def figures(self) -> dict[str, Figures]:
        """The figures of all methods; NaN of nothing."""
        return {name: _figures(np.stack(list(groups.values()))) for name, groups in self.sums.items()}


def _figures(sums: np.ndarray) -> Figures:
    """Figures of sums by groups [n, 7]."""
    count, square, off, scaled, units, inside, interval = map(float, sums.sum(0))
    each = count or math.nan
    mae = off / each
    found = Figures(square / each, mae, scaled / (units or math.nan), inside / each, interval / each)
    between = ratio_interval(sums[:, 2], sums[:, 0]) if off else None
    if between is None:
        return found
    wide = math.exp((between[1] - between[0]) / 2 / mae)  # of its logarithm: an error is above 0
    return replace(found, mae_from=mae / wide, mae_to=mae * wide)
