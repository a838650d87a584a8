"""What a cell is: one step of a recurrent network, written in plain PyTorch."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from elman.compiler import register

States = tuple[Tensor, ...]


class Cell(nn.Module):
    """One step `h(t) = f(h(t-1), x(t); θ)`: subclass, set `state_size`, write `step`.

    Attributes:
        state_size: one entry per state, an int (state [B, H]) or a tuple (state [B, *sizes]).
            Empty where nothing is carried from step to step but what the network gave out.
        held: how many of the last states are made anew by `initial_state` in each call of a layer, and are neither
            given by its caller nor returned: for example a mask that is the same at all steps.
        feedback_size: size of what the network is fed of its own output one step before, or None
            where nothing is fed back. The step then reads `step(self, x, fed, *states)`.
        references: keys of the papers in cells/references.bib, or whole BibTeX entries; `elman.cite` prints them.

    A cell holds its step, its parameters and its source, and nothing about speed.

    A step is read once for each form of input, and again when something has changed that it read: attributes, also
    nested ones, globals, what a function closes over. What it asks Python itself is answered while it is read, with
    gradients on: `random.random()` (use torch's draws), `torch.is_grad_enabled()`, `type(self).rate` (use `self.rate`).
    """

    state_size: Sequence[int | tuple[int, ...]] = ()
    held: int = 0
    feedback_size: int | tuple[int, ...] | None = None
    references: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.handle = register(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.handle = register(self)  # a copy is a cell of its own

    def step(self, x: Tensor | None, *states: Tensor) -> Tensor | States:
        """One step.

        Args:
            x: the input of this step [B, I], or None for a system without input.
            states: first `fed` [B, O] where `feedback_size` is set, then one tensor [B, H] per state.

        Returns:
            The next state, or a tuple of all of them in the order of `state_size`.
        """
        raise TypeError(f"{type(self).__name__} must define step(self, x, *states)")

    def output(self, *states: Tensor) -> Tensor:
        """What the layer gives out after a step [B, O]; by default the first state."""
        return states[0]

    def initial_state(self, batch_size: int) -> States:
        """The state before the first step, [B, H] each; zeros unless a subclass says otherwise."""
        return tuple(self._zeros(batch_size, size) for size in self.state_size)

    def start(self, batch_size: int) -> Tensor:
        """What is fed at the first step [B, O], where `feedback_size` is set; zeros by default."""
        if self.feedback_size is None:
            raise TypeError(f"{type(self).__name__} has no feedback: feedback_size is None")
        return self._zeros(batch_size, self.feedback_size)

    def forward(self, x: Tensor | None, *states: Tensor) -> Any:
        """The step itself, so that a cell can be called as any module."""
        return self.step(x, *states)

    def _zeros(self, batch_size: int, size: int | tuple[int, ...]) -> Tensor:
        sizes = (size,) if isinstance(size, int) else tuple(size)
        like = next((t for t in chain(self.parameters(), self.buffers()) if t.is_floating_point()), None)
        return torch.zeros((batch_size, *sizes)) if like is None else like.new_zeros((batch_size, *sizes))
