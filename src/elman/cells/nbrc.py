"""Recurrently neuromodulated bistable recurrent cell."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class NBRC(Cell):
    """The bistable cell, where all units tune the feedback of each.

        a = 1 + tanh(U_a x(t) + W_a h(t-1) + b_a)       feedback, between 0 and 2
        c = σ(U_c x(t) + W_c h(t-1) + b_c)              update gate
        h(t) = c h(t-1) + (1 - c) tanh(U_n x(t) + a h(t-1))

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: N. Vecoven, D. Ernst, G. Drion, A bio-inspired bistable recurrent cell allows for long-lasting memory,
        PLOS ONE 16, 2021.
    Departs: with b_a and b_c, which the equations of the paper leave out.
    """

    references = ("vecoven2021brc",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.U = nn.Linear(input_size, 2 * hidden_size)
        self.U_n = nn.Linear(input_size, hidden_size, bias=False)
        self.W = nn.Linear(hidden_size, 2 * hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        a, c = (self.U(x) + self.W(h)).chunk(2, dim=-1)
        a, c = 1 + torch.tanh(a), torch.sigmoid(c)
        return c * h + (1 - c) * torch.tanh(self.U_n(x) + a * h)
