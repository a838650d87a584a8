"""Stackable recurrent cell."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class STAR(Cell):
    """A cell made to be stacked: gradients neither fade nor grow from layer to layer.

        k = σ(U_k x(t) + W h(t-1) + b_k)            gate
        z = tanh(U_z x(t) + b_z)                    candidate
        h(t) = tanh((1 - k) h(t-1) + k z)

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: M. O. Turkoglu, S. D'Aronco, J. D. Wegner, K. Schindler, Gating Revisited: Deep Multi-layer RNNs That Can
        Be Trained, IEEE Transactions on Pattern Analysis and Machine Intelligence, 2021.
    Departs: weights begin as torch's.
    """

    references = ("turkoglu2021star",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.U = nn.Linear(input_size, 2 * hidden_size)
        self.W = nn.Linear(hidden_size, hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        u_k, u_z = self.U(x).chunk(2, dim=-1)
        k = torch.sigmoid(u_k + self.W(h))
        return torch.tanh((1 - k) * h + k * torch.tanh(u_z))
