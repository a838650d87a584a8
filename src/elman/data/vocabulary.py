"""A vocabulary: text to numbers and back, without loss for all that was seen often enough in training."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from elman.errors import ArgumentError

UNKNOWN = 0
UNKNOWN_SHOWN = "\ufffd"
UNITS = ("char", "word")

# A word takes the one space before it along, so that joining the pieces gives the text back; then one mark of
# punctuation, then a run of one kind of white space, then any character that is left (a mark on its own, say).
_LETTER = r"[\w\u0300-\u036f\u200d]"
_PIECE = re.compile(rf" ?{_LETTER}+(?:['’]{_LETTER}+)*| ?[^\w\s]|(\s)\1*|.", re.DOTALL)


@dataclass(frozen=True)
class Vocabulary:
    """The symbols that a model knows; number 0 stands for any character that it does not.

    Attributes:
        unit: "char", or "word": words and marks, where a word that is not a symbol is spelled in characters.
        symbols: the text of each number; the first is "" and stands for the unknown character.
    """

    unit: str
    symbols: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each symbol."""
        return {symbol: number for number, symbol in enumerate(self.symbols) if number != UNKNOWN}

    @property
    def lengths(self) -> Tensor:
        """Characters of each symbol [V], int64; the unknown symbol stands for one."""
        return torch.tensor([max(1, len(symbol)) for symbol in self.symbols])

    def encode(self, text: str) -> Tensor:
        """The numbers of a text [n], int64."""
        if self.unit == "char":
            return self._encode_characters(text)
        numbers = self.numbers
        found: list[int] = []
        for piece in pieces(text):
            number = numbers.get(piece)
            if number is None:
                found += [numbers.get(character, UNKNOWN) for character in piece]
            else:
                found.append(number)
        return torch.tensor(found, dtype=torch.int64)

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of numbers; an unknown character is shown as U+FFFD."""
        return "".join(self.symbols[number] if number != UNKNOWN else UNKNOWN_SHOWN for number in numbers)

    def _encode_characters(self, text: str) -> Tensor:
        """As `encode`, by one look-up over all characters, since corpora are long."""
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


def build_vocabulary(text: str, unit: str = "char", words: int = 10_000, minimum_count: int = 2) -> Vocabulary:
    """Collect the symbols of a training text.

    What occurs less often than `minimum_count` times is left to the unknown symbol (a rare word is spelled in
    characters instead), which so learns how often something new must be expected: the share of the symbols seen
    once estimates the share of those never seen.

    Args:
        text: the training text.
        unit: "char" or "word".
        words: most symbols of more than one character, the most frequent ones (unit "word").
        minimum_count: how often a symbol must occur.

    Source: I. J. Good, The Population Frequencies of Species and the Estimation of Population Parameters,
        Biometrika 40, 1953 (the share of what was seen once).
    """
    if unit not in UNITS:
        raise ArgumentError(f"expected unit to be one of {', '.join(UNITS)}, got {unit!r}.")
    if words < 1 or minimum_count < 1:
        raise ArgumentError(f"expected words >= 1 and minimum_count >= 1, got {words} and {minimum_count}.")
    symbols = _frequent(Counter(text), minimum_count)
    if unit == "word":
        counted = Counter(piece for piece in pieces(text) if len(piece) > 1)
        symbols += _frequent(counted, minimum_count)[:words]
    return Vocabulary(unit, ("", *symbols))


def _frequent(counted: "Counter[str]", minimum_count: int) -> list[str]:
    """What occurs often enough, the most frequent first; equal counts in the order of the characters."""
    often: Sequence[tuple[str, int]] = [(symbol, count) for symbol, count in counted.items() if count >= minimum_count]
    return [symbol for symbol, _ in sorted(often, key=lambda entry: (-entry[1], entry[0]))]


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
