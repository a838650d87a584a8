"""Update gate network."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class UGRNN(Cell):
    """A simple network with an update gate.

        g = σ(U_g x(t) + W_g h(t-1) + b_g)          update gate
        n = tanh(U_n x(t) + W_n h(t-1) + b_n)       candidate
        h(t) = g h(t-1) + (1 - g) n

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: J. Collins, J. Sohl-Dickstein, D. Sussillo, Capacity and Trainability in Recurrent Neural Networks,
        ICLR 2017.
    Departs: the paper adds to b_g a number that is tuned and not trained.
    """

    references = ("collins2017ugrnn",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.U = nn.Linear(input_size, 2 * hidden_size)
        self.W = nn.Linear(hidden_size, 2 * hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        g, n = (self.U(x) + self.W(h)).chunk(2, dim=-1)
        g = torch.sigmoid(g)
        return g * h + (1 - g) * torch.tanh(n)
