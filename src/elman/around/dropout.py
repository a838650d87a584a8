"""Dropout on what enters the recurrent products, with one mask for a whole sequence."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from elman.cells.cell import Cell, States
from elman.errors import ArgumentError

from .roles import weights_of
from .source import source
from .wrapper import Wrapper, as_tuple, check_probability, check_states


class VariationalDropout(Wrapper):
    """Recurrent dropout with one mask for each row of a call, the same at all its steps.

        W h(t-1)  becomes  W (m h(t-1)),   m ~ Bernoulli(1 - p) / (1 - p)     in training

    The mask falls on what the recurrent products read, and not on the way by which a state goes on: the c of an LSTM,
    or z h(t-1) in a GRU, stays as it is. Products that read as many numbers share a mask.

    Args:
        cell: a cell with states, whose recurrent products are `nn.Linear` (or `F.linear`).
        p: probability of dropping a unit.

    Source: Y. Gal, Z. Ghahramani, A Theoretically Grounded Application of Dropout in Recurrent Neural Networks,
        NeurIPS 2016, section 4.
    Departs: the input's own dropout is left to what stands before the layer (`SharedDropout`); the gates share
        the mask, which the paper calls tied weights; numbers that are kept are scaled in training, not in use.
    """

    def __init__(self, cell: Cell, p: float) -> None:
        super().__init__(cell)
        check_states("VariationalDropout", cell, ())
        self.p = check_probability("VariationalDropout", p)
        self.products = tuple(weights_of(cell, "recurrent"))
        sizes = {self._weight(name).shape[-1] for name in self.products}
        self.sizes = tuple(sorted(sizes)) if self.p else ()

    @property
    def state_size(self) -> Sequence[int | tuple[int, ...]]:  # type: ignore[override]
        return (*self.cell.state_size, *(self.sizes if self.training else ()))

    @property
    def held(self) -> int:  # type: ignore[override]
        return self.cell.held + (len(self.sizes) if self.training else 0)

    def initial_state(self, batch_size: int) -> States:
        states = self.cell.initial_state(batch_size)
        if not self.training:
            return states
        like = states[0]
        return (*states, *(_mask(like, (batch_size, size), self.p) for size in self.sizes))

    def step(self, x: Tensor | None, *entering: Tensor) -> Tensor | States:
        if not self.training or not self.sizes:
            return self.cell.step(x, *entering)
        count = len(self.sizes)
        masks = dict(zip(self.sizes, entering[-count:], strict=True))
        dropping = _Dropping([self._weight(name) for name in self.products], masks)
        with dropping:
            after = as_tuple(self.cell.step(x, *entering[:-count]))
        if missed := [name for name, met in zip(self.products, dropping.met, strict=True) if not met]:
            raise ArgumentError(
                f"VariationalDropout: the step of {type(self.cell).__name__} reads {missed[0]} otherwise than by a "
                "linear layer, so nothing can be dropped there."
            )
        return (*after, *entering[-count:])

    def output(self, *states: Tensor) -> Tensor:
        return self.cell.output(*states[: len(self.cell.state_size)])

    def extra_repr(self) -> str:
        return f"p={self.p}"

    def _weight(self, name: str) -> Tensor:
        value: Any = self.cell
        for part in name.split("."):
            value = getattr(value, part)
        return value


class _Dropping(TorchFunctionMode):
    """While this lasts, what linear layers with these weights read goes through a mask."""

    def __init__(self, weights: list[Tensor], masks: dict[int, Tensor]) -> None:
        super().__init__()
        self.weights, self.masks = weights, masks
        self.met = [False] * len(weights)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is nn.functional.linear and len(args) > 1:
            for number in self._places(args[1]):
                self.met[number] = True
                return func(args[0] * self.masks[args[1].shape[-1]], *args[1:], **kwargs)
        return func(*args, **kwargs)

    def _places(self, weight: Tensor) -> Iterator[int]:
        return (number for number, own in enumerate(self.weights) if own is weight)


class SharedDropout(nn.Module):
    """Dropout of features with one mask for each row, the same at all steps: between layers, or before the first.

        y(t) = m x(t),   m ~ Bernoulli(1 - p) / (1 - p), in training

    Args:
        p: probability of dropping a feature.

    Source: Gal and Ghahramani 2016, as above; S. Merity et al. 2018 call it locked dropout.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = check_probability("SharedDropout", p)

    def forward(self, x: Tensor) -> Tensor:
        """x [T, B, ...] with the same features of a row dropped at all steps."""
        return x * _mask(x, x.shape[1:], self.p) if self.training and self.p else x

    def extra_repr(self) -> str:
        return f"p={self.p}"


def _mask(like: Tensor, size: Sequence[int], p: float) -> Tensor:
    """Zeros with probability p, else 1 / (1 - p)."""
    kept = torch.rand(tuple(size), dtype=like.dtype, device=like.device, generator=source()) >= p
    return kept.to(like.dtype) / (1 - p)
