"""The story of the compiler."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .runtime.eager import States, unroll_eagerly
from .sequences import Sequences


def unroll(
    cell: Any,
    given: Sequences,
    states: States,
    *,
    emit: Callable[[Tensor], Tensor] | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, States]:
    """Run a cell over sequences."""
    return unroll_eagerly(cell, given, states, emit)
