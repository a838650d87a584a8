"""The command line: help, version, doctor, and how errors end."""

import os
import subprocess
import sys
from dataclasses import fields

import pytest
import typer
from typer.testing import CliRunner

import elman.cli
from elman.cli import app
from elman.cli.doctor import findings
from elman.cli.job import OF_RUN
from elman.compiler import cache_folder, find_compiler
from elman.errors import ShapeError
from elman.tasks import JOBS
from elman.version import __version__


def run(*words, **environment):
    """`elman WORDS` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", "from elman.cli import main; main()", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def run_here(*words):
    """`elman WORDS` in this process, which is faster."""
    return CliRunner().invoke(elman.cli.app, words, prog_name="elman")


def test_version():
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"elman {__version__}\n", "")


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["-h"],
        ["text", "--help"],
        ["forecast", "--help"],
        ["doctor", "--help"],
        ["show", "--help"],
        ["tune", "-h"],
        ["cells", "-h"],
        ["info", "-h"],
        ["tag", "-h"],
        ["translate", "-h"],
        ["music", "-h"],
    ],
)
def test_help(words):
    done = run_here(*words)
    assert done.exit_code == 0
    assert done.stdout.startswith("Usage: elman")


def test_help_names_every_command():
    lines = run_here("--help").stdout.splitlines()
    commands = [line.split()[0] for line in lines[lines.index("Commands:") + 1 :]]
    assert sorted(commands) == [
        "cells",
        "classify",
        "describe",
        "doctor",
        "forecast",
        "info",
        "music",
        "show",
        "tag",
        "text",
        "translate",
        "tune",
    ]


def test_an_unknown_command_is_refused():
    done = run("nonsense")
    assert done.returncode == 2
    assert "nonsense" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_prints_ten_lines(monkeypatch, tmp_path):
    monkeypatch.setenv("ELMAN_CACHE", str(tmp_path / "not" / "yet"))
    done = run_here("doctor")
    lines = done.stdout.splitlines()
    assert len(lines) == 10
    assert [line.split()[0] for line in lines[:3]] == ["elman", "python", "torch"]
    assert f"{tmp_path / 'not' / 'yet'}, writable, not made yet" in done.stdout


def test_doctor_names_what_the_jobs_lack(monkeypatch):
    monkeypatch.setattr("elman.cli.doctor.version", missing)
    assert "missing lightning, matplotlib: pip install 'elman[jobs]'" in dict(findings())["jobs"]


def missing(name):
    from importlib.metadata import PackageNotFoundError

    raise PackageNotFoundError(name)


def test_doctor_says_that_there_is_no_compiler_and_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("elman.compiler.runtime.build.find_spec", lambda name: None)
    said = dict(findings())["compiler"]
    assert said.startswith("no C compiler")
    assert all(words in said for words in ("reference path", "slower", "compiler package", "pip install ziglang"))


def test_doctor_names_the_compiler_and_the_target(monkeypatch):
    compiler = find_compiler()
    if compiler is None:
        pytest.skip("no compiler here")
    assert compiler.version in dict(findings())["compiler"]
    monkeypatch.setenv("ELMAN_TARGET", "plain")
    assert dict(findings())["compiler"].endswith("kernels for plain")
    monkeypatch.setenv("ELMAN_TARGET", "nonsense")
    assert "ELMAN_TARGET=nonsense is not known" in dict(findings())["compiler"]


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("ELMAN_CACHE", raising=False)
    assert cache_folder() == tmp_path / "elman"
    monkeypatch.setenv("ELMAN_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    (tmp_path / "own").write_text("a file stands in the way")
    assert "not used: it is not a folder" in dict(findings())["cache"]


def leave(monkeypatch, error):
    """The exit code of `main` when a command ends in an error."""

    def fail(**_):
        raise error

    monkeypatch.setattr(elman.cli, "app", fail)
    with pytest.raises(SystemExit) as left:
        elman.cli.main()
    return left.value.code


def test_an_error_of_the_family_is_one_message_and_exit_code_2(monkeypatch, capsys):
    assert leave(monkeypatch, ShapeError("expected [2], got [3]")) == 2
    assert capsys.readouterr().err == "Error: expected [2], got [3]\n"


def test_a_bug_keeps_its_traceback(monkeypatch):
    def fail(**_):
        raise ModuleNotFoundError("No module", name="elman.cells.typo")

    monkeypatch.setattr(elman.cli, "app", fail)
    with pytest.raises(ModuleNotFoundError):
        elman.cli.main()


def test_ctrl_c_ends_with_130(monkeypatch):
    assert leave(monkeypatch, KeyboardInterrupt()) == 130


def test_ctrl_c_within_a_command_ends_with_130(monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("elman.cli.doctor.findings", interrupted)
    monkeypatch.setattr(sys, "argv", ["elman", "doctor"])
    with pytest.raises(SystemExit) as left:
        elman.cli.main()
    assert left.value.code == 130


@pytest.mark.slow
def test_jobs_need_their_extra_and_nothing_else_does(tmp_path):
    """With the extra hidden, the library works and a job asks for it in one line."""
    hidden = tmp_path / "sitecustomize.py"
    hidden.write_text("import sys\nfor name in ('lightning', 'matplotlib'):\n    sys.modules[name] = None\n")
    book = tmp_path / "book.txt"
    book.write_text("a text that is long enough to learn from. " * 200)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = run("text", "fit", str(book), "--out", str(tmp_path / "m.elman"), "--quiet", PYTHONPATH=path)
    assert done.returncode == 2
    assert "pip install 'elman[jobs]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("cell", ["elman", "jordan", "lstm", "gru"])
@pytest.mark.parametrize("options", [[], ["--unfold", "3"], ["--stage", "trace"], ["--stage", "hoist"]])
@pytest.mark.parametrize("format", ["text", "mermaid", "svg"])
def test_show_draws_every_stage_in_every_format(cell, options, format):
    done = run_here("show", cell, *options, "--format", format)
    assert done.exit_code == 0
    begins = {"text": "", "mermaid": "%%", "svg": "<svg"}
    assert done.stdout.startswith(begins[format])
    assert len(done.stdout.splitlines()) > 5


NO_OPTIONS_OF_A_MODEL = {
    "ctx", "data", "files", "out", "start", "example", "channel", "attribute", "validation_data",
    *(each.name for each in OF_RUN),
}  # fmt: skip


@pytest.mark.parametrize("name", JOBS)
def test_the_options_of_fit_are_those_of_the_class_with_its_defaults(name):
    kind = JOBS[name]
    known = {option.name: option.default for option in fields(kind) if option.init}
    command = typer.main.get_command(app).commands[name].commands["fit"]
    for option in command.params:
        if option.name not in NO_OPTIONS_OF_A_MODEL:
            assert option.name in known, option.name
    if name not in ("forecast", "describe"):  # these say some of their options in another way
        given = {option.name: option.default for option in command.params if option.name not in NO_OPTIONS_OF_A_MODEL}
        assert kind(**given).configuration() == kind().configuration()


def test_a_warning_is_a_line_for_people(capsys):
    elman.cli._warn("other units?", UserWarning, "file.py", 3)
    elman.cli._warn("old", DeprecationWarning, "file.py", 3)
    assert capsys.readouterr().err == "Warning: other units?\nWarning: old (file.py:3)\n"
