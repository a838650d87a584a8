"""Streams: one long sequence laid side by side in rows, cut into windows that follow each other."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from elman.errors import ArgumentError

Window = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Streams:
    """The windows of truncated BPTT: row b of a window goes on where row b of the window before it ended.

    Attributes:
        numbers: the whole sequence [n], of any integer dtype.
        rows: B, the number of streams; each holds a B-th of the sequence, in one piece.
        window: T, the steps of a window; the last one may be shorter.
    """

    numbers: Tensor
    rows: int
    window: int

    def __post_init__(self) -> None:
        if self.window < 1 or self.rows < 1:
            raise ArgumentError(f"expected window >= 1 and rows >= 1, got {self.window} and {self.rows}.")
        if len(self.numbers) <= self.rows:
            raise ArgumentError(
                f"expected more than {self.rows} numbers for {self.rows} streams, got {len(self.numbers)}."
            )

    @property
    def steps(self) -> int:
        """The steps of each stream: every step has an input and, one place further on, a target."""
        return (len(self.numbers) - 1) // self.rows

    def __len__(self) -> int:
        return -(-self.steps // self.window)

    def __getitem__(self, index: int) -> Window:
        """Window number `index`: inputs and targets, each [T, B], int64."""
        first, last = index * self.window, min((index + 1) * self.window, self.steps)
        return self._rows(0)[first:last].long().contiguous(), self._rows(1)[first:last].long().contiguous()

    def starting_at(self, index: int, epoch: int = 0, share: tuple[int, int] = (0, 1)) -> Iterator[Any]:
        """The windows from number `index` on, the same at every epoch.

        Args:
            index: of the first.
            epoch: of no matter here.
            share: (k, n) for every n-th stream, from the k-th on; None where there is none.
        """
        part, parts = share
        for number in range(index, len(self)):
            inputs, targets = (side[:, part::parts] for side in self[number])
            yield (inputs.contiguous(), targets.contiguous()) if inputs.size(1) else None

    def _rows(self, shift: int) -> Tensor:
        """The streams [steps, B], read from `shift` on."""
        return self.numbers[shift : shift + self.steps * self.rows].view(self.rows, self.steps).t()


def fitting_rows(count: int, rows: int, window: int) -> int:
    """How many streams of at least one window `count` numbers make: `rows`, or fewer for a short sequence."""
    return max(1, min(rows, (count - 1) // window))
