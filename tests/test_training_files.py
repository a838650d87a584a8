"""What training keeps: files in one step, nested values bit for bit, histories, curves, schedules."""

import math
import os
from pathlib import Path

import pytest
import torch

from elman.errors import ArgumentError, DataError
from elman.training import History, Measure, Row, Settings, constant, warmup_cosine
from elman.training.curve import draw_curve
from elman.training.files import (
    beside,
    check_apart,
    check_output,
    part_of,
    read_tensors,
    write_atomically,
    write_tensors,
)
from elman.training.nested import flatten, unflatten
from elman.training.settings import find_device
from elman.training.standing import Standing


def row(step, validation=None, training=2.0):
    return Row(step, step / 10, training, validation, 1e-3, 0.5 * step)


def test_tensors_and_header_come_back(tmp_path):
    file = tmp_path / "a.elman"
    weights = {"w": torch.randn(3, 2), "n": torch.tensor(7)}
    write_tensors(file, weights, {"format": "elman model", "words": ["ü", "👩‍🚀", "\n"]})
    read, header = read_tensors(file, "elman model")
    assert all(torch.equal(read[name], weights[name]) for name in weights)
    assert header["words"] == ["ü", "👩‍🚀", "\n"]
    with pytest.raises(DataError, match="expected an elman training file, got elman model"):
        read_tensors(file, "elman training")


def test_a_write_that_is_killed_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "a"
    write_atomically(file, b"old")

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(file, b"new")
    monkeypatch.undo()
    assert file.read_bytes() == b"old"
    assert part_of(file).exists()
    check_output(file)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"PK\x03\x04rest of a zip archive", "zip archive"),
        (b"\x80\x02}q\x00.", "a pickle"),
        (b"\x89PNG\r\n\x1a\n and so on", "another kind"),
        (b"\x20\0\0\0\0\0\0\0{\"w\":", "truncated"),
    ],
)  # fmt: skip
def test_foreign_files_are_named(tmp_path, content, said):
    file = tmp_path / "odd.elman"
    file.write_bytes(content)
    with pytest.raises(DataError, match=said) as error:
        read_tensors(file, "elman model")
    assert str(file) in str(error.value)


def test_truncated_and_missing_files(tmp_path):
    file = tmp_path / "a.elman"
    write_tensors(file, {"w": torch.randn(64, 64)}, {"format": "elman model"})
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match="truncated"):
        read_tensors(file, "elman model")
    with pytest.raises(DataError, match="found no file"):
        read_tensors(tmp_path / "none", "elman model")


def test_output_is_checked(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="got nothing there"):
        check_output(tmp_path / "missing" / "m.elman")
    with pytest.raises(DataError, match="got a file"):
        check_output(tmp_path / "file" / "m.elman")
    for name, why in ((tmp_path, "a folder or a device"), (tmp_path / "m.png", "name of a model file")):
        with pytest.raises(ArgumentError, match=why):
            check_output(name)


def test_nested_values_come_back_bit_for_bit():
    value = {
        "state": {0: {"step": torch.tensor(3.0), "moments": (torch.randn(2), torch.randn(2, 3).t())}},
        "rates": [0.1 + 0.2, 1e-300, math.inf],
        "names": ("a", None, True, {"tensor": "not one", "dict": [1]}),
    }
    tensors = {}
    back = unflatten(flatten(value, tensors), tensors)
    assert len(tensors) == 3
    assert torch.equal(back["state"][0]["moments"][1], value["state"][0]["moments"][1])
    assert (back["rates"], back["names"]) == (value["rates"], value["names"])
    assert not unflatten(flatten({}, {}), {})
    with pytest.raises(ArgumentError, match="got object"):
        flatten(object(), {})


def test_history_knows_its_best(tmp_path):
    history = History(Measure(), [row(5), row(10, 3.0), row(15), row(20, 2.0), row(30, 2.5), row(40, math.nan)])
    assert history.best == row(20, 2.0)
    assert history.epochs_since_best == 2
    assert History.from_json(history.to_json()).rows[:5] == history.rows[:5]
    assert History(Measure()).best is None
    history.write_csv(tmp_path / "h.csv")
    lines = (tmp_path / "h.csv").read_text().splitlines()
    assert lines[0] == "step,epoch,training,validation,learning_rate,seconds"
    assert lines[1:3] == ["5,0.5,2.0,,0.001,2.5", "10,1.0,2.0,3.0,0.001,5.0"]


@pytest.mark.parametrize("rows", [[], [row(1)], [row(1, 3.0)], [row(5, None, 9.0), row(10, 3.0), row(20, 2.0)]])
def test_curve_is_a_picture_of_any_history(tmp_path, rows):
    draw_curve(History(Measure(), rows), tmp_path / "c.png", "title")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_schedules():
    rates = [warmup_cosine(step, 1000) for step in range(1000)]
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) in range(28, 32)
    assert rates[0] < 0.05
    assert rates[-1] == pytest.approx(0.02, abs=1e-3)
    assert all(0 < warmup_cosine(step, steps) <= 1 for steps in (1, 2, 3) for step in range(steps + 2))
    assert constant(3, 10) == 1.0


@pytest.mark.parametrize(
    ("option", "value"),
    [("epochs", 0), ("learning_rate", 0), ("learning_rate", math.nan), ("clip", -1), ("patience", 0), ("threads", 0)],
)
def test_silly_settings_are_refused(option, value):
    with pytest.raises(ArgumentError, match=option):
        Settings(**{option: value})


def test_devices():
    assert find_device("cpu") == torch.device("cpu")
    assert find_device("auto").type in ("cpu", "cuda")
    for name in ("tpu", "cuda:x", ""):
        with pytest.raises(ArgumentError, match="auto, cpu, cuda or cuda:N"):
            find_device(name)
    with pytest.raises(ImportError, match="cuda:99"):
        find_device("cuda:99")


def test_nothing_that_is_read_is_written_over(tmp_path):
    book = tmp_path / "book.csv"
    book.write_text("text")
    with pytest.raises(ArgumentError, match="written over"):
        check_apart(tmp_path / "book.elman", [book])
    with pytest.raises(ArgumentError, match="written over"):
        check_apart(book, [book])
    with pytest.raises(ArgumentError, match="cannot stand in it"):
        check_apart(tmp_path / "model.elman", [tmp_path])
    check_apart(tmp_path / "model.elman", [book])


def test_names_of_folders_and_devices_are_refused(tmp_path):
    (tmp_path / "model.png").mkdir()
    for name in (tmp_path / "model.elman", tmp_path, Path("/dev/null")):
        with pytest.raises(ArgumentError, match="a folder or a device"):
            check_output(name)


def test_each_model_has_files_of_its_own():
    assert beside(Path("a/model.elman"), ".csv") == Path("a/model.csv")
    assert beside(Path("my.v1"), ".png") != beside(Path("my.v2"), ".png")


def test_an_epoch_that_ends_where_the_row_before_did_has_its_figure():
    standing = Standing(history=History())
    standing.tally.add(6.0, 3)
    standing.close_row(None, 0.5, 0.1)
    assert standing.close_row(1.5, 0.5, 0.1).training == 2.0
