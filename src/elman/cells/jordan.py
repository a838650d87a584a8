"""Jordan's network: the only way back is from the output to the hidden units."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class Jordan(Cell):
    """Output-to-hidden recurrence.

        h(t) = φ(b + W y(t-1) + U x(t))
        y(t) = ψ(c + V h(t))

    Nothing is carried but what was given out: with the targets fed in its place (teacher forcing)
    no step waits for another, and training has no loop over time.

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of hidden units.
        output_size: O, the size of y.
        activation: φ; torch.tanh by default.
        output_activation: ψ; the identity by default.

    Source: M. I. Jordan, Serial Order: A Parallel Distributed Processing Approach, ICS Report 8604, 1986;
        in this form I. Goodfellow, Y. Bengio, A. Courville, Deep Learning, 2016, section 10.2.1.
    Departs: Jordan's plan units also feed back to themselves; here only the output is fed back.
    """

    references = ("jordan1986serial", "goodfellow2016deep")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        activation: Callable[[Tensor], Tensor] = torch.tanh,
        output_activation: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size, output_size=output_size)
        self.feedback_size = output_size
        self.activation = activation
        self.output_activation = output_activation
        self.U = nn.Linear(input_size, hidden_size)
        self.W = nn.Linear(output_size, hidden_size, bias=False)
        self.V = nn.Linear(hidden_size, output_size)

    def step(self, x: Tensor, fed: Tensor) -> Tensor:  # type: ignore[override]
        return self.activation(self.U(x) + self.W(fed))

    def output(self, h: Tensor) -> Tensor:  # type: ignore[override]
        o = self.V(h)
        return o if self.output_activation is None else self.output_activation(o)
