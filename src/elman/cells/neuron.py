"""A single neuron with a connection to itself."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class Neuron(Cell):
    """One neuron: with w > 1 it holds one bit against small inputs.

        h(t) = φ(u x(t) + w h(t-1) + b)

    Args:
        input_size: I, the size of x.
        activation: φ; torch.tanh by default.

    Source: Y. Bengio, P. Simard, P. Frasconi, Learning Long-Term Dependencies with Gradient Descent is Difficult, IEEE
        Transactions on Neural Networks 5, 1994.
    Departs: the paper carries what stands inside of φ, a(t) = w tanh(a(t-1)) + x(t), with x a number that is trained.
    """

    references = ("bengio1994learning",)

    def __init__(self, input_size: int, activation: Callable[[Tensor], Tensor] = torch.tanh) -> None:
        super().__init__()
        check_sizes(input_size=input_size)
        self.state_size = (1,)
        self.activation = activation
        self.U = nn.Linear(input_size, 1)
        self.W = nn.Linear(1, 1, bias=False)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        return self.activation(self.U(x) + self.W(h))
