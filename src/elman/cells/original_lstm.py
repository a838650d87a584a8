"""Long short-term memory of 1997."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class OriginalLSTM(Cell):
    """Long short-term memory before there was a forget gate.

        i = σ(U_i x(t) + W_i h(t-1) + b_i)                  input gate
        g = 4 σ(U_g x(t) + W_g h(t-1) + b_g) - 2            candidate, within ±2
        o = σ(U_o x(t) + W_o h(t-1) + b_o)                  output gate
        c(t) = c(t-1) + i g                                 the constant error carousel
        h(t) = o (2 σ(c(t)) - 1)

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: S. Hochreiter, J. Schmidhuber, Long Short-Term Memory, Neural Computation 9, 1997, appendix.
    Departs: one cell per block, the full gradient where the paper truncates it, and torch's initialisation where the
        paper biases the gates task by task. torchrecurrent squashes by tanh, both times.
    """

    references = ("hochreiter1997lstm",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size, hidden_size)
        self.U = nn.Linear(input_size, 3 * hidden_size)
        self.W = nn.Linear(hidden_size, 3 * hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        i, g, o = torch.sigmoid(self.U(x) + self.W(h)).chunk(3, dim=-1)
        c = c + i * (4 * g - 2)
        return o * (2 * torch.sigmoid(c) - 1), c
