"""Independently recurrent network."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class IndRNN(Cell):
    """Units that each see their own past alone; layers above mix them.

        h(t) = φ(U x(t) + w h(t-1) + b)

    w is a vector.

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.
        activation: φ, any pointwise function; torch.relu by default.

    Source: S. Li, W. Li, C. Cook, C. Zhu, Y. Gao, Independently Recurrent Neural Network (IndRNN): Building A Longer
        and Deeper RNN, CVPR 2018.
    Departs: w begins uniform within 0 and 1; the paper bounds it by γ^(1/T), at the start and after each update, which
        a cell that knows no T cannot.
    """

    references = ("li2018indrnn",)

    def __init__(self, input_size: int, hidden_size: int, activation: Callable[[Tensor], Tensor] = torch.relu) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.activation = activation
        self.U = nn.Linear(input_size, hidden_size)
        self.w = nn.Parameter(torch.rand(hidden_size))

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        return self.activation(self.U(x) + self.w * h)
