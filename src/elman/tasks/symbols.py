"""Symbols of what is read and of what is written: characters, words or pieces of words, with an end."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from elman.data import BytePairs, numbered
from elman.errors import ArgumentError

if TYPE_CHECKING:
    from polars import DataFrame

PAD, EOS, UNKNOWN = 0, 1, 2
_OWN = ("", "", "\ufffd")
UNITS = ("char", "word", "bpe")


@dataclass(frozen=True)
class Symbols:
    """Characters, words between white space, or byte pairs, by number.

    Attributes:
        unit: "char", "word" or "bpe": pieces of words down to single bytes, so that nothing is unknown.
        symbols: the first three stand for padding, the end, and what is not known.
        pairs: the pieces of unit "bpe": number n of them is symbol n + 3.
    """

    unit: str
    symbols: tuple[str, ...]
    pairs: BytePairs | None = None

    @classmethod
    def learned(cls, texts: Iterable[str], unit: str, minimum_count: int, vocabulary: int = 2_000) -> "Symbols":
        """The symbols of some texts that occur often enough.

        Args:
            texts: the training texts.
            unit: "char", "word" or "bpe".
            minimum_count: what occurs less often has no symbol; a rarer pair is not joined (unit "bpe").
            vocabulary: most pieces, at least 256 (unit "bpe").

        Raises:
            ArgumentError: an unknown unit, or too few pieces.
            SetupError: the library `tokenizers` is not installed (unit "bpe").
        """
        if unit not in UNITS:
            raise ArgumentError(f"expected unit to be {', '.join(UNITS[:-1])} or {UNITS[-1]}, got {unit!r}.")
        if unit == "bpe":
            return cls._of_pairs(BytePairs.learned(texts, vocabulary, minimum_count))
        counted = Counter(symbol for text in texts for symbol in _cut(text, unit))
        return cls(unit, (*_OWN, *sorted(symbol for symbol, count in counted.items() if count >= minimum_count)))

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {symbol: number for number, symbol in enumerate(self.symbols) if number >= len(_OWN)}

    def cut(self, text: str) -> list[str]:
        r"""The symbols of a text; byte pairs as people read them, with \xNN for a part of a character."""
        if self.pairs is not None:
            return [self.pairs.shown(number) for number in self.pairs.encode(text)]
        return _cut(text, self.unit)

    def encode(self, text: str, end: bool = False) -> Tensor:
        """The numbers of a text [T], int64; with EOS behind them if there is to be an `end`."""
        if self.pairs is not None:
            found = [number + len(_OWN) for number in self.pairs.encode(text)]
        else:
            found = [self._numbers.get(symbol, UNKNOWN) for symbol in self.cut(text)]
        return torch.tensor([*found, EOS] if end else found, dtype=torch.int64)

    def decode(self, numbers: Sequence[int]) -> str:
        """The text of numbers, up to EOS."""
        if self.pairs is not None:
            return "".join(self.pairs.decode(n - len(_OWN) for n in _until_end(numbers) if n >= len(_OWN)))
        return ("" if self.unit == "char" else " ").join(self.shown(numbers))

    def shown(self, numbers: Sequence[int]) -> list[str]:
        """The symbols of numbers, up to EOS."""
        return [self.symbols[number] for number in _until_end(numbers) if number != PAD]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        if self.pairs is not None:
            return {"unit": self.unit, "pairs": self.pairs.to_json()}
        return {"unit": self.unit, "symbols": list(self.symbols)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Symbols":
        """What `to_json` gave."""
        if content["unit"] == "bpe":
            return cls._of_pairs(BytePairs.from_json(content["pairs"]))
        return cls(content["unit"], tuple(content["symbols"]))

    @classmethod
    def _of_pairs(cls, pairs: BytePairs) -> "Symbols":
        return cls("bpe", numbered(pairs, _OWN), pairs)


def sentences(found: Sequence[Sequence[tuple[str, float]]], n_best: int) -> "DataFrame":
    """What was written for each row and its log probability; lists of both where several may have been asked for."""
    import polars

    written = [[text for text, _ in some] for some in found]
    scores = [[score for _, score in some] for some in found]
    if n_best == 1:
        return polars.DataFrame({"output": [w[0] for w in written], "log probability": [s[0] for s in scores]})
    return polars.DataFrame({"output": written, "log probability": scores})


def _until_end(numbers: Sequence[int]) -> Sequence[int]:
    return numbers[: list(numbers).index(EOS)] if EOS in numbers else numbers


def _cut(text: str, unit: str) -> list[str]:
    return list(text) if unit == "char" else text.split()
