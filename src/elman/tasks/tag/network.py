"""The network of the tag job: a sequence in, the scores of the tags of each step out."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from elman.training import Loss

from ..ensemble import Ensemble, mean_logits
from ..inputs import Encoder
from .crf import ConditionalRandomField, best_tags


class Batch(NamedTuple):
    """Rows of like length: tokens [T, B, 1 + L], lengths [B], tags [T, B]."""

    x: Tensor
    lengths: Tensor
    tags: Tensor


class TagNetwork(nn.Module):
    """Layers in both directions, the scores of the tags at each step, and perhaps of their neighbourhood.

    Args:
        encoder: what reads.
        tags: C.
        crf: whether tags are chosen together, see `ConditionalRandomField`.
    """

    def __init__(self, encoder: Encoder, tags: int, crf: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.readout = nn.Linear(encoder.size, tags)
        self.field = ConditionalRandomField(tags) if crf else None

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x [T, B, 1 + L] and lengths [B] -> [T, B, C]."""
        return self.readout(self.encoder(x, lengths))  # type: ignore[no-any-return]

    def best(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The likeliest tags [T, B]."""
        z = self(x, lengths)
        return z.argmax(-1) if self.field is None else self.field.best(z, lengths)

    def states(self, x: Tensor, lengths: Tensor) -> Tensor:
        """What the encoder gives out at each step [T, B, H]."""
        return self.encoder(x, lengths)  # type: ignore[no-any-return]

    def loss(self, batch: Batch, state: None) -> Loss:
        """The loss over rows, each by itself."""
        z, count = self(batch.x, batch.lengths), int(batch.lengths.sum())
        if self.field is not None:
            total = self.field.loss(z, batch.tags, batch.lengths).sum()
        else:
            live = torch.arange(len(z), device=z.device).unsqueeze(1) < batch.lengths
            total = functional.cross_entropy(z[live], batch.tags[live], reduction="sum")
        return Loss(total, max(1, count), max(1, count))


class TagEnsemble(Ensemble):
    """Networks that tag together.

    Without random fields the probabilities of the tags of each step are averaged. With them the scores of whole rows
    of tags are, which multiplies the members' probabilities: score(s) = mean of the members' score(s), so that what
    never follows each other for any of them is never chosen.
    """

    def best(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The likeliest tags [T, B]."""
        each: list[Any] = list(self.members)
        z = [member(x, lengths) for member in each]
        if each[0].field is None:
            return mean_logits(z).argmax(-1)
        names = ("begin", "transitions", "end")
        fields = [torch.stack([getattr(member.field, name) for member in each]).mean(0) for name in names]
        return best_tags(torch.stack(z).mean(0), lengths, *fields)

    def states(self, x: Tensor, lengths: Tensor) -> Tensor:
        """What the encoders give out at each step, side by side [T, B, N H]."""
        return torch.cat([member.states(x, lengths) for member in self.members], -1)  # type: ignore[operator]
