"""Undamped independent controlled oscillatory recurrent network."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes, check_within


class UnICORNN(Cell):
    """Undamped oscillators that do not see each other, each with a time step of its own.

        d = Δ σ(c)                                                          time step
        z(t) = z(t-1) - d (tanh(U x(t) + w y(t-1) + b) + α y(t-1))          velocity
        y(t) = y(t-1) + d z(t)                                              position

    w and c are vectors. The layer gives out y.

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of oscillators.
        dt: Δ, the longest time step.
        alpha: α, which sets the frequency.

    Source: T. K. Rusch, S. Mishra, UnICORNN: A recurrent model for learning very long time dependencies, ICML 2021.
    Departs: the defaults are those of the authors' permuted MNIST; every task has its own. RecurrentLayers.jl has
        Δ = 1, α = 0. U begins as He's, w within 0 and 1, c within ±0.1, b = 0, as in the authors' code so far as we
        know (a doubt).
    """

    references = ("rusch2021unicornn",)

    def __init__(self, input_size: int, hidden_size: int, dt: float = 0.19, alpha: float = 30.65) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        check_within(0, torch.inf, dt=dt, alpha=alpha)
        self.state_size = (hidden_size, hidden_size)
        self.dt, self.alpha = dt, alpha
        self.U = nn.Linear(input_size, hidden_size)
        self.w = nn.Parameter(torch.rand(hidden_size))
        self.c = nn.Parameter(torch.empty(hidden_size).uniform_(-0.1, 0.1))
        nn.init.kaiming_uniform_(self.U.weight)
        nn.init.zeros_(self.U.bias)

    def step(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        d = self.dt * torch.sigmoid(self.c)
        z = z - d * (torch.tanh(self.U(x) + self.w * y) + self.alpha * y)
        return y + d * z, z
