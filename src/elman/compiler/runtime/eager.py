"""The meaning of a layer: the step called T times by Python, differentiated by autograd.

Every other path must agree with this one. It serves steps that cannot be read as a graph,
and the transforms of torch.func.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from elman.axes import show_shape
from elman.compiler.sequences import Sequences
from elman.errors import ShapeError

States = tuple[Tensor, ...]


def as_states(value: Any) -> States:
    """The values that a step returned, always as a tuple."""
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def one_step(
    cell: Any,
    x: Tensor | None,
    fed: Tensor | None,
    states: States,
    emit: Callable[[Tensor], Tensor] | None = None,
) -> tuple[States, Tensor, States]:
    """One step under a binding.

    Args:
        cell: has step, output, state_size, feedback_size.
        x: the input of the step, or None.
        fed: what is fed where it is known beforehand; else the last of `states` is fed.
        states: what entered the step.
        emit: makes what is fed at the next step of what is given out now; None for the identity.

    Returns:
        What leaves the step (as many as `states`), what is given out, and what the step itself returned.
    """
    own = cell.feedback_size is not None and fed is None
    inner = states[:-1] if own else states
    feedback = () if cell.feedback_size is None else (states[-1] if own else fed,)
    values = as_states(cell.step(x, *feedback, *inner))
    y = cell.output(*values)
    leaving = values if cell.state_size else ()
    if own:
        leaving = (*leaving, y if emit is None else emit(y))
    check_states(cell, states, leaving)
    return leaving, y, values


def check_states(cell: Any, entering: States, leaving: States) -> None:
    """Raise ShapeError where a step changes the number or the shape of its states."""
    name, code = type(cell).__name__, type(cell).step.__code__
    line = f"\n  in the step of {name}, {code.co_filename}:{code.co_firstlineno}"
    if len(entering) != len(leaving):
        raise ShapeError(
            f"expected a step that returns {len(entering)} states (state_size = {tuple(cell.state_size)}), "
            f"got {len(leaving)}: return one tensor per entry of state_size.{line}"
        )
    for number, (old, new) in enumerate(zip(entering, leaving, strict=True)):
        if old.shape != new.shape:
            raise ShapeError(
                f"state {number}: expected the step to keep its shape {show_shape(tuple(old.shape))}, "
                f"got {show_shape(tuple(new.shape))}: "
                f"make the step return what state_size declares.{line}"
            )


def unroll_eagerly(
    cell: Any, given: Sequences, states: States, emit: Callable[[Tensor], Tensor] | None = None
) -> tuple[Tensor, States]:
    """Run the step T times.

    Args:
        cell: has step, output, state_size, feedback_size.
        given: the inputs of all steps.
        states: the initial states [B, ...]; the last is what is fed first where the own output is fed back.
        emit: see `one_step`.

    Returns:
        What was given out [T, B, O], zero where a row had ended, and the states at each row's own end.
    """
    initial, outputs = states, []
    for t in reversed(range(given.steps)) if given.reverse else range(given.steps):
        entering = states
        if given.reset is not None:
            entering = tuple(where_rows(given.reset[t], i, s) for i, s in zip(initial, states, strict=True))
        x = None if given.x is None else given.x[t]
        fed = None if given.fed is None else given.fed[t]
        leaving, y, _ = one_step(cell, x, fed, entering, emit)
        if given.live is not None:
            leaving = tuple(where_rows(given.live[t], new, old) for new, old in zip(leaving, states, strict=True))
            y = where_rows(given.live[t], y, torch.zeros_like(y))
        states = leaving
        outputs.append(y)
    return torch.stack(outputs[::-1] if given.reverse else outputs), states


def where_rows(rows: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """`yes` in the marked rows, [B] or [T, B], and `no` in the others."""
    return torch.where(rows.reshape(rows.shape + (1,) * (yes.dim() - rows.dim())), yes, no)
