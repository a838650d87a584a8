"""Long short-term memory with layer normalisation."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class LayerNormLSTM(Cell):
    """Long short-term memory whose gates and cells are normalised over the units.

        (i, f, g, o) = N_x(U x(t)) + N_h(W h(t-1))          all gates normalised together
        c(t) = σ(f) c(t-1) + σ(i) tanh(g)
        h(t) = σ(o) tanh(N_c(c(t)))

    N(v) = a (v - mean(v)) / √(var(v) + 1e-5) + b; each N has its own a and b.

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: J. L. Ba, J. R. Kiros, G. E. Hinton, Layer Normalization, arXiv 1607.06450, 2016, equations 20 to 22.
    Departs: the bias of the gates is part of b of N_x. The paper also carries c as it is, and normalises what is read.
    """

    references = ("ba2016layernorm",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size, hidden_size)
        self.U = nn.Linear(input_size, 4 * hidden_size, bias=False)
        self.W = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.N_x, self.N_h = nn.LayerNorm(4 * hidden_size), nn.LayerNorm(4 * hidden_size)
        self.N_c = nn.LayerNorm(hidden_size)

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        i, f, g, o = (self.N_x(self.U(x)) + self.N_h(self.W(h))).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(self.N_c(c)), c
