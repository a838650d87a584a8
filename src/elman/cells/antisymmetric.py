"""Antisymmetric recurrent network."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes, check_within


class AntisymmetricRNN(Cell):
    """A step of Euler's method along a differential equation that neither forgets nor explodes.

        h(t) = h(t-1) + ε tanh((W - Wᵀ - γ 1) h(t-1) + U x(t) + b)

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.
        step_size: ε, the length of a step.
        diffusion: γ, how much the dynamics is damped.

    Source: B. Chang, M. Chen, E. Haber, E. H. Chi, AntisymmetricRNN: A Dynamical System View on Recurrent Neural
        Networks, ICLR 2019.
    Departs: ε and γ were chosen for each task, our defaults are from that range. All H² entries of W are kept though
        W - Wᵀ has only H (H-1) / 2. W begins with variance 1/H, which the paper tunes, and U with 1/I (the latter from
        memory: a doubt).
    """

    references = ("chang2019antisymmetric",)

    def __init__(self, input_size: int, hidden_size: int, step_size: float = 0.01, diffusion: float = 0.01) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        check_within(0, torch.inf, step_size=step_size, diffusion=diffusion)
        self.state_size = (hidden_size,)
        self.step_size, self.diffusion = step_size, diffusion
        self.U = nn.Linear(input_size, hidden_size)
        self.W = nn.Parameter(torch.randn(hidden_size, hidden_size) / hidden_size**0.5)
        nn.init.normal_(self.U.weight, std=input_size**-0.5)
        nn.init.zeros_(self.U.bias)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        w = nn.functional.linear(h, self.W - self.W.T) - self.diffusion * h
        return h + self.step_size * torch.tanh(self.U(x) + w)
