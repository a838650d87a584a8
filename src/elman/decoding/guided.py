"""A layer that is fed back what a policy says: the target, or its own output."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from elman.cells import Cell
from elman.compiler import Plan, planning
from elman.errors import ArgumentError, DtypeError, ShapeError
from elman.layers import Recurrent

from .choice import Choice
from .policies import FreeRunning, Policy, TeacherForcing, fed_next, mask_of

States = tuple[Tensor, ...]


class Guided(nn.Module):
    """A layer with feedback, called under a policy.

        y(t) = step(x(t), fed(t), h(t-1))
        fed(t+1) = target(t) where the policy says so, else y(t), or the one-hot choice from the logits y(t)

    Without a choice the gradient goes through what is fed back, and the layer is compiled whatever the policy: whose
    turn it is goes in as part of the input. With a choice, through which no gradient goes, what is fed is found first,
    step by step and without gradients; then the layer runs on it in one call. `plan` tells.

    Args:
        layer: of a cell with `feedback_size`; its parameters stay where they are.
        choice: makes a token of logits y [B, V], which is fed as a one-hot vector; None to feed y itself.

    Raises:
        ArgumentError: the cell of the layer is fed nothing of its output.

    Source: S. Bengio et al., Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks, NeurIPS 2015.
    """

    def __init__(self, layer: Recurrent, choice: Choice | None = None) -> None:
        super().__init__()
        if not isinstance(layer, Recurrent) or layer.cell.feedback_size is None:
            named = type(layer.cell if isinstance(layer, Recurrent) else layer).__name__
            raise ArgumentError(
                f"expected Recurrent(cell) of a cell with feedback_size, got {named}: what reads tokens through an "
                "embedding is taught by `teach`."
            )
        self.layer = layer
        self.choice = choice
        mixed = Recurrent(_Mixed(layer.cell), batch_first=layer.batch_first, reverse=layer.reverse)
        self._mixed = (mixed,)  # in a tuple, so that no parameter is registered twice

    def forward(
        self,
        x: Tensor | None = None,
        state: Any = None,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
        *,
        targets: Tensor,
        policy: Policy,
    ) -> tuple[Tensor, Any]:
        """Run over whole sequences; arguments as for the layer.

        Args:
            x: [T, B, I], or None for a system without input.
            state: the initial state; where the own output is fed back, what is fed first stands last.
            lengths: number of steps of each row [B].
            reset: [T, B] bool.
            targets: [T, B, O], which the policy mixes with the own output.
            policy: after which steps the target is fed.

        Returns:
            What is given out [T, B, O], and the state at each row's own end; its last entry is what would be fed next.
        """
        steps, batch = self._check(x, targets)
        if x is None and state is None:  # nothing else may tell how many rows there are
            state = (*self.layer.cell.initial_state(batch), self.layer.cell.start(batch))
        given = {"state": state, "lengths": lengths, "reset": reset}
        if isinstance(policy, TeacherForcing):
            return self.layer(x, **given, targets=targets)
        if isinstance(policy, FreeRunning) and self.choice is None:
            return self.layer(x, **given, steps=steps if x is None else None)
        forced = mask_of(policy, steps, batch, targets.device)
        if self.choice is not None:
            with torch.no_grad():
                fed, _ = self._step_by_step(x, given, targets, forced)
            return self.layer(x, **given, targets=fed_next(self._time_first(forced), targets, fed))
        if x is not None and not x.is_floating_point():  # which turn it is cannot go in beside it
            _, result = self._step_by_step(x, given, targets, forced)
            return result
        return self._together(x, given, targets, forced)

    def plan(self, *args: Any, **kwargs: Any) -> Plan:
        """What a call with these arguments runs, and why; the coins of a policy are tossed, as in a call."""
        with torch.no_grad(), torch.random.fork_rng(), planning() as layers:
            self(*args, **kwargs)
        return Plan(tuple(layers))

    def _check(self, x: Tensor | None, targets: Tensor) -> tuple[int, int]:
        """T and B, if x and the targets are sequences of them."""
        if x is not None and not isinstance(x, Tensor):
            raise ArgumentError(f"expected x [T, B, I], got {type(x).__name__}: unpack it, and give `lengths`.")
        axes = "B, T" if self.layer.batch_first else "T, B"
        size = self.layer.cell.feedback_size
        sizes = (size,) if isinstance(size, int) else tuple(size or ())
        if targets.shape[2:] != sizes or targets.dim() != len(sizes) + 2:
            raise ShapeError(f"expected targets [{axes}, {', '.join(map(str, sizes))}], got {list(targets.shape)}.")
        if x is not None and x.shape[:2] != targets.shape[:2]:
            raise ShapeError(f"expected targets [{axes}] = {list(x.shape[:2])} as x, got {list(targets.shape[:2])}.")
        if x is not None and {x.dtype, targets.dtype} == {torch.float32, torch.float64}:
            raise DtypeError(f"expected targets of the dtype of x, {x.dtype}, got {targets.dtype}: use targets.to(x).")
        first, second = targets.shape[:2]
        return (second, first) if self.layer.batch_first else (first, second)

    def _step_by_step(
        self, x: Tensor | None, given: dict[str, Any], targets: Tensor, forced: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Any]]:
        """What was fed after each step, in the layout of the targets, and the result."""
        targets = self._time_first(targets)
        fed: list[Tensor | None] = [None] * len(targets)
        order = iter(range(len(targets) - 1, -1, -1) if self.layer.reverse else range(len(targets)))
        emit = _mixing(order, targets, forced, self.choice, fed)
        result = self.layer(x, **given, emit=emit, steps=len(targets) if x is None else None)
        return self._time_first(torch.stack([each for each in fed if each is not None])), result

    def _together(self, x: Tensor | None, given: dict[str, Any], targets: Tensor, forced: Tensor) -> tuple[Tensor, Any]:
        """The layer over the mixed cell, which reads whose turn it is beside x."""
        (mixed,) = self._mixed
        assert isinstance(mixed.cell, _Mixed)
        mixed.cell.input_shape = None if x is None else tuple(x.shape[2:])
        turn = self._time_first(forced).unsqueeze(-1)
        beside = [] if x is None else [x.flatten(2)]
        features = torch.cat([*beside, targets.flatten(2), turn.to(targets.dtype)], -1)
        y, states = mixed(features, **{**given, "state": self._mixed_state(given["state"])})
        states = states[:-1]
        return y, states[0] if len(states) == 1 else states

    def _mixed_state(self, state: Any) -> Any:
        """The state with a place for y, which the mixed cell carries along."""
        if state is None:
            return None
        return (*state, None) if isinstance(state, tuple | list) else (state, None)

    def _time_first(self, x: Tensor) -> Tensor:
        """[T, B, ...] of the caller's order, and back."""
        return x.transpose(0, 1) if self.layer.batch_first else x


class _Mixed(Cell):
    """A cell whose feedback is a state of its own, made after each step of the target or the output.

        [x(t), target(t), turn(t)] is the input; h(t), fed(t+1), y(t) are the states.

    Attributes:
        input_shape: sizes of x at a step, without B; None for a system without input.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell
        self.input_shape: tuple[int, ...] | None = None

    @property
    def state_size(self) -> tuple[int | tuple[int, ...], ...]:  # type: ignore[override]
        fed = self.cell.feedback_size
        assert fed is not None
        return (*self.cell.state_size, fed, fed)

    def initial_state(self, batch_size: int) -> States:
        fed = self.cell.start(batch_size)
        return (*self.cell.initial_state(batch_size), fed, torch.zeros_like(fed))

    def step(self, x: Tensor, *states: Tensor) -> States:  # type: ignore[override]
        *inner, fed, _ = states
        own, target, forced = self._parts(x, fed)
        values = self.cell.step(own, fed, *inner)
        values = tuple(values) if isinstance(values, tuple | list) else (values,)
        y = self.cell.output(*values)
        return (*(values if self.cell.state_size else ()), fed_next(forced, target, y), y)

    def output(self, *states: Tensor) -> Tensor:
        return states[-1]

    def _parts(self, x: Tensor, fed: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        """The cell's own input, the target, and whose turn it is [B]."""
        begin = x.size(1) - fed.shape[1:].numel() - 1
        target = x[:, begin:-1].reshape(fed.shape)
        own = None if self.input_shape is None else x[:, :begin].reshape(-1, *self.input_shape)
        return own, target, x[:, -1] > 0.5


def _mixing(
    order: Iterator[int], targets: Tensor, forced: Tensor, choice: Choice | None, fed: list[Any]
) -> Callable[[Tensor], Tensor]:
    """What makes, step after step, of an output what is fed next; it is written down in `fed`."""

    def emit(y: Tensor) -> Tensor:
        t = next(order)
        own = y if choice is None else nn.functional.one_hot(choice(y), y.size(-1)).to(y)
        fed[t] = fed_next(forced[t], targets[t].to(y.dtype), own)
        return fed[t]

    return emit
