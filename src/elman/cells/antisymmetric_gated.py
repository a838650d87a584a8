"""Antisymmetric recurrent network with a gate."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes, check_within


class GatedAntisymmetricRNN(Cell):
    """The antisymmetric network with an input gate that shares its recurrent matrix.

        a = (W - Wᵀ - γ 1) h(t-1)
        z = σ(a + U_z x(t) + b_z)               input gate
        n = tanh(a + U_n x(t) + b_n)            candidate
        h(t) = h(t-1) + ε z n

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.
        step_size: ε, the length of a step.
        diffusion: γ, how much the dynamics is damped.

    Source: B. Chang, M. Chen, E. Haber, E. H. Chi, AntisymmetricRNN: A Dynamical System View on Recurrent Neural
        Networks, ICLR 2019.
    Departs: as `AntisymmetricRNN` does.
    """

    references = ("chang2019antisymmetric",)

    def __init__(self, input_size: int, hidden_size: int, step_size: float = 0.01, diffusion: float = 0.01) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        check_within(0, torch.inf, step_size=step_size, diffusion=diffusion)
        self.state_size = (hidden_size,)
        self.step_size, self.diffusion = step_size, diffusion
        self.U = nn.Linear(input_size, 2 * hidden_size)
        self.W = nn.Parameter(torch.randn(hidden_size, hidden_size) / hidden_size**0.5)
        nn.init.normal_(self.U.weight, std=input_size**-0.5)
        nn.init.zeros_(self.U.bias)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        u_z, u_n = self.U(x).chunk(2, dim=-1)
        w = nn.functional.linear(h, self.W - self.W.T) - self.diffusion * h
        return h + self.step_size * torch.sigmoid(u_z + w) * torch.tanh(u_n + w)
