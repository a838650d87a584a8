"""Structurally constrained recurrent network."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes, check_within


class SCRN(Cell):
    """A simple network beside units that change slowly.

        s(t) = (1 - α) U_s x(t) + α s(t-1)              context
        h(t) = σ(W_s s(t) + U x(t) + W h(t-1))          hidden units

    The layer gives out h and s side by side, which is what the output of the paper reads.

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of hidden units.
        context_size: the number of slow units.
        alpha: α, how slow they are.

    Source: T. Mikolov, A. Joulin, S. Chopra, M. Mathieu, M. Ranzato, Learning Longer Memory in Recurrent Neural
        Networks, ICLR workshop 2015.
    Departs: the output f(U h + V s) is left to the layer above; torchrecurrent carries it in place of h, squashed by
        tanh, with biases, as many slow units as others, and α trained.
    """

    references = ("mikolov2015scrn",)

    def __init__(self, input_size: int, hidden_size: int, context_size: int = 40, alpha: float = 0.95) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size, context_size=context_size)
        check_within(0, 1, alpha=alpha)
        self.state_size = (hidden_size, context_size)
        self.alpha = alpha
        self.U = nn.Linear(input_size, hidden_size, bias=False)
        self.U_s = nn.Linear(input_size, context_size, bias=False)
        self.W = nn.Linear(hidden_size, hidden_size, bias=False)
        self.W_s = nn.Linear(context_size, hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        s = (1 - self.alpha) * self.U_s(x) + self.alpha * s
        return torch.sigmoid(self.W_s(s) + self.U(x) + self.W(h)), s

    def output(self, h: Tensor, s: Tensor) -> Tensor:  # type: ignore[override]
        return torch.cat([h, s], dim=-1)
