"""Ways around a layer: its input is added to what it gives out, or a gate mixes the two."""

from typing import Any

import torch
from torch import Tensor, nn

from elman.compiler import where_rows
from elman.errors import ArgumentError, ShapeError

from .layer import Layer, Marks


class _Around(Layer):
    """A layer, and a way past it.

    Args:
        layer: what it goes around; it gives out as many features as it takes.
        batch_first: sequences come and go as [B, T, ...]; the layer itself is time first.
    """

    def __init__(self, layer: Layer, *, batch_first: bool = False) -> None:
        super().__init__(batch_first)
        if layer.batch_first:
            raise ArgumentError(f"expected a layer with batch_first=False: give it to the {type(self).__name__} alone.")
        self.layer = layer

    def run(self, x: Tensor | None, state: Any, marks: Marks, steps: int, batch: int) -> tuple[Tensor, Any]:
        """Run over [T, B, I]; see `Layer.forward`."""
        if x is None:
            raise ArgumentError(f"{type(self).__name__} leads x past a layer, and there is no x.")
        y, state = self.layer.run(x, state, marks, steps, batch)
        if y.shape != x.shape:
            raise ShapeError(
                f"{type(self).__name__}: expected a layer that gives out {list(x.shape)}, as many as it takes, "
                f"got {list(y.shape)}."
            )
        y = self.mix(x, y)
        if marks.live is not None:
            y = where_rows(marks.live, y, torch.zeros_like(y))
        return y, state

    def mix(self, x: Tensor, y: Tensor) -> Tensor:
        """What is given out, of what came and what the layer gave out [T, B, I]."""
        raise TypeError(f"{type(self).__name__} must define mix(self, x, y)")


class Residual(_Around):
    """What a layer gives out, plus its input.

        y(t) = x(t) + layer(x)(t)

    The state is that of the layer.

    Args:
        layer: any layer that gives out as many features as it takes.
        batch_first: sequences come and go as [B, T, ...]; the layer itself is time first.

    Source: K. He et al., Deep Residual Learning for Image Recognition, CVPR 2016; between recurrent layers Y. Wu et
        al., Google's Neural Machine Translation System, arXiv 1609.08144, 2016, section 3.1.
    """

    def mix(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Highway(_Around):
    """A gate mixes what a layer gives out with its input.

        g(t) = σ(V x(t) + c)
        y(t) = g(t) layer(x)(t) + (1 - g(t)) x(t)

    The state is that of the layer.

    Args:
        layer: any layer that gives out as many features as it takes.
        size: how many.
        bias: c at the start; below 0, so that at first most goes past the layer.
        batch_first: sequences come and go as [B, T, ...]; the layer itself is time first.

    Source: R. K. Srivastava, K. Greff, J. Schmidhuber, Training Very Deep Networks, NeurIPS 2015.
    """

    def __init__(self, layer: Layer, size: int, *, bias: float = -1.0, batch_first: bool = False) -> None:
        super().__init__(layer, batch_first=batch_first)
        self.V = nn.Linear(size, size)
        nn.init.constant_(self.V.bias, bias)

    def mix(self, x: Tensor, y: Tensor) -> Tensor:
        g = torch.sigmoid(self.V(x))
        return g * y + (1 - g) * x
