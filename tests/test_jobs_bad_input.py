"""What no job may do with bad input: lose what was written, or end in anything but a clear message."""

import errno
import os

import polars
import pytest

import elman
from elman.data import read_table
from elman.errors import ArgumentError, DataError
from elman.tasks import JOBS as KINDS
from elman.tasks import ClassifyModel, ForecastModel, TagModel, TranslateModel
from processes import JOBS

TABLES = [job for job in JOBS if job not in ("text", "dropped", "music")]


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
def test_a_disk_that_fills_loses_nothing(job, tmp_path, monkeypatch):
    def train(folder, resume=False):
        model, data = JOBS[job]()
        return model.fit(data, out=folder / "m.elman", threads=1, save_every=0, resume=resume)

    whole, full = tmp_path / "whole", tmp_path / "full"
    whole.mkdir()
    full.mkdir()
    told = train(whole)
    sync, room = os.fsync, [4]

    def fill(file):
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill)
        with pytest.raises(DataError, match=r"m\..*cannot be written: No space left"):
            train(full)
    assert (full / "m.elman.resume").is_file()
    after = train(full, resume=True)
    assert [(r.step, r.training, r.validation) for r in after.history.rows] == [
        (r.step, r.training, r.validation) for r in told.history.rows
    ]
    assert after.checked == told.checked


@pytest.mark.parametrize("job", TABLES)
def test_a_column_that_is_misspelt_is_told_with_the_nearest(job):
    model, rows = JOBS[job]()
    last = list(rows[0])[-1]
    if job == "forecast":  # nothing is near a name of one letter
        model, last = ForecastModel(y="sales", horizon=4), "sales"
        rows = [{"time": row["time"], "sales": row["y"]} for row in rows]
    wrong = [{(name if name != last else name[:-1] + "eX"): value for name, value in row.items()} for row in rows]
    with pytest.raises(DataError, match=rf"expected .*{last}.*did you mean '{last[:-1]}eX'"):
        model.fit(wrong)


@pytest.mark.parametrize("job", TABLES)
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        ("größe,länge\nä,ö\n".encode("latin-1"), "UTF-8"),
        (b"\x00\x01\x02,\x00\n\x00", "text|column"),
        (b"PK\x03\x04" + bytes(60), "text|column|table"),
    ],
)
def test_a_file_that_is_no_table(job, data, said, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(data)
    model, _ = JOBS[job]()
    with pytest.raises(DataError, match=said):
        model.fit(path, out=tmp_path / "m.elman")
    assert [file.name for file in tmp_path.iterdir()] == ["rows.csv"]


@pytest.mark.slow
@pytest.mark.parametrize("job", ["classify", "tag", "translate"])
def test_a_line_of_ten_megabytes_is_told(job, tmp_path):
    model, rows = JOBS[job]()
    name = next(iter(rows[0]))
    rows[7] = {**rows[7], name: "a" * 10_000_000}
    if job == "tag":
        rows[7]["tags"] = ["a"] * 10_000_000
    path = tmp_path / "rows.jsonl"
    polars.DataFrame(rows).write_ndjson(path)
    with pytest.raises(DataError, match="at most 100,000 steps, got 10,000,0"):
        model.fit(path)


def test_a_model_of_another_job_is_told(tmp_path):
    path = tmp_path / "m.elman"
    ClassifyModel(input="text", label="label", hidden_size=4, embedding=4, epochs=1).fit(
        [{"text": a + b, "label": a} for a in "ab" for b in "abcdefghij"], out=path, threads=1
    )
    assert isinstance(elman.load(path), ClassifyModel)
    for kind in KINDS.values():
        if kind is not ClassifyModel:
            with pytest.raises(DataError, match=f"expected a model of the job '{kind.NAME}', got one of 'classify'"):
                kind.load(path)


def test_prediction_data_with_other_columns_are_told(tmp_path):
    model = TranslateModel(hidden_size=4, embedding=4, epochs=1).fit(
        [{"input": a + b, "output": a} for a in "abcdef" for b in "abcdef"], threads=1
    )
    with pytest.raises(DataError, match="did you mean 'inputs'"):
        model.predict({"inputs": ["a"]})
    with pytest.raises(DataError, match="expected single values"):
        model.predict({"input": [["a"]]})


def test_texts_and_lists_in_one_column_are_told(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a b", "tags": "O X"}\n{"text": ["a", "b"], "tags": ["O", "X"]}\n')
    with pytest.raises(DataError, match=r"'text' holds texts, but row 1 has \['a', 'b'\]"):
        read_table(path)
    path.write_text('{"text": "[a] b", "n": 1}\n{"text": "{x}", "n": 2}\n')
    assert read_table(path)["text"].to_list() == ["[a] b", "{x}"]


def test_a_step_without_a_tag_is_told():
    with pytest.raises(DataError, match=r"the column 'tags', row 1, step 1: expected a value, got nothing"):
        TagModel(input="x", tags="tags").fit([{"x": ["a", "b"], "tags": ["X", tag]} for tag in ("Y", None)] * 9)


def test_a_column_cannot_be_read_and_learned():
    with pytest.raises(ArgumentError, match="got 'text' for both"):
        ClassifyModel(input="text", label="text").fit([{"text": a + b, "label": a} for a in "ab" for b in "abcdef"])


def test_a_name_in_place_of_a_path_is_told():
    with pytest.raises(ArgumentError, match=r"give Path\('rows.csv'\)"):
        ClassifyModel().fit("rows.csv")


def test_few_rows_a_label_are_enough():
    rows = [{"text": f"{a}{b}", "label": a} for a in "abcdefgh" for b in "abcde"]
    model = ClassifyModel(hidden_size=4, embedding=4, epochs=1).fit(rows, threads=1)
    assert model.about["rows for validation"] == 4


@pytest.mark.slow
def test_pictures_of_an_earlier_model_go(tmp_path):
    out, picture = tmp_path / "m.elman", tmp_path / "m.labels.png"
    small = {"hidden_size": 4, "embedding": 4, "epochs": 1}
    rows = [{"text": a + b, "label": a, "n": float(ord(b))} for a in "ab" for b in "abcdefghijkl"]
    ClassifyModel(input="text", label="label", **small).fit(rows, out=out, threads=1)
    assert picture.is_file()
    ClassifyModel(input="text", label="n", target="number", **small).fit(rows, out=out, threads=1)
    assert not picture.exists()
    assert "<h2>Labels" not in (tmp_path / "m.html").read_text()
