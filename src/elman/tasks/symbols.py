"""Symbols of what is read and of what is written: characters or words, with an end."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from elman.errors import ArgumentError

PAD, EOS, UNKNOWN = 0, 1, 2
_OWN = ("", "", "\ufffd")
UNITS = ("char", "word")


@dataclass(frozen=True)
class Symbols:
    """Characters, or words between white space, by number.

    Attributes:
        unit: "char" or "word".
        symbols: the first three stand for padding, the end, and what is not known.
    """

    unit: str
    symbols: tuple[str, ...]

    @classmethod
    def learned(cls, texts: Iterable[str], unit: str, minimum_count: int) -> "Symbols":
        """The symbols of some texts that occur often enough.

        Raises:
            ArgumentError: an unknown unit.
        """
        if unit not in UNITS:
            raise ArgumentError(f"expected unit to be char or word, got {unit!r}.")
        counted = Counter(symbol for text in texts for symbol in _cut(text, unit))
        return cls(unit, (*_OWN, *sorted(symbol for symbol, count in counted.items() if count >= minimum_count)))

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {symbol: number for number, symbol in enumerate(self.symbols) if number >= len(_OWN)}

    def cut(self, text: str) -> list[str]:
        """The symbols of a text."""
        return _cut(text, self.unit)

    def encode(self, text: str, end: bool = False) -> Tensor:
        """The numbers of a text [T], int64; with EOS behind them if there is to be an `end`."""
        found = [self._numbers.get(symbol, UNKNOWN) for symbol in self.cut(text)]
        return torch.tensor([*found, EOS] if end else found, dtype=torch.int64)

    def decode(self, numbers: Sequence[int]) -> str:
        """The text of numbers, up to EOS."""
        return ("" if self.unit == "char" else " ").join(self.shown(numbers))

    def shown(self, numbers: Sequence[int]) -> list[str]:
        """The symbols of numbers, up to EOS."""
        ended = list(numbers).index(EOS) if EOS in numbers else len(numbers)
        return [self.symbols[number] for number in numbers[:ended] if number != PAD]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {"unit": self.unit, "symbols": list(self.symbols)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Symbols":
        """What `to_json` gave."""
        return cls(content["unit"], tuple(content["symbols"]))


def _cut(text: str, unit: str) -> list[str]:
    return list(text) if unit == "char" else text.split()
