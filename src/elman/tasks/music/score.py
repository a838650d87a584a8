"""How well frames are foreseen, beside what is simple: each channel by itself, and the last frame again."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elman.data import total

from ..intervals import Z

_LEAST = 1e-3  # a deviation, in those of the channel, below which nothing simple is certain


@dataclass(frozen=True)
class Figure:
    """Nats a step, the mean over all steps of all pieces.

    Attributes:
        nats: a step.
        low, high: its 95 % interval, by Student's t over pieces; NaN of a single piece.
    """

    nats: float
    low: float
    high: float


@dataclass(frozen=True)
class MusicScore:
    """How well frames are foreseen, each from all before it.

    Attributes:
        pieces: how many were scored.
        steps: of all of them.
        network: the figure of the model.
        simple: the figures of what is simple, by name.
        saved: nats that the network needs less than the best of these, from the differences piece by piece.
    """

    pieces: int
    steps: int
    network: Figure
    simple: dict[str, Figure]
    saved: Figure

    @property
    def warning(self) -> str | None:
        """What should be said where the model is no better than what is simple; None where it is."""
        if self.saved.nats > 0:
            return None
        best = min(self.simple, key=lambda name: self.simple[name].nats)
        return f"the model does not beat {best!r}: give it more pieces, or other options."

    def to_json(self) -> dict[str, Any]:
        """The figures by name, and the warning."""
        return {**self.figures(), "warning": self.warning}

    def figures(self) -> dict[str, float]:
        """The figures by name."""
        found: dict[str, float] = {"pieces": self.pieces, "steps": self.steps}
        for name, figure in {"": self.network, **self.simple, "saved against the better of these": self.saved}.items():
            first = f"nats per step {name}".strip() if figure is not self.saved else f"nats {name}"
            found[first] = figure.nats
            if not math.isnan(figure.low):
                found[f"{first}, from"], found[f"{first}, to"] = figure.low, figure.high
        return found


def score_pieces(network: Sequence[Tensor], simple: Mapping[str, Sequence[Tensor]]) -> MusicScore:
    """Figures of nats [T] of each piece, of the network and of each simple method."""
    steps = torch.tensor([len(row) for row in network], dtype=torch.float64)
    sums = torch.stack([row.double().sum() for row in network])
    others = {name: torch.stack([row.double().sum() for row in rows]) for name, rows in simple.items()}
    best = min(others.values(), key=lambda each: float(each.sum()))
    figures = {name: _figure(each, steps) for name, each in others.items()}
    count = int((steps > 0).sum())
    return MusicScore(count, int(steps.sum()), _figure(sums, steps), figures, _figure(best - sums, steps))


def _figure(sums: Tensor, steps: Tensor) -> Figure:
    """The mean a step of sums [N] over pieces with so many steps [N], and its interval.

    Steps of a piece are not independent of each other, pieces are: the variance is that of a ratio of sums over pieces.

    Source: W. G. Cochran, Sampling Techniques, 3rd edition, 1977, section 2.11.
    """
    sums, steps = sums[steps > 0], steps[steps > 0]
    count, mean = len(sums), float(sums.sum() / steps.sum())
    if count < 2:
        return Figure(mean, math.nan, math.nan)
    error = math.sqrt(float((sums - mean * steps).square().sum()) * count / (count - 1)) / float(steps.sum())
    wide = student(count - 1) * error
    return Figure(mean, mean - wide, mean + wide)


def student(freedom: int) -> float:
    """Student's t beyond which 2.5 % lie; within 1 % from three degrees of freedom on.

    Source: M. Abramowitz, I. A. Stegun, Handbook of Mathematical Functions, 1964, 26.7.5.
    """
    first = (Z**3 + Z) / 4
    second = (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    third = (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384
    return Z + first / freedom + second / freedom**2 + third / freedom**3


@dataclass(frozen=True, eq=False)
class Switches:
    """Channels that are on or off: how often each is on, and how often it is on after it was off, or on.

    Attributes:
        often: [I].
        after: [2, I].
    """

    often: Tensor
    after: Tensor
    NAMES = ("by each channel's frequency", "by the last step")

    @classmethod
    def learned(cls, rows: Sequence[Tensor]) -> "Switches":
        """The frequencies of pieces [T, I]; half a count is added, so that nothing is certain."""
        count, on = sum(map(len, rows)), total(row.sum(0) for row in rows)
        before, both = total(row[:-1].sum(0) for row in rows), total((row[:-1] * row[1:]).sum(0) for row in rows)
        now, pairs = total(row[1:].sum(0) for row in rows), sum(len(row[1:]) for row in rows)
        after = [(now - both + 0.5) / (pairs - before + 1), (both + 0.5) / (before + 1)]
        return cls((on + 0.5) / (count + 1), torch.stack(after))

    def nats(self, row: Tensor, first: Tensor | None) -> tuple[Tensor, Tensor]:
        """Nats [T] of a piece [T, I], by both; `first` is the frame before it, None where it begins."""
        alone = _coins(self.often, row)
        before = torch.cat([(row.new_zeros(row.size(1)) if first is None else first).unsqueeze(0), row[:-1]])[
            : len(row)
        ]
        chances = torch.where(before > 0.5, self.after[1], self.after[0])
        if first is None:
            chances[:1] = self.often
        return alone, _coins(chances, row)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"often": self.often.tolist(), "after": self.after.tolist()}


@dataclass(frozen=True, eq=False)
class Walks:
    """Real channels of mean 0 and deviation 1: a Gaussian for each, and one around the last value.

    Attributes:
        spread: deviation of a step [I].
        units: what is added for the data's own units; see `Mixture`.
    """

    spread: Tensor
    units: float
    NAMES = ("by each channel's mean and deviation", "by the last step")

    @classmethod
    def learned(cls, rows: Sequence[Tensor], units: float) -> "Walks":
        """The deviations of the steps of pieces [T, I]."""
        count = sum(len(row[1:]) for row in rows)
        squares = total(row.double().diff(dim=0).square().sum(0) for row in rows)
        spread = (squares / count).sqrt() if count else torch.ones_like(squares)
        return cls(spread.clamp(min=_LEAST), units)

    def nats(self, row: Tensor, first: Tensor | None) -> tuple[Tensor, Tensor]:
        """Nats [T] of a piece [T, I], by both; see `Switches.nats`."""
        row = row.double()
        alone = self.units + _bells(row, torch.ones_like(self.spread))
        if not len(row):
            return alone, alone
        start = torch.zeros_like(row[:1]) if first is None else first.double().unsqueeze(0)
        steps = row - torch.cat([start, row[:-1]])
        walked = self.units + _bells(steps, self.spread)
        if first is None:
            walked[0] = alone[0]
        return alone, walked

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"spread": self.spread.tolist(), "units": self.units}


def simple_from(content: dict[str, Any]) -> Switches | Walks:
    """What `to_json` gave."""
    if "often" in content:
        return Switches(*(torch.tensor(content[name], dtype=torch.float64) for name in ("often", "after")))
    return Walks(torch.tensor(content["spread"], dtype=torch.float64), content["units"])


def _coins(chances: Tensor, row: Tensor) -> Tensor:
    """-Σ_i log P(v_i) [T] of coins."""
    row = row.double()
    return -(row * chances.log() + (1 - row) * (1 - chances).log()).sum(-1)


def _bells(row: Tensor, deviation: Tensor) -> Tensor:
    """-Σ_i log N(v_i; 0, deviation²) [T]."""
    return (0.5 * (row / deviation).square() + deviation.log() + 0.5 * math.log(2 * math.pi)).sum(-1)
