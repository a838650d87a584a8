"""Leaky rate units of neuroscience."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from elman.errors import ArgumentError, ShapeError

from .cell import Cell
from .checks import check_sizes, check_within


class LeakyRate(Cell):
    """Firing rates of units that leak, with Dale's law, missing connections and noise where wanted.

        r(t) = φ(v(t))                                              firing rate
        M = mask [W]₊ diag(signs)                                   with Dale's law; without it mask W
        v(t) = (1 - α) v(t-1) + α (M r(t-1) + U x(t) + b) + √(2 α) s ξ(t),  α = Δ/τ

    ξ is normal noise, drawn anew for each unit and step. The layer gives out r.

    Args:
        input_size: I, the size of x.
        hidden_size: H, the number of units.
        tau: τ, the time constant, in the unit of dt.
        dt: Δ, the time between two steps.
        noise: s, the standard deviation of the noise in v; drawn in training and later.
        signs: [H], 1 for a unit that excites and -1 for one that inhibits (Dale's law); None for no such law.
        mask: [H, H], 1 where unit i hears unit j and else 0; None for all connections.
        activation: φ; torch.relu by default.

    Raises:
        ShapeError: signs or mask are of another size.
        ArgumentError: signs hold something else than 1 and -1.

    Source: H. F. Song, G. R. Yang, X.-J. Wang, Training Excitatory-Inhibitory Recurrent Neural Networks for Cognitive
        Tasks: A Simple and Flexible Framework, PLOS Computational Biology 12, 2016.
    Departs: with a bias; only the recurrent connections obey the law and the mask, those of the input and the readout
        are left to the layers around. W begins as torch's, without its signs under Dale's law; the paper draws from a
        gamma distribution and balances excitation and inhibition.
    """

    references = ("song2016training",)
    signs: Tensor | None
    mask: Tensor | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        tau: float = 100.0,
        dt: float = 20.0,
        noise: float = 0.0,
        signs: Tensor | None = None,
        mask: Tensor | None = None,
        activation: Callable[[Tensor], Tensor] = torch.relu,
    ) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        check_within(1e-9, math.inf, tau=tau)  # a 0 cannot divide
        check_within(0, tau, dt=dt)
        check_within(0, math.inf, noise=noise)
        self.state_size = (hidden_size,)
        self.alpha, self.noise, self.activation = dt / tau, noise, activation
        self.U = nn.Linear(input_size, hidden_size)
        self.W = nn.Linear(hidden_size, hidden_size, bias=False)
        self.register_buffer("signs", _as_buffer(signs, "signs", (hidden_size,)))
        self.register_buffer("mask", _as_buffer(mask, "mask", (hidden_size, hidden_size)))
        if self.signs is not None:
            if not (self.signs.abs() == 1).all():
                raise ArgumentError(f"signs: expected 1 and -1, got {signs!r}.")
            self.W.weight.data.abs_()

    def weights(self) -> Tensor:
        """M, the connections as they are used [H, H]."""
        w = self.W.weight if self.signs is None else torch.relu(self.W.weight) * self.signs
        return w if self.mask is None else w * self.mask

    def step(self, x: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        drive = self.U(x) + nn.functional.linear(self.activation(v), self.weights())
        v = (1 - self.alpha) * v + self.alpha * drive
        return v + math.sqrt(2 * self.alpha) * self.noise * torch.randn_like(v) if self.noise else v

    def output(self, v: Tensor) -> Tensor:  # type: ignore[override]
        return self.activation(v)


def _as_buffer(given: Tensor | None, name: str, shape: tuple[int, ...]) -> Tensor | None:
    """Numbers of this shape as floats, or nothing."""
    if given is None:
        return None
    made = torch.as_tensor(given, dtype=torch.get_default_dtype()).clone()
    if made.shape != shape:
        raise ShapeError(f"{name}: expected {list(shape)}, got {list(made.shape)}.")
    return made
