"""FastGRNN: gate and candidate out of the same matrices."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes
from .vectors import vector


class FastGRNN(Cell):
    """A gated network with as many weights as one without gates.

        a = U x(t) + W h(t-1)
        z = σ(a + b_z)                                  gate
        n = tanh(a + b_n)                               candidate
        h(t) = (σ(ζ) (1 - z) + σ(ν)) n + z h(t-1)

    ζ and ν are two trained numbers.

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: A. Kusupati, M. Singh, K. Bhatia, A. Kumar, P. Jain, M. Varma, FastGRNN: A Fast, Accurate, Stable and Tiny
        Kilobyte Sized Gated Recurrent Neural Network, NeurIPS 2018, section 3.2.
    Departs: the paper wants ζ and ν within 0 and 1; σ keeps them there, and ζ = 1, ν = -4 at the start, both so far as
        we know as in the authors' code (a doubt). Weights are dense, neither of low rank nor sparse nor quantised.
    """

    references = ("kusupati2018fastgrnn",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.U = nn.Linear(input_size, hidden_size, bias=False)
        self.W = nn.Linear(hidden_size, hidden_size, bias=False)
        self.b_z, self.b_n = vector(hidden_size), vector(hidden_size)
        self.zeta, self.nu = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(-4.0))

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        a = self.U(x) + self.W(h)
        z, n = torch.sigmoid(a + self.b_z), torch.tanh(a + self.b_n)
        return (torch.sigmoid(self.zeta) * (1 - z) + torch.sigmoid(self.nu)) * n + z * h
