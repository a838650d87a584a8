"""Rows of unequal length: checks, masks, ends of rows."""

from typing import Any

import torch
from torch import Tensor

from elman.errors import ArgumentError, ShapeError


def check_lengths(lengths: Any, steps: int, batch: int) -> Tensor:
    """Lengths as int64 [B].

    Raises:
        ShapeError: not one length per row.
        ArgumentError: not integers, negative, or longer than T.
    """
    lengths = torch.as_tensor(lengths)
    if lengths.shape != (batch,):
        raise ShapeError(f"expected lengths [B] = [{batch}], got {list(lengths.shape)}: one length per row.")
    if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
        raise ArgumentError(f"expected lengths of an integer dtype, got {lengths.dtype}: use lengths.long().")
    lengths = lengths.long()
    if torch.compiler.is_compiling():  # a number may not be looked at while a graph is made of the call
        torch._assert_async(((lengths >= 0) & (lengths <= steps)).all(), "expected lengths between 0 and T")
    elif batch:
        least, most = (int(end) for end in lengths.aminmax())
        if least < 0 or most > steps:
            wrong = least if least < 0 else most
            row = int((lengths == wrong).nonzero()[0])
            raise ArgumentError(f"expected lengths between 0 and T = {steps}, got {wrong} in row {row}.")
    return lengths


def check_marked(name: str, marked: Tensor | None, steps: int, batch: int) -> None:
    """Raise unless `marked` is a bool tensor [T, B]."""
    if marked is None:
        return
    if marked.dtype != torch.bool:
        raise ArgumentError(f"expected {name} of dtype torch.bool, got {marked.dtype}: use {name}.bool().")
    if marked.shape != (steps, batch):
        raise ShapeError(f"expected {name} [T, B] = [{steps}, {batch}], got {list(marked.shape)}.")


def live_rows(lengths: Tensor, steps: int) -> Tensor:
    """[T, B] bool: True while the row lasts."""
    return torch.arange(steps, device=lengths.device).unsqueeze(1) < lengths


def at_end(x: Tensor, lengths: Tensor, before: Tensor) -> Tensor:
    """x [T, B, ...] at each row's last step; `before` [B, ...] for rows without any step."""
    lengths = lengths.reshape((-1,) + (1,) * (before.dim() - 1))
    last = x.gather(0, (lengths - 1).clamp(min=0).expand(before.shape).unsqueeze(0)).squeeze(0)
    return torch.where(lengths == 0, before, last)
