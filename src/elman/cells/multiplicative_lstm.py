"""Multiplicative long short-term memory."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class MultiplicativeLSTM(Cell):
    """Long short-term memory whose recurrent weights depend on the input.

        m = (U_m x(t)) (W_m h(t-1))             in place of h in each gate
        i = σ(U_i x(t) + W_i m + b_i)           input gate
        f = σ(U_f x(t) + W_f m + b_f)           forget gate
        g = U_g x(t) + W_g m + b_g              candidate
        o = σ(U_o x(t) + W_o m + b_o)           output gate
        c(t) = f c(t-1) + i g
        h(t) = tanh(o c(t))

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units, and the size of m.

    Source: B. Krause, I. Murray, S. Renals, L. Lu, Multiplicative LSTM for sequence modelling, ICLR workshop 2017.
    Departs: with biases. That the candidate is not squashed and the output gate stands inside of the last tanh is how
        we remember the paper, and how others have written it (a doubt); torchrecurrent gives out o tanh(c) of a
        squashed candidate.
    """

    references = ("krause2017mlstm",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size, hidden_size)
        self.U = nn.Linear(input_size, 4 * hidden_size)
        self.U_m = nn.Linear(input_size, hidden_size, bias=False)
        self.W_m = nn.Linear(hidden_size, hidden_size, bias=False)
        self.W = nn.Linear(hidden_size, 4 * hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        m = self.U_m(x) * self.W_m(h)
        i, f, g, o = (self.U(x) + self.W(m)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * g
        return torch.tanh(torch.sigmoid(o) * c), c
