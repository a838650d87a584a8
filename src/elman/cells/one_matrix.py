"""A recurrent network in one matrix."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class OneMatrix(Cell):
    """The whole network is one matrix over the input and the state, one above the other.

        s(t) = tanh(W [x(t) ; s(t-1)] + b)

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: J. L. Elman, Finding Structure in Time, Cognitive Science 14, 1990.
    Departs: the same function as `Elman`, with U and W side by side in one matrix [H, I + H].
    """

    references = ("elman1990finding",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.W = nn.Linear(input_size + hidden_size, hidden_size)

    def step(self, x: Tensor, s: Tensor) -> Tensor:  # type: ignore[override]
        return torch.tanh(self.W(torch.cat([x, s], dim=-1)))
