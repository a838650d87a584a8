"""Linear recurrent unit."""

import math

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes, check_within


class LRU(Cell):
    """Complex numbers that turn and shrink, each by itself: linear in h.

        λ = exp(-exp(ν) + j exp(θ))                     a complex number a unit
        h(t) = λ h(t-1) + exp(γ) (U x(t))               U is complex
        y(t) = Re(V h(t))                               V is complex

    The states are the real and the imaginary part of h. The rows of U are first all real, then all imaginary parts; so
    are the columns of V.

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of complex units.
        output_size: O, the size of y; I by default, as in the paper.
        r_min: the smallest |λ| at the start.
        r_max: the largest |λ| at the start; λ is uniform on this ring.
        max_phase: the largest angle of λ at the start.

    Source: A. Orvieto, S. L. Smith, A. Gu, A. Fernando, C. Gulcehre, R. Pascanu, S. De, Resurrecting Recurrent Neural
        Networks for Long Sequences, ICML 2023, section 3 and appendix A.
    Departs: D x, which the paper adds to y, looks at no state and is left to the layer around, as is all that the paper
        puts between two of these. γ begins as √(1 - |λ|²), U with variance 1/(2 I) and V with 1/H for each part.
    """

    references = ("orvieto2023lru",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int | None = None,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 2 * math.pi,
    ) -> None:
        super().__init__()
        output_size = input_size if output_size is None else output_size
        check_sizes(input_size=input_size, hidden_size=hidden_size, output_size=output_size)
        check_within(0, 1, r_max=r_max)
        check_within(0, r_max, r_min=r_min)
        self.state_size = (hidden_size, hidden_size)
        # The ends are left out: there the logarithms are infinite.
        size, angle = (torch.empty(hidden_size).uniform_(1e-6, 1 - 1e-6) for _ in range(2))
        square = size * (r_max**2 - r_min**2) + r_min**2
        self.nu = nn.Parameter(torch.log(-0.5 * torch.log(square)))
        self.theta = nn.Parameter(torch.log(max_phase * angle))
        self.gamma = nn.Parameter(0.5 * torch.log(1 - square))
        self.U = nn.Linear(input_size, 2 * hidden_size, bias=False)
        self.V = nn.Linear(2 * hidden_size, output_size, bias=False)
        nn.init.normal_(self.U.weight, std=(2 * input_size) ** -0.5)
        nn.init.normal_(self.V.weight, std=hidden_size**-0.5)

    def step(self, x: Tensor, re: Tensor, im: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        size, angle, scale = torch.exp(-torch.exp(self.nu)), torch.exp(self.theta), torch.exp(self.gamma)
        a, b = size * torch.cos(angle), size * torch.sin(angle)
        u_re, u_im = self.U(x).chunk(2, dim=-1)
        return a * re - b * im + scale * u_re, a * im + b * re + scale * u_im

    def output(self, re: Tensor, im: Tensor) -> Tensor:  # type: ignore[override]
        return self.V(torch.cat([re, -im], dim=-1))
