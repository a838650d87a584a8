"""Zoneout: some units keep what they were."""

from collections.abc import Sequence

import torch
from torch import Tensor

from elman.cells.cell import Cell, States
from elman.errors import ArgumentError

from .wrapper import Wrapper, as_tuple, check_probability, visible


class Zoneout(Wrapper):
    """Each unit of a state keeps its last value with probability p, anew at each step.

        s(t) = k s(t-1) + (1 - k) f(s(t-1), x(t)),   k ~ Bernoulli(p)     in training
        s(t) = p s(t-1) + (1 - p) f(s(t-1), x(t))                          else: the expectation

    Args:
        cell: any cell with states.
        p: the probability, one for all states or one for each.

    Source: D. Krueger et al., Zoneout: Regularizing RNNs by Randomly Preserving Hidden Activations, ICLR 2017.
        An LSTM has two probabilities there: of h, and of c.
    """

    def __init__(self, cell: Cell, p: float | Sequence[float]) -> None:
        super().__init__(cell)
        count = len(visible(cell))
        given = tuple(p) if isinstance(p, Sequence) else (p,) * count
        if not count:
            raise ArgumentError(f"Zoneout: {type(cell).__name__} carries no state that could be kept.")
        if len(given) != count:
            raise ArgumentError(f"Zoneout: expected {count} probabilities, one for each state, got {len(given)}.")
        self.p = tuple(check_probability("Zoneout", each) for each in given)

    def step(self, x: Tensor | None, *entering: Tensor) -> States:
        before = self._before(entering)
        after = as_tuple(self.cell.step(x, *entering))
        kept = [self._kept(p, old, new) for p, old, new in zip(self.p, before, after, strict=False)]
        return (*kept, *after[len(kept) :])

    def _kept(self, p: float, old: Tensor, new: Tensor) -> Tensor:
        if p == 0 or not new.is_floating_point():
            return new
        if not self.training:
            return p * old + (1 - p) * new
        return torch.where(torch.rand_like(new) < p, old, new)

    def extra_repr(self) -> str:
        return f"p={self.p}"
