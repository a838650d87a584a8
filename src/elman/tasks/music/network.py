"""The network of the music job: frames in, how likely the next frame is out."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import elman
from elman import around
from elman.training import Loss

from ..inputs import CELLS
from .heads import Head


class Batch(NamedTuple):
    """Rows side by side: the frame before each [B, I], frames [T, B, I], their lengths and steps before them [B]."""

    first: Tensor
    frames: Tensor
    lengths: Tensor
    at: Tensor


class MusicNetwork(nn.Module):
    """Layers over the frame before, and what they say of the next one.

        x(t) = [v(t-1) ; whether t is the first step ; the place of t in each period, one-hot]
        h(t) = layers over dropout(x(t)), from a start that is learned
        raw(t) = V [dropout(h(t)) ; x(t)] + c
        v(t) ~ head(raw(t))

    Args:
        head: the distribution of a frame.
        channels: I.
        periods: steps after which a beat or a bar begins anew; none where frames have no beat.
        cell: "gru", "lstm" or "elman".
        layers: how many, one above the other.
        hidden_size: H.
        dropout: on the states that the recurrent products read, one mask a row; two thirds of it on what comes in (see
            `Head.drops`), one third between the layers and on what goes out.
        rows: the pieces of the training [T, I], by which it begins: with what is simple.
    """

    def __init__(
        self,
        head: Head,
        channels: int,
        periods: Sequence[int],
        cell: str,
        layers: int,
        hidden_size: int,
        dropout: float,
        rows: Sequence[Tensor] | None,
    ) -> None:
        super().__init__()
        self.head, self.periods = head, tuple(periods)
        read = channels + 1 + sum(self.periods)
        sizes = [read] + [hidden_size] * (layers - 1)
        stacked = (elman.Recurrent(self._cell(cell, size, hidden_size, dropout)) for size in sizes)
        self.stack = elman.Stack(*stacked, dropout=dropout / 3)
        self.coming, self.going = nn.Dropout(2 * dropout / 3 * head.drops), nn.Dropout(dropout / 3)
        self.readout = nn.Linear(hidden_size + read, head.size)
        if rows is not None:
            bias, weight, first = head.begun(rows)
            with torch.no_grad():
                self.readout.weight.mul_(0.1)
                self.readout.weight[:, hidden_size : hidden_size + channels] += weight
                self.readout.weight[:, hidden_size + channels] += first - bias
                self.readout.bias.copy_(bias)

    @staticmethod
    def _cell(name: str, size: int, hidden_size: int, dropout: float) -> elman.Cell:
        cell = CELLS[name](size, hidden_size)
        elman.init.orthogonal_(cell)
        return around.LearnedStart(around.VariationalDropout(cell, dropout))

    def forward(
        self, before: Tensor, at: Tensor, state: Any = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Any]:
        """Frames before [T, B, I] -> raw [T, B, size], what the last layer gives out [T, B, H], the state after.

        Args:
            before: the frame before each step.
            at: steps before the first one [B].
            state: before it; None at the beginning of pieces.
            lengths: of the rows [B].
        """
        steps = at + torch.arange(len(before), device=before.device).unsqueeze(1)
        places = [(steps == 0).unsqueeze(-1).to(before.dtype)]
        places += [nn.functional.one_hot(steps % period, period).to(before.dtype) for period in self.periods]
        y, state = self.stack(torch.cat([self.coming(before), *places], -1), state, lengths)
        return self.readout(torch.cat([self.going(y), before, *places], -1)), y, state

    def read(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """raw [T, B, size] and what the last layer gives out [T, B, H]: of each step from those before it."""
        before = torch.cat([batch.first.unsqueeze(0), batch.frames[:-1]])
        raw, y, _ = self(before, batch.at, None, batch.lengths)
        return raw, y

    def loss(self, batch: Batch, state: None) -> Loss:
        """The loss over rows, each frame from those before it; its size is their steps."""
        raw, _ = self.read(batch)
        live = torch.arange(len(raw), device=raw.device).unsqueeze(1) < batch.lengths
        total = self.head.nats(raw[live], batch.frames[live]).sum()
        count = int(batch.lengths.sum())
        return Loss(total, count, count)
