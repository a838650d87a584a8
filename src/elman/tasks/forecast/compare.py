"""Forecasts of a network beside those of simple methods, from the same origins."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from .baselines import Simple, drift, linear, naive, seasonal_naive
from .score import NETWORK, Tally

MANY, PARTS = 10, 50


class Rival:
    """The simple methods for one coordinate of one series.

    Args:
        y: the whole series [T], NaN where nothing was observed.
        first: the first step that is forecast; what was before it is learned from.
        horizon: H.
        season: in steps; 0 where there is none.
        lags: how many values the linear model reads.
    """

    def __init__(self, y: np.ndarray, first: int, horizon: int, season: int, lags: int) -> None:
        self.y, self.horizon, self.season = y, horizon, season
        self.whole = _carried(y)
        before = self.whole[:first]
        self.linear = linear(before, horizon, lags)
        apart = season if season and first > season else 1
        off = np.abs(before[apart:] - before[:-apart])
        self.unit = float(off.mean()) if len(off) else 0.0

    def compare(self, tally: Tally, group: Hashable, step: int, drawn: np.ndarray) -> None:
        """Add the forecasts from a step on to a group: drawn paths [S, H], and those of all simple methods."""
        truth = self.y[step : step + self.horizon]
        tally.add(NETWORK, group, truth, drawn.mean(0), lambda level: np.quantile(drawn, level, 0), self.unit)
        for name, forecast in self._simple(self.whole[:step]).items():
            tally.add_simple(name, group, truth, forecast, self.unit)

    def _simple(self, history: np.ndarray) -> dict[str, Simple]:
        found = {"naive": naive(history, self.horizon)}
        if self.season:
            found["seasonal naive"] = seasonal_naive(history, self.horizon, self.season)
        found["drift"] = drift(history, self.horizon)
        if self.linear is not None:
            found["linear"] = self.linear(history)
        return found


def origins_of(steps: int, horizon: int, origins: int, stride: int) -> list[int]:
    """The first steps of the last forecasts of a series, ascending; fewer where it is short."""
    found = [steps - horizon - back * stride for back in range(origins)]
    return sorted(step for step in found if step >= 3)


def groups_of(places: Sequence[Sequence[int]], horizon: int) -> dict[tuple[int, int], Hashable]:
    """The group of each forecast: its series or, of fewer than ten series, a part of one, at least a horizon long.

    Args:
        places: the origins of each series.
        horizon: H.
    """
    scored = [steps for steps in places if steps]
    if len(scored) >= MANY:
        return {(row, step): row for row, steps in enumerate(places) for step in steps}
    span = max((steps[-1] - steps[0] + horizon for steps in scored), default=horizon)
    size = max(horizon, -(-span // PARTS))
    return {(row, step): (row, (step - steps[0]) // size) for row, steps in enumerate(places) for step in steps}


def shortfalls(
    places: Sequence[Sequence[int]], origins: int, rivals: Mapping[tuple[int, int], Rival]
) -> tuple[str, ...]:
    """What a score must say: series with fewer forecasts than were asked for, and those without a linear rival.

    Args:
        places: the origins of each series.
        origins: how many were asked for.
        rivals: by series and coordinate.
    """
    notes = []
    short = sum(len(each) < origins for each in places)
    if short:
        made = sum(map(len, places))
        notes.append(f"{short} of {len(places)} series are too short for {origins} forecasts: {made} were made in all")
    scored = {row for row, _ in rivals}
    without = {row for row, place in rivals if rivals[row, place].linear is None}
    if without:
        left = "left out" if without == scored else "measured on the others alone"
        notes.append(
            f"linear is {left}: too few steps to learn from before the first forecast in {len(without)} of "
            f"{len(scored)} series"
        )
    return tuple(notes)


def _carried(y: np.ndarray) -> np.ndarray:
    """What is missing, replaced by the last value before it; a series begins with a value."""
    at = np.where(np.isfinite(y), np.arange(len(y)), -1)
    first = y[np.isfinite(y)][0] if np.isfinite(y).any() else 0.0
    last = np.maximum.accumulate(at)
    return np.where(last >= 0, y[np.maximum(last, 0)], first)
