"""Batches of sequences of unequal length: rows of like length stand together, so that little is padded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from elman.errors import ArgumentError, DataError

LONGEST = 100_000  # steps of a row; a batch of such rows takes gigabytes, and is rather a broken file than meant
_ROOM = 50  # batches among which rows are sorted by length


@dataclass(frozen=True, eq=False)
class Padded:
    """Batches of rows of like length, in another order at each epoch.

    Attributes:
        lengths: number of steps of each row.
        make: a batch of the numbers of its rows.
        rows: B, the rows of a batch; the last one may have fewer.
        seed: of the order; None for the order of the rows as they are, at every epoch.
        most: rows of an epoch, drawn anew for each of them; None for all.
    """

    lengths: Sequence[int]
    make: Callable[[list[int]], Any]
    rows: int
    seed: int | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ArgumentError(f"expected rows >= 1, got {self.rows}.")
        if not self.lengths:
            raise ArgumentError("expected at least one row, got none.")
        longest = max(range(len(self.lengths)), key=self.lengths.__getitem__)
        if self.lengths[longest] > LONGEST:
            raise DataError(
                f"row {longest}: expected at most {LONGEST:,} steps, got {self.lengths[longest]:,}: is a line break or "
                "a quotation mark missing in the file? If it is meant, cut the row into shorter ones."
            )

    def __len__(self) -> int:
        return -(-self._count // self.rows)

    @property
    def _count(self) -> int:
        """Rows of an epoch."""
        return len(self.lengths) if self.most is None else min(self.most, len(self.lengths))

    def starting_at(self, index: int, epoch: int = 0, share: tuple[int, int] = (0, 1)) -> Iterator[Any]:
        """The batches from number `index` on, in the order of an epoch.

        Args:
            index: of the first.
            epoch: by which the order is drawn.
            share: (k, n) for every n-th row of each batch, from the k-th on; None where there is none.
        """
        part, parts = share
        return (self.make(rows) if (rows := batch[part::parts]) else None for batch in self._batches(epoch)[index:])

    def _batches(self, epoch: int) -> list[list[int]]:
        """Rows are shuffled, sorted by length among those of some batches, and these batches shuffled."""
        count = self._count
        if self.seed is None:
            return [list(range(start, min(start + self.rows, count))) for start in range(0, count, self.rows)]
        draw = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
        order = torch.randperm(len(self.lengths), generator=draw)[:count].tolist()
        found: list[list[int]] = []
        room = _ROOM * self.rows
        for start in range(0, count, room):
            near = sorted(order[start : start + room], key=lambda row: self.lengths[row])
            found += [near[first : first + self.rows] for first in range(0, len(near), self.rows)]
        return [found[number] for number in torch.randperm(len(found), generator=draw).tolist()]


def padded(rows: Sequence[Tensor], value: float = 0) -> tuple[Tensor, Tensor]:
    """Rows [T_b, ...] as one tensor [T, B, ...] with T >= 1, and their lengths [B]."""
    lengths = torch.tensor([len(row) for row in rows])
    together = pad_sequence(list(rows), padding_value=value)
    if not len(together):
        together = together.new_full((1, *together.shape[1:]), value)
    return together, lengths
