"""FastRNN: a recurrent network with a residual connection of two numbers."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class FastRNN(Cell):
    """A simple network with a weighted way past it.

        n = tanh(U x(t) + W h(t-1) + b)
        h(t) = σ(α) n + σ(β) h(t-1)

    α and β are two trained numbers.

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: A. Kusupati, M. Singh, K. Bhatia, A. Kumar, P. Jain, M. Varma, FastGRNN: A Fast, Accurate, Stable and Tiny
        Kilobyte Sized Gated Recurrent Neural Network, NeurIPS 2018, section 3.1.
    Departs: the paper wants both weights within 0 and 1; σ keeps them there, and α = -3, β = 3 at the start, both so
        far as we know as in the authors' code (a doubt). Weights are dense, neither of low rank nor sparse.
    """

    references = ("kusupati2018fastgrnn",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.U = nn.Linear(input_size, hidden_size)
        self.W = nn.Linear(hidden_size, hidden_size, bias=False)
        self.alpha, self.beta = nn.Parameter(torch.tensor(-3.0)), nn.Parameter(torch.tensor(3.0))

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        n = torch.tanh(self.U(x) + self.W(h))
        return torch.sigmoid(self.alpha) * n + torch.sigmoid(self.beta) * h
