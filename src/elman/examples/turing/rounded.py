"""The same weights in float64: a layer that runs compiled, and how far it is right."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor, nn

from elman.cells import Cell
from elman.errors import NumericsError
from elman.layers import Recurrent

from .machine import Configuration, simulate
from .network import PHASES, Network


class Saturated(Cell):
    """Saturated-linear units with the weights of a network.

        h(t) = σ(W h(t-1) + U x(t) + b),    σ(z) = min(max(z, 0), 1)

    Args:
        network: the weights; they are rounded to `dtype`.
        dtype: float64 by default.

    Source: H. T. Siegelmann, E. D. Sontag, On the Computational Power of Neural Nets, J. Comput. Syst. Sci. 50(1),
        1995.
    Departs: numbers are rounded, where theirs are exact: `run_rounded` says how far that goes.
    """

    references = (
        """@article{siegelmann1995power,
  author  = {Siegelmann, Hava T. and Sontag, Eduardo D.},
  title   = {On the Computational Power of Neural Nets},
  journal = {Journal of Computer and System Sciences},
  volume  = {50}, number = {1}, year = {1995}
}""",
    )

    def __init__(self, network: Network, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        size = len(network.units)
        self.state_size = (size,)
        self.U = nn.Linear(3, size, dtype=dtype)
        self.W = nn.Linear(size, size, bias=False, dtype=dtype)
        with torch.no_grad():
            self.U.bias.copy_(torch.tensor([float(bias) for bias in network.b], dtype=torch.float64))
            for linear, rows in ((self.U, network.U), (self.W, network.W)):
                linear.weight.zero_()
                for unit, row in enumerate(rows):
                    for source, weight in row.items():
                        linear.weight[unit, source] = float(weight)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        return torch.clamp(self.U(x) + self.W(h), 0, 1)


@dataclass(frozen=True)
class Rounded:
    """How far a network of finite precision goes right, in configurations, of which the first is the start.

    Attributes:
        total: how many the machine has, to the halt or to the limit.
        acting: in how many, from the first on, state, head and the symbol under it are right.
        whole: in how many, from the first on, all that has been written can still be read, too.
        got: what the units said where they first went wrong in this way, or "" where they did not.
        backend: what the layer ran on.
    """

    total: int
    acting: int
    whole: int
    got: str
    backend: str


def run_rounded(network: Network, word: str, limit: int = 10_000, dtype: torch.dtype = torch.float64) -> Rounded:
    """Run the weights as a layer, and compare with the direct simulator.

    Args:
        network: the weights.
        word: what stands on the tape.
        limit: the most steps of the machine that are taken.
        dtype: float64 by default.

    Raises:
        ArgumentError: a symbol of the word is none of the machine's.
    """
    right = list(simulate(network.machine, word, limit))
    layer = Recurrent(Saturated(network, dtype))
    x = torch.tensor([[float(number) for number in network.input(word)]], dtype=dtype)
    with torch.no_grad():
        h, _ = layer(x, steps=PHASES * len(right) - 2)
    rows = [[Fraction(value) for value in row] for row in h[::PHASES, 0].tolist()]
    whole, got = _agreeing(network, rows, right, lambda at: (len(at.left) + 1, len(at.right) + 1))
    acting, _ = _agreeing(network, rows, right, lambda at: (0, 1))
    return Rounded(len(right), acting, whole, got, layer.plan(x, steps=1).layers[0].backend)


def _agreeing(
    network: Network,
    rows: list[list[Fraction]],
    right: list[Configuration],
    cells: Callable[[Configuration], tuple[int, int]],
) -> tuple[int, str]:
    """How many configurations are right from the first on, as far as so many cells of each stack tell."""
    position = 0
    for number, (units, expected) in enumerate(zip(rows, right, strict=True)):
        position += network.moved(units)
        left, on = cells(expected)
        under = expected.right[:on].rstrip(network.machine.blank)
        try:
            got = network.decode(units, position, (left, on))
        except NumericsError as error:
            return number, str(error)
        if (got.state, got.position, got.right) != (expected.state, expected.position, under):
            return number, f"expected {expected}, got {got}"
        if left and got.left != expected.left:
            return number, f"expected {expected}, got {got}"
    return len(right), ""
