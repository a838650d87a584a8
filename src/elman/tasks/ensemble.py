"""Self-ensembles: networks with other first weights, trained side by side on the same batches, and averaged."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from elman.training import Loss, Settings
from elman.training.settings import at_least

from .job import Job

Member = TypeVar("Member", bound=nn.Module)


class Ensemble(nn.Module):
    """Networks that are trained side by side; subclass, and say what they give out together.

        loss = mean of the members' losses

    The gradient of each member is that of its own loss, as if it were trained alone.

    Args:
        members: `Trainable` networks for the same batches, which carry no state from batch to batch.

    Source: L. K. Hansen, P. Salamon, Neural Network Ensembles, IEEE Transactions on Pattern Analysis and Machine
        Intelligence 12, 1990; with the first weights as the only difference: B. Lakshminarayanan, A. Pritzel,
        C. Blundell, Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles, NeurIPS 2017.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def loss(self, batch: Any, state: None) -> Loss:
        """The mean of the members' losses, with the gradient of their sum."""
        found: list[Loss] = [member.loss(batch, None) for member in self.members]  # type: ignore[operator]
        total = torch.stack([loss.total for loss in found]).sum()
        others = total.detach() * (1 - 1 / len(found))
        return Loss(total - others, found[0].count, found[0].size)


@dataclass(kw_only=True)
class EnsembleJob(Job):
    """Base of the jobs whose model may be several networks.

    Args:
        ensemble: N, how many networks are trained side by side, and averaged in predicting.
        clip: largest norm of the whole gradient; of N networks sqrt(N) times that, so that each counts as it
            would alone.
    """

    ensemble: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("ensemble", self.ensemble, 1)

    def networks(self, make: Callable[[], Member], together: Callable[[list[Member]], nn.Module]) -> nn.Module:
        """One network, or `ensemble` of them, their weights drawn one after the other.

        Args:
            make: a network with weights that are drawn anew.
            together: the ensemble of several.
        """
        members = [make() for _ in range(self.ensemble)]
        return members[0] if self.ensemble == 1 else together(members)

    @property
    def summary(self) -> str:
        """The network in a few words."""
        return super().summary + (f" in {self.ensemble} networks" if self.ensemble > 1 else "")

    def _settings(self, *args: Any, **options: Any) -> Settings:
        return replace(super()._settings(*args, **options), clip=self.clip * math.sqrt(self.ensemble))


def mean_logits(each: Sequence[Tensor]) -> Tensor:
    """Logits [..., C] of the members' mean probabilities: the logarithms of these."""
    return mean_logs([z.log_softmax(-1) for z in each])


def mean_logs(each: Sequence[Tensor]) -> Tensor:
    """The logarithm of the mean of what the members give the logarithms of."""
    return torch.stack(list(each)).logsumexp(0) - math.log(len(each))


def rows_of(steps: Tensor, lengths: Tensor) -> list[Tensor]:
    """What belongs to each row [T_b, ...] of steps [T, B, ...] with lengths [B], on the CPU."""
    here = steps.cpu()
    return [here[:length, row] for row, length in enumerate(lengths.tolist())]
