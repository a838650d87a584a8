"""The network of the forecast job: a linear autoregression, and what recurrent layers add to it."""

from typing import Any

import torch
from torch import Tensor, nn

import elman
from elman.tasks.inputs import CELLS
from elman.training import Loss

from .heads import HEADS, Head
from .recipe import Batch, Block

UNKNOWN_SHARE = 0.1  # of training rows are read without the number of their series, so that other series can be read


class Linear(nn.Module):
    """A linear autoregression, solved and not descended to.

        place(t) = Σ_k A_k z(t-k) + B extra(t) + c

    Its weights are buffers: `solve.solve` gives them.

    Args:
        size: D.
        memory: M, how many earlier values are read.
        extras: E.
    """

    def __init__(self, size: int, memory: int, extras: int) -> None:
        super().__init__()
        self.A: Tensor
        self.B: Tensor
        self.c: Tensor
        self.register_buffer("A", torch.zeros(memory, size, size))
        self.register_buffer("B", torch.zeros(extras, size))
        self.register_buffer("c", torch.zeros(size))

    def forward(self, z: Tensor, extra: Tensor) -> Tensor:
        """Values [M + T, B, D], of which each step reads those before it, and extra [T, B, E] -> [T, B, D]."""
        earlier = z[:-1].unfold(0, len(self.A), 1).flip(-1)  # [T, B, D, M], from lag 1 on
        return torch.einsum("tbim,mio->tbo", earlier, self.A) + extra @ self.B + self.c


class ForecastNetwork(nn.Module):
    """What the next value will be, as a distribution.

        u(t) = (z(t-1) - z(t-k) of the lags that are read, z(t-1), extra(t), who)
        h(t) = layers over u
        z(t) ~ head(place(t) + V h(t) ...)          place(t) of the linear autoregression

    The layers so learn what is not linear, and how wide the distribution is. V begins at 0: before training the
    network is the linear autoregression.

    Args:
        size: D, coordinates of a value.
        memory: M, how many earlier values the linear part reads.
        read: the lags that the layers read, ascending from 1.
        extras: E, numbers that a step reads beside.
        series: how many series have a number of their own.
        history: blocks before the window, see `Recipe`.
        cell: "gru", "lstm" or "elman".
        layers: how many, one above the other.
        hidden_size: H.
        dropout: probability of dropping an entry between the layers and before V, in training.
        distribution: a name of HEADS.
        placed: whether the layers read where a series is, z(t-1), beside how it moves.
    """

    def __init__(
        self,
        size: int,
        memory: int,
        read: tuple[int, ...],
        extras: int,
        series: int,
        history: tuple[Block, ...],
        cell: str,
        layers: int,
        hidden_size: int,
        dropout: float,
        distribution: str,
        placed: bool = True,
    ) -> None:
        super().__init__()
        self.size, self.history, self.placed = size, history, placed
        self.reach = sum(count * steps for count, steps in history)
        self.read: Tensor
        self.register_buffer("read", torch.tensor(read), persistent=False)
        self.linear = Linear(size, memory, extras)
        numbers = size * len(read) + extras
        self.center: Tensor
        self.deviation: Tensor
        self.register_buffer("center", torch.zeros(numbers))
        self.register_buffer("deviation", torch.ones(numbers))
        embedded = min(16, 2 + series // 4) if series > 1 else 0
        self.who = nn.Embedding(series + 1, embedded) if embedded else None
        inputs = numbers + embedded + bool(history)
        sizes = [inputs] + [hidden_size] * (layers - 1)
        stacked = (elman.Recurrent(CELLS[cell](each, hidden_size)) for each in sizes)
        self.stack = elman.Stack(*stacked, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.head: Head = HEADS[distribution](torch.zeros(size))
        self.gain: Tensor
        self.register_buffer("gain", torch.ones(self.head.size))
        self.strength: Tensor
        self.register_buffer("strength", torch.ones(()))
        self.dropped: Tensor
        self.register_buffer("dropped", torch.zeros((), dtype=torch.long))
        self.readout = nn.Linear(hidden_size, size * self.head.size)
        nn.init.zeros_(self.readout.weight)
        nn.init.zeros_(self.readout.bias)

    def features(self, z: Tensor, extra: Tensor) -> Tensor:
        """What layers read before each step, before it is brought to mean 0 [T, B, I].

        Args:
            z: values, of which the last ones are those of the steps [.. + T, B, D].
            extra: of the steps [T, B, E].
        """
        at = torch.arange(len(z) - len(extra), len(z), device=z.device).unsqueeze(1) - self.read.to(z.device)
        last, *others = z[at].unbind(1)
        return torch.cat([*(last - other for other in others), last if self.placed else 0 * last, extra], -1)

    def forward(
        self, z: Tensor, extra: Tensor, who: Tensor, lengths: Tensor | None = None, state: Any = None
    ) -> tuple[Tensor, Tensor, Any]:
        """Read steps one after the other.

        Args:
            z: values from M steps before the first step on [M + T, B, D]; the last one is not read.
            extra: [T, B, E]; at the start of a window [R + T, B, E].
            who: numbers of the series [B].
            lengths: steps of each row [B], without R.
            state: where to go on; None at the start of a window.

        Returns:
            Numbers for the head [T, B, D, size], the places [T, B, D], and the state.
        """
        y, state = self.read_steps(z, extra, who, lengths, state)
        raw = self.readout(self.dropout(y)).unflatten(-1, (self.size, self.head.size))
        return self.gain * raw, self.linear(z, extra[len(extra) - len(y) :]), state

    def read_steps(
        self, z: Tensor, extra: Tensor, who: Tensor, lengths: Tensor | None = None, state: Any = None
    ) -> tuple[Tensor, Any]:
        """What the last layer gives out at each step [T, B, H], and the state; arguments as for `forward`."""
        reach = self.reach if state is None else 0
        x = (self.features(z, extra) - self.center) / self.deviation
        x = x.clamp(-8, 8)  # far beyond what was seen in training layers are told no more than "very far"
        if self.history:
            x = self._mixed(x, reach)
        blocks = len(x) - (len(extra) - reach)
        if self.who is not None:
            x = torch.cat([x, self.who(who).expand(len(x), -1, -1)], -1)
        y, state = self.stack(x, state, lengths=None if lengths is None else lengths + blocks)
        return y[blocks:], state

    def loss(self, batch: Batch, state: None) -> Loss:
        """The loss over windows, each by itself."""
        z = batch.z[len(batch.z) - len(batch.counts) :]
        who = batch.who
        if self.training and self.who is not None:
            who = torch.where(torch.rand(who.shape, device=who.device) < UNKNOWN_SHARE, 0, who)
        raw, place, _ = self(batch.z, batch.extra, who, batch.lengths)
        scale = batch.scale
        lost = self.head.loss(raw, place, z, scale)
        count = int(batch.counts.sum())
        return Loss(torch.where(batch.counts, lost, 0).sum(), max(1, count), count)

    def _mixed(self, x: Tensor, reach: int) -> Tensor:
        """Steps of several resolutions: means over blocks, then single steps; each says how long it is."""
        parts, at = [], 0
        for count, steps in self.history if reach else ():
            block = x[at : at + count * steps].unflatten(0, (count, steps)).mean(1)
            parts.append(torch.cat([block, torch.full_like(block[..., :1], steps).log1p()], -1))
            at += count * steps
        return torch.cat([*parts, torch.cat([x[at:], torch.full_like(x[at:, :, :1], 0.0)], -1)])
