"""Long expressive memory."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes, check_within


class LEM(Cell):
    """Two coupled states, each unit with time steps of its own.

        a = Δ σ(U_a x(t) + W_a y(t-1) + b_a)                            time step of z
        d = Δ σ(U_d x(t) + W_d y(t-1) + b_d)                            time step of y
        z(t) = (1 - a) z(t-1) + a tanh(U_z x(t) + W_z y(t-1) + b_z)
        y(t) = (1 - d) y(t-1) + d tanh(U_y x(t) + W_y z(t) + b_y)

    The layer gives out y.

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.
        dt: Δ, the longest time step.

    Source: T. K. Rusch, S. Mishra, N. B. Erichson, M. W. Mahoney, Long Expressive Memory for Sequence Modeling,
        ICLR 2022.
    Departs: nothing that we know of.
    """

    references = ("rusch2022lem",)

    def __init__(self, input_size: int, hidden_size: int, dt: float = 1.0) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        check_within(0, torch.inf, dt=dt)
        self.state_size = (hidden_size, hidden_size)
        self.dt = dt
        self.U = nn.Linear(input_size, 4 * hidden_size)
        self.W = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.W_y = nn.Linear(hidden_size, hidden_size, bias=False)

    def step(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        u_a, u_d, u_z, u_y = self.U(x).chunk(4, dim=-1)
        w_a, w_d, w_z = self.W(y).chunk(3, dim=-1)
        a, d = self.dt * torch.sigmoid(u_a + w_a), self.dt * torch.sigmoid(u_d + w_d)
        z = (1 - a) * z + a * torch.tanh(u_z + w_z)
        return (1 - d) * y + d * torch.tanh(u_y + self.W_y(z)), z
