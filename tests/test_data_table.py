"""Tables from every kind of source, and what is said of those that are none."""

import gzip
import io
import sys
from pathlib import Path
from types import SimpleNamespace

import polars
import pytest
import torch

from elman.data import Padded, column, padded, read_table, texts
from elman.errors import ArgumentError, DataError

FRAME = polars.DataFrame({"name": ["Ada", "Jürgen", "李"], "age": [36, None, 9], "x": [0.5, 1.5, -2.0]})


def written(tmp_path, ending):
    path = tmp_path / f"table{ending}"
    plain = path.with_suffix("") if ending.endswith(".gz") else path
    match plain.suffix:
        case ".csv":
            FRAME.write_csv(plain)
        case ".tsv":
            FRAME.write_csv(plain, separator="\t")
        case ".jsonl":
            FRAME.write_ndjson(plain)
        case ".json":
            FRAME.write_json(plain)
        case ".parquet":
            FRAME.write_parquet(plain)
    if path is not plain:
        path.write_bytes(gzip.compress(plain.read_bytes()))
    return path


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".json", ".parquet", ".csv.gz", ".jsonl.gz"])
def test_files(tmp_path, ending):
    assert read_table(written(tmp_path, ending)).equals(FRAME)


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".json"])
def test_standard_input(tmp_path, monkeypatch, ending):
    data = written(tmp_path, ending).read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert read_table(Path("-")).equals(FRAME)


def test_frames_and_plain_python():
    rows, columns = FRAME.to_dicts(), FRAME.to_dict(as_series=False)
    for source in (FRAME, FRAME.lazy(), rows, columns):
        assert read_table(source).equals(FRAME)

    class Pandas:  # as much of a frame of pandas as is read
        columns = tuple(FRAME.columns)

        def to_dict(self):
            raise AssertionError

        def __getitem__(self, name):
            return SimpleNamespace(to_list=FRAME[name].to_list)

    assert read_table(Pandas()).equals(FRAME)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("missing.csv", None, "expected a file, found nothing"),
        ("table.xls", b"x", "got .xls"),
        ("table", b"x", "no ending"),
        ("empty.csv", b" \n", "empty file"),
        ("header.csv", b"a,b\n", "0 rows"),
        ("latin.csv", "a,b\n1,2\nJ\u00fcrgen,3\n".encode("latin1"), "0xfc in line 3"),
        ("broken.jsonl", b'{"a": 1}\n{"a": ', "cannot be read"),
        ("broken.parquet", b"PAR1", "cannot be read"),
        ("broken.csv.gz", b"no gzip", "expected a file that can be read"),
        ("uneven.csv", b"a,b\n1,2\n1,2,3\n", "cannot be read"),
    ],
)
def test_what_is_no_table(tmp_path, name, data, words):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=words):
        read_table(tmp_path / name)


def test_other_sources():
    with pytest.raises(ArgumentError, match="got int"):
        read_table(3)
    with pytest.raises(DataError, match="one length"):
        read_table({"a": [1, 2], "b": [1]})


def test_columns_by_name():
    assert column(FRAME, "age", "the age").to_list() == [36, None, 9]
    with pytest.raises(DataError, match=r"'Nmae' for the text: did you mean 'name'\?"):
        column(FRAME, "Nmae", "the text")
    with pytest.raises(DataError, match="there are 'name', 'age', 'x'"):
        column(FRAME, "qqq", "the text")
    assert list(texts(FRAME["age"])) == ["36", "", "9"]


def test_batches_hold_every_row_once_in_an_order_of_the_epoch():
    lengths = torch.randint(0, 300, (997,)).tolist()
    batches = Padded(lengths, lambda rows: rows, 16, seed=3)
    first, again, other = (list(batches.starting_at(0, epoch)) for epoch in (0, 0, 1))
    assert first == again != other and len(first) == len(batches)
    for epoch in (first, other):
        assert sorted(row for batch in epoch for row in batch) == list(range(997))
    assert list(batches.starting_at(5, 1)) == other[5:]
    steps = sum(max(lengths[row] for row in batch) * len(batch) for batch in first)
    assert steps < 1.1 * sum(lengths)  # a tenth of padding at most; 1.9 in any order
    assert list(Padded(lengths, lambda rows: rows, 500).starting_at(0, 7))[1] == list(range(500, 997))


def test_padding():
    x, lengths = padded([torch.ones(2, 3), torch.ones(0, 3), torch.ones(4, 3)], value=-1)
    assert x.shape == (4, 3, 3) and lengths.tolist() == [2, 0, 4]
    assert (x[2:, 0] == -1).all() and (x[:, 1] == -1).all() and (x[:, 2] == 1).all()
    assert padded([torch.ones(0), torch.ones(0)])[0].shape == (1, 2)


def test_whole_numbers_before_broken_ones():
    assert read_table({"t": [-35, None, 55.5]})["t"].to_list() == [-35.0, None, 55.5]
    with pytest.raises(DataError, match="one kind"):
        read_table({"t": [1, "a"]})


def test_a_damaged_gz_is_told(tmp_path):
    whole = gzip.compress(b"text,label\n" + b"".join(b"row %d,a\n" % n for n in range(999)))
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(whole[:40] + bytes(60) + whole[100:])
    with pytest.raises(DataError, match=r"rows\.csv\.gz"):
        read_table(path)
