"""States of any cell: where they start, what is held fast, what is read out."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from elman.cells.cell import Cell, States
from elman.errors import ArgumentError, ShapeError

from .source import source
from .wrapper import Wrapper, as_tuple, check_states, visible


class LearnedStart(Wrapper):
    """A cell whose initial state is learned: one number for each unit, the same for all rows.

    Its gradient is what backpropagation through time finds at t = 0, from all rows, and from every step at which a
    row starts anew.

    Args:
        cell: a cell with states.
        states: which ones; by default all. The others start as they did.
        std: the first guess is drawn from a normal distribution of this width; 0 starts from the cell's own start.

    Source: the notes on initial activities: G. Hinton, Neural Networks for Machine Learning, lecture 7, 2012.
    """

    def __init__(self, cell: Cell, states: Sequence[int] | None = None, std: float = 0.0) -> None:
        super().__init__(cell)
        every = range(len(visible(cell))) if states is None else states
        self.numbers = check_states("LearnedStart", cell, every)
        first = cell.initial_state(1)
        self.starts = nn.ParameterList(
            nn.Parameter(first[n][0].detach() + std * torch.randn_like(first[n][0])) for n in self.numbers
        )

    def initial_state(self, batch_size: int) -> States:
        states = list(self.cell.initial_state(batch_size))
        for number, start in zip(self.numbers, self.starts, strict=True):
            states[number] = start.expand(batch_size, *start.shape)
        return tuple(states)


class RandomStart(Wrapper):
    """A cell whose initial state is drawn from a normal distribution, anew for each row of each call.

    Args:
        cell: a cell with states.
        std: the width of the distribution around the cell's own start.
    """

    def __init__(self, cell: Cell, std: float) -> None:
        super().__init__(cell)
        check_states("RandomStart", cell, ())
        self.std = std

    def initial_state(self, batch_size: int) -> States:
        states, own = self.cell.initial_state(batch_size), len(visible(self.cell))
        return (*(self._moved(state) for state in states[:own]), *states[own:])

    def _moved(self, state: Tensor) -> Tensor:
        drawn = torch.empty_like(state, memory_format=torch.contiguous_format).normal_(generator=source())
        return state + self.std * drawn

    def extra_repr(self) -> str:
        return f"std={self.std}"


class StartFromVector(nn.Module):
    """The initial state of a cell, made from a vector by a network: what a decoder starts from.

        s(0) = s_own + tanh(V v + c), one V and c for each state

    s_own is what the cell starts from by itself: zeros for most cells, and what keeps a stabiliser out of the way in
    others (`SLSTM`).

    Call it with v [B, size] and give the result to the layer as `state`.

    Args:
        cell: a cell with states [B, H].
        size: of the vector.

    Source: K. Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, EMNLP 2014, appendix A.1.2.
    Departs: added to the cell's own start.
    """

    def __init__(self, cell: Cell, size: int) -> None:
        super().__init__()
        check_states("StartFromVector", cell, ())
        self._cell = (cell,)  # in a tuple: its weights are those of the layer, not of this module
        sizes = visible(cell)
        if not all(isinstance(each, int) for each in sizes):
            raise ArgumentError(f"StartFromVector: expected states of one axis, got sizes {sizes}.")
        like = next(iter(cell.parameters()), None)
        kind = {} if like is None else {"dtype": like.dtype, "device": like.device}
        self.V = nn.ModuleList(nn.Linear(size, each, **kind) for each in sizes)  # type: ignore[arg-type]

    def forward(self, v: Tensor) -> Any:
        """The state [B, H], a tuple for a cell with several."""
        own = self._cell[0].initial_state(len(v))
        states = tuple(start + torch.tanh(V(v)) for start, V in zip(own, self.V, strict=False))
        return states[0] if len(states) == 1 else states


class Clamped(Wrapper):
    """A cell some of whose units are held at every step at the value that they start with.

        s(t)[units] = s(0)[units]

    s(0) is the cell's own initial state, or what the call gives (with its gradient, which sums over all steps).
    Where a row starts anew (`reset`), s(0) is in force again.

    Args:
        cell: a cell with states.
        units: of the state: an index, a slice, a list, or a mask over units.
        state: which state.
        values: what the units start with, where the call gives no state: a number, or one for each unit.
    """

    def __init__(self, cell: Cell, units: Any, state: int = 0, values: Any = None) -> None:
        super().__init__(cell)
        (self.number,) = check_states("Clamped", cell, (state,))
        first = cell.initial_state(1)[state][0]
        self.mask: Tensor
        self.register_buffer("mask", unit_mask(first, units), persistent=False)
        self.values: Tensor | None
        self.register_buffer("values", None if values is None else _placed(first.detach(), self.mask, values))

    def initial_state(self, batch_size: int) -> States:
        states = list(self.cell.initial_state(batch_size))
        if self.values is not None:
            states[self.number] = torch.where(self.mask, self.values, states[self.number])
        return tuple(states)

    def step(self, x: Tensor | None, *entering: Tensor) -> States:
        after = list(as_tuple(self.cell.step(x, *entering)))
        after[self.number] = torch.where(self.mask, self._before(entering)[self.number], after[self.number])
        return tuple(after)


class Driven(Wrapper):
    """A cell some of whose units are given at every step: the same units each time, other values.

        s(t)[units] = v(t)

    The values come behind the cell's own input: x(t) is [u(t) ; v(t)], or v(t) alone for a cell without input. They
    have their gradient.

    Args:
        cell: a cell with states.
        units: of the state: an index, a slice, a list, or a mask over units; v has their order in the state.
        state: which state.

    Source: G. Hinton, Neural Networks for Machine Learning, lecture 7, 2012: the states of a subset of the units
        at every time step as a way to give input.
    """

    def __init__(self, cell: Cell, units: Any, state: int = 0) -> None:
        super().__init__(cell)
        (self.number,) = check_states("Driven", cell, (state,))
        first = cell.initial_state(1)[state][0]
        if first.dim() != 1:
            raise ArgumentError(f"Driven: expected a state [B, H], got one of {list(first.shape)} numbers a row.")
        self.mask: Tensor
        self.register_buffer("mask", unit_mask(first, units), persistent=False)
        self.places: Tensor
        every = torch.eye(first.numel(), dtype=first.dtype, device=first.device)
        self.register_buffer("places", every[self.mask], persistent=False)

    def step(self, x: Tensor | None, *entering: Tensor) -> States:
        count = self.places.shape[0]
        if x is None or x.shape[-1] < count:
            raise ShapeError(
                f"Driven: expected x [B, I + {count}], the values of {count} units last, "
                f"got {None if x is None else list(x.shape)}."
            )
        own = x.shape[-1] - count
        after = list(as_tuple(self.cell.step(x[..., :own] if own else None, *entering)))
        given = x[..., own:] @ self.places
        after[self.number] = torch.where(self.mask, given, after[self.number])
        return tuple(after)


class Readout(Wrapper):
    """A cell that gives out chosen states, side by side, at every step.

        y(t) = (s_0(t), s_1(t), ...)

    Args:
        cell: a cell with states.
        parts: numbers of states, and "y" for what the cell itself gives out; by default all states.
    """

    def __init__(self, cell: Cell, *parts: int | str) -> None:
        super().__init__(cell)
        if cell.feedback_size is not None:
            raise ArgumentError(
                f"Readout: {type(cell).__name__} is fed what it gives out, so it cannot give out anything else."
            )
        self.parts = parts or tuple(range(len(visible(cell))))
        check_states("Readout", cell, [part for part in self.parts if part != "y"])  # type: ignore[misc]

    def output(self, *states: Tensor) -> Tensor:
        return torch.cat([self._part(part, states).flatten(1) for part in self.parts], dim=-1)

    def split(self, y: Tensor) -> tuple[Tensor, ...]:
        """The parts of what a layer with this cell gave out [T, B, ...], each in its own shape."""
        sizes = [self._size(part) for part in self.parts]
        count = sum(torch.Size(size).numel() for size in sizes if size is not None)
        whole = [(y.shape[-1] - count,) if size is None else size for size in sizes]
        pieces = y.split([torch.Size(size).numel() for size in whole], dim=-1)
        return tuple(piece.unflatten(-1, size) for piece, size in zip(pieces, whole, strict=True))

    def _part(self, part: int | str, states: tuple[Tensor, ...]) -> Tensor:
        return states[part] if isinstance(part, int) else self.cell.output(*states)

    def _size(self, part: int | str) -> tuple[int, ...] | None:
        if not isinstance(part, int):
            return None
        size = self.cell.state_size[part]
        return (size,) if isinstance(size, int) else tuple(size)


def with_units(state: Tensor, units: Any, values: Any) -> Tensor:
    """A state [B, H] with some units given: the others, learned ones for example, stay with their gradients.

    Args:
        state: what `cell.initial_state(B)` or another network gave.
        units: an index, a slice, a list, or a mask over units.
        values: one number, one for each unit given, or [B, units].

    Raises:
        ShapeError: values that do not fit.
    """
    mask = unit_mask(state[0], units)
    return torch.where(mask, _placed(state, mask, values), state)


def unit_mask(like: Tensor, units: Any) -> Tensor:
    """True at some units of a state [*sizes].

    Raises:
        ShapeError: units that the state does not have.
    """
    mask = torch.zeros(like.shape, dtype=torch.bool, device=like.device)
    try:
        mask[units] = True
    except (IndexError, TypeError) as error:
        raise ShapeError(f"a state of {list(like.shape)} units has no units {units!r}: {error}.") from error
    return mask


def _placed(state: Tensor, mask: Tensor, values: Any) -> Tensor:
    """Zeros like a state, with values where a mask over its units says so."""
    values = torch.as_tensor(values, dtype=state.dtype, device=state.device)
    wanted = (*state.shape[: state.dim() - mask.dim()], int(mask.sum()))
    try:
        values = values.expand(wanted)
    except RuntimeError as error:
        raise ShapeError(f"expected values {list(wanted)} for the units, got {list(values.shape)}.") from error
    return torch.zeros_like(state).masked_scatter(mask.expand(state.shape), values)
