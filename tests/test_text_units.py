"""Byte pairs: any text comes back as it was, its characters are counted, and no other process learns others."""

import subprocess
import sys
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elman.data import UNKNOWN, BytePairs, Vocabulary, build_vocabulary, builtin_text, passages
from elman.data.vocabulary import pieces
from elman.errors import ArgumentError, DataError
from elman.tasks.symbols import EOS, PAD, UNITS, Symbols

ODD = "Grüße, naïve 👩‍🚀 e\u0301té!\n\n  def f(x):\n\treturn 'don’t' \u00a0 \x85 日本語テキスト 🇩🇪\r\n\x00 \u200d\ufeff"
UNICODE = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
TEXT = builtin_text()[:20_000]


@pytest.fixture(scope="module")
def learned():
    return build_vocabulary(TEXT, "bpe", 400)


@given(text=UNICODE)
def test_any_unicode_text_comes_back(learned, text):
    numbers = learned.encode(text)
    assert learned.decode(numbers.tolist()) == text
    assert int(learned.lengths[numbers].sum()) == len(text)
    assert UNKNOWN not in numbers


def test_odd_text_comes_back_piece_by_piece(learned):
    numbers = learned.encode(ODD * 3).tolist()
    assert "".join(learned.texts(iter(numbers))) == ODD * 3
    cut = learned.encode("日").tolist()
    assert len(cut) == 3 and [learned.symbols[n] for n in cut] == ["\\xe6", "\\x97", "\\xa5"]
    assert learned.decode(cut[:2]) == "\ufffd" and list(learned.texts(cut))[:3] == ["", "", "日"]
    assert learned.lengths[cut].tolist() == [1, 0, 0]


def test_what_is_frequent_is_one_piece(learned):
    assert len(learned) == 401 and len(learned.encode(TEXT)) < len(TEXT) / 1.8
    assert " the" in learned.symbols and len(build_vocabulary("ab", "bpe", 256)) == 257


def test_byte_pairs_go_through_json(learned):
    back = Vocabulary.from_json(learned.to_json())
    assert back == learned and torch.equal(back.encode(ODD), learned.encode(ODD))
    assert Vocabulary.from_json(build_vocabulary("aabb").to_json()) == build_vocabulary("aabb")


@pytest.mark.slow
def test_every_process_learns_the_same(learned):
    code = (
        "from elman.data import build_vocabulary, builtin_text\n"
        "print(build_vocabulary(builtin_text()[:20_000], 'bpe', 400).pairs.content)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == learned.pairs.content


@pytest.mark.parametrize(
    "content", ["{}", "[", '{"model": {"vocab": {"a": 5}}}', '{"model": {"vocab": {"é日": 0}}}', "1"]
)
def test_damaged_byte_pairs_are_refused(content):
    with pytest.raises(DataError, match="byte pairs as JSON"):
        _ = BytePairs(content).pieces
    with pytest.raises(DataError, match="byte pairs as JSON"):
        list(BytePairs(content).encode("a"))


def test_what_is_no_text_is_named(learned):
    for use in (learned.encode, lambda text: build_vocabulary(text, "bpe", 300)):
        with pytest.raises(DataError, match=r"half a surrogate pair \(U\+D800\) behind 'ab'"):
            use("ab\ud800")
    with pytest.raises(ArgumentError, match="vocabulary >= 256, the bytes themselves, got 255"):
        build_vocabulary(TEXT, "bpe", 255)


@given(text=st.lists(st.sampled_from(["\n", "a", " ", "b\n", "\n\n", "…", "it's\n", "\t"]), max_size=80).map("".join))
def test_parts_are_cut_as_the_whole_would_be(learned, text):
    parts = list(passages(text, 5))
    assert "".join(parts) == text and all(0 < len(part) <= 10 for part in parts)
    if all(part.endswith("\n") and rest[0].strip() and part[-2].strip() for part, rest in pairwise(parts)):
        assert [piece for part in parts for piece in pieces(part)] == pieces(text)
        assert [n for part in parts for n in learned.pairs.encode(part)] == list(learned.pairs.encode(text))


@pytest.mark.parametrize(
    ("count", "dtype"), [(3, torch.uint8), (255, torch.uint8), (256, torch.int16), (40_000, torch.int32)]
)
def test_numbers_are_small(count, dtype):
    text = "".join(chr(0x4E00 + n) if n < 20_000 else chr(0x20000 + n) for n in range(count)) * 2
    vocabulary = build_vocabulary(text)
    numbers = vocabulary.encode_long(text)
    assert numbers.dtype == dtype and vocabulary.decode(numbers.tolist()) == text
    assert torch.equal(numbers.long(), vocabulary.encode(text))


def test_symbols_are_added_behind_the_old_ones():
    old = build_vocabulary("abab cdcd")
    new = old.extended("aaxxyyzz q", 10, 2)
    assert new.symbols[: len(old)] == old.symbols and set(new.symbols[len(old) :]) == {"x", "y", "z"}
    words = build_vocabulary("one two one two", "word").extended("three four three four one", 1, 2)
    assert [s for s in words.symbols if len(s.strip()) > 2][-1] in (" three", " four")
    pairs = build_vocabulary("aa", "bpe", 300)
    assert pairs.extended("zz zz", 10, 2) is pairs


@given(text=UNICODE.filter(lambda text: "\n" not in text))
def test_symbols_of_pieces(text):
    symbols = PIECES
    numbers = symbols.encode(text, end=True).tolist()
    assert numbers[-1] == EOS and symbols.decode([*numbers, 5, PAD]) == text
    assert len(symbols.cut(text)) == len(numbers) - 1 == len(symbols.shown(numbers))


PIECES = Symbols.learned(["to be or not to be", "ob oder nicht"], "bpe", 1, vocabulary=280)


def test_symbols_of_pieces_go_through_json():
    assert (
        Symbols.from_json(PIECES.to_json()) == PIECES and len(PIECES) == len(PIECES.pairs) + 3 > 262 and "bpe" in UNITS
    )
    assert PIECES.decode([PAD, 7, EOS, 9]) == PIECES.symbols[7]
    with pytest.raises(ArgumentError, match="char, word or bpe, got 'byte'"):
        Symbols.learned([], "byte", 1)
