"""Teaching signals: which steps, rows and units a loss looks at, as masks [T, B] or [T, B, O] of bool.

They are tensors like any other: `&` and `|` join them, `~` turns one round, and your own is as good as these. Without
`lengths` a mask is [T, 1], which stands for all rows.
"""

from typing import Any

import torch
from torch import Tensor

from elman.around.states import unit_mask
from elman.errors import ArgumentError, DtypeError, ShapeError
from elman.layers import lengths as rows


def every_step(steps: int, lengths: Any = None) -> Tensor:
    """Every step that a row has.

    Args:
        steps: T.
        lengths: number of steps of each row [B]; T by default.

    Raises:
        ArgumentError, ShapeError: steps or lengths that do not fit.
    """
    return last_steps(steps, steps, lengths)


def last_step(steps: int, lengths: Any = None) -> Tensor:
    """Each row's own last step; none in a row without steps.

    Args:
        steps: T.
        lengths: number of steps of each row [B]; T by default.
    """
    return last_steps(1, steps, lengths)


def last_steps(k: int, steps: int, lengths: Any = None) -> Tensor:
    """Each row's own last k steps, or as many as it has.

    Args:
        k: at least 1.
        steps: T.
        lengths: number of steps of each row [B]; T by default.
    """
    if k < 1 or steps < 1:
        raise ArgumentError(f"expected k >= 1 of T >= 1 steps, got {k} of {steps}.")
    if lengths is None:
        return (torch.arange(steps) >= steps - k).unsqueeze(1)
    lengths = torch.as_tensor(lengths)
    lengths = rows.check_lengths(lengths, steps, len(lengths) if lengths.dim() else 0)
    return rows.live_rows(lengths, steps) & ~rows.live_rows((lengths - k).clamp(min=0), steps)


def some_units(mask: Tensor, units: Any, size: int) -> Tensor:
    """A mask over steps, for some of the units alone.

    Args:
        mask: [T, B], of `last_step` for example.
        units: an index, a slice, a list, or a mask over units.
        size: O, how many units there are.

    Returns:
        [T, B, O].

    Raises:
        ShapeError: units that are not there, or a mask of other axes.
    """
    if mask.dim() != 2:
        raise ShapeError(f"expected a mask [T, B], got {list(mask.shape)}.")
    return mask.unsqueeze(-1) & unit_mask(torch.empty(size, device=mask.device), units)


def until_eos(tokens: Tensor, eos: int) -> Tensor:
    """Every step up to the first EOS of a row, which still counts; all steps of a row without one.

    `until_eos(tokens, eos).sum(0)` are the lengths.

    Args:
        tokens: targets, or what was written [T, B].
        eos: the token that ends a row.

    Raises:
        ShapeError, DtypeError: these are no tokens.
    """
    if tokens.dim() != 2:
        raise ShapeError(f"expected tokens [T, B], got {list(tokens.shape)}.")
    if tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool:
        raise DtypeError(f"expected tokens of an integer dtype, got {tokens.dtype}: use .long().")
    ended = (tokens == eos).long()
    return ended.cumsum(0) - ended == 0
