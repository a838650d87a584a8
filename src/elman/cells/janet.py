"""JANET: just another network, with nothing but a forget gate."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class JANET(Cell):
    """An LSTM of which only the forget gate is left.

        s = U_f x(t) + W_f h(t-1) + b_f
        n = tanh(U_n x(t) + W_n h(t-1) + b_n)                   candidate
        h(t) = σ(s) h(t-1) + (1 - σ(s - β)) n

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.
        beta: β: with more than 0 somewhat more is taken in than is forgotten.

    Source: J. van der Westhuizen, J. Lasenby, The unreasonable effectiveness of the forget gate, arXiv 1804.04849,
        2018.
    Departs: chrono initialisation is left to the user.
    """

    references = ("westhuizen2018janet",)

    def __init__(self, input_size: int, hidden_size: int, beta: float = 1.0) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.beta = beta
        self.U = nn.Linear(input_size, 2 * hidden_size)
        self.W = nn.Linear(hidden_size, 2 * hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        s, n = (self.U(x) + self.W(h)).chunk(2, dim=-1)
        return torch.sigmoid(s) * h + (1 - torch.sigmoid(s - self.beta)) * torch.tanh(n)
