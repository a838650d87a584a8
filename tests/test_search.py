"""Searching for options: proposals, pruning, what is kept, and going on after a stop."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from optuna.storages.journal import JournalFileBackend
from typer.testing import CliRunner

import elman
from elman.cli import app
from elman.errors import ArgumentError, DataError
from elman.tasks import ClassifyModel, TranslateModel
from elman.tasks.search import Search, Span, space_around

ROWS = [{"text": a + b + c, "label": a} for a in "abc" for b in "abcdef" for c in "abcdef"]
SMALL = {"learning_rate": Span(1e-3, 1e-1, log=True), "dropout": Span(0.0, 0.5)}


def searched(folder, **changed):
    model = ClassifyModel(input="text", label="label", hidden_size=4, embedding=4, epochs=3, **changed)
    return Search(model=model, out=folder / "m.elman", space=SMALL)


def trials_of(folder):
    with (folder / "m.trials.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


@pytest.mark.slow
def test_the_best_trial_is_kept_and_the_first_has_the_options_given(tmp_path):
    search = searched(tmp_path)
    model = search.run(ROWS, trials=4, threads=1)
    assert search.trials[0].options == {"learning_rate": pytest.approx(2e-3), "dropout": 0.3}
    assert [t.number for t in search.trials] == [1, 2, 3, 4]
    best = min(search.trials, key=lambda trial: trial.validation)
    assert search.best == best
    assert model.history.best.validation == best.validation
    assert {"learning_rate", "dropout"} == set(best.options)
    assert all(getattr(model, name) == value for name, value in best.options.items())
    assert elman.load(tmp_path / "m.elman").configuration() == model.configuration()
    assert {f.name for f in tmp_path.iterdir()} == {
        "m.elman", "m.csv", "m.png", "m.html", "m.labels.png", "m.elman.search", "m.trials.csv", "m.trials.png",
    }  # fmt: skip
    assert len(trials_of(tmp_path)) == 4


@pytest.mark.slow
def test_more_trials_go_on_as_one_search_would_have(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    searched(tmp_path / "one").run(ROWS, trials=4, threads=1)
    searched(tmp_path / "two").run(ROWS, trials=2, threads=1)
    with pytest.raises(DataError, match="--resume"):
        searched(tmp_path / "two").run(ROWS, trials=4, threads=1)
    with pytest.raises(DataError, match="another data"):
        searched(tmp_path / "two").run(ROWS[:-1], trials=4, threads=1, resume=True)
    with pytest.raises(DataError, match="another options"):
        searched(tmp_path / "two", batch_size=7).run(ROWS, trials=4, threads=1, resume=True)
    searched(tmp_path / "two").run(ROWS, trials=4, threads=1, resume=True)
    assert trials_of(tmp_path / "one") == trials_of(tmp_path / "two")


def test_what_cannot_be_searched_is_said(tmp_path):
    with pytest.raises(ArgumentError, match="validation > 0"):
        searched(tmp_path, validation=0.0)
    with pytest.raises(ArgumentError, match="got colour"):
        Search(model=ClassifyModel(), out=tmp_path / "m.elman", space={"colour": (1, 2)})
    with pytest.raises(ArgumentError, match="trials >= 1"):
        searched(tmp_path).run(ROWS, trials=0)


def test_the_space_lies_around_the_options():
    space = space_around(TranslateModel(hidden_size=64, layers=2, learning_rate=1e-2))
    assert space["hidden_size"] == Span(16, 192, log=True)
    assert space["layers"] == Span(1, 3)
    assert space["learning_rate"].low < 1e-2 < space["learning_rate"].high


@pytest.mark.slow
def test_the_command_has_the_options_of_fit(tmp_path):
    table = tmp_path / "rows.csv"
    table.write_text("input,output\n" + "\n".join(f"{a}{b},{b}{a}" for a in "abcdef" for b in "abcdef"))
    given = ["translate", "tune", str(table), "--out", str(tmp_path / "m.elman"), "--trials", "2", "--epochs", "1"]
    made = CliRunner().invoke(app, [*given, "--hidden-size", "4", "--embedding", "4", "--threads", "1"])
    assert made.exit_code == 0, made.output
    assert "best so far" in made.output
    assert "the best was trial" in made.output
    assert elman.load(tmp_path / "m.elman").epochs == 1


CHILD = """
    from pathlib import Path
    from tests.test_search import ROWS, searched
    import sys
    searched(Path(sys.argv[1])).run(ROWS, trials=6, threads=1, resume=len(sys.argv) > 2)
"""


@pytest.mark.slow
def test_a_search_that_is_killed_ends_as_if_it_had_not_been(tmp_path):
    def begin(folder, *more):
        command = [sys.executable, "-c", textwrap.dedent(CHILD), str(folder), *more]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    assert begin(whole).wait() == 0
    kills = 0
    for trials in (1, 2, 4):  # killed once so many trials have been written down, in the next one
        child = begin(killed, *["resume"][: kills and 1])
        until = time.monotonic() + 120
        while child.poll() is None and time.monotonic() < until:
            path = killed / "m.trials.csv"
            if path.exists() and len(path.read_text().splitlines()) > trials:
                time.sleep(0.05 * kills)
                child.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        kills += child.wait() == -signal.SIGKILL
    assert kills == 3
    assert begin(killed, "resume").wait() == 0
    assert trials_of(killed) == trials_of(whole)
    assert not [name for name in os.listdir(killed) if "trial" in name and name.startswith(".")]


@pytest.mark.slow
def test_texts_are_searched_and_told_as_json(tmp_path):
    text = tmp_path / "book.txt"
    text.write_text("the cat sat on the mat. " * 60)
    small = ["--epochs", "1", "--hidden-size", "4", "--embedding", "4", "--window", "8", "--threads", "1", "--json"]
    made = CliRunner().invoke(
        app, ["text", "tune", str(text), "--out", str(tmp_path / "m.elman"), "--trials", "2", *small]
    )
    assert made.exit_code == 0, made.output
    trials = json.loads(made.output)
    assert [trial["number"] for trial in trials] == [1, 2]
    assert all(trial["validation"] > 0 for trial in trials)


class Crash(BaseException):
    """As a kill: nothing catches it."""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_search_may_stop_at_any_write(tmp_path, monkeypatch, when):
    """Of the journal, or of a file that is moved or written: each of them in turn, and then it goes on."""
    backend = "optuna.storages.journal.JournalFileBackend.append_logs"
    places = {"os.replace": os.replace, backend: JournalFileBackend.append_logs}

    def run(folder, dies_at):
        count = [0]

        def wrapped(real):
            def write(*given, **named):
                count[0] += 1
                if count[0] == dies_at and when == "before":
                    raise Crash
                done = real(*given, **named)
                if count[0] == dies_at:
                    raise Crash
                return done

            return write

        folder.mkdir()
        with monkeypatch.context() as patch:
            for name, real in places.items():
                patch.setattr(name, wrapped(real))
            try:
                searched(folder).run(ROWS[::3], trials=3, threads=1)
            except Crash:
                patch.undo()
                searched(folder).run(ROWS[::3], trials=3, threads=1, resume=True)
        return count[0]

    writes = run(tmp_path / "whole", 0)
    whole = trials_of(tmp_path / "whole")
    for dies_at in random.Random(3).sample(range(1, writes + 1), 14):
        folder = tmp_path / str(dies_at)
        run(folder, dies_at)
        assert trials_of(folder) == whole, dies_at
        best = min(float(trial["validation"]) for trial in whole)
        assert elman.load(folder / "m.elman").history.best.validation == best, dies_at
        assert {f.name for f in folder.iterdir()} == {f.name for f in (tmp_path / "whole").iterdir()}, dies_at


def test_a_search_does_not_write_over_its_data_and_is_the_work_of_one_process(tmp_path):
    table = tmp_path / "m.csv"
    table.write_text("text,label\n" + "\n".join(f"{row['text']},{row['label']}" for row in ROWS))
    with pytest.raises(ArgumentError, match="would be written over"):
        searched(tmp_path).run(table, trials=1, threads=1)
    with pytest.raises(ArgumentError, match="one process"):
        searched(tmp_path).run(ROWS, trials=1, devices=2)
    with pytest.raises(ArgumentError, match="without a network"):
        searched(tmp_path).__class__(
            model=ClassifyModel(hidden_size=4, embedding=4, epochs=1).fit(ROWS, threads=1), out=tmp_path / "n.elman"
        )
    assert space_around(ClassifyModel(hidden_size=1, dropout=0.7))["hidden_size"].low == 1
