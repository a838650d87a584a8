"""Real-time recurrent learning: the gradient known at every step, without going back in time."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import jacrev, vmap
from torch.nn.utils import stateless

from elman.around.lend import check_plain
from elman.cells import Cell
from elman.compiler import one_step
from elman.errors import ArgumentError, ShapeError

States = tuple[Tensor, ...]


class RTRL(nn.Module):
    """A cell that learns online: what it gives out at a step can be sent back at once, to the first step and exactly.

        P(t) = ∂h(t)/∂θ = ∂f/∂h P(t-1) + ∂f/∂θ
        dL(t)/dθ = ∂L(t)/∂y(t) (∂y/∂h P(t) + ∂y/∂θ)

    The sum of dL(t)/dθ over t is what BPTT finds, as long as θ does not change; if θ learns at every step, the past
    counts as it was when it happened. Memory does not grow with t: P holds B x states x parameters numbers, so this
    is for small cells and long streams.

    Args:
        cell: the step.
        batch_size: B, how many streams run beside each other.

    Raises:
        ArgumentError: B < 1, or a cell with states that are no real numbers.

    Source: R. J. Williams, D. Zipser, A Learning Algorithm for Continually Running Fully Recurrent Neural Networks,
        Neural Computation 1, 1989.
    """

    def __init__(self, cell: Cell, batch_size: int = 1) -> None:
        super().__init__()
        if batch_size < 1:
            raise ArgumentError(f"expected at least one row, got batch_size = {batch_size}.")
        check_plain(cell, "a cell learns online")
        self.cell, self.batch_size = cell, batch_size
        self.begin()

    def begin(self) -> None:
        """Start anew from the initial state."""
        self.states: States = tuple(state.detach().clone() for state in self._first(self._fixed()))
        if not all(state.is_floating_point() for state in self.states):
            kind = type(self.cell).__name__
            raise ArgumentError(f"{kind} has states that are no real numbers: they have no gradient.")
        self.influence = jacrev(self._first)(self._fixed())  # an initial state may be learned

    def forward(self, x: Tensor | None = None) -> Tensor:
        """One step.

        Args:
            x: the input of this step [B, I]; None for a cell without input.

        Returns:
            What is given out [B, O]; its backward pass gives each parameter its exact gradient over all steps so far.

        Raises:
            ShapeError: other than B rows.
            ArgumentError: an x that wants a gradient: what came before it in time would be missing.
        """
        if x is not None and x.shape[:1] != (self.batch_size,):
            raise ShapeError(f"expected x [B, I] with B = {self.batch_size}, got {list(x.shape)}.")
        if x is not None and x.requires_grad:
            raise ArgumentError("x wants a gradient, which steps before this one would add to: detach it.")
        step = vmap(jacrev(self._step, argnums=(0, 1), has_aux=True), in_dims=(None, 0, None if x is None else 0))
        with torch.no_grad():
            slopes, values = step(self._fixed(), self.states, x)
            influence = [self._carried(*slope) for slope in slopes]
        self.states, self.influence = values[:-1], tuple(influence[:-1])
        known, parameters = influence[-1], dict(self.cell.named_parameters())
        y: Tensor = _Known.apply(values[-1], [known[name] for name in parameters], *parameters.values())  # type: ignore[no-untyped-call]
        return y

    def _fixed(self) -> dict[str, Tensor]:
        """The parameters as they are now."""
        return {name: parameter.detach() for name, parameter in self.cell.named_parameters()}

    def _first(self, parameters: dict[str, Tensor]) -> States:
        """What enters the first step [B, ...]."""
        cell, rows = self.cell, self.batch_size
        with stateless._reparametrize_module(cell, parameters):
            states = cell.initial_state(rows)
            return states if cell.feedback_size is None else (*states, cell.start(rows))

    def _step(self, parameters: dict[str, Tensor], states: States, x: Tensor | None) -> tuple[States, States]:
        """The states that leave and what is given out, of one row; twice, for the slopes and for the values."""
        x = None if x is None else x.unsqueeze(0)
        with stateless._reparametrize_module(self.cell, parameters):
            leaving, y, _ = one_step(self.cell, x, None, tuple(state.unsqueeze(0) for state in states))
        found = tuple(tensor.squeeze(0) for tensor in (*leaving, y))
        return found, found

    def _carried(self, of_parameters: dict[str, Tensor], of_states: States) -> dict[str, Tensor]:
        """How a result depends on the parameters: at this step, and through the states that entered it."""
        found = {}
        for name, slope in of_parameters.items():
            for state, through, before in zip(self.states, of_states, self.influence, strict=True):
                entries = state[0].numel()
                product = through.reshape(len(state), -1, entries) @ before[name].reshape(len(state), entries, -1)
                slope = slope + product.view(slope.shape)
            found[name] = slope
        return found


class _Known(torch.autograd.Function):
    """A value whose dependence on the parameters is known."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, influence: list[Tensor], *parameters: Tensor) -> Tensor:
        ctx.influence = influence
        return value.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        return (None, None, *[torch.tensordot(g, each, dims=g.dim()) for each in ctx.influence])
