"""C text to a loaded library: compilers, targets, names, and compilers that fail."""

import ctypes
import os
import subprocess
import threading
import time

import numpy as np
import pytest

from builds import PLAIN, REAL, check, counting, elsewhere, forget, fork, kept, needs_compiler, script, start_anew, text
from elman.compiler import BuildWarning, find_compiler, host
from elman.compiler.codegen.target import TARGETS
from elman.compiler.runtime import build, store
from elman.compiler.runtime.build import library
from elman.errors import ArgumentError, SetupError


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    yield start_anew(monkeypatch, tmp_path)
    store._private.cache_clear()


# compilers


def test_compilers_are_asked_in_their_order(monkeypatch, tmp_path):
    bin = tmp_path / "bin"
    monkeypatch.setenv("PATH", str(bin))
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    own = script(tmp_path / "own" / "mycc", 'echo "own $1"')
    for name in ("cc", "gcc", "clang"):
        script(bin / name, f"echo {name} 1.0\necho and more")
    monkeypatch.setenv("CC", f"{own} -flag")
    assert find_compiler() == build.Compiler((str(own), "-flag"), "own -flag")
    monkeypatch.delenv("CC")
    for name in ("cc", "gcc", "clang"):
        assert find_compiler() == build.Compiler((str(bin / name),), f"{name} 1.0")
        (bin / name).unlink()
    assert find_compiler() is None


def test_a_compiler_that_does_not_run_is_passed_over(monkeypatch, tmp_path):
    bin = tmp_path / "bin"
    monkeypatch.setenv("PATH", str(bin))
    script(bin / "cc", "exit 1")
    script(bin / "gcc", "echo gcc 1.0")
    assert find_compiler().version == "gcc 1.0"
    for broken in ("/no/such/compiler -x", 'cc "'):
        monkeypatch.setenv("CC", broken)
        with pytest.warns(BuildWarning, match="CC="):
            assert find_compiler().version == "gcc 1.0"


def test_the_wheel_ziglang_comes_last(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    package = tmp_path / "wheel" / "ziglang"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("import sys\nprint('clang of', *sys.argv[1:])\n")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    compiler = find_compiler()
    assert compiler.command[1:4] == ("-m", "ziglang", "cc")
    assert compiler.version == "clang of cc -mcpu=baseline --version"
    script(tmp_path / "cc", "echo cc 1.0")
    assert find_compiler().version == "cc 1.0"


@needs_compiler
def test_the_version_is_asked_once_for_all_processes(monkeypatch, tmp_path, cache):
    calls = counting(monkeypatch, tmp_path)
    library(text(1), PLAIN)
    assert len(calls()) == 2
    forget(monkeypatch)
    find_compiler()
    assert len(calls()) == 2
    script(tmp_path / "bin" / "cc", f'echo another >> {tmp_path / "calls"}\nexec {REAL} "$@"')
    find_compiler()
    assert calls()[2:] == ["another"]
    find_compiler()
    assert calls()[2:] == ["another"]


@needs_compiler
def test_a_damaged_note_of_the_version_is_written_anew(monkeypatch, tmp_path, cache):
    calls = counting(monkeypatch, tmp_path)
    library(text(1), PLAIN)
    (note,) = cache.glob("compiler-*")
    for damage in (b"", b"gcc 47", note.read_bytes()[:-1]):
        note.write_bytes(damage)
        forget(monkeypatch)
        before = len(calls())
        library(text(1), PLAIN)
        assert len(calls()) == before + 1
        forget(monkeypatch)
        library(text(1), PLAIN)
        assert len(calls()) == before + 1


# targets


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", "plain"),
        ("sse2 avx", "plain"),
        ("avx2", "plain"),
        ("avx2 fma", "avx2"),
        ("avx2 fma avx512f avx512dq avx512vl", "avx2"),
        ("avx2 fma avx512f avx512dq avx512vl avx512bw", "avx512"),
    ],
)
def test_the_widest_target_that_runs(monkeypatch, flags, expected):
    monkeypatch.setattr(build, "_able", lambda: frozenset(flags.split()))
    assert host() is TARGETS[expected]


@pytest.mark.parametrize(("capability", "expected"), [("AVX512", "avx512"), ("AVX2", "avx2"), ("DEFAULT", "plain")])
def test_where_the_system_says_nothing_torch_does(monkeypatch, capability, expected):
    monkeypatch.setattr(build, "_information", lambda key: "")
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: capability)
    monkeypatch.setattr(build, "_able", build._able.__wrapped__)
    assert host() is TARGETS[expected]


def test_a_narrower_target_may_be_asked_for(monkeypatch):
    monkeypatch.setattr(build, "_able", lambda: frozenset(("avx2", "fma")))
    monkeypatch.setenv("ELMAN_TARGET", "plain")
    assert host() is PLAIN
    monkeypatch.setenv("ELMAN_TARGET", "avx512")
    with pytest.raises(ArgumentError, match="ELMAN_TARGET=avx512 does not run here: expected one of avx2, plain"):
        host()
    monkeypatch.setenv("ELMAN_TARGET", "AVX-2")
    with pytest.raises(ArgumentError, match="ELMAN_TARGET=AVX-2 is not known: expected one of avx2, plain"):
        host()


@needs_compiler
@pytest.mark.parametrize("name", TARGETS)
def test_this_processor_runs_what_it_is_said_to_run(monkeypatch, name):
    monkeypatch.setenv("ELMAN_TARGET", name)
    try:
        target = host()
    except ArgumentError:
        pytest.skip(f"{name} does not run here")
    axpy = "void axpy(int n, float a, const float *x, float *y) { for (int i = 0; i < n; i++) y[i] += a * x[i]; }"
    x, y = np.arange(1003, dtype=np.float32), np.ones(1003, dtype=np.float32)
    library(axpy, target).axpy(1003, ctypes.c_float(2), *(ctypes.c_void_p(z.ctypes.data) for z in (x, y)))
    assert (y == 2 * x + 1).all()


# the library


@needs_compiler
def test_a_text_is_built_once_and_kept_with_its_text(monkeypatch, tmp_path, cache):
    calls = counting(monkeypatch, tmp_path)
    first = library(text(7), PLAIN)
    assert first.number() == 7
    assert library(text(7), PLAIN) is first
    (name,) = kept(cache)
    assert (cache / name).with_suffix(".c").read_text() == text(7)
    forget(monkeypatch)
    assert library(text(7), PLAIN).number() == 7
    assert len(calls()) == 2  # the version and the text
    assert not list(cache.glob("*.part"))


@needs_compiler
def test_what_is_kept_is_loaded_in_5_ms_and_starts_no_process(monkeypatch):
    long = text(3) + "/* a kernel is long */\n" * 3000
    assert elsewhere(check, long, 3) == 0
    monkeypatch.setattr(subprocess, "Popen", None)
    times = []
    for _ in range(5):
        forget(monkeypatch)
        start = time.perf_counter()
        loaded = library(long, PLAIN)
        times.append(time.perf_counter() - start)
        assert loaded.number() == 3
    assert min(times) < 0.005


@needs_compiler
def test_flags(monkeypatch, tmp_path):
    calls = counting(monkeypatch, tmp_path)
    source = "#include <math.h>\ndouble f(double x) { return exp(x) + EXTRA; }"
    f = library(source, PLAIN, ("-DEXTRA=5",)).f
    f.restype, f.argtypes = ctypes.c_double, [ctypes.c_double]
    assert f(1.0) == pytest.approx(np.exp(1.0) + 5)
    flags = calls()[-1].split()
    asked = "-O3 -std=gnu11 -fno-math-errno -fno-trapping-math -ffp-contract=fast -fPIC -shared -DEXTRA=5 -lm"
    assert set(asked.split()) <= set(flags)
    assert flags[-1] == "-lm"
    assert "fast-math" not in calls()[-1]


@needs_compiler
def test_denormals_stay_in_the_process():
    assert elsewhere(denormals) == 0


def denormals():
    library(text(1), PLAIN)
    assert np.float64(1e-310) * np.float64(0.5) > 0


@needs_compiler
@pytest.mark.parametrize("what", ["text", "extra", "target", "command", "version", "processor", "machine", "format"])
def test_whatever_makes_another_library_makes_another_name(monkeypatch, tmp_path, cache, what):
    library(text(1), PLAIN)
    forget(monkeypatch)
    source, target, extra = text(1), PLAIN, ()
    match what:
        case "text":
            source += " "
        case "extra":
            extra = ("-DX",)
        case "target":
            target = build.Target("other", 16, 16, ())
        case "command":
            monkeypatch.setenv("CC", f"{REAL} -DX")
        case "version":
            monkeypatch.setattr(build, "_version", lambda *_: "another")
        case "processor":
            monkeypatch.setattr(build, "processor", lambda: "another")
        case "machine":
            monkeypatch.setattr("platform.machine", lambda: "another")
        case "format":
            monkeypatch.setattr(build, "_FORMAT", -1)
    assert library(source, target, extra).number() == 1
    assert len(kept(cache)) == 2


@needs_compiler
def test_threads_that_ask_at_once_all_get_it():
    found = []
    threads = [threading.Thread(target=lambda: found.append(library(text(4), PLAIN).number())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [4] * 4


@needs_compiler
@pytest.mark.parametrize("before", [None, b"", os.urandom(5000)], ids=["nothing", "empty", "noise"])
def test_ten_processes_at_once_all_get_it(cache, before):
    source = text(10)
    if before is not None:
        assert elsewhere(check, source, 10) == 0
        (cache / kept(cache)[0]).write_bytes(before)
    barrier = fork.Barrier(10)
    others = [fork.Process(target=check, args=(source, 10, barrier)) for _ in range(10)]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    assert [other.exitcode for other in others] == [0] * 10
    assert len(kept(cache)) == 1
    assert not list(cache.glob("*.part"))


# no compiler, or one that fails


@needs_compiler
def test_without_a_compiler_it_is_said_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    with monkeypatch.context() as hidden:
        hidden.setenv("PATH", str(tmp_path))
        with pytest.raises(SetupError, match=r"no C compiler.*slower.*compiler package.*pip install ziglang"):
            library(text(1), PLAIN)
    assert library(text(1), PLAIN).number() == 1


@needs_compiler
def test_a_failure_is_said_and_remembered(monkeypatch, tmp_path, cache):
    calls = counting(monkeypatch, tmp_path)
    wrong = "int f(void) { return nonsense; }"
    with pytest.raises(SetupError, match="nonsense") as first:
        library(wrong, PLAIN)
    (source,) = cache.glob("*.c")
    assert source.read_text() == wrong
    assert str(source) in str(first.value)
    with pytest.raises(SetupError) as second:
        library(wrong, PLAIN)
    assert str(first.value) == str(second.value)
    assert len(calls()) == 2
    assert kept(cache) == []
    assert library(text(1), PLAIN).number() == 1


@needs_compiler
@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("i=0; while [ $i -lt 1000 ]; do echo line $i >&2; i=$((i+1)); done; exit 3", "exit status 3\nline 0\n"),
        ("kill -9 $$", "exit status -9"),
        ("exit 0", "No such file"),
        ('while [ "$1" != -o ]; do shift; done; echo noise > "$2"; exit 0', "file too short|invalid ELF header"),
    ],
)
def test_compilers_that_misbehave(monkeypatch, tmp_path, cache, does, said):
    counting(monkeypatch, tmp_path, f'case "$*" in *--version*) ;; *) {does};; esac')
    for _ in range(2):
        with pytest.raises(SetupError, match=said) as raised:
            library(text(1), PLAIN)
    assert len(str(raised.value).splitlines()) < 20
    assert kept(cache) == []


def test_a_compiler_that_hangs_is_left(monkeypatch, tmp_path):
    monkeypatch.setattr(build, "_LONGEST", 0.2)
    monkeypatch.setenv("CC", str(script(tmp_path / "cc", 'case "$*" in *--version*) echo 1;; *) exec sleep 30;; esac')))
    with pytest.raises(SetupError, match="timed out"):
        library(text(1), PLAIN)
