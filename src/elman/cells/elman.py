"""Elman's simple recurrent network."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class Elman(Cell):
    """A simple recurrent unit.

        h(t) = φ(b + W h(t-1) + U x(t))

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.
        activation: φ, any pointwise function; torch.tanh by default.
        bias: whether b is there.

    Source: J. L. Elman, Finding Structure in Time, Cognitive Science 14, 1990.
    Departs: φ is tanh by default; Elman's units were logistic.
    """

    references = ("elman1990finding",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: Callable[[Tensor], Tensor] = torch.tanh,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.activation = activation
        self.U = nn.Linear(input_size, hidden_size, bias=bias)
        self.W = nn.Linear(hidden_size, hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        return self.activation(self.U(x) + self.W(h))
