"""Light recurrent unit."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class LightRU(Cell):
    """One gate, and a candidate that does not see the state.

        f = σ(U_f x(t) + W h(t-1) + b_f)        forget gate
        n = tanh(U_n x(t))                      candidate
        h(t) = (1 - f) h(t-1) + f n

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: H. Ye, Y. Zhang, H. Liu, X. Li, J. Chang, H. Zheng, Light Recurrent Unit: Towards an Interpretable Recurrent
        Neural Network for Modeling Long-Range Dependency, Electronics 13, 2024.
    Departs: we know the equations from torchrecurrent and not from the paper (a doubt); its biases beside W and U_n are
        left out.
    """

    references = ("ye2024lightru",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.U = nn.Linear(input_size, hidden_size)
        self.U_n = nn.Linear(input_size, hidden_size, bias=False)
        self.W = nn.Linear(hidden_size, hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        f = torch.sigmoid(self.U(x) + self.W(h))
        return (1 - f) * h + f * torch.tanh(self.U_n(x))
