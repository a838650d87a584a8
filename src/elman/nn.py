"""The drop-in face for users of torch.nn: the same modules, run by elman's compiler.

Each class is a subclass of its namesake in torch.nn. From there come the constructor, the names and the
initialisation of the parameters, pickling and the checks of arguments; from elman come the steps and what
runs them through time. Beyond torch, the layers take `lengths` and `reset`.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils.rnn import PackedSequence

from elman import cells
from elman.cells import Cell
from elman.compiler import Sequences, unroll
from elman.errors import ArgumentError, ShapeError
from elman.layers import lengths as rows
from elman.layers.layer import Marks
from elman.layers.packed import pack_like, unpack

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]

States = tuple[Tensor, ...]


class _TorchCell(Cell):
    """What makes a cell of torch.nn an elman cell: its two products, each with a bias of its own."""

    hidden_size: int
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None

    @property
    def state_size(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self.hidden_size,)

    def U(self, x: Tensor) -> Tensor:
        """The input's product [B, gates * H]."""
        return F.linear(x, self.weight_ih, self.bias_ih)

    def W(self, h: Tensor) -> Tensor:
        """The state's product [B, gates * H]."""
        return F.linear(h, self.weight_hh, self.bias_hh)


class RNNCell(torch.nn.RNNCell, _TorchCell):  # type: ignore[misc]
    """torch.nn.RNNCell, which is also an elman cell; its step is that of `elman.Elman`."""

    step = cells.Elman.step  # type: ignore[assignment]
    references = cells.Elman.references

    @property
    def activation(self) -> Callable[[Tensor], Tensor]:
        """The nonlinearity as a function."""
        if self.nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f"expected nonlinearity 'tanh' or 'relu', got {self.nonlinearity!r}.")
        return torch.tanh if self.nonlinearity == "tanh" else torch.relu


class GRUCell(torch.nn.GRUCell, _TorchCell):  # type: ignore[misc]
    """torch.nn.GRUCell, which is also an elman cell; its step is that of `elman.GRUResetAfter`."""

    step = cells.GRUResetAfter.step  # type: ignore[assignment]
    references = cells.GRUResetAfter.references


class LSTMCell(torch.nn.LSTMCell, _TorchCell):  # type: ignore[misc]
    """torch.nn.LSTMCell, which is also an elman cell; its step is that of `elman.LSTM`."""

    step = cells.LSTM.step  # type: ignore[assignment]
    references = cells.LSTM.references

    @property
    def state_size(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self.hidden_size, self.hidden_size)


class _ProjectedLSTMCell(LSTMCell):
    """The cell of an LSTM whose h is projected to fewer numbers.

        h(t) = W_hr (o tanh(c(t)))

    Source: H. Sak, A. Senior, F. Beaufays, Long Short-Term Memory Based Recurrent Neural Network Architectures
        for Large Vocabulary Speech Recognition, arXiv 1402.1128, 2014.
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool, proj_size: int, device: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, device=device)
        self.proj_size = proj_size
        self.weight_hh = Parameter(torch.empty(4 * hidden_size, proj_size, device=device))
        self.weight_hr = Parameter(torch.empty(proj_size, hidden_size, device=device))

    @property
    def state_size(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self.proj_size, self.hidden_size)

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> States:  # type: ignore[override]
        h, c = super().step(x, h, c)  # type: ignore[misc]
        return F.linear(h, self.weight_hr), c


@lru_cache(maxsize=256)
def _cell(mode: str, input_size: int, hidden_size: int, bias: bool, proj_size: int) -> Cell:
    """A cell without numbers in it: layers of the same sizes share it, and lend it their parameters."""
    if mode == "LSTM" and proj_size:
        return _ProjectedLSTMCell(input_size, hidden_size, bias, proj_size, device="meta")
    if mode == "LSTM":
        return LSTMCell(input_size, hidden_size, bias, device="meta")
    if mode == "GRU":
        return GRUCell(input_size, hidden_size, bias, device="meta")
    return RNNCell(input_size, hidden_size, bias, mode.removeprefix("RNN_").lower(), device="meta")


@lru_cache(maxsize=256)
def _short(name: str) -> str:
    """The name of a parameter in its cell: weight_ih for weight_ih_l0_reverse."""
    return "_".join(name.split("_")[:2])


class _Unrolled(torch.nn.RNNBase):
    """A layer of torch.nn, unfolded through time by elman."""

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Any = None,
        *,
        lengths: Any = None,
        reset: Tensor | None = None,
    ) -> tuple[Any, Any]:
        """Run the layer over whole sequences.

        Args:
            input: [T, B, I] ([B, T, I] with batch_first), [T, I] without a batch, or a PackedSequence.
            hx: the initial state [L * D, B, H] (L levels, D directions; without a batch [L * D, H]), for an LSTM
                the pair of h and c; zeros by default.
            lengths: number of steps of each row [B], any integer type, any device, in any order; 0 is allowed.
            reset: [T, B] bool ([B, T] with batch_first), True where a row starts anew from `hx`.

        Returns:
            What is given out [T, B, D * H] in the form of the input (zeros where a row has ended), and the state
            at each row's own end, in the form of `hx`.

        Raises:
            ValueError, RuntimeError: sizes or dtypes that do not fit; the same types as in torch.nn.
        """
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx, lengths, reset)
        if input.dim() not in (2, 3):
            raise ShapeError(
                f"{type(self).__name__}: expected input [T, B, I] or [T, I], got {list(input.shape)}: "
                f"{input.dim()} axes instead of 3 or 2."
            )
        states = None if hx is None else self._to_states(hx)
        for state in states or ():
            if state.dim() != input.dim():
                raise ShapeError(
                    f"{type(self).__name__}: expected hx with {input.dim()} axes, as many as the input, "
                    f"got {list(state.shape)}."
                )
        if input.dim() == 3:
            return self._forward_padded(input, states, lengths, reset)
        batch_axis = 0 if self.batch_first else 1
        states = None if states is None else tuple(s.unsqueeze(1) for s in states)
        y, hx = self._forward_padded(input.unsqueeze(batch_axis), states, lengths, reset)
        return y.squeeze(batch_axis), self._to_hx(tuple(s.squeeze(1) for s in self._to_states(hx)))

    def flatten_parameters(self) -> None:
        """Nothing: elman needs no particular place in memory for the weights."""

    def _forward_padded(
        self, input: Tensor, states: States | None, lengths: Any, reset: Tensor | None
    ) -> tuple[Tensor, Any]:
        starts = self._starts(states, input, None)
        x = input.transpose(0, 1) if self.batch_first else input
        reset = reset.transpose(0, 1) if self.batch_first and reset is not None else reset
        marks = _marks(x, lengths, reset)
        y, states = self._run(x, starts, marks)
        return (y.transpose(0, 1) if self.batch_first else y), self._to_hx(states)

    def _forward_packed(self, packed: PackedSequence, hx: Any, lengths: Any, reset: Any) -> tuple[PackedSequence, Any]:
        if lengths is not None:
            raise ArgumentError("expected either a PackedSequence or `lengths`, got both: drop `lengths`.")
        starts = self._starts(None if hx is None else self._to_states(hx), packed.data, packed.batch_sizes)
        x, lengths = unpack(packed)
        reset = reset.transpose(0, 1) if self.batch_first and reset is not None else reset
        y, states = self._run(x, starts, _marks(x, lengths, reset), packed)
        return pack_like(y, packed), self._to_hx(states)

    def _run(
        self, x: Tensor, starts: list[States], marks: Marks, packed: PackedSequence | None = None
    ) -> tuple[Tensor, States]:
        """All levels, one above the other, over [T, B, I]."""
        if x.size(0) == 0:
            raise ShapeError(f"{type(self).__name__}: expected at least one step, got T = 0.")
        directions = 2 if self.bidirectional else 1
        if self.num_layers == directions == 1:  # no list of levels, which a short sequence would feel
            x, end = self._run_one(self._all_weights[0], x, starts[0], marks)
            return x, tuple([s.unsqueeze(0) for s in end])
        ends = []
        for level in range(self.num_layers):
            x = self._drop(x, packed) if level else x
            outputs = []
            for number in range(level * directions, (level + 1) * directions):
                y, end = self._run_one(self._all_weights[number], x, starts[number], marks)
                outputs.append(y)
                ends.append(end)
            x = outputs[0] if directions == 1 else torch.cat(outputs, dim=-1)
        return x, tuple(torch.stack(s) for s in zip(*ends, strict=True))

    def _run_one(self, names: list[str], x: Tensor, start: States, marks: Marks) -> tuple[Tensor, States]:
        """One level in one direction; `names` are those of its parameters."""
        parameters = {_short(name): getattr(self, name) for name in names}
        steps, batch, features = x.shape
        cell = _cell(self.mode, features, self.hidden_size, self.bias, self.proj_size)
        given = Sequences(steps, batch, x, None, marks.live, marks.reset, reverse=names[0].endswith("_reverse"))
        return unroll(cell, given, start, parameters=parameters)

    def _drop(self, y: Tensor, packed: PackedSequence | None) -> Tensor:
        """What passes from one level to the next."""
        if not (self.dropout and self.training):
            return y
        if packed is None:
            return F.dropout(y, self.dropout)
        # On the packed numbers, as torch does: the same seed draws the same mask.
        return unpack(packed._replace(data=F.dropout(pack_like(y, packed).data, self.dropout)))[0]

    def _starts(self, states: States | None, input: Tensor, batch_sizes: Tensor | None) -> list[States]:
        """The initial states of each level and direction, zeros by default, after torch's own checks.

        The usual call, which none of them can refuse, is known at once: they take 30 us.
        """
        if states is None:
            dtype, device, sizes = input.dtype, input.device, self._state_sizes(input, batch_sizes)
            weight = getattr(self, self._all_weights[0][0])
            if input.dim() == 3 and input.size(2) == self.input_size and dtype is weight.dtype:
                start = tuple([torch.zeros(size[1:], dtype=dtype, device=device) for size in sizes])
                return [start] * sizes[0][0]
            states = tuple(torch.zeros(size, dtype=dtype, device=device) for size in sizes)
        self._update_flat_weights()
        self.check_forward_args(input, self._to_hx(states), batch_sizes)
        return list(zip(*(s.unbind(0) for s in states), strict=True))

    def _state_sizes(self, input: Tensor, batch_sizes: Tensor | None) -> list[tuple[int, ...]]:
        return [self.get_expected_hidden_size(input, batch_sizes)]

    def _to_states(self, hx: Any) -> States:
        return (hx,)

    def _to_hx(self, states: States) -> Any:
        return states[0]


class RNN(_Unrolled, torch.nn.RNN):  # type: ignore[misc]
    """torch.nn.RNN, run by elman; see there for the arguments, and `forward` for `lengths` and `reset`."""

    references = cells.Elman.references


class GRU(_Unrolled, torch.nn.GRU):  # type: ignore[misc]
    """torch.nn.GRU, run by elman; see there for the arguments, and `forward` for `lengths` and `reset`."""

    references = cells.GRUResetAfter.references


class LSTM(_Unrolled, torch.nn.LSTM):  # type: ignore[misc]
    """torch.nn.LSTM, run by elman; see there for the arguments, and `forward` for `lengths` and `reset`."""

    references = cells.LSTM.references

    def _state_sizes(self, input: Tensor, batch_sizes: Tensor | None) -> list[tuple[int, ...]]:
        return [
            self.get_expected_hidden_size(input, batch_sizes),
            self.get_expected_cell_size(input, batch_sizes),
        ]

    def _to_states(self, hx: Any) -> States:
        return tuple(hx)

    def _to_hx(self, states: States) -> Any:
        return states


_UNMARKED = Marks()


def _marks(x: Tensor, lengths: Any, reset: Tensor | None) -> Marks:
    """Lengths and resets, checked, on the device of x [T, B, I]."""
    steps, batch = x.size(0), x.size(1)
    if reset is not None:
        rows.check_marked("reset", reset, steps, batch)
        reset = reset.to(x.device)
    if lengths is None:
        return Marks(reset=reset) if reset is not None else _UNMARKED
    lengths = rows.check_lengths(lengths, steps, batch).to(x.device)
    return Marks(lengths=lengths, live=rows.live_rows(lengths, steps), reset=reset)
