"""Gated recurrent unit with the reset gate after the product."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class GRUResetAfter(Cell):
    """The gated recurrent unit of cuDNN, torch.nn and Keras (`reset_after=True`).

        r = σ(U_r x(t) + W_r h(t-1) + b_r)                  reset gate
        z = σ(U_z x(t) + W_z h(t-1) + b_z)                  update gate
        n = tanh(U_n x(t) + b_n + r (W_n h(t-1) + d_n))     candidate
        h(t) = (1 - z) n + z h(t-1)

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.
        bias: whether b and d are there.

    Source: K. Cho et al., Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
        Translation, 2014, in the first version, arXiv 1406.1078v1; NVIDIA cuDNN, cudnnRNNMode_t, CUDNN_GRU.
    Departs: d exists for all three gates, as in torch; for r and z it only adds to b.
    """

    references = ("cho2014learning",)

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.U = nn.Linear(input_size, 3 * hidden_size, bias=bias)
        self.W = nn.Linear(hidden_size, 3 * hidden_size, bias=bias)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        u_r, u_z, u_n = self.U(x).chunk(3, dim=-1)
        w_r, w_z, w_n = self.W(h).chunk(3, dim=-1)
        r = torch.sigmoid(u_r + w_r)
        z = torch.sigmoid(u_z + w_z)
        n = torch.tanh(u_n + r * w_n)
        return (1 - z) * n + z * h
