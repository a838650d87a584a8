"""Long short-term memory with working memory connections."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class WMCLSTM(Cell):
    """Long short-term memory whose gates see a view of all cells.

        i = σ(U_i x(t) + W_i h(t-1) + tanh(C_i c(t-1)) + b_i)           input gate
        f = σ(U_f x(t) + W_f h(t-1) + tanh(C_f c(t-1)) + b_f)           forget gate
        g = tanh(U_g x(t) + W_g h(t-1) + b_g)                           candidate
        c(t) = f c(t-1) + i g
        o = σ(U_o x(t) + W_o h(t-1) + tanh(C_o c(t)) + b_o)             output gate
        h(t) = o tanh(c(t))

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: F. Landi, L. Baraldi, M. Cornia, R. Cucchiara, Working Memory Connections for LSTM, Neural Networks 144,
        2021.
    Departs: C has no bias of its own; torchrecurrent's has (which of them the paper has is a doubt).
    """

    references = ("landi2021wmc",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size, hidden_size)
        self.U = nn.Linear(input_size, 4 * hidden_size)
        self.W = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.C = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        self.C_o = nn.Linear(hidden_size, hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        i, f, g, o = (self.U(x) + self.W(h)).chunk(4, dim=-1)
        c_i, c_f = torch.tanh(self.C(c)).chunk(2, dim=-1)
        c = torch.sigmoid(f + c_f) * c + torch.sigmoid(i + c_i) * torch.tanh(g)
        return torch.sigmoid(o + torch.tanh(self.C_o(c))) * torch.tanh(c), c
