"""Bistable recurrent cell."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes
from .vectors import vector


class BRC(Cell):
    """A cell whose units each remember by themselves: fed back with a > 1 a unit has two stable states.

        a = 1 + tanh(U_a x(t) + w_a h(t-1) + b_a)       feedback, between 0 and 2
        c = σ(U_c x(t) + w_c h(t-1) + b_c)              update gate
        h(t) = c h(t-1) + (1 - c) tanh(U_n x(t) + a h(t-1))

    w_a and w_c are vectors: no unit sees another one's state.

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
        self.w_a, self.w_c = vector(hidden_size), vector(hidden_size)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        u_a, u_c = self.U(x).chunk(2, dim=-1)
        a = 1 + torch.tanh(u_a + self.w_a * h)
        c = torch.sigmoid(u_c + self.w_c * h)
        return c * h + (1 - c) * torch.tanh(self.U_n(x) + a * h)
