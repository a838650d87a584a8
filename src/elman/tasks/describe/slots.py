"""Values that stand in a sentence: slots in learning, put back in writing, counted."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

_FIRST = 0xF0000  # of the code points that Unicode leaves to private use: in no text, and no letters
_WORD = re.compile(r"\w+|[^\w\s]")

Said = Sequence[tuple[str, str]]
"""The slots of a row, each a character, and the values that fill them."""


def slot_character(number: int) -> str:
    """The character that stands for a slot."""
    return chr(_FIRST + number)


def is_slot(character: str) -> bool:
    """Whether a character stands for a slot."""
    return ord(character) >= _FIRST


def places_of(value: str, text: str) -> Iterator[int]:
    """Where a value stands in a text as whole words."""
    start = text.find(value)
    while start >= 0:
        end = start + len(value)
        begins = not (value[0].isalnum() and start and text[start - 1].isalnum())
        ends = not (value[-1].isalnum() and end < len(text) and text[end].isalnum())
        if begins and ends:
            yield start
        start = text.find(value, end if begins and ends else start + 1)


def delexicalised(text: str, said: Said) -> str:
    """A text with slots in place of the values; the longest value first, and each of equal ones in its turn."""
    slots: dict[str, list[str]] = defaultdict(list)
    for slot, value in said:
        slots[value].append(slot)
    for value in sorted(slots, key=lambda value: (-len(value), value)):
        pieces, last, turn = [], 0, 0
        for place in places_of(value, text):
            pieces += [text[last:place], slots[value][min(turn, len(slots[value]) - 1)]]
            last, turn = place + len(value), turn + 1
        text = "".join([*pieces, text[last:]])
    return text


def lexicalised(text: str, said: Said) -> str:
    """A text with the values in place of slots."""
    return text.translate({ord(slot): value for slot, value in said})


def filled(template: str, own: Said, said: Said) -> str:
    """A sentence with slots, with the values of another row; its own where that has none, and none without either."""
    text = lexicalised(lexicalised(template, said), own)
    return "".join(character for character in text if not is_slot(character))


@dataclass(frozen=True)
class SlotErrors:
    """What is wrong with the values in some sentences.

    Attributes:
        slots: how many values were to be said.
        missing: of these, how many were not said.
        repeated: how often one was said again.
        wrong: how often a value was said that is another row's.
    """

    slots: int = 0
    missing: int = 0
    repeated: int = 0
    wrong: int = 0

    @property
    def count(self) -> int:
        """All of them."""
        return self.missing + self.repeated + self.wrong

    @property
    def rate(self) -> float:
        """All of them, by the values that were to be said; 0 where there was none."""
        return self.count / self.slots if self.slots else 0.0

    def __add__(self, other: "SlotErrors") -> "SlotErrors":
        return SlotErrors(
            self.slots + other.slots,
            self.missing + other.missing,
            self.repeated + other.repeated,
            self.wrong + other.wrong,
        )


def slot_errors(text: str, said: Said, telling: Collection[str]) -> SlotErrors:
    """What is wrong with the values in a sentence.

    Args:
        text: the sentence, with its values.
        said: what was to be said.
        telling: values that no sentence has unless its row has them.
    """
    left = delexicalised(text, said)
    counts = [left.count(slot) for slot, _ in said]
    return SlotErrors(
        slots=len(counts),
        missing=counts.count(0),
        repeated=sum(count - 1 for count in counts if count > 1),
        wrong=sum(1 for _ in known_in(left, telling)),
    )


def known_in(text: str, values: Collection[str]) -> Iterator[str]:
    """The values that stand in a text as whole words, from the left, the longest first, none within another."""
    longest = max((len(_WORD.findall(value)) for value in values), default=0)
    words = list(_WORD.finditer(text))
    at = 0
    while at < len(words):
        for end in range(min(len(words), at + longest), at, -1):
            if text[words[at].start() : words[end - 1].end()] in values:
                yield text[words[at].start() : words[end - 1].end()]
                at = end - 1
                break
        at += 1


def telling_values(spoken: Collection[str], rows: Iterable[tuple[str, Said]]) -> frozenset[str]:
    """Of the values, those that hardly ever (in one of twenty cases) stand in a sentence whose row has not got them."""
    own: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for text, said in rows:
        own.update({value for _, value in said})
        others.update(known_in(delexicalised(text, said), spoken))
    return frozenset(value for value in spoken if others[value] <= 0.05 * own[value])


def spoken_shares(rows: Iterable[tuple[str, Sequence[str]]]) -> Mapping[str, tuple[int, int]]:
    """For each value how many rows have it, and in how many of these it stands in the sentence."""
    there: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for text, values in rows:
        for value in set(values):
            there[value] += 1
            found[value] += any(True for _ in places_of(value, text))
    return {value: (there[value], found[value]) for value in there}
