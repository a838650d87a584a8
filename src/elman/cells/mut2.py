"""Mutated unit 2."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class MUT2(Cell):
    """The second of three units that a search over ten thousand of them found.

        z = σ(U_z x(t) + W_z h(t-1) + b_z)                      update gate
        r = σ(x(t) + W_r h(t-1) + b_r)                          reset gate
        n = tanh(U_n x(t) + W_n (r h(t-1)) + b_n)               candidate
        h(t) = z n + (1 - z) h(t-1)

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: R. Jozefowicz, W. Zaremba, I. Sutskever, An Empirical Exploration of Recurrent Network Architectures,
        ICML 2015.
    Departs: x stands bare in r only where I = H; else it is U_r x. torchrecurrent has U_r always.
    """

    references = ("jozefowicz2015mut",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        same = input_size == hidden_size
        self.U = nn.Linear(input_size, 2 * hidden_size)
        self.U_r = nn.Identity() if same else nn.Linear(input_size, hidden_size, bias=False)
        self.W = nn.Linear(hidden_size, hidden_size, bias=False)
        self.W_r = nn.Linear(hidden_size, hidden_size)
        self.W_n = nn.Linear(hidden_size, hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        u_z, u_n = self.U(x).chunk(2, dim=-1)
        z, r = torch.sigmoid(u_z + self.W(h)), torch.sigmoid(self.U_r(x) + self.W_r(h))
        n = torch.tanh(u_n + self.W_n(r * h))
        return z * n + (1 - z) * h
