"""Scalar long short-term memory."""

import torch
from torch import Tensor, nn

from .cell import Cell, States
from .checks import check_sizes


class SLSTM(Cell):
    """Long short-term memory with exponential gates, sLSTM of the xLSTM.

        (i, f, z, o) = U x(t) + W h(t-1) + b
        m(t) = max(log σ(f) + m(t-1), i)                        stabiliser
        i' = exp(i - m(t))                                      input gate
        f' = exp(log σ(f) + m(t-1) - m(t))                      forget gate
        c(t) = f' c(t-1) + i' tanh(z)
        n(t) = f' n(t-1) + i'                                   normaliser
        h(t) = σ(o) c(t) / n(t)

    exp(m) c and exp(m) n are the cells and normalisers without stabiliser; h does not depend on m.

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: M. Beck, K. Pöppel, M. Spanring, A. Auer, O. Prudnikova, M. Kopp, G. Klambauer, J. Brandstetter,
        S. Hochreiter, xLSTM: Extended Long Short-Term Memory, NeurIPS 2024, equations 8 to 17.
    Departs: the forget gate is σ, one of the two of the paper; one head; torch's initialisation. m begins at -10,000,
        for which the first step is m = i: with 0 a first input gate below -100 would be lost in float32.
    """

    references = ("beck2024xlstm",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,) * 4
        self.U = nn.Linear(input_size, 4 * hidden_size)
        self.W = nn.Linear(hidden_size, 4 * hidden_size, bias=False)

    def initial_state(self, batch_size: int) -> States:
        h, c, n, m = super().initial_state(batch_size)
        return h, c, n, m - 1e4

    def step(  # type: ignore[override]
        self, x: Tensor, h: Tensor, c: Tensor, n: Tensor, m: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        i, f, z, o = (self.U(x) + self.W(h)).chunk(4, dim=-1)
        f = nn.functional.logsigmoid(f) + m
        m = torch.maximum(f, i)
        i, f = torch.exp(i - m), torch.exp(f - m)
        c, n = f * c + i * torch.tanh(z), f * n + i
        return torch.sigmoid(o) * c / n, c, n, m
