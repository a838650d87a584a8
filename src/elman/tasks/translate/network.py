"""The network of the translate job: a sequence in, another out."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

import elman
from elman import decoding
from elman.patterns import Attentive, EncoderDecoder, General
from elman.training import Loss

from ..ensemble import Ensemble, mean_logits
from ..inputs import CELLS, both_ways
from ..symbols import EOS, PAD, UNKNOWN


class Batch(NamedTuple):
    """Rows of like length: sources [S, B], their lengths [B], targets [T, B] with EOS, their lengths [B]."""

    source: Tensor
    source_lengths: Tensor
    target: Tensor
    lengths: Tensor


class TranslateNetwork(nn.Module):
    """Encoder in both directions, decoder that attends to it (Luong's general score), logits.

    Args:
        sources: symbols that are read.
        targets: symbols that are written.
        cell: "gru", "lstm" or "elman".
        layers: of the encoder and of the decoder.
        hidden_size: H.
        embedding: E.
        dropout: on embeddings, between layers, and before the logits.
        smoothing: share of the probability that the loss wants spread over all symbols.
    """

    def __init__(
        self,
        sources: int,
        targets: int,
        cell: str,
        layers: int,
        hidden_size: int,
        embedding: int,
        dropout: float,
        smoothing: float,
    ) -> None:
        super().__init__()
        make, self.smoothing = CELLS[cell], smoothing
        drop = nn.Dropout(dropout)

        sizes = [embedding] + [2 * hidden_size] * (layers - 1)
        encoder = elman.Stack(*(both_ways(cell, size, hidden_size) for size in sizes), dropout=dropout)
        decoder = elman.Stack(
            *(elman.Recurrent(make(embedding if n == 0 else hidden_size, hidden_size)) for n in range(layers)),
            dropout=dropout,
        )
        self.model = EncoderDecoder(
            nn.Sequential(nn.Embedding(sources, embedding), drop),
            encoder,
            Attentive(
                nn.Sequential(nn.Embedding(targets, embedding), drop),
                decoder,
                General(hidden_size, 2 * hidden_size),
                nn.Linear(3 * hidden_size, hidden_size),
                nn.Sequential(drop, nn.Linear(hidden_size, targets)),
            ),
        )

    def forward(self, tokens: Tensor, states: Any) -> tuple[Tensor, Any]:
        """A step for `elman.decoding`: tokens [B] and states -> logits [B, V] and states; not what is unknown."""
        logits, states = self.model(tokens, states)
        return decoding.without(logits, PAD, UNKNOWN), states

    def encode(self, source: Tensor, lengths: Tensor) -> Any:
        """The states from which the decoder starts."""
        return self.model.encode(source, lengths)

    def states(self, source: Tensor, lengths: Tensor) -> Tensor:
        """What the encoder gives out at each step [S, B, 2 H]."""
        y, _ = self.model.encoder(self.model.embedding(source), lengths=lengths)
        return y  # type: ignore[no-any-return]

    def loss(self, batch: Batch, state: None) -> Loss:
        """The loss over rows, each symbol from those before it; one that is not known is read, but not learned."""
        states = self.encode(batch.source, batch.source_lengths)
        fed = torch.cat([torch.full_like(batch.target[:1], EOS), batch.target[:-1]])
        logits, _ = self.model.sequence(fed, states, batch.lengths)
        live = torch.arange(len(fed), device=fed.device).unsqueeze(1) < batch.lengths
        live = live & (batch.target != UNKNOWN)
        smoothing = self.smoothing if self.training else 0.0
        total = functional.cross_entropy(logits[live], batch.target[live], reduction="sum", label_smoothing=smoothing)
        count = int(live.sum())
        return Loss(total, count, count)

    def weights(self, batch: Batch) -> Tensor:
        """How much each step attends to each source step [T, B, S], when the targets are fed."""
        states = self.encode(batch.source, batch.source_lengths)
        fed = torch.cat([torch.full_like(batch.target[:1], EOS), batch.target[:-1]])
        return self.model.decoder.weights(fed, states, batch.lengths)  # type: ignore[operator, no-any-return]


class TranslateEnsemble(Ensemble):
    """Networks whose probabilities are averaged at each step of the beam.

    p(symbol) = mean of the members' p(symbol), given what is written so far
    """

    def forward(self, tokens: Tensor, states: tuple[Any, ...]) -> tuple[Tensor, tuple[Any, ...]]:
        """A step for `elman.decoding`: tokens [B] and the states of all members -> log p̄ [B, V] and states."""
        found = [member(tokens, state) for member, state in zip(self.members, states, strict=True)]
        return mean_logits([logits for logits, _ in found]), tuple(after for _, after in found)

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Any, ...]:
        """The states from which the decoders start, of each member."""
        return tuple(member.encode(source, lengths) for member in self.members)  # type: ignore[operator]

    def states(self, source: Tensor, lengths: Tensor) -> Tensor:
        """What the encoders give out, side by side [S, B, N 2 H]."""
        return torch.cat([member.states(source, lengths) for member in self.members], -1)  # type: ignore[operator]

    def weights(self, batch: Batch) -> Tensor:
        """How much each step attends to each source step, in the mean [T, B, S]."""
        return torch.stack([member.weights(batch) for member in self.members]).mean(0)  # type: ignore[operator]
