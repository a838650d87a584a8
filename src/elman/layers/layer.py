"""The face that all layers share: whatever form a sequence comes in, it goes on as [T, B, I]."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from elman.compiler import Plan, planning
from elman.errors import ArgumentError, ShapeError

from . import lengths as rows
from .packed import pack_like, unpack


@dataclass(frozen=True, eq=False)
class Marks:
    """What is marked per row and step, all [T, B] and bool, or None.

    Attributes:
        lengths: [B] int64 on the device of x, the number of steps of each row.
        live: True where the row has not ended.
        reset: True where the row starts anew.
        targets: what is fed in place of the own output [T, B, O] (teacher forcing).
        emit: makes what is fed at the next step of what is given out now.
        generator: source of the random numbers that the step draws.
    """

    lengths: Tensor | None = None
    live: Tensor | None = None
    reset: Tensor | None = None
    targets: Tensor | None = None
    emit: Any = None
    generator: torch.Generator | None = None


class Layer(nn.Module):
    """Base of Recurrent, Stack and Bidirectional: one call for padded, packed, batch-first or absent input.

    Args:
        batch_first: sequences come and go as [B, T, ...] instead of [T, B, ...].
    """

    def __init__(self, batch_first: bool = False) -> None:
        super().__init__()
        self.batch_first = batch_first

    def forward(
        self,
        x: Tensor | PackedSequence | None = None,
        state: Any = None,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
        *,
        present: Tensor | None = None,
        targets: Tensor | None = None,
        emit: Any = None,
        steps: int | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Any, Any]:
        """Run the layer over whole sequences.

        Args:
            x: the inputs [T, B, I] ([B, T, I] with batch_first), a PackedSequence, or None for a system
                without input. With `steps`, [B, I]: the input of the first step; zeros come after.
            state: the initial state [B, H], or a tuple; None for the initial state of the cell.
            lengths: number of steps of each row [B], any integer type, any device, in any order; 0 is allowed.
            reset: [T, B] bool, True where a row starts anew: the state that enters that step is the initial one.
            present: [T, B] bool, False where the input is missing: the step runs without its input terms.
            targets: [T, B, O], fed in place of the own output (teacher forcing): step t is fed targets[t-1],
                or targets[t+1] where the layer runs backwards.
            emit: makes what is fed at the next step of what is given out now; the identity by default. It may look
                at anything, so with it the steps run one by one in Python.
            steps: T, where x is None or the input of the first step only.
            generator: source of the random numbers that the step draws; torch's default generator if None.

        Returns:
            What is given out [T, B, O] (in the form in which x came; zeros where a row has ended), and the
            state at each row's own end.

        Raises:
            ShapeError, ArgumentError: sizes or lengths that do not fit.
        """
        packed = None
        if isinstance(x, PackedSequence):
            if lengths is not None or steps is not None:
                raise ArgumentError("a PackedSequence knows its lengths: drop `lengths` and `steps`.")
            packed, (x, lengths) = x, unpack(x)
        elif x is not None and steps is None:
            x = self._time_first(self._checked(x))
        if x is None and present is not None:
            raise ArgumentError("`present` tells where there is an input, and there is none: drop it.")
        if emit is not None and targets is not None:
            raise ArgumentError(
                "`targets` are fed in place of the own output, so nothing goes through `emit`: drop one."
            )
        reset, present, targets = (self._time_first(marked) for marked in (reset, present, targets))
        assert not isinstance(x, PackedSequence)
        x, steps, batch = _all_steps(x, steps, state, lengths, reset, targets)
        device = x.device if x is not None else next((p.device for p in self.parameters()), torch.device("cpu"))
        rows.check_marked("reset", reset, steps, batch)
        rows.check_marked("present", present, steps, batch)
        marks = Marks(
            reset=None if reset is None else reset.to(device), targets=targets, emit=emit, generator=generator
        )
        if lengths is not None:
            lengths = rows.check_lengths(lengths, steps, batch).to(device)
            marks = replace(marks, lengths=lengths, live=rows.live_rows(lengths, steps))
        y, state = self.run(_only_present(x, present), state, marks, steps, batch)
        return (self._time_first(y) if packed is None else pack_like(y, packed)), state

    def plan(self, *args: Any, **kwargs: Any) -> Plan:
        """What a call with these arguments runs, and why: it is made once, without gradients, and looked at."""
        with torch.no_grad(), torch.random.fork_rng(), planning() as layers:
            self(*args, **kwargs)
        return Plan(tuple(layers))

    def run(self, x: Tensor | None, state: Any, marks: Marks, steps: int, batch: int) -> tuple[Tensor, Any]:
        """Run over [T, B, I]; what each kind of layer defines."""
        raise TypeError(f"{type(self).__name__} must define run(self, x, state, marks, steps, batch)")

    def _checked(self, x: Tensor) -> Tensor:
        """x, if it has axes for time, batch and features."""
        if x.dim() < 3:
            raise ShapeError(
                f"expected x [{'B, T' if self.batch_first else 'T, B'}, I], got {list(x.shape)}: "
                "add an axis for the batch (x.unsqueeze), or give `steps` with the input of the first step."
            )
        return x

    def _time_first(self, x: Any) -> Any:
        """[T, B, ...] of what came in the caller's order, and back; None stays None."""
        return x.transpose(0, 1) if x is not None and self.batch_first else x


def _all_steps(
    x: Tensor | None, steps: int | None, state: Any, lengths: Any, reset: Tensor | None, targets: Tensor | None
) -> tuple[Tensor | None, int, int]:
    """x at all steps, T and B; x may be the input of the first step only, or None."""
    if x is not None and steps is None:
        return x, x.size(0), x.size(1)
    if steps is None and targets is not None:
        steps = targets.size(0)
    if steps is None or steps < 0:
        raise ArgumentError(f"expected `steps` >= 0 for a system without input, got {steps}.")
    if x is None:
        return None, steps, _batch_of(state, lengths, reset, targets)
    if x.dim() < 2:
        raise ShapeError(f"expected x [B, I], the input of the first step, got {list(x.shape)}.")
    later = x.new_zeros((max(steps - 1, 0), *x.shape))
    return torch.cat([x.unsqueeze(0), later])[:steps], steps, x.size(0)


def _batch_of(state: Any, lengths: Any, reset: Tensor | None, targets: Tensor | None) -> int:
    """B, read off whatever was given; 1 if nothing tells."""
    while isinstance(state, tuple | list) and state:
        state = state[0]
    if isinstance(state, Tensor):
        return state.size(0)
    if lengths is not None:
        return len(lengths)
    return next((int(marked.size(1)) for marked in (reset, targets) if marked is not None), 1)


def _only_present(x: Tensor | None, present: Tensor | None) -> Tensor | None:
    """x with zeros where it is missing, so that even NaN there does no harm."""
    if x is None or present is None:
        return x
    there = present.to(x.device).reshape(present.shape + (1,) * (x.dim() - 2))
    return torch.where(there, x, torch.zeros((), dtype=x.dtype, device=x.device))
