"""Chaos-free network."""

import torch
from torch import Tensor, nn

from .cell import Cell
from .checks import check_sizes


class CFN(Cell):
    """A gated network that comes to rest when the input ends.

        θ = σ(U_θ x(t) + W_θ h(t-1) + b_θ)          horizontal, or forget, gate
        η = σ(U_η x(t) + W_η h(t-1) + b_η)          vertical, or input, gate
        h(t) = θ tanh(h(t-1)) + η tanh(U_n x(t))

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.

    Source: T. Laurent, J. von Brecht, A recurrent neural network without chaos, ICLR 2017.
    Departs: b_θ begins at 1 and b_η at -1, in the experiments of the paper so far as we know (a doubt). torchrecurrent
        has two more biases in the gates and one beside U_n.
    """

    references = ("laurent2017cfn",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size,)
        self.U = nn.Linear(input_size, 2 * hidden_size)
        self.U_n = nn.Linear(input_size, hidden_size, bias=False)
        self.W = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        nn.init.ones_(self.U.bias[:hidden_size])
        nn.init.constant_(self.U.bias[hidden_size:], -1)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        theta, eta = torch.sigmoid(self.U(x) + self.W(h)).chunk(2, dim=-1)
        return theta * torch.tanh(h) + eta * torch.tanh(self.U_n(x))
