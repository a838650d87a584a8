"""Closed-form continuous-time network."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes, check_within


class CfC(Cell):
    """A liquid time-constant network, solved over one time step without a solver.

        k = 1.7159 tanh((2/3) (U x(t) + W h(t-1) + b))              the network that all heads share
        f = V_f k + b_f                                             time constants
        g = tanh(V_g k + b_g)                                       where the state is at first
        n = tanh(V_n k + b_n)                                       where it goes
        h(t) = σ(-f Δ) g + (1 - σ(-f Δ)) n

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.
        backbone_size: the size of k; H by default.
        dt: Δ, the time between two steps.

    Source: R. Hasani, M. Lechner, A. Amini, L. Liebenwein, A. Ray, M. Tschaikowski, G. Teschl, D. Rus, Closed-form
        continuous-time neural networks, Nature Machine Intelligence 4, 2022.
    Departs: steps are equally far apart; the paper's may come at any time. k is one layer with the constants of the
        authors' code (0.666 there), which also writes σ(a Δ + b) for σ(-f Δ) with two heads a and b (a doubt).
    """

    references = ("hasani2022cfc",)

    def __init__(self, input_size: int, hidden_size: int, backbone_size: int | None = None, dt: float = 1.0) -> None:
        super().__init__()
        backbone_size = hidden_size if backbone_size is None else backbone_size
        check_sizes(input_size=input_size, hidden_size=hidden_size, backbone_size=backbone_size)
        check_within(0, torch.inf, dt=dt)
        self.state_size = (hidden_size,)
        self.dt = dt
        self.U = nn.Linear(input_size, backbone_size)
        self.W = nn.Linear(hidden_size, backbone_size, bias=False)
        self.V = nn.Linear(backbone_size, 3 * hidden_size)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        k = 1.7159 * torch.tanh(2 / 3 * (self.U(x) + self.W(h)))
        f, g, n = self.V(k).chunk(3, dim=-1)
        first = torch.sigmoid(-f * self.dt)
        return first * torch.tanh(g) + (1 - first) * torch.tanh(n)
