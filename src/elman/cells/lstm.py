"""Long short-term memory."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class LSTM(Cell):
    """Long short-term memory with a forget gate.

        i = σ(U_i x(t) + W_i h(t-1) + b_i)          input gate
        f = σ(U_f x(t) + W_f h(t-1) + b_f)          forget gate
        g = tanh(U_g x(t) + W_g h(t-1) + b_g)       candidate
        o = σ(U_o x(t) + W_o h(t-1) + b_o)          output gate
        c(t) = f c(t-1) + i g
        h(t) = o tanh(c(t))

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.
        bias: whether b is there.

    Source: F. A. Gers, J. Schmidhuber, F. Cummins, Learning to Forget: Continual Prediction with LSTM,
        Neural Computation 12, 2000 (forget gate); S. Hochreiter, J. Schmidhuber, Long Short-Term Memory, 1997.
    Departs: no peepholes, one cell per block; gates stacked in the order i, f, g, o, as in torch.
    """

    references = ("gers2000learning", "hochreiter1997lstm")

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size, hidden_size)
        self.U = nn.Linear(input_size, 4 * hidden_size, bias=bias)
        self.W = nn.Linear(hidden_size, 4 * hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        i, f, g, o = (self.U(x) + self.W(h)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, c
