"""States of any shape: tensors in tuples, lists and dicts, nested as a cell or a layer likes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from elman.errors import ArgumentError, ShapeError


def map_states(change: Callable[..., Tensor], states: Any, *others: Any) -> Any:
    """The same structure, with `change` of each tensor and of those at its place in the others; None stays None."""
    if states is None:
        return None
    if isinstance(states, Tensor):
        return change(states, *others)
    if isinstance(states, dict):
        return {key: map_states(change, part, *(other[key] for other in others)) for key, part in states.items()}
    if isinstance(states, tuple | list):
        parts = [map_states(change, *places) for places in zip(states, *others, strict=True)]
        return type(states)(*parts) if hasattr(states, "_fields") else type(states)(parts)
    raise ArgumentError(
        f"expected states of tensors, None, tuples, lists and dicts, got {type(states).__name__}: "
        "what is the same for all rows belongs to the step, not to its states."
    )


def check_states(states: Any, batch: int, axis: int) -> None:
    """Raise ShapeError unless every tensor has B rows on its batch axis."""

    def check(state: Tensor) -> Tensor:
        if state.dim() <= axis or state.size(axis) != batch:
            shape = ", ".join(["..."] * axis + [str(batch), "..."])
            raise ShapeError(
                f"expected states [{shape}] with B = {batch} rows on axis {axis}, got {list(state.shape)}: give "
                "`batch_axis` where the rows stand on another axis (0 in layers, 1 in elman.nn)."
            )
        return state

    map_states(check, states)


def take_rows(states: Any, rows: Tensor, axis: int) -> Any:
    """The states of some rows, in their order; a row may be taken several times."""
    return map_states(lambda state: state.index_select(axis, rows.to(state.device)), states)


def choose_rows(rows: Tensor, yes: Any, no: Any, axis: int) -> Any:
    """The states `yes` in the marked rows [B], `no` in the others; all of `no` where a state has grown since `yes`."""

    def choose(one: Tensor, other: Tensor) -> Tensor:
        if one.shape != other.shape:
            return other
        shape = [1] * one.dim()
        shape[axis] = -1
        return torch.where(rows.to(one.device).reshape(shape), one, other)

    return map_states(choose, yes, no)
