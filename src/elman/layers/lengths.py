"""Rows of unequal length: checks, masks, reversal of each row within its own length, ends of rows."""

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


def reverse_rows(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x [T, B, ...] with each row reversed within its own length; what comes after stays in place."""
    if lengths is None:
        return x.flip(0)
    steps = torch.arange(x.size(0), device=x.device).unsqueeze(1)
    return _take(x, torch.where(steps < lengths, lengths - 1 - steps, steps))


def at_end(x: Tensor, lengths: Tensor, before: Tensor) -> Tensor:
    """x [T, B, ...] at each row's last step; `before` [B, ...] for rows without any step."""
    last = _take(x, (lengths - 1).clamp(min=0).unsqueeze(0)).squeeze(0)
    return torch.where((lengths == 0).reshape((-1,) + (1,) * (last.dim() - 1)), before, last)


def _take(x: Tensor, step: Tensor) -> Tensor:
    """Row b of step t of the result is row b of step `step[t, b]` of x."""
    index = step.reshape(step.shape + (1,) * (x.dim() - 2)).expand(step.shape + x.shape[2:])
    return x.gather(0, index)
