"""Byte-pair encoding: any text as pieces that were frequent in training, without loss, since the smallest are bytes."""

import codecs
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from elman.errors import ArgumentError, DataError, SetupError

from .passages import passages

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BYTES = 256


@dataclass(frozen=True)
class BytePairs:
    """Pieces of UTF-8 by number; the first 256 are the single bytes.

    Attributes:
        content: the tokenizer as JSON, in the form of the library `tokenizers`.

    Source: P. Gage, A New Algorithm for Data Compression, C Users Journal 12(2), 1994; on text R. Sennrich, B. Haddow,
        A. Birch, Neural Machine Translation of Rare Words with Subword Units, ACL 2016; on its bytes, cut into words
        as here, A. Radford et al., Language Models are Unsupervised Multitask Learners, 2019, section 2.2.
    """

    content: str

    @classmethod
    def learned(cls, texts: Iterable[str], size: int, minimum_count: int = 2) -> "BytePairs":
        """Join the most frequent pair of neighbours to a new piece, again and again.

        Args:
            texts: the training texts.
            size: most pieces, at least 256.
            minimum_count: a rarer pair is not joined.

        Raises:
            ArgumentError: less than 256 pieces.
            DataError: a text with half a surrogate pair, which is no Unicode text.
            SetupError: `tokenizers` is not installed.
        """
        if size < BYTES:
            raise ArgumentError(f"expected a vocabulary >= {BYTES}, the bytes themselves, got {size}.")
        library = _library()
        alphabet = sorted(_letters())
        tokenizer = library.Tokenizer(library.models.BPE())
        tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = library.trainers.BpeTrainer(
            vocab_size=size, min_frequency=minimum_count, show_progress=False, special_tokens=[],
            initial_alphabet=alphabet,
        )  # fmt: skip
        parts = (_checked(part) for text in texts for part in passages(text))
        tokenizer.train_from_iterator(parts, trainer)
        return cls.from_json(json.loads(tokenizer.to_str()))

    def __len__(self) -> int:
        return len(self.pieces)

    @cached_property
    def pieces(self) -> tuple[bytes, ...]:
        """The bytes of each piece.

        Raises:
            DataError: the content is no tokenizer of this kind.
        """
        letters = _letters()
        try:
            numbers: dict[str, int] = json.loads(self.content)["model"]["vocab"]
            pieces = {number: bytes(letters[letter] for letter in piece) for piece, number in numbers.items()}
            return tuple(pieces[number] for number in range(len(numbers)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"expected byte pairs as JSON of the library `tokenizers`, got others ({error}).") from None

    @cached_property
    def characters(self) -> tuple[int, ...]:
        """How many characters begin in each piece; over a text they sum up to its length."""
        return tuple(sum(byte & 0xC0 != 0x80 for byte in piece) for piece in self.pieces)

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        library = _library()
        try:
            return library.Tokenizer.from_str(self.content)  # type: ignore[no-any-return]
        except Exception as error:  # noqa: BLE001  the library raises nothing narrower
            raise DataError(f"expected byte pairs as JSON of the library `tokenizers`, got others ({error}).") from None

    def encode(self, text: str) -> Iterator[int]:
        """The numbers of a text.

        Raises:
            DataError: half a surrogate pair in it, which is no Unicode text.
        """
        for part in passages(text):
            yield from self._tokenizer.encode(_checked(part)).ids

    def decode(self, numbers: Iterable[int]) -> Iterator[str]:
        """The text of numbers, as soon as its characters are whole; what is none becomes U+FFFD."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for number in numbers:
            yield decoder.decode(self.pieces[number])
        yield decoder.decode(b"", final=True)

    def shown(self, number: int) -> str:
        r"""A piece for people to read: bytes that are no whole character as \xNN."""
        return self.pieces[number].decode("utf-8", "backslashreplace")

    def to_json(self) -> Any:
        """The tokenizer as plain values."""
        return json.loads(self.content)

    @classmethod
    def from_json(cls, content: Any) -> "BytePairs":
        """What `to_json` gave."""
        return cls(json.dumps(content, ensure_ascii=False, separators=(",", ":")))


def numbered(pairs: BytePairs, before: Sequence[str]) -> tuple[str, ...]:
    """The pieces as people read them, behind other symbols."""
    return (*before, *(pairs.shown(number) for number in range(len(pairs))))


def _library() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise SetupError("byte pairs need tokenizers, not installed here: pip install 'elman[jobs]'") from None
    return tokenizers


def _checked(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"expected Unicode text, got half a surrogate pair (U+{ord(text[error.start]):04X}) behind "
            f"{text[max(0, error.start - 20) : error.start]!r}."
        ) from None
    return text


def _letters() -> dict[str, int]:
    """The byte of each letter that stands for one: itself where it can be printed, else one from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(BYTES) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(0x100 + n): byte for n, byte in enumerate(others)}
