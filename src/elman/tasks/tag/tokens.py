"""Rows of tokens: words or characters as numbers, and the spelling of each word beside its number."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

import elman
from elman.data import UNKNOWN, Looked, Tokens, texts, values_of
from elman.errors import DataError
from elman.patterns import BothEnds

from ..inputs import both_ways

if TYPE_CHECKING:
    from polars import Series

    from elman.data import Column

LONGEST = 24  # characters of a word that its spelling has


@dataclass(frozen=True, eq=False)
class TokenInputs:
    """Tokens, each with its number and its spelling; a token that is not known has its spelling alone.

    Attributes:
        tokens: by number; the first is "" and stands for any that is not known.
        characters: of the spelling, by number, likewise.
        spelled: whether the spelling is read.
    """

    tokens: tuple[str, ...]
    characters: tuple[str, ...]
    spelled: bool

    @classmethod
    def learned(cls, rows: Iterable[Sequence[str]], spelled: bool, minimum_count: int) -> "TokenInputs":
        """The tokens of the rows that are trained on."""
        counted = Counter(token for row in rows for token in row)
        tokens = sorted(token for token, count in counted.items() if count >= minimum_count)
        return cls(("", *tokens), ("", *sorted({c for token in counted for c in token})), spelled)

    def encode(self, rows: Tokens) -> Looked:
        """Each row as numbers [T, 1], or [T, 1 + LONGEST] with the spelling behind, 0 after its end, int64."""
        number = {token: n for n, token in enumerate(self.tokens) if n}
        letter = {character: n for n, character in enumerate(self.characters) if n}
        width = LONGEST if self.spelled else 0

        def one(token: str) -> list[int]:
            # +1: 0 is no letter at all, 1 one that is not known
            spelling = [letter.get(c, UNKNOWN) + 1 for c in token[:width]]
            return [number.get(token, UNKNOWN), *spelling, *[0] * (width - len(spelling))]

        table = torch.tensor([one(token) for token in rows.different], dtype=torch.int64)
        return Looked(rows.numbers, table.reshape(-1, 1 + width))

    def network(self, embedding: int) -> tuple[nn.Module, int]:
        """From numbers [T, B, ...] to vectors [T, B, E], and E."""
        made = TokenEmbedding(len(self.tokens), len(self.characters) + 1 if self.spelled else 0, embedding)
        return made, made.size

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {"tokens": list(self.tokens), "characters": list(self.characters), "spelled": self.spelled}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "TokenInputs":
        """What `to_json` gave."""
        return cls(tuple(content["tokens"]), tuple(content["characters"]), content["spelled"])


class TokenEmbedding(nn.Module):
    """A vector for each token, and behind it one made of its spelling by a GRU in both directions.

    Args:
        tokens: V, how many there are.
        characters: how many the spelling has; 0 where it is not read.
        embedding: E, of a token, and of a spelling.

    Attributes:
        size: features of what is given out.

    Source for the spelling: W. Ling et al., Finding Function in Form: Compositional Character Models for Open
        Vocabulary Word Representation, EMNLP 2015; with GRUs in place of LSTMs.
    """

    def __init__(self, tokens: int, characters: int, embedding: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(tokens, embedding)
        self.size = embedding
        self.spelling: elman.Bidirectional | None = None
        if characters:
            half = max(1, embedding // 2)
            self.characters = nn.Embedding(characters, half)
            self.spelling = both_ways("gru", half, half)
            self.ends, self.size = BothEnds(), embedding + 2 * half

    def forward(self, x: Tensor) -> Tensor:
        """x [T, B, 1 + L] -> [T, B, E]."""
        found = self.tokens(x[..., 0])
        if self.spelling is None:
            return found  # type: ignore[no-any-return]
        words, place = x[..., 1:].flatten(0, 1).unique(dim=0, return_inverse=True)  # each word is spelled once
        lengths = (words > 0).sum(1)
        y, _ = self.spelling(self.characters(words.t()), lengths=lengths)
        spelled = self.ends(y, lengths)[place].view(*x.shape[:2], -1)
        return torch.cat([found, spelled], -1)


def rows_of_tokens(values: "Column | Series", unit: str) -> Tokens:
    """The tokens of each row of a column: lists as they are; text cut at white space, or into its characters.

    Raises:
        DataError: a list holds something else than single values, or nothing at a step.
    """
    if not values.dtype.is_nested():
        return Tokens(text.split() if unit == "word" else text for text in texts(values))

    def checked() -> Iterator[list[str]]:
        for number, row in enumerate(values_of(values)):
            if any(isinstance(token, list | dict) for token in row or ()):
                raise DataError(f"the column {values.name!r}: expected lists of tokens, got lists within lists.")
            if None in (row or ()):
                where = f"the column {values.name!r}, row {number}, step {row.index(None)}"
                raise DataError(f"{where}: expected a value, got nothing.")
            yield [str(token) for token in row or ()]

    return Tokens(checked())
