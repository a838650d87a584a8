"""A cell, unfolded through time."""

from typing import Any

import torch
from torch import Tensor

from elman.around.lend import is_parametrized, lend
from elman.around.source import drawing_from
from elman.cells import Cell
from elman.compiler import Sequences, unroll
from elman.errors import ArgumentError, ShapeError

from . import lengths as rows
from .layer import Layer, Marks


class Recurrent(Layer):
    """A cell, unfolded through time.

    Args:
        cell: the step; see `elman.Cell`.
        batch_first: sequences come and go as [B, T, ...].
        reverse: run from each row's last step to its first.

    The state is a tensor for a cell with one state, else a tuple. Where a cell is fed its own output
    (`feedback_size`), what was given out last is the last state, so that a sequence can go on later.
    """

    def __init__(self, cell: Cell, *, batch_first: bool = False, reverse: bool = False) -> None:
        super().__init__(batch_first)
        self.cell = cell
        self.reverse = reverse

    def run(self, x: Tensor | None, state: Any, marks: Marks, steps: int, batch: int) -> tuple[Tensor, Any]:
        """Run over [T, B, I]; see `Layer.forward`."""
        with drawing_from(marks.generator):
            states = self._states(state, batch, x)
            cell, parameters = self._lent(x, marks)
        if steps == 0:
            raise ArgumentError("expected at least one step, got T = 0.")
        if marks.emit is not None and self.cell.feedback_size is None:
            raise ArgumentError(f"{type(self.cell).__name__} is fed nothing of its output: drop `emit`.")
        targets = marks.targets
        if targets is not None:
            self._check_targets(targets, states, steps)
        given = Sequences(
            steps=steps,
            batch=batch,
            x=x,
            fed=None if targets is None else self._fed(targets, states[-1], marks),
            live=marks.live,
            reset=marks.reset,
            reverse=self.reverse,
        )
        if targets is None:
            y, states = unroll(cell, given, states, emit=marks.emit, parameters=parameters, generator=marks.generator)
        else:
            y, inner = unroll(cell, given, states[:-1], parameters=parameters, generator=marks.generator)
            states = (*inner, self._fed_last(targets, states[-1], marks))
        if self.cell.held:
            states = self._visible(states)
        return y, states[0] if len(states) == 1 else states

    def _lent(self, x: Tensor | None, marks: Marks) -> tuple[Any, dict[str, Tensor] | None]:
        """The cell that is run, and its parameters where they are computed anew for each call."""
        return lend(self.cell) if is_parametrized(self.cell) else (self.cell, None)

    def _visible(self, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The states without those that are held during a call."""
        end = len(self.cell.state_size)
        return (*states[: end - self.cell.held], *states[end:])

    def extra_repr(self) -> str:
        return f"batch_first={self.batch_first}, reverse={self.reverse}"

    def _states(self, state: Any, batch: int, x: Tensor | None) -> tuple[Tensor, ...]:
        """The initial states as a tuple, checked; those of a cell without parameters are like x."""
        initial = self.cell.initial_state(batch)
        if self.cell.feedback_size is not None:
            initial = (*initial, self.cell.start(batch))
        unlike = x is not None and any(first.dtype is not x.dtype or first.device != x.device for first in initial)
        if x is not None and unlike and x.is_floating_point() and not any(True for _ in self.cell.parameters()):
            initial = tuple(first.to(x) if first.is_floating_point() else first for first in initial)
        for number, first in enumerate(initial):
            if first.shape[:1] != (batch,):
                raise ShapeError(
                    f"the initial state {number} of {type(self.cell).__name__}: expected one for each of {batch} rows, "
                    f"got {list(first.shape)}: use expand({batch}, ...) in initial_state or start."
                )
        if state is None:
            return initial
        every, initial = initial, self._visible(initial)
        names = [f"state {number}" for number in range(len(initial))]
        if self.cell.feedback_size is not None:
            names[-1] = "what is fed first"
        given = tuple(state) if isinstance(state, tuple | list) else (state,)
        if len(given) != len(initial):
            raise ShapeError(f"expected {len(initial)} states ({', '.join(names)}), got {len(given)}.")
        for name, new, old in zip(names, given, initial, strict=True):
            if new is not None and new.shape != old.shape:
                raise ShapeError(f"{name}: expected {list(old.shape)}, got {list(new.shape)}.")
        begun = tuple(old if new is None else new for new, old in zip(given, initial, strict=True))
        own, end = len(self.cell.state_size) - self.cell.held, len(self.cell.state_size)
        return (*begun[:own], *every[own:end], *begun[own:])

    def _check_targets(self, targets: Tensor, states: tuple[Tensor, ...], steps: int) -> None:
        if self.cell.feedback_size is None:
            raise ArgumentError(
                f"{type(self.cell).__name__} is fed nothing of its output, so `targets` cannot take its place: "
                "drop `targets`, or set feedback_size and read `fed` in the step."
            )
        expected = (steps, *states[-1].shape)
        if targets.shape != expected:
            raise ShapeError(f"expected targets [T, B, O] = {list(expected)}, got {list(targets.shape)}.")

    def _fed(self, targets: Tensor, first: Tensor, marks: Marks) -> Tensor:
        """What teacher forcing feeds at each step: the target of the step before, in the order of the steps."""
        once, anew = first.unsqueeze(0), marks.reset
        fed = torch.cat([targets[1:], once] if self.reverse else [once, targets[:-1]])
        if self.reverse and marks.lengths is not None:
            begun = rows.live_rows(marks.lengths - 1, targets.size(0))  # False at each row's own end, and after it
            anew = ~begun if anew is None else anew | ~begun
        if anew is None:
            return fed
        return torch.where(anew.reshape(anew.shape + (1,) * (fed.dim() - 2)), first, fed)

    def _fed_last(self, targets: Tensor, first: Tensor, marks: Marks) -> Tensor:
        """What would be fed at the step after the last."""
        if marks.lengths is None:
            return targets[0 if self.reverse else -1]
        return rows.at_end(targets, marks.lengths.clamp(max=1) if self.reverse else marks.lengths, first)
