"""Sequence to vector: what a layer gave out at all steps of a row, made one vector.

Every pool is called with y [T, B, H] and lengths [B], and gives [B, H]. What stands after a row's end does not matter,
NaN included. A row without any step gives zeros, and takes no gradient.
"""

from typing import Any

import torch
from torch import Tensor, nn

from elman.errors import ShapeError

from .masked import live_steps, masked_softmax, zeroed


class Pool(nn.Module):
    """Base of all ways to make one vector of a sequence: subclass, write `pool`."""

    def forward(self, y: Tensor, lengths: Any = None) -> Tensor:
        """One vector for each row.

        Args:
            y: what a layer gave out [T, B, H], T >= 1.
            lengths: number of steps of each row [B], any integer type, 0 is allowed; T by default.

        Returns:
            [B, H]; zeros for a row without any step.

        Raises:
            ShapeError, ArgumentError: y or lengths that do not fit.
        """
        live = live_steps(y, lengths)
        return self.pool(zeroed(y, live), live)

    def pool(self, y: Tensor, live: Tensor) -> Tensor:
        """[B, H] of y [T, B, H], which has zeros after each row's end, and live [T, B]."""
        raise TypeError(f"{type(self).__name__} must define pool(self, y, live)")


class Last(Pool):
    """What was given out at each row's own last step.

    v = y(τ)
    """

    def pool(self, y: Tensor, live: Tensor) -> Tensor:
        end = (live.sum(0) - 1).clamp(min=0).reshape(1, -1, 1).expand(1, *y.shape[1:])
        return y.gather(0, end).squeeze(0)


class BothEnds(Pool):
    """What both directions of a `Bidirectional` gave out last: the first half of the features at each row's last
    step, the second half at its first.

        v = (y→(τ), y←(1))

    Both directions must give out as many features.
    """

    def pool(self, y: Tensor, live: Tensor) -> Tensor:
        if y.size(-1) % 2:
            raise ShapeError(f"expected y [T, B, 2 H] of two directions of one size, got {list(y.shape)}.")
        half = y.size(-1) // 2
        return torch.cat([Last().pool(y[..., :half], live), y[0, :, half:]], -1)


class Mean(Pool):
    """The mean over a row's steps.

    v = Σ_t y(t) / τ
    """

    def pool(self, y: Tensor, live: Tensor) -> Tensor:
        return y.sum(0) / live.sum(0).clamp(min=1).unsqueeze(-1)


class Max(Pool):
    """The largest value of each feature over a row's steps.

    v = max_t y(t)
    """

    def pool(self, y: Tensor, live: Tensor) -> Tensor:
        largest = torch.where(live.unsqueeze(-1), y, -torch.inf).amax(0)
        return torch.where(live.any(0).unsqueeze(-1), largest, 0)


class AttentionPool(Pool):
    """A mean over a row's steps, weighted by learned attention.

        u(t) = tanh(W y(t) + b)
        α(t) = softmax_t(w · u(t))
        v = Σ_t α(t) y(t)

    Args:
        size: H.
        hidden_size: of u.

    Source: Z. Yang et al., Hierarchical Attention Networks for Document Classification, NAACL 2016, equations 5 to 7.
    """

    def __init__(self, size: int, hidden_size: int) -> None:
        super().__init__()
        self.W = nn.Linear(size, hidden_size)
        self.w = nn.Linear(hidden_size, 1, bias=False)

    def weights(self, y: Tensor, lengths: Any = None) -> Tensor:
        """α [T, B]; each row sums to 1, or is 0 throughout where there is no step."""
        live = live_steps(y, lengths)
        return self._weights(zeroed(y, live), live)

    def pool(self, y: Tensor, live: Tensor) -> Tensor:
        return (self._weights(y, live).unsqueeze(-1) * y).sum(0)

    def _weights(self, y: Tensor, live: Tensor) -> Tensor:
        return masked_softmax(self.w(torch.tanh(self.W(y))).squeeze(-1), live, 0)
