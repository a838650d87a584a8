"""Minimal gated unit, variant 2."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class MGU2(Cell):
    """The minimal gated unit whose gate sees the state alone, without bias.

        f = σ(W h(t-1))                               forget gate
        n = tanh(U x(t) + W_n (f h(t-1)) + b_n)       candidate
        h(t) = (1 - f) h(t-1) + f n

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: J. C. Heck, F. M. Salem, Simplified Minimal Gated Unit Variations for Recurrent Neural Networks,
        MWSCAS 2017.
    Departs: nothing that we know of.
    """

    references = ("heck2017mgu",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.U = nn.Linear(input_size, hidden_size)
        self.W = nn.Linear(hidden_size, hidden_size, bias=False)
        self.W_n = nn.Linear(hidden_size, hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        f = torch.sigmoid(self.W(h))
        return (1 - f) * h + f * torch.tanh(self.U(x) + self.W_n(f * h))
