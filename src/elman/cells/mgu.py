"""Minimal gated unit."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class MGU(Cell):
    """A gated recurrent unit with one gate for both tasks.

        f = σ(U_f x(t) + W_f h(t-1) + b_f)              forget gate
        n = tanh(U_n x(t) + W_n (f h(t-1)) + b_n)       candidate
        h(t) = (1 - f) h(t-1) + f n

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: G.-B. Zhou, J. Wu, C.-L. Zhang, Z.-H. Zhou, Minimal Gated Unit for Recurrent Neural Networks,
        International Journal of Automation and Computing 13, 2016.
    Departs: nothing that we know of; the paper writes U and W side by side as one matrix.
    """

    references = ("zhou2016mgu",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.U = nn.Linear(input_size, 2 * hidden_size)
        self.W = nn.Linear(hidden_size, hidden_size, bias=False)
        self.W_n = nn.Linear(hidden_size, hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        u_f, u_n = self.U(x).chunk(2, dim=-1)
        f = torch.sigmoid(u_f + self.W(h))
        return (1 - f) * h + f * torch.tanh(u_n + self.W_n(f * h))
