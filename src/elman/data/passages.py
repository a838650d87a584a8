"""Long texts part by part, cut where no tokenizer looks across; they need not fit into memory."""

import copy
import re
from array import array
from collections.abc import Iterable, Iterator

import numpy as np

from .spool import Texts

PART = 1 << 20

# A newline between two characters that are no white space: no word, and no run of white space, goes over it.
_GAP = re.compile(r"(?<=\S\n)(?=\S)")


def passages(text: str | Iterable[str], size: int = PART) -> Iterator[str]:
    """The parts of a text; joined, they are the text.

    Words and byte pairs of the parts are those of the whole, but where a text has no fitting newline within `size`
    characters: there it is cut all the same.

    Args:
        text: any text, or what it is made of, one after the other.
        size: characters from which on a part ends at the next fitting newline; none is longer than twice as much.
    """
    if isinstance(text, str):
        yield from _cut(text, size)
        return
    before, waiting = "", ""
    for some in text:
        waiting += some
        if len(waiting) > 2 * size:
            *ended, waiting = _cut(waiting, size, before)  # the last may go on
            before = ended[-1][-1]
            yield from ended
    yield from _cut(waiting, size, before)


def _cut(text: str, size: int, before: str = "") -> Iterator[str]:
    """The passages of a text behind a character, or at its beginning."""
    text, start = before + text, len(before)
    while len(text) - start > size:
        gap = _GAP.search(text, start + size, min(len(text), start + 2 * size))
        end = gap.start() if gap else min(len(text), start + 2 * size)
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]


class LongText:
    """A text that need not fit into memory; a slice of it is one, too. Iterating gives its passages, str() all of it.

    Args:
        parts: what it is made of, one after the other.
    """

    def __init__(self, parts: str | Iterable[str]) -> None:
        lengths = array("q")

        def counted() -> Iterator[str]:
            for part in passages(parts):
                lengths.append(len(part))
                yield part

        self._parts = Texts(counted())
        self._ends = np.cumsum(lengths)
        self._start, self._end = 0, sum(lengths)

    def __len__(self) -> int:
        return self._end - self._start

    def __getitem__(self, places: slice) -> "LongText":
        start, end, _ = places.indices(len(self))
        found = copy.copy(self)
        found._start, found._end = self._start + start, self._start + max(start, end)
        return found

    def __iter__(self) -> Iterator[str]:
        return passages(self._within())

    def __str__(self) -> str:
        return "".join(self._within())

    def _within(self) -> Iterator[str]:
        first = int(np.searchsorted(self._ends, self._start, side="right"))
        for number in range(first, len(self._parts)):
            part = self._parts[number]
            begin = int(self._ends[number]) - len(part)
            if begin >= self._end:
                return
            yield part[max(0, self._start - begin) : self._end - begin]
