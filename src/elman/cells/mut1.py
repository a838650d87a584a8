"""Mutated unit 1."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class MUT1(Cell):
    """The first of three units that a search over ten thousand of them found.

        z = σ(U_z x(t) + b_z)                                   update gate
        r = σ(U_r x(t) + W_r h(t-1) + b_r)                      reset gate
        n = tanh(W_n (r h(t-1)) + tanh(x(t)) + b_n)             candidate
        h(t) = z n + (1 - z) h(t-1)

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: R. Jozefowicz, W. Zaremba, I. Sutskever, An Empirical Exploration of Recurrent Network Architectures,
        ICML 2015.
    Departs: tanh(x) has a meaning only where I = H; else it is tanh(U_n x), without bias. torchrecurrent
        has U_n always, with a bias.
    """

    references = ("jozefowicz2015mut",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        same = input_size == hidden_size
        self.U = nn.Linear(input_size, 2 * hidden_size)
        self.U_n = nn.Identity() if same else nn.Linear(input_size, hidden_size, bias=False)
        self.W = nn.Linear(hidden_size, hidden_size, bias=False)
        self.W_n = nn.Linear(hidden_size, hidden_size)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        u_z, u_r = self.U(x).chunk(2, dim=-1)
        z, r = torch.sigmoid(u_z), torch.sigmoid(u_r + self.W(h))
        n = torch.tanh(self.W_n(r * h) + torch.tanh(self.U_n(x)))
        return z * n + (1 - z) * h
