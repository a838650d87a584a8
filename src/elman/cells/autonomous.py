"""A dynamical system without input."""

from collections.abc import Callable

from torch import Tensor, nn

from elman.errors import ArgumentError

from .cell import Cell
from .checks import check_sizes


class Autonomous(Cell):
    """A state that follows from itself alone; call its layer with `steps`.

        s(t) = f(s(t-1); θ)

    Args:
        hidden_size: H, the size of s.
        f: any module or function from [B, H] to [B, H]; tanh(W s + b) by default.

    Raises:
        ArgumentError: the step is given an input.

    Source: I. Goodfellow, Y. Bengio, A. Courville, Deep Learning, 2016, equation 10.1.
    Departs: nothing.
    """

    references = ("goodfellow2016deep",)

    def __init__(self, hidden_size: int, f: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        check_sizes(hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.f = nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.Tanh()) if f is None else f

    def step(self, x: None, s: Tensor) -> Tensor:  # type: ignore[override]
        if x is not None:
            raise ArgumentError("Autonomous takes no input: call the layer with steps=T, and no x.")
        return self.f(s)
