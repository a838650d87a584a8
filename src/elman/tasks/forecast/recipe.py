"""How a panel of series becomes what a network reads: lags, calendar, covariates, windows."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from elman.data import Columns, Frequency, Series
from elman.errors import DataError

from .scaling import Moves, named, scaled

Block = tuple[int, int]


@dataclass(frozen=True)
class Recipe:
    """What was learned of the training series before the network.

    Attributes:
        columns: which column is what.
        frequency: the calendar.
        kind: how values are bent: "linear", "log" or "counts".
        seasons: rhythms, in steps.
        lags: which earlier values are read, ascending from 1.
        cycles: of the calendar, and how many harmonics of each are read: sin and cos of k times its phase.
        window: steps that are unfolded before a forecast.
        history: what is read before the window and, by the linear part, before its lags, (count, steps) from the oldest
            on: so many means over so many steps.
        names: of the series; their numbers follow from 1 on, 0 is any other.
        scales: mean and deviation of each series [2, D], or its first value and size by `moves`.
        moves: how series are scaled of which only how they move is read, not where they are; None for others.
        covariates: mean and deviation of known and past covariates, [2, K + P].
    """

    columns: Columns
    frequency: Frequency
    kind: str
    seasons: tuple[int, ...]
    lags: tuple[int, ...]
    cycles: tuple[tuple[str, int], ...]
    window: int
    history: tuple[Block, ...]
    names: tuple[str, ...]
    scales: tuple[np.ndarray, ...]
    moves: Moves | None
    covariates: np.ndarray

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each series, from 1 on."""
        return {name: number for number, name in enumerate(self.names, 1)}

    @property
    def reach(self) -> int:
        """Steps before the window that blocks are made of."""
        return sum(count * steps for count, steps in self.history)

    @property
    def memory(self) -> int:
        """M: steps back that the linear part reads: its lags, then the blocks."""
        return self.lags[-1] + self.reach

    @property
    def context(self) -> int:
        """All steps that a forecast reads."""
        return self.memory + self.window

    @property
    def only_past(self) -> slice:
        """Which of the extra numbers are covariates of the past."""
        first = self._turns + len(self.columns.known)
        return slice(first, first + len(self.columns.past))

    @property
    def extras(self) -> int:
        """E: numbers that a step reads beside lags."""
        return self._turns + self.covariates.shape[1] + 1

    @property
    def _turns(self) -> int:
        """Numbers that tell where in its cycles a step stands."""
        return 2 * sum(harmonics for _, harmonics in self.cycles)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            **{key: value for key, value in asdict(self).items() if key not in ("scales", "covariates")},
            "scales": [each.tolist() for each in self.scales],
            "covariates": self.covariates.tolist(),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Recipe":
        """What `to_json` gave."""
        columns: dict[str, Any] = {
            key: tuple(each) if isinstance(each, list) else each for key, each in content["columns"].items()
        }
        return cls(
            columns=Columns(**columns),
            frequency=Frequency(**content["frequency"]),
            kind=content["kind"],
            seasons=tuple(content["seasons"]),
            lags=tuple(content["lags"]),
            cycles=tuple((name, harmonics) for name, harmonics in content["cycles"]),
            window=content["window"],
            history=tuple((count, steps) for count, steps in content["history"]),
            names=tuple(content["names"]),
            scales=tuple(np.array(each) for each in content["scales"]),
            moves=None if content["moves"] is None else Moves.from_json(content["moves"]),
            covariates=np.array(content["covariates"]).reshape(2, -1),
        )


@dataclass(frozen=True, eq=False)
class Lane:
    """One series as a network reads it.

    Attributes:
        series: what it was made of.
        z: the values around 0 [T, D]; what is missing is carried on from before.
        seen: which values there are [T, D], bool.
        extra: calendar, covariates and whether the value before was there [T + F, E].
        who: its number.
        scale: mean and deviation [2, D] float64: values may be far from 0 and close.
    """

    series: Series
    z: Tensor
    seen: Tensor
    extra: Tensor
    who: int
    scale: Tensor


class Batch(NamedTuple):
    """Windows side by side.

    Attributes:
        z: the values, with all that is read before the window [M + T, B, D].
        extra: of the window and the blocks before it [R + T, B, E].
        counts: which values count in the loss [T, B, D], bool.
        lengths: steps of each window [B].
        who: numbers of the series [B].
        scale: mean and deviation [B, 2, D].
    """

    z: Tensor
    extra: Tensor
    counts: Tensor
    lengths: Tensor
    who: Tensor
    scale: Tensor


class Window(NamedTuple):
    """Steps of a lane: those from `start` to `stop` are read, those from `counted` on are in the loss."""

    lane: int
    start: int
    counted: int
    stop: int


def make_lane(recipe: Recipe, series: Series, scale: np.ndarray, who: int, ahead: int = 0) -> Lane:
    """A series as a network reads it, and `ahead` steps of what is known of its future.

    Raises:
        DataError: less is known of the future than is asked for.
    """
    z = scaled(recipe.kind, series, scale)
    seen = np.isfinite(z)
    steps = len(z) + ahead
    if recipe.columns.known and len(series.known) < steps:
        raise DataError(
            f"{named(series)}: expected {', '.join(recipe.columns.known)} at {ahead} steps after its last "
            f"value, got {len(series.known) - len(z)}: add rows with their times, and nothing in "
            f"{', '.join(recipe.columns.y)}."
        )
    numbers = np.arange(series.start, series.start + steps)
    phases = recipe.frequency.phases(numbers) if recipe.cycles else {}
    turns = [2 * np.pi * k * phases[name] for name, harmonics in recipe.cycles for k in range(1, harmonics + 1)]
    calendar = [wave(turn) for turn in turns for wave in (np.sin, np.cos)]
    covariates = np.full((steps, recipe.covariates.shape[1]), np.nan)
    known = len(recipe.columns.known)
    covariates[: len(series.known), :known] = series.known[:steps]
    covariates[1 : len(z) + 1, known:] = series.past[: steps - 1]
    covariates = carried((covariates - recipe.covariates[0]) / recipe.covariates[1])
    before = np.ones(steps)
    before[1 : len(z) + 1] = seen.all(1)[: steps - 1]
    extra = np.concatenate([np.array(calendar).reshape(len(calendar), steps).T, covariates, before[:, None] - 1], 1)
    return Lane(
        series,
        torch.from_numpy(carried(z)).float(),
        torch.from_numpy(seen),
        torch.from_numpy(extra).float(),
        who,
        torch.from_numpy(scale),
    )


def carried(values: np.ndarray) -> np.ndarray:
    """What is missing in [T, D], replaced by the last value before it; by 0, the mean, where there is none."""
    if not len(values):
        return values
    at = np.where(np.isfinite(values), np.arange(len(values))[:, None], -1)
    last = np.maximum.accumulate(at, 0)
    return np.where(last >= 0, np.take_along_axis(values, np.maximum(last, 0), 0), 0.0)


def make_batch(recipe: Recipe, lanes: Sequence[Lane], windows: Sequence[Window]) -> Batch:
    """Windows as one batch; before its first value a series is taken to have stood at it."""
    before, reach = recipe.memory, recipe.reach
    longest = max(window.stop - window.start for window in windows)
    z, extra, counts = [], [], []
    for lane, start, counted, stop in windows:
        each = lanes[lane]
        z.append(_cut(each.z, start - before, stop, before + longest))
        extra.append(_cut(each.extra, start - reach, stop, reach + longest))
        marked = _cut(each.seen, start, stop, longest)
        marked[: counted - start] = False
        counts.append(marked)
    return Batch(
        torch.stack(z, 1),
        torch.stack(extra, 1),
        torch.stack(counts, 1),
        torch.tensor([window.stop - window.start for window in windows]),
        torch.tensor([lanes[window.lane].who for window in windows]),
        torch.stack([lanes[window.lane].scale for window in windows]).float(),
    )


def _cut(values: Tensor, start: int, stop: int, size: int) -> Tensor:
    """Rows start to stop, the first row wherever start is negative; then zeros up to `size` rows."""
    rows = values[torch.arange(start, stop).clamp_min(0)]
    return torch.cat([rows, rows.new_zeros((size - len(rows), *rows.shape[1:]))])
