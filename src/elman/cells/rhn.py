"""Recurrent highway network."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class RHN(Cell):
    """A step that is L highway layers deep.

        s_0 = h(t-1), and for l = 1, ..., L, where x is seen by the first layer alone:
        n_l = tanh([l = 1] U_n x(t) + W_nl s_(l-1) + b_nl)      candidate
        g_l = σ([l = 1] U_g x(t) + W_gl s_(l-1) + b_gl)         transform gate
        s_l = g_l n_l + (1 - g_l) s_(l-1)
        h(t) = s_L

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.
        depth: L.

    Source: J. G. Zilly, R. K. Srivastava, J. Koutník, J. Schmidhuber, Recurrent Highway Networks, ICML 2017,
        equations 6 to 9.
    Departs: the carry gate is 1 minus the transform gate, as in the experiments of the paper; b_g begins at -2, its
        value for Penn Treebank so far as we know (a doubt).
    """

    references = ("zilly2017rhn",)

    def __init__(self, input_size: int, hidden_size: int, depth: int = 3) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size, depth=depth)
        self.state_size = (hidden_size,)
        self.U = nn.Linear(input_size, 2 * hidden_size, bias=False)
        layers = [nn.Linear(hidden_size, 2 * hidden_size) for _ in range(depth)]
        for layer in layers:
            nn.init.constant_(layer.bias[hidden_size:], -2)
        self.W = nn.ModuleList(layers)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        for number, layer in enumerate(self.W):
            z = layer(h) + self.U(x) if number == 0 else layer(h)
            n, g = z.chunk(2, dim=-1)
            g = torch.sigmoid(g)
            h = g * torch.tanh(n) + (1 - g) * h
        return h
