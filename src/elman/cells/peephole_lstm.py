"""Long short-term memory whose gates see the cells."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes
from .vectors import vector


class PeepholeLSTM(Cell):
    """Long short-term memory with peepholes.

        i = σ(U_i x(t) + W_i h(t-1) + p_i c(t-1) + b_i)         input gate
        f = σ(U_f x(t) + W_f h(t-1) + p_f c(t-1) + b_f)         forget gate
        g = tanh(U_g x(t) + W_g h(t-1) + b_g)                   candidate
        c(t) = f c(t-1) + i g
        o = σ(U_o x(t) + W_o h(t-1) + p_o c(t) + b_o)           output gate
        h(t) = o tanh(c(t))

    The peepholes p are vectors: a gate sees its own cell.

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: F. A. Gers, N. N. Schraudolph, J. Schmidhuber, Learning Precise Timing with LSTM Recurrent Networks,
        Journal of Machine Learning Research 3, 2002.
    Departs: h is squashed by tanh, as in common use; the paper leaves the squashing out (a doubt). One cell per block,
        and the full gradient where the paper truncates it.
    """

    references = ("gers2002peephole",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size, hidden_size)
        self.U = nn.Linear(input_size, 4 * hidden_size)
        self.W = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.p_i, self.p_f, self.p_o = (vector(hidden_size) for _ in range(3))

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        i, f, g, o = (self.U(x) + self.W(h)).chunk(4, dim=-1)
        i, f = torch.sigmoid(i + self.p_i * c), torch.sigmoid(f + self.p_f * c)
        c = f * c + i * torch.tanh(g)
        return torch.sigmoid(o + self.p_o * c) * torch.tanh(c), c
