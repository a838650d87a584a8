"""Data that do not fit into memory: what lies in files is what was written, and is learned as what lies in memory."""

import errno
import gzip
import mmap
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elman.data import (
    Keyboard,
    LongText,
    Picked,
    Ragged,
    Texts,
    Tokens,
    mean_and_deviation,
    open_table,
    passages,
    read_pieces,
    spool,
    table,
)
from elman.data.table import coded
from elman.errors import DataError
from elman.tasks import ClassifyModel, ForecastModel, MusicModel, TagModel, TextModel, TranslateModel

TEXT = st.text(st.sampled_from("ab \n\u00fc\U0001f600\ud800"), max_size=60)


@pytest.fixture(params=["in memory", "in files"])
def kept(request, monkeypatch):
    if request.param == "in files":
        for name in ("LARGE", "TOGETHER"):
            monkeypatch.setattr(spool, name, 16)
    return request.param


def rows(seed, shape=(), dtype=torch.int64):
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, 9, (50,), generator=draw).tolist()
    return [torch.randint(0, 250, (length, *shape), generator=draw).to(dtype) for length in lengths]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_rows_of_numbers(kept, shape, dtype):
    given = dtype if dtype.is_floating_point else torch.int64
    wanted = rows(1, shape, given)
    found = Ragged(iter(wanted), dtype)
    assert len(found) == len(wanted) and list(found.lengths) == [len(row) for row in wanted]
    for row, other in zip(found, wanted, strict=True):
        assert torch.equal(row, other) and row.dtype == given
    assert torch.equal(found[-1], wanted[-1]) and torch.equal(found[3:9][2], wanted[5])
    assert [row.tolist() for row in Picked(found, [7, 2])] == [wanted[7].tolist(), wanted[2].tolist()]
    assert isinstance(found._numbers.untyped_storage(), torch.UntypedStorage)
    with pytest.raises(IndexError):
        found[len(wanted)]


def test_rows_without_steps(kept):
    assert [len(row) for row in Ragged([torch.zeros(0, 3)] * 2, torch.float32)] == [0, 0]
    assert list(Ragged([], torch.uint8)) == [] and list(Texts([])) == [] and str(LongText("")) == ""
    assert Ragged([torch.zeros(0), torch.ones(2, 3)], torch.float32)[0].shape == (0, 3)


def test_much_lies_in_a_file_without_a_name(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(spool, "LARGE", 1 << 20)
    store = spool.Spool()
    for _ in range(40):
        store.write(b"x" * 100_000)
    found = store.read()
    assert isinstance(found.base.obj if isinstance(found.base, memoryview) else found.base, mmap.mmap)
    assert found.nbytes == 4_000_000 and (found == ord("x")).all() and not list(tmp_path.iterdir())


@given(texts=st.lists(TEXT, max_size=30), limit=st.sampled_from([4, 1 << 28]))
def test_texts(texts, limit):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LARGE", "TOGETHER"):
            patch.setattr(spool, name, limit)
        assert list(Texts(iter(texts))) == texts
        tokens = Tokens(iter(text.split() for text in texts))
        assert list(tokens) == [text.split() for text in texts]
        assert len(set(tokens.different)) == len(tokens.different)


@given(parts=st.lists(TEXT, max_size=30), first=st.integers(-9, 200), last=st.integers(-9, 200))
def test_long_texts_are_cut_as_texts_are(parts, first, last):
    text = "".join(parts)
    found = LongText(iter(parts))
    assert str(found) == text == "".join(found) and len(found) == len(text)
    assert str(found[first:last]) == text[first:last] and str(found[1:][first:last]) == text[1:][first:last]


@given(parts=st.lists(TEXT, max_size=40), size=st.integers(1, 20))
def test_parts_have_the_passages_of_the_whole(parts, size):
    assert list(passages(iter(parts), size)) == list(passages("".join(parts), size))


def test_mean_and_deviation():
    some = rows(4, (3,), torch.float32)
    mean, deviation = mean_and_deviation(some)
    steps = torch.cat(some).double()
    torch.testing.assert_close(mean, steps.mean(0))
    torch.testing.assert_close(deviation, steps.std(0, correction=0))
    for constant in (0.001, 0.3, 7.7):
        mean, deviation = mean_and_deviation([torch.full((n, 2), constant, dtype=torch.float64) for n in range(99)])
        assert (deviation == 0).all() and (mean == constant).all()


@pytest.mark.parametrize("parts", [1, 3, 1000])
def test_a_column_by_its_different_values(monkeypatch, parts):
    monkeypatch.setattr(table, "ROWS", parts)
    values = ["b", None, "a", "b", "c", None, "a"] * 3
    found = coded(open_table({"x": values}).column("x", "it"))
    assert found.different.to_list() == ["b", None, "a", "c"] and list(found.rows) == [0, 1, 2, 4]
    assert found.different.gather(found.codes).to_list() == values and found.codes.dtype == np.int32
    numbers = coded(open_table({"x": [0.0, -0.0, float("nan"), float("nan")]}).column("x", "it"))
    assert numbers.different.to_list() == ["0.0", "-0.0", "NaN"] and numbers.codes.tolist() == [0, 1, 2, 2]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet", ".csv.gz"])
def test_parts_of_a_table(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(table, "ROWS", 7)
    frame = polars.DataFrame({"n": list(map(str, range(100))), "x": ["é"] * 100})
    path = tmp_path / f"rows{ending}"
    match ending:
        case ".jsonl":
            frame.write_ndjson(path)
        case ".parquet":
            frame.write_parquet(path)
        case _:
            text = frame.write_csv().encode()
            path.write_bytes(gzip.compress(text) if ending.endswith(".gz") else text)
    found = open_table(path, as_text=True)
    for _ in range(2):  # as often as it is asked
        parts = list(found.parts("n"))
        assert max(part.height for part in parts) <= 7 and polars.concat(parts).equals(frame.select("n"))
    assert found.row(42) == {"n": "42", "x": "é"} and found.frame().equals(frame)


def test_a_lazy_frame_is_asked_once():
    asked = []

    def drawn(frame):
        asked.append(len(frame))
        return frame.sample(fraction=1, shuffle=True)

    source = polars.DataFrame({"a": range(100), "b": range(100)}).lazy().map_batches(drawn)
    found = open_table(source)
    assert [part["a"].to_list() for part in found.parts("a")] == [part["b"].to_list() for part in found.parts("b")]
    assert asked == [100]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_a_name_is_no_pattern(tmp_path, ending):
    for name in ("d[1]", "d1", "a*b", "aXb", "q?"):
        frame = polars.DataFrame({"x": [name]})
        path = tmp_path / f"{name}{ending}"
        {".csv": frame.write_csv, ".jsonl": frame.write_ndjson, ".parquet": frame.write_parquet}[ending](path)
    for name in ("d[1]", "a*b", "q?"):
        assert open_table(tmp_path / f"{name}{ending}").frame()["x"].to_list() == [name]


def test_nothing_is_left_of_a_copy(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "here"))
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    with pytest.raises(DataError, match="Set TMPDIR"):
        open_table(tmp_path / "rows.csv.gz")
    (tmp_path / "here").mkdir()
    found = open_table(tmp_path / "rows.csv.gz")
    assert found.frame().height == 1 and found.frame().height == 1
    if Path("/proc/self/fd").exists():
        assert not list((tmp_path / "here").iterdir())
    del found
    assert not list((tmp_path / "here").iterdir())


def test_damage_behind_the_first_part_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "ROWS", 10)
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n" + "1,2\n" * 300_000 + "1,2,3\n")
    with pytest.raises(DataError, match=r"rows\.csv: expected a whole table"):
        list(open_table(path, as_text=True).parts())
    path.write_text('a,b\n"x,2\n3,4\n')
    with pytest.raises(DataError, match="could not parse"):
        open_table(path, as_text=True)
    path.write_bytes(b"a,b\n" + b"1,2\n" * 300_000 + b"1,\xff\n")
    with pytest.raises(DataError, match="0xff in line 300002"):
        open_table(path)


def test_rows_of_steps_without_numbers():
    rows = [[[1.0, 2.0]], [[], []], [[3.0, 4.0], [5.0, 7.0]], []] * 10
    model = ClassifyModel(input="steps", label="label", epochs=1, hidden_size=4)
    model.fit({"steps": rows, "label": list("abba") * 10}, threads=1)
    assert model.predict({"steps": rows[:2]}).height == 2
    found = read_pieces([torch.ones(3, 2), torch.zeros(3, 0), torch.ones(2, 2)], Keyboard())
    assert [row.shape for row in found.rows] == [(3, 2), (0, 2), (2, 2)]


def test_a_full_disk_is_told(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(spool, "LARGE", 4)
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: SimpleNamespace(write=full, fileno=lambda: 0))
    with pytest.raises(DataError, match=r"No space left on device\. Set TMPDIR"):
        Texts(["longer than four bytes"])


def words(count):
    draw = torch.Generator().manual_seed(3)
    picked = torch.randint(0, 6, (count, 5), generator=draw).tolist()
    return [" ".join("abcdef"[n] for n in row) for row in picked]


SMALL = {"epochs": 2, "hidden_size": 8, "embedding": 4}
JOBS = {
    "classify": lambda: ClassifyModel(input="text", label="label", unit="word", **SMALL),
    "vectors": lambda: ClassifyModel(input="steps", label="label", **SMALL),
    "tag": lambda: TagModel(input="text", tags="tags", **SMALL),
    "translate": lambda: TranslateModel(input="text", output="tags", unit="word", **SMALL),
    "text": lambda: TextModel(window=8, batch_size=4, **SMALL),
    "music": lambda: MusicModel(input="steps", epochs=2, hidden_size=8),
    "forecast": lambda: ForecastModel(id="label", y="n", time="t", horizon=3, epochs=2, hidden_size=8),
}


def data(tmp_path):
    text = words(300)
    frame = polars.DataFrame(
        {
            "text": text,
            "tags": [row.upper() for row in text],
            "label": [row[0] for row in text],
            "steps": [[float(ord(c)) for c in row] for row in text],
            "t": list(range(300)),
            "n": [ord(row[2]) + number / 9 for number, row in enumerate(text)],
        }
    )
    frame.write_ndjson(tmp_path / "rows.jsonl")
    (tmp_path / "rows.txt").write_text("\n".join(text) + "\n")
    return tmp_path / "rows.jsonl", tmp_path / "rows.txt"


@pytest.mark.parametrize(
    "job", ["vectors", *(pytest.param(job, marks=pytest.mark.slow) for job in JOBS if job != "vectors")]
)
def test_what_lies_in_files_is_learned_as_what_lies_in_memory(tmp_path, monkeypatch, job):
    path = data(tmp_path)[job == "text"]
    whole = JOBS[job]().fit(path, threads=1)
    for name, module in (("LARGE", spool), ("TOGETHER", spool), ("ROWS", table), ("BLOCK", table)):
        monkeypatch.setattr(module, name, 16)
    parts = JOBS[job]().fit(path, threads=1)
    assert whole.checked == parts.checked
    for name, weight in whole.network.state_dict().items():
        assert torch.equal(weight, parts.network.state_dict()[name]), name


MEASURED = """
import sys, threading, time
from pathlib import Path
import elman.data.spool as spool
from elman.tasks import TextModel

spool.LARGE = 1 << 20
peak = 0

def anonymous():
    return int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]) << 10

def watch():
    global peak
    while True:
        peak = max(peak, anonymous())
        time.sleep(0.002)

TextModel().prepare_data(Path(sys.argv[1]))
before = anonymous()
threading.Thread(target=watch, daemon=True).start()
TextModel().prepare_data(Path(sys.argv[2]))
print(peak - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_does_not_grow_with_a_text(tmp_path):
    line = "".join(f"{n} green bottles hanging on the wall, " for n in range(25_000)) + "\n"
    grown = {}
    for times in (80, 240):
        for name, many in (("small", 3), ("large", times)):
            (tmp_path / name).write_text(line * many)
        told = subprocess.run(
            [sys.executable, "-c", MEASURED, tmp_path / "small", tmp_path / "large"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        grown[times] = int(told.stdout)
    assert grown[240] - grown[80] < 0.5 * 160 * len(line)  # in memory it is twice as much as the text, and more
