"""Batch normalisation of a cell's input terms, over all rows and steps that there are."""

from typing import Any

import torch
from torch import Tensor, nn

from elman.around.lend import tensors_of
from elman.around.roles import weights_of
from elman.cells import Cell
from elman.errors import ArgumentError

from .layer import Marks
from .recurrent import Recurrent


class BatchNormed(Recurrent):
    """A cell, unfolded through time, whose input terms are normalised over rows and steps.

        U x(t) + b    becomes    γ (U x(t) - μ) / √(v + ε) + b

    μ and v [rows of U] are the mean and the variance of U x over all steps of all rows, in training those of the call
    at hand; a row that has ended counts no more. What goes from step to step is not normalised. As the normalisation
    is linear once μ and v are known, it is put into U and b before the loop, which then runs as always.

    Args:
        cell: a cell whose input weights have biases, which take the part of β.
        momentum: weight of a call's μ and v in their running averages, which are used after `eval()`.
        eps: ε.
        gain: γ at the start.
        batch_first, reverse: as for `Recurrent`.

    Source: C. Laurent, G. Pereyra, P. Brakel, Y. Zhang, Y. Bengio, Batch Normalized Recurrent Neural Networks,
        ICASSP 2016 (sequence-wise normalisation).
    Departs: an input that is missing (`present`) counts as zeros.
    """

    def __init__(
        self,
        cell: Cell,
        *,
        momentum: float = 0.1,
        eps: float = 1e-5,
        gain: float = 1.0,
        batch_first: bool = False,
        reverse: bool = False,
    ) -> None:
        super().__init__(cell, batch_first=batch_first, reverse=reverse)
        self.momentum, self.eps = momentum, eps
        self.names: dict[str, str] = {}
        self.gains = nn.ParameterList()
        own = tensors_of(cell)
        for number, name in enumerate(weights_of(cell, "input")):
            bias = name.replace("weight", "bias")
            if bias == name or bias not in own:
                raise ArgumentError(f"BatchNormed: expected {name} of {type(cell).__name__} to have a bias beside it.")
            self.names[name] = bias
            zeros = torch.zeros_like(own[bias])
            self.gains.append(nn.Parameter(zeros + gain))
            self.register_buffer(f"mean_{number}", zeros.clone())
            self.register_buffer(f"variance_{number}", zeros + 1)

    def _lent(self, x: Tensor | None, marks: Marks) -> tuple[Any, dict[str, Tensor] | None]:
        if x is None or x.dim() != 3:
            raise ArgumentError(f"BatchNormed: expected x [T, B, I], got {None if x is None else list(x.shape)}.")
        cell, parameters = super()._lent(x, marks)
        parameters = tensors_of(self.cell) if parameters is None else parameters
        moments = _moments(x, marks.live) if self.training else None
        for number, (name, bias) in enumerate(self.names.items()):
            U, b = parameters[name], parameters[bias]
            mean, variance = self._statistics(number, U, moments)
            scale = self.gains[number] / torch.sqrt(variance + self.eps)
            parameters[name], parameters[bias] = U * scale.unsqueeze(1), b - scale * mean
        return cell, parameters

    def _statistics(self, number: int, U: Tensor, moments: tuple[Tensor, Tensor, Tensor] | None) -> tuple[Any, Any]:
        """Mean and variance of U x: of the call, which go into the running averages, or these averages."""
        means, variances = self.get_buffer(f"mean_{number}"), self.get_buffer(f"variance_{number}")
        if moments is None:
            return means, variances
        count, mean, covariance = moments
        mean, variance = U @ mean, ((U @ covariance) * U).sum(1).clamp(min=0)
        with torch.no_grad():
            means.lerp_(mean, self.momentum)
            variances.lerp_(variance * count / (count - 1).clamp(min=1), self.momentum)
        return mean, variance


def _moments(x: Tensor, live: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The number of live steps of x [T, B, I], their mean [I] and their covariance [I, I]."""
    weight = x.new_ones(x.shape[:2]) if live is None else live.to(x.dtype)
    count = weight.sum().clamp(min=1)
    there = weight.unsqueeze(2) * x if live is None else torch.where(live.unsqueeze(2), x, torch.zeros_like(x))
    mean = there.sum((0, 1)) / count
    apart = (weight.unsqueeze(2) * (there - mean)).flatten(0, 1)
    return count, mean, apart.t() @ apart / count
