"""The cell that a search for architectures found."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class NAS(Cell):
    """A tree of eight leaves, written by a network that was rewarded for what it wrote.

        u_k = U_k x(t), w_k = W_k h(t-1), k = 1, ..., 8
        a = tanh(σ(u_1 + w_1) relu(u_2 + w_2))
        b = tanh(σ(u_3 + w_3) + relu(u_4 w_4))
        d = tanh(tanh(u_5 + w_5) σ(u_6 + w_6))
        e = σ(tanh(u_7 + w_7) + σ(u_8 + w_8))
        c(t) = tanh(a + c(t-1)) b
        h(t) = tanh(c(t) tanh(d + e))

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: B. Zoph, Q. V. Le, Neural Architecture Search with Reinforcement Learning, ICLR 2017, appendix.
    Departs: read from the authors' code, NASCell of TensorFlow, so far as we remember it (a doubt): the paper draws the
        cell. No biases, as there.
    """

    references = ("zoph2017nas",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size, hidden_size)
        self.U = nn.Linear(input_size, 8 * hidden_size, bias=False)
        self.W = nn.Linear(hidden_size, 8 * hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        u, w = self.U(x).chunk(8, dim=-1), self.W(h).chunk(8, dim=-1)
        a = torch.tanh(torch.sigmoid(u[0] + w[0]) * torch.relu(u[1] + w[1]))
        b = torch.tanh(torch.sigmoid(u[2] + w[2]) + torch.relu(u[3] * w[3]))
        d = torch.tanh(torch.tanh(u[4] + w[4]) * torch.sigmoid(u[5] + w[5]))
        e = torch.sigmoid(torch.tanh(u[6] + w[6]) + torch.sigmoid(u[7] + w[7]))
        c = torch.tanh(a + c) * b
        return torch.tanh(c * torch.tanh(d + e)), c
