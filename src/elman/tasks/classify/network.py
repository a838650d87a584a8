"""The network of the classify job: a sequence in, the logits of its labels out."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from elman.patterns import AttentionPool, Max
from elman.training import Loss

from ..ensemble import Ensemble, mean_logits, mean_logs
from ..inputs import Encoder


class Batch(NamedTuple):
    """Rows of like length.

    Attributes:
        x: [T, B] or [T, B, I].
        lengths: [B].
        targets: of the rows: [B] the number of the label, [B, C] a 1 for each label of several, [B] a number.
    """

    x: Tensor
    lengths: Tensor
    targets: Tensor


class ClassifyNetwork(nn.Module):
    """Layers in both directions, what attention and the maximum take of them, logits.

        y = encoder(x)
        z = W (Σ_t α(t) y(t), max_t y(t)) + c + 5 / √τ Σ_t v(x(t))         v: a vector [C] of each word

    What each word says by itself is learned within an epoch, before the layers read; of letters and vectors it is left
    out.

    Args:
        encoder: what reads.
        outputs: C, the number of logits.
        dropout: on what is pooled.
        target: "label", "labels" or "number"; see `ClassifyModel`.
        weights: of the labels in the loss [C].
        words: V, how many there are, if they also speak for themselves; 0 for none.
    """

    def __init__(
        self, encoder: Encoder, outputs: int, dropout: float, target: str, weights: Tensor, words: int = 0
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.attention, self.largest = AttentionPool(encoder.size, encoder.size), Max()
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(2 * encoder.size, outputs)
        self.words = nn.Embedding(words, outputs) if words else None
        if self.words is not None:
            nn.init.zeros_(self.words.weight)
        self.target = target
        self.weights: Tensor
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x [T, B] or [T, B, I] and lengths [B] -> [B, C]."""
        y = self.encoder(x, lengths)
        pooled = torch.cat([self.attention(y, lengths), self.largest(y, lengths)], -1)
        z: Tensor = self.readout(self.dropout(pooled))
        if self.words is not None:
            live = torch.arange(len(x), device=x.device).unsqueeze(1) < lengths
            kept = self.dropout(live.to(z.dtype))  # whole words
            z = z + 5 * (self.words(x) * kept.unsqueeze(-1)).sum(0) / lengths.clamp_min(1).sqrt().unsqueeze(-1)
        return z

    def attended(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """What the encoder gives out [T, B, H], and how much each step weighs [T, B]."""
        y = self.encoder(x, lengths)
        return y, self.attention.weights(y, lengths)

    def loss(self, batch: Batch, state: None) -> Loss:
        """The loss over rows, each by itself: nothing goes on from batch to batch."""
        z, targets = self(batch.x, batch.lengths), batch.targets
        match self.target:
            case "label":
                total = functional.cross_entropy(z, targets, weight=self.weights, reduction="sum")
            case "labels":
                total = functional.binary_cross_entropy_with_logits(
                    z, targets, weight=self.weights, reduction="sum"
                ) / z.size(1)
            case _:
                total = functional.mse_loss(z.squeeze(1), targets, reduction="sum")
        return Loss(total, len(targets), len(targets))


class ClassifyEnsemble(Ensemble):
    """Networks whose probabilities, or numbers, are averaged."""

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x [T, B] or [T, B, I] and lengths [B] -> the logits of the mean probabilities, or mean numbers, [B, C]."""
        each = [member(x, lengths) for member in self.members]
        match self.members[0].target:
            case "label":
                return mean_logits(each)
            case "labels":
                yes, no = (mean_logs([functional.logsigmoid(sign * z) for z in each]) for sign in (1, -1))
                return yes - no
            case _:
                return torch.stack(each).mean(0)

    def attended(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """What the encoders give out, side by side [T, B, N H], and how much each step weighs in the mean [T, B]."""
        each = [member.attended(x, lengths) for member in self.members]  # type: ignore[operator]
        return torch.cat([y for y, _ in each], -1), torch.stack([weights for _, weights in each]).mean(0)
