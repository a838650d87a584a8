"""Addition-subtraction twin-gated recurrent network."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class ATR(Cell):
    """Two gates out of one sum and one difference.

        p = U x(t) + b
        q = W h(t-1)
        i = σ(p + q)                    input gate
        f = σ(p - q)                    forget gate
        h(t) = i p + f h(t-1)

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: B. Zhang, D. Xiong, J. Su, Q. Lin, H. Zhang, Simplifying Neural Machine Translation with
        Addition-Subtraction Twin-Gated Recurrent Networks, EMNLP 2018.
    Departs: with a bias in p, which the paper leaves out.
    """

    references = ("zhang2018atr",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.U = nn.Linear(input_size, hidden_size)
        self.W = nn.Linear(hidden_size, hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        p, q = self.U(x), self.W(h)
        return torch.sigmoid(p + q) * p + torch.sigmoid(p - q) * h
