"""A vocabulary: text to numbers and back, without loss for all that was seen often enough in training."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.errors import ArgumentError

from .byte_pairs import BytePairs, numbered
from .passages import PART, passages
from .spool import spooled

UNKNOWN = 0
UNKNOWN_SHOWN = "\ufffd"
UNITS = ("char", "word", "bpe")

# A word takes the one space before it along, so that joining the pieces gives the text back; then one mark of
# punctuation, then a run of one kind of white space, then any character that is left (a mark on its own, say).
_LETTER = r"[\w\u0300-\u036f\u200d]"
_PIECE = re.compile(rf" ?{_LETTER}+(?:['’]{_LETTER}+)*| ?[^\w\s]|(\s)\1*|.", re.DOTALL)


@dataclass(frozen=True)
class Vocabulary:
    """The symbols that a model knows; number 0 stands for any character that it does not.

    Attributes:
        unit: "char"; "word": words and marks, where a word that is not a symbol is spelled in characters; or "bpe":
            pieces of words down to single bytes, by which any text can be said, so that nothing is unknown.
        symbols: the text of each number; the first is "" and stands for the unknown character.
        pairs: the pieces of unit "bpe": number n of them is symbol n + 1.
    """

    unit: str
    symbols: tuple[str, ...]
    pairs: BytePairs | None = None

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each symbol."""
        return {symbol: number for number, symbol in enumerate(self.symbols) if number != UNKNOWN}

    @property
    def lengths(self) -> Tensor:
        """Characters of each symbol [V], int64; the unknown symbol stands for one.

        A character of several bytes that byte pairs have cut counts where it begins.
        """
        if self.pairs is not None:
            return torch.tensor([1, *self.pairs.characters])
        return torch.tensor([max(1, len(symbol)) for symbol in self.symbols])

    def encode(self, text: str) -> Tensor:
        """The numbers of a text [n], int64."""
        return self._encode_part(text) if len(text) <= PART else self.encode_long(text).long()

    def encode_long(self, text: str | Iterable[str]) -> Tensor:
        """The numbers of a text, or of its passages [n], of the smallest dtype that holds them: uint8, int16 or int32.

        They need not fit into memory.
        """
        return spooled((self._encode_part(part) for part in passages(text)), self.dtype)

    @property
    def dtype(self) -> torch.dtype:
        """The smallest that holds all numbers."""
        return next(d for d in (torch.uint8, torch.int16, torch.int32) if len(self) <= torch.iinfo(d).max + 1)

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of numbers; an unknown character is shown as U+FFFD."""
        return "".join(self.texts(numbers))

    def texts(self, numbers: Iterable[int]) -> Iterator[str]:
        """The text of numbers, symbol by symbol as they come; joined, it is what `decode` gives."""
        if self.pairs is not None:
            return self.pairs.decode(number - 1 for number in numbers)
        return (self.symbols[number] if number != UNKNOWN else UNKNOWN_SHOWN for number in numbers)

    def extended(self, text: str | Iterable[str], words: int, minimum_count: int) -> "Vocabulary":
        """The same symbols under the same numbers, and behind them those that are new in another text.

        Args:
            text: the other text, or its passages.
            words: most new symbols of more than one character.
            minimum_count: how often they must occur.

        Byte pairs stay as they are: they say any text.
        """
        if self.pairs is not None:
            return self
        found = build_vocabulary(text, self.unit, words, minimum_count).symbols[1:]
        return Vocabulary(self.unit, self.symbols + tuple(symbol for symbol in found if symbol not in self.numbers))

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        if self.pairs is not None:
            return {"unit": self.unit, "pairs": self.pairs.to_json()}
        return {"unit": self.unit, "symbols": list(self.symbols)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Vocabulary":
        """What `to_json` gave."""
        if content["unit"] == "bpe":
            return cls._of_pairs(BytePairs.from_json(content["pairs"]))
        return cls(content["unit"], tuple(content["symbols"]))

    @classmethod
    def _of_pairs(cls, pairs: BytePairs) -> "Vocabulary":
        return cls("bpe", numbered(pairs, [""]), pairs)

    def _encode_part(self, text: str) -> Tensor:
        if self.unit == "char":
            return self._encode_characters(text)
        if self.pairs is not None:
            return torch.tensor(list(self.pairs.encode(text)), dtype=torch.int64) + 1
        return torch.tensor(list(self._encode_words(text)), dtype=torch.int64)

    def _encode_words(self, text: str) -> Iterator[int]:
        numbers = self.numbers
        for piece in pieces(text):
            number = numbers.get(piece)
            if number is None:
                yield from (numbers.get(character, UNKNOWN) for character in piece)
            else:
                yield number

    def _encode_characters(self, text: str) -> Tensor:
        """By one look-up over all characters, since corpora are long."""
        codes = _code_points(text)
        known = _code_points("".join(self.symbols[1:]))
        if not len(known) or not len(codes):
            return torch.full((len(codes),), UNKNOWN, dtype=torch.int64)
        order = np.argsort(known)
        place = np.searchsorted(known[order], codes).clip(max=len(known) - 1)
        nearest = order[place]
        return torch.from_numpy(np.where(known[nearest] == codes, nearest + 1, UNKNOWN).astype(np.int64))


def pieces(text: str) -> list[str]:
    """Words, marks and white space; joined, they are the text."""
    return [match.group() for match in _PIECE.finditer(text)]


def build_vocabulary(
    text: str | Iterable[str], unit: str = "char", words: int = 10_000, minimum_count: int = 2
) -> Vocabulary:
    """Collect the symbols of a training text.

    What occurs less often than `minimum_count` times is left to the unknown symbol (a rare word is spelled in
    characters instead), which so learns how often something new must be expected: the share of the symbols seen
    once estimates the share of those never seen.

    Args:
        text: the training text, or what it is made of: passages, rows.
        unit: "char", "word" or "bpe".
        words: most symbols of more than one character, the most frequent ones (unit "word"); symbols in all, at
            least 256 (unit "bpe").
        minimum_count: how often a symbol must occur; how often a pair that is joined (unit "bpe").

    Raises:
        ArgumentError: an unknown unit, or numbers out of range.
        SetupError: the library `tokenizers` is not installed (unit "bpe").

    Source: I. J. Good, The Population Frequencies of Species and the Estimation of Population Parameters,
        Biometrika 40, 1953 (the share of what was seen once).
    """
    if unit not in UNITS:
        raise ArgumentError(f"expected unit to be one of {', '.join(UNITS)}, got {unit!r}.")
    if words < 1 or minimum_count < 1:
        raise ArgumentError(f"expected words >= 1 and minimum_count >= 1, got {words} and {minimum_count}.")
    if unit == "bpe":
        return Vocabulary._of_pairs(BytePairs.learned([text] if isinstance(text, str) else text, words, minimum_count))
    characters, counted = Counter[str](), Counter[str]()
    for part in passages(text) if isinstance(text, str) else text:
        characters.update(part)
        if unit == "word":
            counted.update(piece for piece in pieces(part) if len(piece) > 1)
    symbols = _frequent(characters, minimum_count) + _frequent(counted, minimum_count)[:words]
    return Vocabulary(unit, ("", *symbols))


def _frequent(counted: "Counter[str]", minimum_count: int) -> list[str]:
    """What occurs often enough, the most frequent first; equal counts in the order of the characters."""
    often = [(symbol, count) for symbol, count in counted.items() if count >= minimum_count]
    return [symbol for symbol, _ in sorted(often, key=lambda entry: (-entry[1], entry[0]))]


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
