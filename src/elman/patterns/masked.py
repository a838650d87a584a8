"""What pooling and attention share: rows of unequal length, where a row may have no step at all."""

from typing import Any

import torch
from torch import Tensor

from elman.errors import ShapeError
from elman.layers import lengths as rows


def live_steps(y: Tensor, lengths: Any) -> Tensor:
    """[T, B] bool: True while a row lasts.

    Args:
        y: [T, B, H].
        lengths: [B], or None where all rows have T steps.

    Raises:
        ShapeError, ArgumentError: y is no sequence, or lengths do not fit it.
    """
    if not isinstance(y, Tensor) or y.dim() != 3 or not len(y):
        got = list(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise ShapeError(f"expected y [T, B, H] with T >= 1, padded, as a layer gives it out, got {got}.")
    steps, batch = y.shape[:2]
    if lengths is None:
        return torch.ones(steps, batch, dtype=torch.bool, device=y.device)
    return rows.live_rows(rows.check_lengths(lengths, steps, batch).to(y.device), steps)


def zeroed(y: Tensor, live: Tensor) -> Tensor:
    """y [T, B, H] with zeros where a row has ended, whatever stood there: even NaN reaches neither sum nor gradient."""
    return torch.where(live.unsqueeze(-1), y, 0)


def masked_softmax(scores: Tensor, live: Tensor, axis: int) -> Tensor:
    """The softmax over the live places of an axis; zeros elsewhere, and throughout where nothing is live."""
    lowest = torch.finfo(scores.dtype).min  # minus infinity would make NaN where nothing is live
    return scores.masked_fill(~live, lowest).softmax(axis) * live
