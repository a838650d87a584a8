"""Minimal gated recurrent unit that is linear in its state."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class MinGRU(Cell):
    """A gated recurrent unit whose gate does not see the state: linear in h.

        z = σ(U_z x(t) + b_z)                   update gate
        n = U_n x(t) + b_n                      candidate
        h(t) = (1 - z) h(t-1) + z n

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: L. Feng, F. Tung, M. O. Ahmed, Y. Bengio, H. Hajimirsadeghi, Were RNNs All We Needed?, arXiv 2410.01201,
        2024, section 3.1.
    Departs: this is the plain form; the paper's form in logarithms makes n positive.
    """

    references = ("feng2024minrnn",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.U = nn.Linear(input_size, 2 * hidden_size)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        z, n = self.U(x).chunk(2, dim=-1)
        z = torch.sigmoid(z)
        return (1 - z) * h + z * n
