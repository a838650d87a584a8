"""Simple gated recurrent network."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class SGRN(Cell):
    """One gate that shares all its weights with what it gates.

        u = U x(t) + b
        f = σ(u + W h(t-1))                         forget gate
        h(t) = tanh((1 - f) u + f h(t-1))

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: X. Zu, K. Wei, A simple gated recurrent network for detection of power quality disturbances, IET Generation,
        Transmission & Distribution 15, 2021.
    Departs: we know the equations from torchrecurrent and not from the paper (a doubt); a second bias beside W is left
        out.
    """

    references = ("zu2021sgrn",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.U = nn.Linear(input_size, hidden_size)
        self.W = nn.Linear(hidden_size, hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        u = self.U(x)
        f = torch.sigmoid(u + self.W(h))
        return torch.tanh((1 - f) * u + f * h)
