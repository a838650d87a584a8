"""Long texts part by part, cut where no tokenizer looks across."""

import re
from collections.abc import Iterator

PART = 1 << 20

# A newline between two characters that are no white space: no word, and no run of white space, goes over it.
_GAP = re.compile(r"(?<=\S\n)(?=\S)")


def passages(text: str, size: int = PART) -> Iterator[str]:
    """The parts of a text; joined, they are the text.

    Words and byte pairs of the parts are those of the whole, but where a text has no fitting newline within `size`
    characters: there it is cut all the same.

    Args:
        text: any text.
        size: characters from which on a part ends at the next fitting newline; none is longer than twice as much.
    """
    start = 0
    while len(text) - start > size:
        gap = _GAP.search(text, start + size, min(len(text), start + 2 * size))
        end = gap.start() if gap else min(len(text), start + 2 * size)
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]
