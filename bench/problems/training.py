"""The loop that the rows share: Adam, a cosine, clipping; what validation finds best is what is kept."""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import elman
from elman.training import warmup_cosine


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        steps: updates of the weights, at most.
        rate: the largest learning rate.
        every: steps between two looks at validation data.
        enough: training ends where validation is not above this.
        clip: the longest gradient.
        shown: every how many looks a line of progress is printed.
    """

    steps: int
    rate: float
    every: int = 50
    enough: float = -math.inf
    clip: float = 1.0
    shown: int = 1


def train(network: nn.Module, loss: Callable[[], Tensor], validate: Callable[[], float], plan: Plan, say) -> str:
    """Train a network in place; it ends with the weights of the best validation (the smallest value).

    Returns:
        When that was, in words.
    """
    optimizer = torch.optim.Adam(network.parameters(), plan.rate)
    best, when, weights = math.inf, 0, deepcopy(network.state_dict())
    for step in range(1, plan.steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * warmup_cosine(step - 1, plan.steps)
        lost = loss()
        if not lost.isfinite():
            say(f"step {step}: the loss is {lost.item()}, the training ends here")
            break
        optimizer.zero_grad()
        lost.backward()
        nn.utils.clip_grad_norm_(network.parameters(), plan.clip)
        optimizer.step()
        if step % plan.every and step != plan.steps:
            continue
        found = validation_of(network, validate)
        if found < best:
            best, when, weights = found, step, deepcopy(network.state_dict())
        if step % (plan.every * plan.shown) == 0 or found <= plan.enough:
            say(f"step {step}: training loss {lost.item():.4g}, validation {found:.4g}")
        if found <= plan.enough:
            break
    network.load_state_dict(weights)
    return f"step {when} of {step}"


def validation_of(network, validate):
    """What `validate` says of the network in use."""
    network.eval()
    with torch.no_grad():
        found = float(validate())
    network.train()
    return found


class Network(nn.Module):
    """A cell, unfolded, and a linear readout."""

    def __init__(self, cell: elman.Cell, size: int, outputs: int):
        super().__init__()
        self.layer = elman.Recurrent(cell)
        self.readout = nn.Linear(size, outputs)

    def forward(self, x, asked):
        """What is said at the steps that are asked [n, O], of x [T, B, I]."""
        return self.readout(self.layer(x)[0][asked])


def generators(seed):
    """Three generators, for training, validation and test data."""
    return tuple(torch.Generator().manual_seed(3 * seed + part) for part in range(3))
