"""Gated recurrent unit with layer normalisation."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class LayerNormGRU(Cell):
    """Gated recurrent unit whose sums are normalised over the units.

        (z, r) = N_x(U x(t)) + N_h(W h(t-1))                    both gates normalised together
        n = tanh(N_u(U_n x(t)) + σ(r) N_w(W_n h(t-1)))          candidate
        h(t) = (1 - σ(z)) h(t-1) + σ(z) n

    N(v) = a (v - mean(v)) / √(var(v) + 1e-5) + b; each N has its own a and b.

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: J. L. Ba, J. R. Kiros, G. E. Hinton, Layer Normalization, arXiv 1607.06450, 2016, supplement, equations 23
        to 25.
    Departs: nothing that we know of.
    """

    references = ("ba2016layernorm",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.U = nn.Linear(input_size, 2 * hidden_size, bias=False)
        self.W = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        self.U_n = nn.Linear(input_size, hidden_size, bias=False)
        self.W_n = nn.Linear(hidden_size, hidden_size, bias=False)
        self.N_x, self.N_h = nn.LayerNorm(2 * hidden_size), nn.LayerNorm(2 * hidden_size)
        self.N_u, self.N_w = nn.LayerNorm(hidden_size), nn.LayerNorm(hidden_size)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        z, r = torch.sigmoid(self.N_x(self.U(x)) + self.N_h(self.W(h))).chunk(2, dim=-1)
        n = torch.tanh(self.N_u(self.U_n(x)) + r * self.N_w(self.W_n(h)))
        return (1 - z) * h + z * n
