"""The network of the describe job: a vector in, a sequence of symbols out."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import elman
from elman import decoding
from elman.around import StartFromVector
from elman.patterns import at_every_step
from elman.training import Loss

from ..inputs import CELLS
from ..symbols import EOS, PAD, UNKNOWN

FEEDS = ("every", "first", "state")


class Batch(NamedTuple):
    """Rows: features [B, I], which slots each has [B, S] (1 or 0), targets [T, B] with EOS, their lengths [B]."""

    x: Tensor
    slots: Tensor
    target: Tensor
    lengths: Tensor


class DescribeNetwork(nn.Module):
    """A vector, made of the features by two layers, and layers that write what it says.

        v = tanh(linear(relu(linear(x))))

        every: y(t) = layers((embedding(token(t)), v, slots that are still to be written))
        first: y(0) = layers(enter v), and y(t) = layers(embedding(token(t))) from its states on
        state: y(t) = layers(embedding(token(t))), from s(0) = s_own + tanh(V v + c)

        logits(t) = linear(y(t)), minus infinity for slots that the row has not got

    Args:
        size: I, features of a row.
        within: which slots each symbol holds [S, V], 1 or 0.
        known: rows of the training that are kept with the network, for comparison.
        feed: how v reaches the layers: "every", "first" or "state".
        cell: "gru", "lstm" or "elman".
        layers: one above the other.
        hidden_size: H, and the size of v.
        embedding: E.
        dropout: on v, on embeddings, between layers, and before the logits.
        smoothing: share of the probability that the loss wants spread over all symbols that may be written.

    Attributes:
        within: as given.
        known: the features of these rows [N, I].
    """

    def __init__(
        self,
        size: int,
        within: Tensor,
        known: int,
        feed: str,
        cell: str,
        layers: int,
        hidden_size: int,
        embedding: int,
        dropout: float,
        smoothing: float,
    ) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.feed, make, (slots, symbols) = feed, CELLS[cell], within.shape
        drop = nn.Dropout(dropout)
        self.reader = nn.Sequential(
            nn.Linear(size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, hidden_size), nn.Tanh(), drop
        )
        self.embedding = nn.Sequential(nn.Embedding(symbols, embedding), drop)
        beside = hidden_size + slots if feed == "every" else 0
        cells = [make(embedding + beside if n == 0 else hidden_size, hidden_size) for n in range(layers)]
        self.layers = elman.Stack(*(elman.Recurrent(each) for each in cells), dropout=dropout)
        self.readout = nn.Sequential(drop, nn.Linear(hidden_size, symbols))
        if feed == "first":
            self.enter = nn.Linear(hidden_size, embedding)
        if feed == "state":
            self.starts = nn.ModuleList(StartFromVector(each, hidden_size) for each in cells)
        self.within: Tensor
        self.known: Tensor
        self.register_buffer("within", within)
        self.register_buffer("known", torch.zeros(known, size))

    def begin(self, x: Tensor, slots: Tensor) -> dict[str, Any]:
        """The states before the first symbol, of features [B, I] and slots [B, S]."""
        v, states = self.reader(x), {"slots": slots, "left": slots}
        match self.feed:
            case "every":
                return {**states, "layers": None, "vector": v}
            case "first":
                return {**states, "layers": self.layers(self.enter(v).unsqueeze(0))[1]}
        return {**states, "layers": tuple(start(v) for start in self.starts)}

    def hidden(self, tokens: Tensor, states: dict[str, Any], lengths: Any = None) -> tuple[Tensor, dict[str, Any]]:
        """What the layers give out [T, B, H] when tokens [T, B] are fed, and the states after them."""
        x = self.embedding(tokens)
        written = self.within.t()[tokens].cumsum(0)
        left = (states["left"] - written).clamp(min=0)
        if self.feed == "every":
            x = torch.cat([x, at_every_step(states["vector"], len(x)), left], -1)
        y, after = self.layers(x, states["layers"], lengths)
        return y, {**states, "layers": after, "left": left[-1]}

    def forward(self, tokens: Tensor, states: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """A step for `elman.decoding`: tokens [B] and states -> logits [B, V] and states."""
        y, states = self.hidden(tokens.unsqueeze(0), states)
        logits = self.readout(y.squeeze(0)).masked_fill(self._banned(states["slots"]), -torch.inf)
        return decoding.without(logits, PAD, UNKNOWN), states

    def loss(self, batch: Batch, state: None) -> Loss:
        """The loss over rows, each symbol from those before it."""
        fed = torch.cat([torch.full_like(batch.target[:1], EOS), batch.target[:-1]])
        y, _ = self.hidden(fed, self.begin(batch.x, batch.slots), batch.lengths)
        live = torch.arange(len(fed), device=fed.device).unsqueeze(1) < batch.lengths
        banned = self._banned(batch.slots).expand(len(fed), -1, -1)[live]
        chances = self.readout(y[live]).masked_fill(banned, -torch.inf).log_softmax(-1)
        total = -chances.gather(1, batch.target[live].unsqueeze(1)).sum()
        if self.training and self.smoothing:
            even = -(chances.masked_fill(banned, 0).sum(1) / (~banned).sum(1)).sum()
            total = (1 - self.smoothing) * total + self.smoothing * even
        count = int(batch.lengths.sum())
        return Loss(total, count, count)

    def _banned(self, slots: Tensor) -> Tensor:
        """Symbols with slots that a row has not got [B, V]."""
        return (1 - slots) @ self.within > 0
