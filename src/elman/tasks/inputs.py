"""What a network reads, made of a column of a table: text as numbers of symbols, or vectors in time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

import elman
from elman.data import Picked, Ragged, Texts, Vocabulary, build_vocabulary, mean_and_deviation, texts, values_of
from elman.errors import ArgumentError, DataError
from elman.training.settings import at_least

if TYPE_CHECKING:
    from polars import Series

    from elman.data import Column

CELLS = {"lstm": elman.LSTM, "gru": elman.GRU, "elman": elman.Elman}


@dataclass(frozen=True, eq=False)
class TextInputs:
    """Text: each character, or each word, is a symbol.

    Attributes:
        symbols: the vocabulary.
    """

    symbols: Vocabulary

    @classmethod
    def learned(cls, rows: Iterable[str], unit: str, vocabulary: int, minimum_count: int) -> "TextInputs":
        """The vocabulary of the rows that are trained on."""
        return cls(build_vocabulary((f"{row}\n" for row in rows), unit, vocabulary, minimum_count))

    def encode(self, rows: Iterable[str]) -> Ragged:
        """Each row as numbers [T], int64."""
        return Ragged(map(self.symbols.encode, rows), self.symbols.dtype)

    def units(self, value: Any) -> list[str]:
        """What each step of a row stands for."""
        text, found = str(value), list[str]()
        for length in self.symbols.lengths[self.symbols.encode(text)].tolist():
            found.append(text[:length])  # as it is written, also where it is no symbol
            text = text[length:]
        return found

    def network(self, embedding: int) -> tuple[nn.Module, int]:
        """From numbers [T, B] to vectors [T, B, E], and E."""
        return nn.Embedding(len(self.symbols), embedding), embedding

    def to_json(self) -> dict[str, Any]:
        """The vocabulary as plain values."""
        return {"kind": "text", **self.symbols.to_json()}


@dataclass(frozen=True, eq=False)
class VectorInputs:
    """Vectors in time: each feature is brought to mean 0 and variance 1 by what is trained on.

    Attributes:
        mean: [I].
        scale: [I], the standard deviation; 1 where a feature never changes.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def learned(cls, rows: Sequence[Tensor]) -> "VectorInputs":
        """Mean and scale of the rows that are trained on, float64."""
        mean, scale = mean_and_deviation(rows)
        return cls(tuple(mean.tolist()), tuple(torch.where(scale > 0, scale, 1.0).tolist()))

    def encode(self, rows: Iterable[Tensor]) -> Ragged:
        """Each row as vectors [T, I], float32."""
        mean, scale = (torch.tensor(each, dtype=torch.float64) for each in (self.mean, self.scale))
        return Ragged(((row - mean) / scale for row in rows), torch.float32)

    def units(self, value: Any) -> list[str]:
        """What each step of a row stands for: its number."""
        return [str(number) for number in range(len(value))]

    def network(self, embedding: int) -> tuple[nn.Module, int]:
        """From vectors [T, B, I] to themselves, and I."""
        return nn.Identity(), len(self.mean)

    def to_json(self) -> dict[str, Any]:
        """Mean and scale as plain values."""
        return {"kind": "vectors", "mean": list(self.mean), "scale": list(self.scale)}


Inputs = TextInputs | VectorInputs


def read_rows(values: "Column | Series", inputs: Inputs | None = None) -> Texts | Ragged:
    """What a column holds, by its kind: lists are vectors in time [T, I], float64, all else is text.

    Args:
        values: the column.
        inputs: by which it will be read; None where this is to be learned.

    Raises:
        DataError: it is of another kind, there is nothing in it, or what is no vector.
    """
    nested = values.dtype.is_nested()
    if inputs is None:
        rows = _vectors(values, None) if nested else texts(values)
        if isinstance(rows, Texts) and all(not row.strip() for row in rows):
            raise DataError(f"the column {values.name!r}: expected text, got {len(rows)} empty rows.")
        return rows
    if nested == isinstance(inputs, TextInputs):
        kinds = ("text", "lists of steps")
        raise DataError(
            f"the column {values.name!r}: expected {kinds[not nested]} as in training, got {kinds[nested]}."
        )
    return texts(values) if isinstance(inputs, TextInputs) else _vectors(values, len(inputs.mean))


def learned_inputs(rows: Texts | Ragged, some: Sequence[int], unit: str, vocabulary: int, minimum_count: int) -> Inputs:
    """How rows are read, learned of some of them."""
    if isinstance(rows, Texts):
        return TextInputs.learned(Picked(rows, some), unit, vocabulary, minimum_count)
    return VectorInputs.learned(Picked(rows, some))


def inputs_from(content: dict[str, Any]) -> Inputs:
    """What `to_json` gave."""
    if content["kind"] == "text":
        return TextInputs(Vocabulary.from_json(content))
    return VectorInputs(tuple(content["mean"]), tuple(content["scale"]))


class Readable(Protocol):
    """What an encoder reads."""

    def network(self, embedding: int) -> tuple[nn.Module, int]:
        """From numbers or vectors [T, B, ...] to vectors [T, B, E], and E."""
        ...


class Encoder(nn.Module):
    """What is read, and layers in both directions over it.

        y = layers(embedding(x))        [T, B, 2 H]

    Args:
        inputs: what is read.
        cell: "gru", "lstm" or "elman".
        layers: how many, one above the other.
        hidden_size: H of each direction.
        embedding: size of the embedding of a symbol.
        dropout: on what is read, between the layers and on what is given out.

    Attributes:
        size: features of what is given out.
    """

    def __init__(
        self, inputs: Readable, cell: str, layers: int, hidden_size: int, embedding: int, dropout: float
    ) -> None:
        super().__init__()
        self.size = 2 * hidden_size
        self.embedding, size = inputs.network(embedding)

        sizes = [size] + [self.size] * (layers - 1)
        self.stack = elman.Stack(*(both_ways(cell, each, hidden_size) for each in sizes), dropout=dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x [T, B] or [T, B, I] and lengths [B] -> [T, B, size], zeros where a row has ended."""
        y, _ = self.stack(self.dropout(self.embedding(x)), lengths=lengths)
        return self.dropout(y)


def both_ways(cell: str, input_size: int, hidden_size: int) -> elman.Bidirectional:
    """A layer from the first step to the last, and beside it one from the last to the first."""
    ahead, back = (CELLS[cell](input_size, hidden_size) for _ in range(2))
    return elman.Bidirectional(elman.Recurrent(ahead), elman.Recurrent(back, reverse=True))


def check_network(cell: str, dropout: float, **sizes: int) -> None:
    """Raise ArgumentError unless jobs offer the cell, dropout is a probability below 1, and sizes are 1 or more."""
    for name, size in sizes.items():
        at_least(name, size, 1)
    if not 0 <= dropout < 1:
        raise ArgumentError(f"expected 0 <= dropout < 1, got {dropout}.")
    if cell not in CELLS:
        raise ArgumentError(f"expected cell to be one of {', '.join(CELLS)}, got {cell!r}.")


def _vectors(values: "Column | Series", size: int | None) -> Ragged:
    """Rows [T, I] of lists of lists, or [T, 1] of lists of numbers, float64.

    Raises:
        DataError: numbers are missing or infinite, or rows have other features than the first.
    """
    name, first = values.name, size

    def checked() -> Iterator[Tensor]:
        nonlocal first
        for number, value in enumerate(values_of(values)):
            row = _vector(value, name, number)
            if row.numel():
                first = first or row.size(1)
                if row.size(1) != first:
                    raise DataError(
                        f"the column {name!r}, row {number}: expected {first} features a step, got {row.size(1)}."
                    )
                if not torch.isfinite(row).all():
                    step = int((~torch.isfinite(row)).any(1).nonzero()[0])
                    where = f"the column {name!r}, row {number}, step {step}"
                    raise DataError(f"{where}: expected numbers, got {row[step].tolist()}.")
            yield row if row.numel() else row.new_zeros(0, first or 0)

    found = Ragged(checked(), torch.float64)
    if first is None:
        raise DataError(f"the column {name!r}: expected steps, got {len(found)} empty rows.")
    return found


def _vector(value: Sequence[Any] | None, name: str, number: int) -> Tensor:
    try:
        row = torch.tensor(value if value is not None else [], dtype=torch.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"the column {name!r}, row {number}: expected a list of steps, each a number or a list of as many numbers: "
            f"{error}."
        ) from None
    if row.dim() not in (1, 2):
        raise DataError(f"the column {name!r}, row {number}: expected steps [T, I], got axes {list(row.shape)}.")
    return row.unsqueeze(1) if row.dim() == 1 else row
