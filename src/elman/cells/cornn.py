"""Coupled oscillatory recurrent network."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes, check_within


class CoRNN(Cell):
    """Damped and driven oscillators, each seeing all of them.

        z(t) = z(t-1) + Δ (tanh(U x(t) + W_y y(t-1) + W_z z(t-1) + b) - γ y(t-1) - ε z(t-1))        velocity
        y(t) = y(t-1) + Δ z(t)                                                                      position

    The layer gives out y.

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of oscillators.
        dt: Δ, the time between two steps.
        stiffness: γ, which sets the frequency.
        damping: ε.

    Source: T. K. Rusch, S. Mishra, Coupled Oscillatory Recurrent Neural Network (coRNN): An accurate and (gradient)
        stable architecture for learning long time dependencies, ICLR 2021.
    Departs: the damping is explicit (z(t-1)), one of the two forms of the paper. The defaults are those of the authors'
        sequential MNIST so far as we remember them (a doubt); every task has its own. torchrecurrent, also explicit,
        has Δ = 0.1, γ = ε = 1, and a bias for each product.
    """

    references = ("rusch2021cornn",)

    def __init__(
        self, input_size: int, hidden_size: int, dt: float = 0.042, stiffness: float = 2.7, damping: float = 4.7
    ) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        check_within(0, torch.inf, dt=dt, stiffness=stiffness, damping=damping)
        self.state_size = (hidden_size, hidden_size)
        self.dt, self.stiffness, self.damping = dt, stiffness, damping
        self.U = nn.Linear(input_size, hidden_size)
        self.W_y = nn.Linear(hidden_size, hidden_size, bias=False)
        self.W_z = nn.Linear(hidden_size, hidden_size, bias=False)

    def step(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        force = torch.tanh(self.U(x) + self.W_y(y) + self.W_z(z))
        z = z + self.dt * (force - self.stiffness * y - self.damping * z)
        return y + self.dt * z, z
