"""Text, vocabularies and streams: what goes in comes out, and bad files are named."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elman.data import UNKNOWN, Streams, build_vocabulary, builtin_text, fitting_rows, read_text
from elman.data.vocabulary import pieces
from elman.errors import ArgumentError, DataError

ODD = "Grüße, naïve 👩‍🚀 e\u0301té!\n\n  def f(x):\n\treturn 'don’t' \u00a0 \x85 日本語テキスト 🇩🇪\n"


def test_builtin_text_is_the_manual_in_a_fixed_order():
    text = builtin_text()
    assert len(text) > 300_000
    assert text.startswith('The "assert" statement')


def test_files_become_one_text(tmp_path):
    (tmp_path / "b.txt").write_bytes("\ufeffzwei\r\ndrei\rvier".encode())
    (tmp_path / "a.txt").write_text("eins 👩‍🚀", encoding="utf-8")
    (tmp_path / "mark.txt").write_bytes(b"\xef\xbb\xbf")
    (tmp_path / "picture.bin").write_bytes(b"\x89PNG\0\0")
    (tmp_path / ".hidden").write_text("no")
    reading = read_text([tmp_path])
    assert str(reading.text) == "eins 👩‍🚀\nzwei\ndrei\nvier\n"
    assert [file.name for file in reading.files] == ["a.txt", "b.txt", "mark.txt"]
    assert [file.name for file in reading.skipped] == ["picture.bin"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"abc\0def", "zero byte at offset 3"),
        (b"ab\xff", "byte 0xff at offset 2"),
        ("naïve".encode("latin1"), "byte 0xef at offset 2"),
    ],
)
def test_what_is_not_text_is_named(tmp_path, content, said):
    file = tmp_path / "odd.txt"
    file.write_bytes(content)
    with pytest.raises(DataError, match=said) as error:
        read_text([file])
    assert str(file) in str(error.value)


def test_missing_file_and_folder_without_text(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        read_text([tmp_path / "none.txt"])
    (tmp_path / "x.bin").write_bytes(b"\0")
    with pytest.raises(DataError, match=r"folder with UTF-8 text files, found none \(1 files"):
        read_text([tmp_path])


@given(st.text(max_size=80))
def test_pieces_lose_nothing(text):
    assert "".join(pieces(text)) == text


def test_pieces_are_words_marks_and_white_space():
    assert pieces("It's  two\n\n(words), e\u0301te\u0301.") == [
        "It's", "  ", "two", "\n\n", "(", "words", ")", ",", " e\u0301te\u0301", ".",
    ]  # fmt: skip


@pytest.mark.parametrize("unit", ["char", "word"])
def test_vocabulary_loses_nothing_it_has_seen(unit):
    vocabulary = build_vocabulary(ODD * 2, unit)
    numbers = vocabulary.encode(ODD)
    assert vocabulary.decode(numbers.tolist()) == ODD
    assert UNKNOWN not in numbers
    assert int(vocabulary.lengths[numbers].sum()) == len(ODD)


@given(seen=st.text(min_size=1, max_size=40), new=st.text(max_size=40), unit=st.sampled_from(["char", "word"]))
def test_any_text_can_be_encoded(seen, new, unit):
    vocabulary = build_vocabulary(seen, unit, minimum_count=1)
    numbers = vocabulary.encode(new)
    expected = "".join(character if character in seen else "\ufffd" for character in new)
    assert vocabulary.decode(numbers.tolist()) == expected


def test_rare_symbols_are_unknown_and_rare_words_are_spelled():
    text = "aa bb aa bb cab"
    chars = build_vocabulary("aab")
    assert chars.symbols == ("", "a")
    words = build_vocabulary(text, "word")
    assert " cab" not in words.symbols
    assert words.decode(words.encode("bb abab").tolist()) == "bb abab"
    assert " aa" not in build_vocabulary(text, "word", words=1).symbols


def test_streams_follow_each_other():
    streams = Streams(torch.arange(103), rows=4, window=10)
    windows = list(streams.starting_at(0))
    assert len(windows) == len(streams) == 3
    x = torch.cat([inputs for inputs, _ in windows])
    y = torch.cat([targets for _, targets in windows])
    assert torch.equal(x.t().flatten(), torch.arange(100))
    assert torch.equal(y, x + 1)
    assert [inputs.shape[0] for inputs, _ in windows] == [10, 10, 5]
    assert torch.equal(next(streams.starting_at(1))[0], windows[1][0])


def test_short_sequences_make_fewer_streams():
    assert fitting_rows(1000, 8, 20) == 8
    assert fitting_rows(101, 8, 20) == 5
    assert fitting_rows(5, 8, 20) == 1
    with pytest.raises(ArgumentError, match="more than 4 numbers"):
        Streams(torch.arange(4), rows=4, window=2)
    with pytest.raises(ArgumentError, match="window >= 1"):
        Streams(torch.arange(9), rows=4, window=0)
