"""`elman text`: what it prints, what it leaves on disk, and how it leaves."""

import dataclasses
import inspect
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from elman import cli
from elman.cli.text import fit
from elman.tasks import TextModel
from elman.training.learner import Learner

RHYME = "one two, buckle my shoe; three four, knock at the door;\n" * 30
SMALL = [
    "--hidden-size",
    "16",
    "--dropout",
    "0",
    "--embedding",
    "8",
    "--window",
    "20",
    "--batch-size",
    "4",
    "--layers",
    "1",
]


@pytest.fixture
def elman_text(monkeypatch, capsys):
    """Run `elman text ...` in this process: exit code, stdout, stderr."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["elman", "text", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        said = capsys.readouterr()
        return left.value.code or 0, said.out, said.err

    return run


@pytest.fixture
def book(tmp_path):
    file = tmp_path / "book.txt"
    file.write_text(RHYME, encoding="utf-8")
    return file


def test_fit_sample_score(elman_text, book, tmp_path):
    out = tmp_path / "m.elman"
    code, said, wrong = elman_text("fit", book, "--out", out, *SMALL, "--epochs", 2)
    assert (code, wrong) == (0, "")
    assert "1,680 characters: 1 file" in said
    assert len(re.findall(r"^ +[12] +\d\.\d{3} +\d\.\d{3}", said, flags=re.MULTILINE)) == 2
    assert "\x1b" not in said
    assert not re.search("(?i)lightning|warning|gpu available", said)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["book.txt", "m.csv", "m.elman", "m.html", "m.png"]

    code, said, _ = elman_text("sample", out, "--prompt", "[red]:smile: one", "--length", 20, "--seed", 4)
    assert code == 0
    assert said == "[red]:smile: one" + TextModel.load(out).sample("[red]:smile: one", 20, 0.8, seed=4) + "\n"

    code, said, _ = elman_text("score", out, book)
    assert code == 0
    assert f"{TextModel.load(out).score(RHYME).bits_per_character:.4f}  bits per character" in said


def test_quiet_says_nothing(elman_text, book, tmp_path):
    code, said, wrong = elman_text("fit", book, "--out", tmp_path / "m.elman", *SMALL, "--epochs", 1, "--quiet")
    assert (code, said, wrong) == (0, "", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fit", "none.txt"], "none.txt: expected a file that can be read"),
        (["fit", "empty.txt"], "empty.txt: expected text, got an empty file"),
        (["fit", "latin.txt"], "latin.txt: expected UTF-8, got byte 0xef at offset 2"),
        (["fit", "short.txt"], "expected at least 65 chars of text"),
        (["fit", "bin"], "bin: expected a folder with UTF-8 text files"),
        (["fit", "book.txt", "--out", "no/m.elman"], "expected the folder no/ to exist"),
        (["fit", "book.txt", "--out", "book.txt/m.elman"], "expected the folder book.txt/ to exist, got a file"),
        (["fit", "book.txt", "--window", "0"], "expected window >= 1, got 0"),
        (["fit", "book.txt", "--unit", "byte"], "expected unit to be char, word or bpe, got 'byte'"),
        (["fit", "book.txt", "--device", "tpu"], "expected the device to be auto, cpu"),
        (["fit", "book.txt", "--epochs", "0"], "expected epochs >= 1, got 0"),
        (["sample", "none.elman"], "none.elman: expected an elman model file, found no file"),
        (["sample", "book.txt"], "book.txt: expected an elman model file, got a file of another kind"),
        (["score", "book.txt", "book.txt"], "expected an elman model file"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(elman_text, book, monkeypatch, words, said):
    monkeypatch.chdir(book.parent)
    (book.parent / "empty.txt").touch()
    (book.parent / "latin.txt").write_bytes("naïve".encode("latin1"))
    (book.parent / "short.txt").write_text("a short text, twice. " * 2)
    (book.parent / "bin").mkdir()
    (book.parent / "bin" / "x").write_bytes(b"\0\1")
    before = set(book.parent.rglob("*"))
    code, out, wrong = elman_text(*words)
    assert (code, out) == (2, "")
    assert said in " ".join(wrong.split())
    assert "Traceback" not in wrong
    assert set(book.parent.rglob("*")) == before


@pytest.mark.parametrize(
    "words",
    [["--temperature", "0"], ["--top-k", "0"], ["--top-k", "1000"], ["--top-p", "1.5"], ["--length", "-1"]],
)
def test_silly_choices_are_refused(elman_text, book, tmp_path, words):
    TextModel(hidden_size=4, layers=1).prepare(RHYME).save(tmp_path / "m.elman")
    code, said, wrong = elman_text("sample", tmp_path / "m.elman", *words)
    assert (code, said) == (2, "")
    assert words[0][2:].replace("-", "_") in wrong


def test_command_line_and_python_have_the_same_defaults():
    defaults = {name: parameter.default for name, parameter in inspect.signature(fit).parameters.items()}
    for option in dataclasses.fields(TextModel):
        if option.init and option.name not in ("optimizer", "schedule"):
            assert defaults[option.name] == option.default, option.name


def test_help_is_a_manual_page(elman_text):
    for command in ("fit", "sample", "score"):
        code, said, _ = elman_text(command, "--help")
        assert code == 0
        assert f"elman text {command} " in said
        assert "-h, --help" in said


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_saves_the_model_and_resume_goes_on(elman_text, book, tmp_path, monkeypatch, number):
    real = Learner.on_train_batch_end

    def interrupt(learner, *words):
        if learner.standing.step == 25 and len(learner.standing.history.epochs) == 1:
            os.kill(os.getpid(), number)
        real(learner, *words)

    out = tmp_path / "m.elman"
    fit = ["fit", book, "--out", out, *SMALL, "--epochs", 3]
    with monkeypatch.context() as patched:
        patched.setattr(Learner, "on_train_batch_end", interrupt)
        code, said, wrong = elman_text(*fit)
    assert (code, wrong) == (130, "")
    assert "with --resume goes on from here" in said
    assert {"m.csv", "m.elman", "m.elman.resume", "m.png"} <= set(os.listdir(tmp_path))
    assert len(TextModel.load(out).history.epochs) == 1

    code, _, wrong = elman_text(*fit)
    assert code == 2
    assert "Go on with --resume, or throw it away with --fresh" in wrong
    code, said, wrong = elman_text(*fit, "--resume")
    assert (code, wrong) == (0, "")
    assert "goes on in epoch 2" in said
    assert not (tmp_path / "m.elman.resume").exists()
    assert len(TextModel.load(out).history.epochs) == 3


@pytest.mark.slow
def test_a_killed_process_leaves_with_130(book, tmp_path):
    code = "from elman.cli import main; main()"
    words = ["text", "fit", str(book), *SMALL, "--epochs", "1000", "--patience", "1000", "--threads", "1"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *words, "--out", str(tmp_path / "m.elman")], stderr=subprocess.PIPE, text=True
    ) as running:
        while not (tmp_path / "m.elman").exists():  # the first epoch has ended
            time.sleep(0.01)
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        _, wrong = running.communicate(timeout=60)
    assert (running.returncode, wrong) == (130, "")
    assert TextModel.load(tmp_path / "m.elman").history.epochs
