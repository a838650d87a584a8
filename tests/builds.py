"""What the tests of building share: texts, compilers that are scripts, other processes."""

import multiprocessing
import os
import shutil

import pytest

from elman.compiler.codegen.target import TARGETS
from elman.compiler.runtime import build, store
from elman.compiler.runtime.build import library

PLAIN = TARGETS["plain"]
REAL = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
fork = multiprocessing.get_context("fork")  # importing torch ten times would take longer than all tests here

needs_compiler = pytest.mark.skipif(REAL is None, reason="no C compiler here")


def text(number):
    """A library whose only function gives a number."""
    return f"/* {os.getpid()} */\nint number(void) {{ return {number}; }}\n"


def start_anew(monkeypatch, tmp_path):
    """An empty cache folder, which is returned, a folder for temporary files, a process that knows nothing yet."""
    for name in ("CC", "ELMAN_TARGET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ELMAN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    forget(monkeypatch)
    return tmp_path / "cache"


def forget(monkeypatch):
    """What another process would know."""
    monkeypatch.setattr(build, "_KNOWN", {})
    monkeypatch.setattr(store, "_SAID", set())
    build._version.cache_clear()
    store._private.cache_clear()


def kept(folder):
    """The names of the libraries in a folder."""
    return sorted(path.name for path in folder.glob("*.so"))


def script(path, lines):
    """A program for the shell that stands for a compiler."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return path


def counting(monkeypatch, tmp_path, first=""):
    """The real compiler behind a script that counts its calls; what to do first may be given."""
    calls = tmp_path / "calls"
    path = script(tmp_path / "bin" / "cc", f'echo "$@" >> {calls}\n{first}\nexec {REAL} "$@"')
    monkeypatch.setenv("CC", str(path))
    return lambda: calls.read_text().splitlines() if calls.exists() else []


def elsewhere(function, *arguments):
    """Call a function in another process; its exit code."""
    other = fork.Process(target=function, args=arguments)
    other.start()
    other.join(60)
    return other.exitcode


def check(source, expected, barrier=None):
    if barrier is not None:
        barrier.wait(60)
    assert library(source, PLAIN).number() == expected
