"""Weights that are vectors: one number a unit."""

import torch
from torch import nn


def vector(size: int) -> nn.Parameter:
    """One weight [H] for each unit, uniform within ±1/√H, as torch's recurrent layers begin."""
    return nn.Parameter(torch.empty(size).uniform_(-(size**-0.5), size**-0.5))
