"""Recurrent additive network."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class RAN(Cell):
    """A gated weighted sum of inputs, and nothing else.

        i = σ(U_i x(t) + W_i h(t-1) + b_i)          input gate
        f = σ(U_f x(t) + W_f h(t-1) + b_f)          forget gate
        c(t) = i (U_c x(t)) + f c(t-1)
        h(t) = φ(c(t))

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.
        activation: φ; torch.tanh by default, the paper also has the identity.

    Source: K. Lee, O. Levy, L. Zettlemoyer, Recurrent Additive Networks, arXiv 1705.07393, 2017.
    Departs: nothing that we know of.
    """

    references = ("lee2017ran",)

    def __init__(self, input_size: int, hidden_size: int, activation: Callable[[Tensor], Tensor] = torch.tanh) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size, hidden_size)
        self.activation = activation
        self.U = nn.Linear(input_size, 2 * hidden_size)
        self.U_c = nn.Linear(input_size, hidden_size, bias=False)
        self.W = nn.Linear(hidden_size, 2 * hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        i, f = torch.sigmoid(self.U(x) + self.W(h)).chunk(2, dim=-1)
        c = i * self.U_c(x) + f * c
        return self.activation(c), c
