"""Rows that need not fit into memory: written one after the other, read at any place."""

import mmap
import os
import tempfile
from abc import abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import IO, TypeVar, cast, overload

import numpy as np
import torch
from torch import Tensor

from elman.errors import DataError

LARGE = 1 << 28  # bytes from which on rows go to a file
TOGETHER = 1 << 20  # bytes that are then written at once

Item = TypeVar("Item")


def large_files() -> Path:
    """The folder where large files lie for a while: TMPDIR, else /var/tmp, since /tmp is memory on some machines."""
    if "TMPDIR" in os.environ:
        return Path(os.environ["TMPDIR"])
    usual = Path("/var/tmp")
    return usual if os.access(usual, os.W_OK) else Path(tempfile.gettempdir())


@contextmanager
def writing() -> Iterator[None]:
    """A full disk, or none to write to, as DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{large_files()}: expected room for data that do not fit into memory: {error.strerror}. Set TMPDIR to a "
            "folder on a disk with more."
        ) from None


def temporary() -> tuple[IO[bytes], Path]:
    """A file that is gone once it is closed, and a path by which others may open it until then.

    On Linux the file has no name, so that it is gone with the process, whatever ends it.
    """
    with writing():
        file = tempfile.TemporaryFile(dir=large_files())  # noqa: SIM115  the caller's to close
        if (path := Path(f"/proc/self/fd/{file.fileno()}")).exists():
            return file, path
        file.close()
        named = tempfile.NamedTemporaryFile(dir=large_files())  # noqa: SIM115
        return cast("IO[bytes]", named), Path(named.name)


class Spool:
    """Bytes that are written one after the other: in memory, or in a file once there are many.

    The file is `temporary`, and gone with its last reader.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._file: IO[bytes] | None = None

    def write(self, data: bytes | memoryview) -> None:
        """Append some bytes.

        Raises:
            DataError: the disk is full, or has no folder to write to.
        """
        self._held += data
        if len(self._held) >= (LARGE if self._file is None else TOGETHER):
            self._write_out()

    def read(self) -> np.ndarray:
        """All that was written [n], uint8; nothing can be written afterwards."""
        if self._file is None:
            return np.frombuffer(self._held, dtype=np.uint8)
        self._write_out()
        with self._file as file:
            return np.frombuffer(mmap.mmap(file.fileno(), 0), dtype=np.uint8)

    def _write_out(self) -> None:
        with writing():
            if self._file is None:
                self._file, _ = temporary()
            self._file.write(self._held)
            self._file.flush()
        self._held.clear()


class _Rows(Sequence[Item]):
    """Rows, some of them by a slice."""

    def __iter__(self) -> Iterator[Item]:
        return (self._row(number) for number in range(len(self)))

    @overload
    def __getitem__(self, number: int) -> Item: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Item]: ...
    def __getitem__(self, number: int | slice) -> Item | Sequence[Item]:
        if isinstance(number, slice):
            return Picked(self, range(len(self))[number])
        return self._row(range(len(self))[number])

    @abstractmethod
    def _row(self, number: int) -> Item: ...


def spooled(parts: Iterable[Tensor], dtype: torch.dtype) -> Tensor:
    """The numbers of all parts, one after the other [n]."""
    spool = Spool()
    for part in parts:
        if part.numel():
            spool.write(part.to(dtype).contiguous().view(torch.uint8).numpy().data)
    return torch.from_numpy(spool.read()).view(dtype)


def total(parts: Iterable[Tensor]) -> Tensor:
    """The sum of tensors of one size, float64; 0 without any."""
    return sum((part.double() for part in parts), torch.zeros((), dtype=torch.float64))


def mean_and_deviation(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [I] over all steps of rows [T, I], float64; there is at least one step."""
    count, first = sum(map(len, rows)), next(row[0].double() for row in rows if len(row))
    mean = total((row - first).sum(0) for row in rows) / count  # what never changes is 0 here, and so is its deviation
    return first + mean, (total((row - first - mean).square().sum(0) for row in rows) / count).sqrt()


class Ragged(_Rows[Tensor]):
    """Rows of numbers of unequal length [T, ...].

    Args:
        rows: one after the other; all have the same axes behind the first.
        dtype: in which they are kept.
        given: in which they are given; by default int64, or `dtype` if it is a floating one.

    Attributes:
        lengths: T of each.
    """

    def __init__(self, rows: Iterable[Tensor], dtype: torch.dtype, given: torch.dtype | None = None) -> None:
        self._given = given or (dtype if dtype.is_floating_point else torch.int64)
        self.lengths, self._shape = array("q"), torch.Size()
        numbers = spooled(map(self._seen, rows), dtype)
        self._numbers = numbers.view(sum(self.lengths), *self._shape)
        self._ends = array("q", accumulate(self.lengths))

    def __len__(self) -> int:
        return len(self.lengths)

    def _seen(self, row: Tensor) -> Tensor:
        if len(row) or not self.lengths:
            self._shape = row.shape[1:]
        self.lengths.append(len(row))
        return row.flatten()

    def _row(self, number: int) -> Tensor:
        end = self._ends[number]
        return self._numbers[end - self.lengths[number] : end].to(self._given)


class Tokens(_Rows[list[str]]):
    """Rows of texts, each different one of which is kept once, in memory.

    Args:
        rows: one after the other.

    Attributes:
        different: the texts, in the order in which they first came.
        numbers: the rows, as places among them.
    """

    def __init__(self, rows: Iterable[Iterable[str]]) -> None:
        places: dict[str, int] = {}
        found = ([places.setdefault(text, len(places)) for text in row] for row in rows)
        self.numbers = Ragged((torch.tensor(row, dtype=torch.int32) for row in found), torch.int32)
        self.different = list(places)

    def __len__(self) -> int:
        return len(self.numbers)

    def _row(self, number: int) -> list[str]:
        return [self.different[place] for place in self.numbers[number].tolist()]


class Looked(_Rows[Tensor]):
    """Rows of places, given as what a table has there.

    Args:
        rows: of places [T].
        table: [V, ...].
    """

    def __init__(self, rows: Ragged, table: Tensor) -> None:
        self._rows, self._table, self.lengths = rows, table, rows.lengths

    def __len__(self) -> int:
        return len(self._rows)

    def _row(self, number: int) -> Tensor:
        return self._table[self._rows[number]]


class Texts(_Rows[str]):
    """Texts, kept as UTF-8.

    Args:
        rows: one after the other.
    """

    def __init__(self, rows: Iterable[str]) -> None:
        spool, lengths = Spool(), array("q")
        for row in rows:
            data = row.encode("utf-8", "surrogatepass")
            lengths.append(len(data))
            spool.write(data)
        self._bytes, self._ends = spool.read(), array("q", accumulate(lengths))

    def __len__(self) -> int:
        return len(self._ends)

    def _row(self, number: int) -> str:
        start = self._ends[number - 1] if number else 0
        return self._bytes[start : self._ends[number]].tobytes().decode("utf-8", "surrogatepass")


class Picked(_Rows[Item]):
    """Some of some rows.

    Args:
        rows: of which some are picked.
        numbers: of those.
    """

    def __init__(self, rows: Sequence[Item], numbers: Sequence[int]) -> None:
        self._rows, self._numbers = rows, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def _row(self, number: int) -> Item:
        return self._rows[self._numbers[number]]
