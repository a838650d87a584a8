"""Multiplicative recurrent network."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class MultiplicativeRNN(Cell):
    """A recurrent matrix for each input, in factored form.

        m = (U_m x(t)) (W_m h(t-1))             factors
        h(t) = tanh(U x(t) + W m + b)

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.
        factor_size: the number of factors; H by default.

    Source: I. Sutskever, J. Martens, G. E. Hinton, Generating Text with Recurrent Neural Networks, ICML 2011,
        equations 7 and 8.
    Departs: with b, which the equations of the paper leave out.
    """

    references = ("sutskever2011mrnn",)

    def __init__(self, input_size: int, hidden_size: int, factor_size: int | None = None) -> None:
        super().__init__()
        factor_size = hidden_size if factor_size is None else factor_size
        check_sizes(input_size=input_size, hidden_size=hidden_size, factor_size=factor_size)
        self.state_size = (hidden_size,)
        self.U = nn.Linear(input_size, hidden_size)
        self.U_m = nn.Linear(input_size, factor_size, bias=False)
        self.W_m = nn.Linear(hidden_size, factor_size, bias=False)
        self.W = nn.Linear(factor_size, hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        return torch.tanh(self.U(x) + self.W(self.U_m(x) * self.W_m(h)))
