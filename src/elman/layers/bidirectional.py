"""Two layers over the same input, one from the first step, one from each row's last."""

from typing import Any

import torch
from torch import Tensor

from elman.errors import ArgumentError, ShapeError

from .layer import Layer, Marks
from .recurrent import Recurrent


class Bidirectional(Layer):
    """Two layers over the same input, in both directions; what they give out stands side by side.

    Args:
        forward: from the first step on.
        backward: a layer with `reverse=True`, from each row's own last step back.
        batch_first: sequences come and go as [B, T, ...]; the layers themselves are time first.

    The state is a tuple of both layers' states.

    Source: M. Schuster, K. K. Paliwal, Bidirectional Recurrent Neural Networks, IEEE Transactions on Signal
        Processing 45, 1997.
    """

    def __init__(self, forward: Recurrent, backward: Recurrent, *, batch_first: bool = False) -> None:
        super().__init__(batch_first)
        if forward.reverse or not backward.reverse:
            raise ArgumentError("expected Recurrent(cell) and Recurrent(cell, reverse=True), in this order.")
        if forward.batch_first or backward.batch_first:
            raise ArgumentError("expected layers with batch_first=False: give batch_first to Bidirectional alone.")
        self.ahead = forward
        self.back = backward

    def run(self, x: Tensor | None, state: Any, marks: Marks, steps: int, batch: int) -> tuple[Tensor, Any]:
        """Run over [T, B, I]; see `Layer.forward`."""
        if marks.emit is not None:
            raise ArgumentError("what is given out is not known in both directions at once: drop `emit`.")
        states = (None, None) if state is None else tuple(state)
        if len(states) != 2:
            raise ShapeError(f"expected a state for each of the two directions, got {len(states)}.")
        ahead, end_ahead = self.ahead.run(x, states[0], marks, steps, batch)
        back, end_back = self.back.run(x, states[1], marks, steps, batch)
        return torch.cat([ahead, back], dim=-1), (end_ahead, end_back)
