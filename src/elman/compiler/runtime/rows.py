"""How the rows of a batch stand in memory: all at every step, or only the live ones, packed step after step.

    lengths 3, 1, 2      padded  [T, B]   a a a   b . .   c c .
                         packed  [N, 1]   a c b | a c | a            the longest row first

Packed, an ended row costs nothing anywhere: not in the loop, and not in the products before and after it. A kernel
reads and writes what the caller has padded, and everything else packed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import accumulate

import torch
from torch import Tensor

from elman.axes import BATCH, TIME
from elman.compiler.graph import Node
from elman.compiler.sequences import Sequences

from .memory import CPU


@dataclass(frozen=True, eq=False)
class Frame:
    """Rows in blocks, each for one thread at a time.

    Attributes:
        most: rows of the largest block.
        workers: threads.
        fields: what a kernel is told of it, by name.
        alive: what the addresses among the fields point to.
    """

    most: int
    workers: int
    fields: tuple[tuple[str, int], ...]
    alive: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Rows:
    """Where the row of each step is found.

    Attributes:
        order: [B] the rows, the longest first where lengths differ; where each of them stands in its step.
        at: [T] where the rows of each step begin.
        ends: [B] the step at which each row of `order` ends; None where all have all steps.
        index: [N] where the packed rows stand in [T B]; None where nothing is packed.
    """

    order: Tensor
    at: Tensor
    ends: Tensor | None = None
    index: Tensor | None = None

    @cached_property
    def batch(self) -> int:
        """B."""
        return len(self.order)

    @cached_property
    def steps(self) -> int:
        """T."""
        return len(self.at)

    @cached_property
    def total(self) -> int:
        """Rows of all steps."""
        return self.steps * self.batch if self.index is None else len(self.index)

    def position(self, step: int) -> int:
        """Where a step begins, in rows; the end of all for T."""
        if self.index is None:
            return step * self.batch
        return int(self.at[step]) if step < self.steps else self.total

    def part(self, start: int, stop: int) -> "Rows":
        """The same rows at some of the steps."""
        if self.index is None or self.ends is None:
            return all_rows(stop - start, self.batch)
        first, last = self.position(start), self.position(stop)
        index = self.index[first:last] - start * self.batch
        return Rows(self.order, self.at[start:stop] - first, (self.ends - start).clamp(0, stop - start), index)

    def live(self) -> Tensor:
        """[T, B], True while a row lasts."""
        assert self.index is not None
        live = torch.zeros(self.steps * self.batch, dtype=torch.bool, device=CPU)
        return live.index_fill_(0, self.index, True).view(self.steps, self.batch)

    def frame(self, threads: int, most: int) -> Frame:
        """Blocks of nearly equal work and no more than `most` rows, as many as there are threads or a multiple."""
        if (threads, most) not in self._frames:
            self._frames[threads, most] = self._cut(threads, most)
        return self._frames[threads, most]

    @cached_property
    def _frames(self) -> dict[tuple[int, int], Frame]:
        return {}

    def _cut(self, threads: int, most: int) -> Frame:
        count = -(-self.batch // most)
        count = max(1, min(self.batch, -(-count // threads) * threads))
        places = torch.arange(self.batch, device=CPU)
        bounds = [self.batch * number // count for number in range(count + 1)]
        if self.ends is not None:  # long and short rows in each block
            parts = [places[number::count] for number in range(count)]
            bounds, places = [0, *accumulate(len(part) for part in parts)], torch.cat(parts)
        alive = {"order": places, "row": self.order[places], "bounds": torch.tensor(bounds, device=CPU)}
        if self.ends is not None:
            alive["ends"] = self.ends[places]
        numbers = {"blocks": count, "workers": min(threads, count), "packed": int(self.index is not None)}
        fields = (*((name, tensor.data_ptr()) for name, tensor in alive.items()), *numbers.items())
        return Frame(-(-self.batch // count), numbers["workers"], fields, tuple(alive.values()))


@lru_cache(maxsize=16)
def all_rows(steps: int, batch: int) -> Rows:
    """Every row at every step; on the CPU, whatever torch.set_default_device says."""
    return Rows(torch.arange(batch, device=CPU), torch.arange(steps, device=CPU) * batch)


def live_rows(live: Tensor) -> Rows:
    """Only the rows that have not ended; live [T, B] is True up to the end of each row."""
    steps, batch = live.shape
    lengths = live.sum(0)
    ends, order = torch.sort(lengths, descending=True, stable=True)
    index = (torch.arange(steps, device=CPU).unsqueeze(1) * batch + order)[live[:, order]]
    counts = live.sum(1)
    return Rows(order, torch.cumsum(counts, 0) - counts, ends, index)


def pack(sequence: Tensor, rows: Rows, by_row: bool) -> Tensor:
    """[T, B, ...] as [N, 1, ...], or [T, ...] as [N, ...] for a sequence that is the same for all rows."""
    assert rows.index is not None
    if not by_row:
        return sequence.index_select(0, rows.index // rows.batch)
    return sequence.reshape(rows.steps * rows.batch, *sequence.shape[2:]).index_select(0, rows.index).unsqueeze(1)


def unpack(packed: Tensor, rows: Rows, by_row: bool) -> Tensor:
    """[N, 1, ...] as [T, B, ...], zero where a row has ended, or [N, ...] as [T, ...]."""
    assert rows.index is not None
    if not by_row:
        return packed.index_select(0, rows.at.clamp(max=len(packed) - 1))
    flat = packed.new_zeros(rows.steps * rows.batch, *packed.shape[2:])
    return flat.index_copy_(0, rows.index, packed.squeeze(1)).view(rows.steps, rows.batch, *packed.shape[2:])


def sequences(nodes: Mapping[str, Node], without: Collection[str]) -> dict[str, bool]:
    """What differs from step to step, by name: whether it differs from row to row, too."""
    return {
        name: BATCH in node.shape for name, node in nodes.items() if node.shape[:1] == (TIME,) and name not in without
    }


def packed(tensors: Mapping[str, Tensor], by_row: Mapping[str, bool], rows: Rows) -> dict[str, Tensor]:
    """Tensors by name, those that `by_row` names packed."""
    return {**tensors, **{name: pack(tensors[name], rows, each) for name, each in by_row.items()}}


def unpacked(tensors: Mapping[str, Tensor], by_row: Mapping[str, bool], rows: Rows) -> dict[str, Tensor]:
    """Tensors by name, those that `by_row` names padded."""
    return {**tensors, **{name: unpack(tensors[name], rows, each) for name, each in by_row.items()}}


def fill_ended(sequence: Tensor, live: Tensor) -> Tensor:
    """[T, B, ...] in which each ended row repeats its last step, so that no padding (NaN, say) is ever read.

    Zeros would do for most steps, but not for one that divides by x: 0 / 0 in an ended row would spoil the
    gradient of the shared parameters. Rows without any step repeat the longest row; where there is no step at all,
    they become ones.
    """
    lengths, (steps, batch) = live.sum(0), live.shape
    if batch == 0:
        return sequence
    row = torch.where(lengths > 0, torch.arange(batch, device=live.device), lengths.argmax())
    step = torch.minimum(torch.arange(steps, device=live.device).unsqueeze(1), (lengths[row] - 1).clamp(min=0))
    flat = sequence.reshape(steps * batch, *sequence.shape[2:]).index_select(0, (step * batch + row).flatten())
    return torch.where(
        lengths.any(), flat.view(sequence.shape), torch.ones((), dtype=sequence.dtype, device=live.device)
    )


def filled(given: Sequences) -> Sequences:
    """The inputs of all steps as a loop over all rows may read them."""
    live = given.live
    if live is None:
        return given
    x, fed = (None if t is None else fill_ended(t, live) for t in (given.x, given.fed))
    return replace(given, x=x, fed=fed)
