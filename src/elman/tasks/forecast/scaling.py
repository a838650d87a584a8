"""How values become numbers around 0: each series by its own mean and deviation, or those of its logarithm."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from elman.data import Panel, Series
from elman.errors import DataError

KINDS = ("linear", "log", "counts")
LEAST, CLEAR = 0.1, 0.3  # correlations of a rhythm: of steps, and of means, which have less noise
PARTS = 12  # of a rhythm, in the means of which it is looked for
FAR = 1e15  # deviations from the mean; the square of more is not finite in float32


def choose_kind(panel: Panel, season: int) -> str:
    """Say "log" where all values are positive and swing in proportion to their level, else "linear".

    Blocks of a season (or a tenth of a series) each have a mean and a deviation; they swing in proportion where the
    logarithm of one rises with that of the other by more than a half.
    """
    slopes = []
    for series in panel.series:
        for values in series.y.T:
            values = values[np.isfinite(values)]
            if len(values) and values.min() <= 0:
                return "linear"
            size = max(season if 2 <= season <= len(values) // 4 else len(values) // 10, 3)
            blocks = values[: len(values) // size * size].reshape(-1, size)
            level, swing = blocks.mean(1), blocks.std(1)
            if len(blocks) >= 4 and (swing > 0).all() and level.max() > 1.5 * level.min():
                slopes.append(np.polyfit(np.log(level), np.log(swing), 1)[0])
    return "log" if slopes and float(np.median(slopes)) > 0.5 else "linear"


def bent(kind: str, values: np.ndarray) -> np.ndarray:
    """Values before they are brought to mean 0: themselves, their log, or log(1 + y)."""
    return np.log(values) if kind == "log" else np.log1p(values) if kind == "counts" else values


def unbent(kind: str, values: np.ndarray) -> np.ndarray:
    """The inverse of `bent`."""
    return np.exp(values) if kind == "log" else np.expm1(values) if kind == "counts" else values


@dataclass(frozen=True)
class Moves:
    """How series are scaled that move away from where they began: from their first values, by how they move.

    Attributes:
        own: whether in proportion to how much a series moves in a step, or all alike.
        size: the deviation that all share, or how many times a step [D].
        step: how much series usually move in a step, the root of the mean square [D].
    """

    own: bool
    size: tuple[float, ...]
    step: tuple[float, ...]

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Moves":
        """What JSON kept of one."""
        return cls(content["own"], tuple(content["size"]), tuple(content["step"]))


def learn_moves(kind: str, panel: Panel) -> Moves | None:
    """How series that move away from where they began are scaled; None for those that keep around a mean.

    The mean and the deviation of a short track tell how far it went: of a past alone they are others, and what comes
    after would be known from them. So neither is read where neither half of a series deviates 0.92 times as much as the
    whole, in the mean. Its size is then how much it moves in a step or, if that says less of how its later steps differ
    than nothing does, the same for all. With fewer than eight series of eight values each keeps its mean and deviation.
    """
    found: list[tuple[np.ndarray, ...]] = []
    for series in panel.series:
        values = bent(kind, checked(kind, series))
        values = values[np.isfinite(values).all(1)]
        middle = len(values) // 2
        steps = np.diff(values, axis=0)
        if middle < 4:
            continue
        half = np.maximum(values[:middle].std(0), values[middle:].std(0))
        sizes = values.std(0), half, _size(steps[:middle]), steps[middle:].std(0)
        if all((size > 0).all() for size in sizes):
            found.append(sizes)
    if len(found) < 8:
        return None
    whole, half, before, later = np.log(np.array(found)).transpose(1, 0, 2)
    if (half - whole).mean() > math.log(0.92):
        return None
    own = bool(later.var(0).sum() > (later - before).var(0).sum())
    size = np.exp((whole - before).mean(0)) if own else np.exp(2 * whole).mean(0) ** 0.5
    return Moves(own, tuple(size.tolist()), tuple((np.exp(2 * before).mean(0) ** 0.5).tolist()))


def _size(steps: np.ndarray) -> np.ndarray:
    """The root of the mean square of steps [T, D] -> [D], leaving out what is missing."""
    return np.sqrt(np.nanmean(steps**2, 0))


def learn_scale(kind: str, series: Series, moves: Moves | None = None) -> np.ndarray:
    """Where a series is and its size, [2, D]: mean and deviation, or the first value and that by `moves`.

    The size of what never changes is 1.

    Raises:
        DataError: values cannot be bent, or are so small that their squares are 0.
    """
    values = bent(kind, checked(kind, series))
    mean, deviation = np.nanmean(values, 0), np.nanstd(values, 0)
    lost = (deviation == 0) & (np.nanmax(values, 0) > np.nanmin(values, 0))
    if lost.any():
        raise DataError(
            f"{named(series)}: expected values whose squares are above 0, got values up to "
            f"{np.nanmax(np.abs(values[:, lost])):g}: give them in smaller units."
        )
    if moves is not None:
        return _by_moves(values, moves)
    return np.stack([mean, np.where(deviation > 1e-12 * np.abs(mean), deviation, 1.0)])  # below, only rounding differs


def _by_moves(values: np.ndarray, moves: Moves) -> np.ndarray:
    """The first value of each coordinate of [T, D], and its size [2, D]."""
    first, size = [], []
    for each, most in zip(values.T, moves.size, strict=True):
        seen = each[np.isfinite(each)]
        moved = float(_size(np.diff(seen)[:, None])[0]) if moves.own and len(seen) > 1 else float(not moves.own)
        first.append(seen[0] if len(seen) else 0.0)
        size.append(most * moved if not moves.own or moved > 1e-12 * abs(first[-1]) else 1.0)
    return np.array([first, size])


def checked(kind: str, series: Series) -> np.ndarray:
    """The values of a series, if they can be bent.

    Raises:
        DataError: a value that has no logarithm, or is no count.
    """
    values, name = series.y, named(series)
    seen = values[np.isfinite(values)]
    if kind == "log" and (seen <= 0).any():
        raise DataError(f"{name}: expected values above 0 (the model takes logarithms), got {seen.min():g}.")
    if kind == "counts" and ((seen < 0) | (seen != np.round(seen))).any():
        wrong = seen[(seen < 0) | (seen != np.round(seen))][0]
        raise DataError(f"{name}: expected counts 0, 1, 2, ... (negative_binomial), got {wrong:g}.")
    return values


def scaled(kind: str, series: Series, scale: np.ndarray) -> np.ndarray:
    """A series around 0, [T, D].

    Raises:
        DataError: values cannot be bent, or are so far from those of training that a network cannot read them.
    """
    z = (bent(kind, checked(kind, series)) - scale[0]) / scale[1]
    far = np.argwhere(np.abs(z) > FAR)
    if len(far):
        row, place = far[0]
        raise DataError(
            f"{named(series)}: expected values near those of training, around "
            f"{unbent(kind, scale[0, place]):g}, got {series.y[row, place]:g}."
        )
    return z


def named(series: Series) -> str:
    """What a series is called in messages."""
    return f"the series {series.name!r}" if series.name else "the series"


def find_seasons(panel: Panel) -> tuple[int, ...]:
    """The rhythms of the series in steps, at most two, ascending: of the calendar or, without one, of any length.

    A rhythm counts where the differences of a series go along with those one season before: where their correlation,
    in the mean over the series, is above 0.1 and above what chance gives in so many steps. A week of days that are all
    alike is no rhythm of its own, nor is a year that is seen because 365 days are nearly whole weeks: a longer rhythm
    is looked for in means over whole shorter ones. A long one drowns in the noise of single steps: it is looked for in
    means over about a twelfth of it. There a correlation must be above 0.3.
    """
    lengths = [round(length) for length in panel.frequency.cycles().values()]
    if panel.frequency.unit == "steps":
        lengths = _peaks(panel)
    found: list[int] = []
    for season in sorted(set(lengths)):
        within = max(found, default=1)
        block = within * max(1, round(season / PARTS / within))
        plain = not found and _rhythmic(panel, season, LEAST)
        clear = block > 1 and _rhythmic(_means(panel, block), round(season / block), CLEAR)
        if season <= 400 and (plain or clear):
            found.append(season)
    return tuple(found[:2])


def correlation(values: np.ndarray, lag: int) -> float:
    """How far differences [T] go along with those `lag` steps before, from -1 to 1; NaN where too few are known.

    They are clipped to two widths beyond where 80 % of them lie, so that no outlier outweighs the others.
    """
    steps = np.diff(values)
    known = steps[np.isfinite(steps)]
    if len(known):
        low, high = np.quantile(known, (0.1, 0.9))
        beyond = 2 * (high - low)
        steps = steps.clip(low - beyond, high + beyond) if beyond > 0 else steps
    a, b = steps[lag:], steps[:-lag]
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 8:
        return np.nan
    a, b = a[both] - a[both].mean(), b[both] - b[both].mean()
    size = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / size) if size > 0 else np.nan


def _correlations(panel: Panel, lag: int) -> list[float]:
    found = [correlation(values, lag) for each in _longest(panel.series) for values in each.y.T]
    return [each for each in found if np.isfinite(each)]


def _means(panel: Panel, steps: int) -> Panel:
    """The longest of the series, as means over so many steps; the steps that are left at the beginning are left out."""
    if steps == 1:
        return panel

    def of(series: Series) -> Series:
        whole = series.y[len(series.y) % steps :]
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the mean of nothing is NaN
            means = np.nanmean(whole.reshape(-1, steps, whole.shape[1]), 1)
        return replace(series, y=means)

    return replace(panel, series=tuple(of(each) for each in _longest(panel.series)))


def _rhythmic(panel: Panel, season: int, least: float) -> bool:
    found = _correlations(panel, season)
    if not found:
        return False
    steps = float(np.mean([len(each.y) for each in panel.series]))
    return float(np.mean(found)) > max(least, 2 / math.sqrt(max(1.0, (steps - season) * len(found))))


def _longest(series: Sequence[Series]) -> list[Series]:
    """The longest fifty of the series: enough to hear a rhythm."""
    return sorted(series, key=lambda each: len(each.y), reverse=True)[:50]


def _peaks(panel: Panel) -> list[int]:
    """Where correlation is highest, for series without a calendar."""
    series = _longest(panel.series)
    longest = min(400, len(series[0].y) // 3)
    if longest < 3:
        return []
    mean = np.array(
        [
            np.nanmean([0.0, *(correlation(values, lag) for each in series[:10] for values in each.y.T)])
            for lag in range(2, longest + 1)
        ]
    )
    peaks = [
        place + 2
        for place in range(1, len(mean) - 1)
        if mean[place] >= mean[place - 1] and mean[place] > mean[place + 1] and mean[place] > 0.3
    ]
    if not peaks:
        return []
    best = max(mean[place - 2] for place in peaks)
    first = min(place for place in peaks if mean[place - 2] > 0.9 * best)  # multiples of a rhythm are peaks too

    def together(season: int) -> float:
        """The mean over its multiples, which tell neighbours apart."""
        return float(np.mean([mean[many - 2] for many in range(season, min(4 * season, longest) + 1, season)]))

    return [max(range(max(2, first - 1), min(first + 1, longest) + 1), key=together)]
