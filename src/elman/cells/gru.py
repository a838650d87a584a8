"""Gated recurrent unit, as published."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class GRU(Cell):
    """Gated recurrent unit with the reset gate before the product.

        r = σ(U_r x(t) + W_r h(t-1) + b_r)              reset gate
        z = σ(U_z x(t) + W_z h(t-1) + b_z)              update gate
        n = tanh(U_n x(t) + W_n (r h(t-1)) + b_n)       candidate
        h(t) = z h(t-1) + (1 - z) n

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.
        bias: whether b is there.

    Source: K. Cho et al., Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
        Translation, EMNLP 2014, equations 5 to 8.
    Departs: with biases, as in common use.
    """

    references = ("cho2014learning",)

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.U = nn.Linear(input_size, 3 * hidden_size, bias=bias)
        self.W = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        self.W_n = nn.Linear(hidden_size, hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        u_r, u_z, u_n = self.U(x).chunk(3, dim=-1)
        w_r, w_z = self.W(h).chunk(2, dim=-1)
        r = torch.sigmoid(u_r + w_r)
        z = torch.sigmoid(u_z + w_z)
        n = torch.tanh(u_n + self.W_n(r * h))
        return z * h + (1 - z) * n
