"""The network of the text job: symbols in, the logits of the next symbol out."""

import math
from typing import Any

import torch
from torch import Tensor, nn

import elman
from elman.data import UNKNOWN
from elman.training import Loss

from ..inputs import CELLS

CODE_POINTS = 0x110000 - 0x800  # of Unicode, without the surrogates


class OneHot(nn.Module):
    """A number as a vector with a single one, in place of an embedding.

    Args:
        size: V, how many numbers there are.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, numbers: Tensor) -> Tensor:
        """[...] int64 -> [..., V]."""
        return nn.functional.one_hot(numbers, self.size).to(torch.get_default_dtype())


class TextNetwork(nn.Module):
    """Embedding, recurrent layers, logits.

        x(t) = E[symbol(t)]          one-hot where embedding = 0
        h(t) = stack of cells over x
        logits(t) = V h(t) + c       of the symbol that comes next

    Args:
        lengths: characters of each symbol [V], int64.
        cell: "lstm", "gru" or "elman".
        layers: how many, one above the other.
        hidden_size: H, units of each layer.
        embedding: E, size of the embedding; 0 for one-hot.
        dropout: probability of dropping an entry between the layers and before the logits, in training.
    """

    def __init__(
        self, lengths: Tensor, cell: str, layers: int, hidden_size: int, embedding: int, dropout: float
    ) -> None:
        super().__init__()
        symbols = len(lengths)
        self.embedding = nn.Embedding(symbols, embedding) if embedding else OneHot(symbols)
        sizes = [embedding or symbols] + [hidden_size] * (layers - 1)
        stacked = (elman.Recurrent(CELLS[cell](size, hidden_size)) for size in sizes)
        self.stack = elman.Stack(*stacked, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(hidden_size, symbols)
        self.lengths: Tensor
        self.register_buffer("lengths", lengths, persistent=False)

    @property
    def unknown_cost(self) -> float:
        """Nats to say which of all other characters of Unicode an unknown one is, each as likely as the next."""
        known = int((self.lengths == 1).sum()) - 1
        return math.log(CODE_POINTS - known)

    def forward(self, numbers: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Numbers [T, B] -> logits [T, B, V], and the state after them."""
        y, state = self.stack(self.embedding(numbers), state)
        return self.readout(self.dropout(y)), state

    def nats(self, batch: tuple[Tensor, Tensor], state: Any) -> tuple[Tensor, Any]:
        """What each target costs, inputs and targets [T, B] -> [T * B], and the state after them.

        An unknown target costs its own logit and then `unknown_cost`, so that the figure is that of a code
        for any text at all.
        """
        numbers, targets = batch
        logits, state = self(numbers, state)
        nats = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return nats + self.unknown_cost * (targets == UNKNOWN).flatten(), state

    def loss(self, batch: tuple[Tensor, Tensor], state: Any) -> Loss:
        """The loss over one window of inputs and targets [T, B]; its size is their characters."""
        nats, state = self.nats(batch, state)
        targets = batch[1]
        return Loss(nats.sum(), targets.numel(), int(self.lengths[targets].sum()), state)

    def hidden(self, numbers: Tensor, state: Any = None) -> tuple[list[Tensor], Any]:
        """What each layer gives out [T, B, H] over numbers [T, B], and the state after them."""
        x, found, ends = self.embedding(numbers), [], []
        for number, layer in enumerate(self.stack.layers):
            x, end = layer(x, None if state is None else state[number])
            found.append(x)
            ends.append(end)
        return found, tuple(ends)

    def take_over(self, weights: dict[str, Tensor]) -> None:
        """Begin with the weights of a network of fewer symbols; each row of a new symbol is the mean of the old rows.

        Args:
            weights: of the same network, but for the symbols, of which the first are the same.
        """
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(_grown(weights[name], parameter.shape))


def _grown(old: Tensor, shape: torch.Size) -> Tensor:
    """A tensor of this shape: along the axis that has grown, the old entries and then their mean, again and again."""
    axis = next((axis for axis, (before, now) in enumerate(zip(old.shape, shape, strict=True)) if before != now), None)
    if axis is None:
        return old
    mean = old.mean(axis, keepdim=True)
    return torch.cat([old, mean.repeat_interleave(shape[axis] - old.shape[axis], axis)], axis)
