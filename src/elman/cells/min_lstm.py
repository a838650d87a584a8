"""Minimal long short-term memory that is linear in its state."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class MinLSTM(Cell):
    """Long short-term memory whose gates do not see the state: linear in h.

        f = σ(U_f x(t) + b_f)                       forget gate
        i = σ(U_i x(t) + b_i)                       input gate
        n = U_n x(t) + b_n                          candidate
        h(t) = (f h(t-1) + i n) / (f + i)

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: L. Feng, F. Tung, M. O. Ahmed, Y. Bengio, H. Hajimirsadeghi, Were RNNs All We Needed?, arXiv 2410.01201,
        2024, section 3.2.
    Departs: this is the plain form, with its length-independent gates; the paper's form in logarithms makes n positive.
    """

    references = ("feng2024minrnn",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.U = nn.Linear(input_size, 3 * hidden_size)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        f, i, n = self.U(x).chunk(3, dim=-1)
        f, i = torch.sigmoid(f), torch.sigmoid(i)
        return f / (f + i) * h + i / (f + i) * n
