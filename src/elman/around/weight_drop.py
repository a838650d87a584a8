"""Dropout of recurrent weights, once for each call."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from .dependent import Plain, stand_in_state
from .names import matching
from .roles import weights_of
from .source import source
from .wrapper import check_probability


class Dropped(Plain):
    """A weight of which entries are dropped in training, anew each time it is asked for.

    Args:
        p: probability of dropping an entry.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = check_probability("weight_drop", p)

    def forward(self, original: Tensor) -> Tensor:
        if not self.training or not self.p:
            return original
        drawn = torch.rand(original.shape, dtype=original.dtype, device=original.device, generator=source())
        return original * (drawn >= self.p) / (1 - self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def weight_drop(module: nn.Module, p: float, *patterns: str) -> tuple[str, ...]:
    """Drop entries of the recurrent weights of a module in training: one mask for each call, the same at all steps.

        W  becomes  m W,   m ~ Bernoulli(1 - p) / (1 - p)

    A layer computes such weights once in each call. In training `cell.W.weight` gives a fresh sample each time; after
    `eval()`, in state dicts and in model files it is the weight itself. Give the parameters to the optimiser after
    this call.

    Args:
        module: a cell, a layer, a model, or one of `elman.nn`.
        p: probability of dropping an entry.
        patterns: names of the weights (`*`, `?`, `[...]`); by default all recurrent ones of its cells.

    Returns:
        The names of the weights.

    Raises:
        ArgumentError: no weight matches; p is no probability.

    Source: S. Merity, N. S. Keskar, R. Socher, Regularizing and Optimizing LSTM Language Models, ICLR 2018; after
        L. Wan et al., Regularization of Neural Networks using DropConnect, ICML 2013.
    """
    check_probability("weight_drop", p)
    if patterns:
        places = matching(module, patterns)
    else:
        places = {name: weight.place for name, weight in weights_of(module, "recurrent").items()}
    for owner, name in dict.fromkeys(places.values()):
        stand_in_state(owner)
        parametrize.register_parametrization(owner, name, Dropped(p).train(owner.training))
    return tuple(places)
