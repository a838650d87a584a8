"""Layers one above the other."""

from typing import Any

from torch import Tensor, nn

from elman.errors import ArgumentError, ShapeError

from .layer import Layer, Marks


class Stack(Layer):
    """Layers one above the other: each reads what the one below gives out.

    Args:
        *layers: from the bottom to the top.
        dropout: probability of dropping an entry of what passes between two layers, in training.
        batch_first: sequences come and go as [B, T, ...]; the layers themselves are time first.

    The state is a tuple with the state of each layer.
    """

    def __init__(self, *layers: Layer, dropout: float = 0.0, batch_first: bool = False) -> None:
        super().__init__(batch_first)
        if not layers:
            raise ArgumentError("expected at least one layer, got none.")
        if any(layer.batch_first for layer in layers):
            raise ArgumentError("expected layers with batch_first=False: give batch_first to the Stack alone.")
        self.layers = nn.ModuleList(layers)
        self.dropout = nn.Dropout(dropout)

    def run(self, x: Tensor | None, state: Any, marks: Marks, steps: int, batch: int) -> tuple[Tensor, Any]:
        """Run over [T, B, I]; see `Layer.forward`."""
        if marks.targets is not None or marks.emit is not None:
            raise ArgumentError("a Stack feeds nothing back: give `targets` and `emit` to a layer of its own.")
        states = [None] * len(self.layers) if state is None else list(state)
        if len(states) != len(self.layers):
            raise ShapeError(f"expected one state per layer, {len(self.layers)}, got {len(states)}.")
        y, ends = x, []
        for number, (layer, start) in enumerate(zip(self.layers, states, strict=True)):
            assert isinstance(layer, Layer)
            y, end = layer.run(y if number == 0 else self.dropout(y), start, marks, steps, batch)
            ends.append(end)
        assert y is not None
        return y, tuple(ends)
