"""Light gated recurrent unit."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class LiGRU(Cell):
    """A gated recurrent unit without reset gate, for speech.

        z = σ(U_z x(t) + W_z h(t-1) + b_z)          update gate
        n = relu(U_n x(t) + W_n h(t-1) + b_n)       candidate
        h(t) = z h(t-1) + (1 - z) n

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: M. Ravanelli, P. Brakel, M. Omologo, Y. Bengio, Light Gated Recurrent Units for Speech Recognition, IEEE
        Transactions on Emerging Topics in Computational Intelligence 2, 2018.
    Departs: the paper normalises U x over the batch and so needs no bias; here x can be normalised before the layer,
        and the bias stays. U begins as Glorot's, W orthogonal gate by gate, as in the paper.
    """

    references = ("ravanelli2018ligru",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.U = nn.Linear(input_size, 2 * hidden_size)
        self.W = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        for u, w in zip(self.U.weight.chunk(2), self.W.weight.chunk(2), strict=True):
            nn.init.xavier_uniform_(u)
            nn.init.orthogonal_(w)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        z, n = (self.U(x) + self.W(h)).chunk(2, dim=-1)
        z = torch.sigmoid(z)
        return z * h + (1 - z) * torch.relu(n)
