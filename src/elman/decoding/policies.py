"""Policies: who supplies the next input, the teacher or the network itself.

A policy says it for all rows and steps at once, before the first step, and looks at no value. So it is a mask, a layer
that obeys it can be compiled, and a run can be repeated.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from elman.errors import ArgumentError, ShapeError


class Policy(Protocol):
    """Says after which steps the target is fed at the next one."""

    def forced(self, steps: int, batch: int) -> Tensor:
        """[T, B] bool: True where after step t the target of t is fed, False where the own output of t is."""


def fed_next(forced: Tensor, target: Tensor, own: Tensor) -> Tensor:
    """What is fed at the next step.

    Args:
        forced: a policy's mask at this step [B], or at all of them [T, B].
        target: of this step [B, ...], or of all of them [T, B, ...].
        own: what the network gave out there, or a choice from it, of the same shape.
    """
    return torch.where(forced.reshape(forced.shape + (1,) * (target.dim() - forced.dim())), target, own)


@dataclass(frozen=True)
class TeacherForcing:
    """The target is fed after every step."""

    def forced(self, steps: int, batch: int) -> Tensor:
        """True throughout [T, B]."""
        return torch.ones(steps, batch, dtype=torch.bool)


@dataclass(frozen=True)
class FreeRunning:
    """The own output is fed after every step."""

    def forced(self, steps: int, batch: int) -> Tensor:
        """False throughout [T, B]."""
        return torch.zeros(steps, batch, dtype=torch.bool)


@dataclass(frozen=True)
class PerToken:
    """Scheduled sampling: at every step of every row a coin says whether the target is fed.

    Args:
        p: probability of the target; `linear(...)(i)` and its kin make it fall in training.
        generator: of the coins, on the CPU.

    Source: S. Bengio et al., Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks, NeurIPS 2015.
    """

    p: float
    generator: torch.Generator

    def __post_init__(self) -> None:
        _check_probability(self.p)

    def forced(self, steps: int, batch: int) -> Tensor:
        """True with probability p, for each entry of [T, B] by itself."""
        return torch.rand(steps, batch, generator=self.generator, dtype=torch.float64) < self.p


@dataclass(frozen=True)
class PerSequence:
    """Scheduled sampling by whole rows: a coin for each row says whether it is taught or runs freely.

    Args:
        p: probability that a row is taught.
        generator: of the coins, on the CPU.

    Source: S. Bengio et al., 2015 (see `PerToken`), section 2.4: the coin for a whole sequence, which they found to
        do less well than one for each token.
    """

    p: float
    generator: torch.Generator

    def __post_init__(self) -> None:
        _check_probability(self.p)

    def forced(self, steps: int, batch: int) -> Tensor:
        """True with probability p, the same for all entries of a row [T, B]."""
        return (torch.rand(batch, generator=self.generator, dtype=torch.float64) < self.p).expand(steps, batch)


@dataclass(frozen=True)
class FreeFor:
    """k steps on the own output, then one target, and so on: the target is to be met some steps ahead.

    Args:
        k: steps on the own output between two that are fed a target; 0 is teacher forcing.
        phase: by how many steps the pattern comes earlier; changed from batch to batch, every step is asked.

    Source: I. Goodfellow, Y. Bengio, A. Courville, Deep Learning, 2016, section 10.2.1: training with both
        teacher-forced and free-running inputs by predicting the target a number of steps in the future.
    """

    k: int
    phase: int = 0

    def __post_init__(self) -> None:
        if self.k < 0:
            raise ArgumentError(f"expected k >= 0, got {self.k}: the number of steps on the own output.")

    def forced(self, steps: int, batch: int) -> Tensor:
        """True after every (k + 1)th step [T, B]."""
        return self._since(steps).eq(self.k).unsqueeze(1).expand(steps, batch)

    def asked(self, steps: int) -> Tensor:
        """[T] bool: True where k steps on the own output have just been made, so that the target is k steps ahead.

        A loss over these alone trains what the network makes of its own outputs.
        """
        return self._since(steps).eq(self.k)

    def _since(self, steps: int) -> Tensor:
        """Steps since one that was fed a target [T]; the first step counts as one where phase = 0."""
        return (torch.arange(steps) + self.phase) % (self.k + 1)


def mask_of(policy: Policy, steps: int, batch: int, device: torch.device) -> Tensor:
    """The mask of a policy [T, B], checked."""
    forced = policy.forced(steps, batch)
    if forced.dtype != torch.bool:
        raise ArgumentError(f"expected a bool mask from {type(policy).__name__}, got {forced.dtype}.")
    if forced.shape != (steps, batch):
        raise ShapeError(
            f"expected a mask [T, B] = [{steps}, {batch}] from {type(policy).__name__}, got {list(forced.shape)}."
        )
    return forced.to(device)


def _check_probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise ArgumentError(f"expected a probability 0 <= p <= 1 that the target is fed, got {p}.")
