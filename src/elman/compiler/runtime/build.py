"""C text -> a library that is loaded: the compiler, the processor, and what was built before."""

import ctypes
import functools
import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import torch

from elman.compiler.codegen.target import TARGETS, Target
from elman.errors import ArgumentError, SetupError

from . import store

_FORMAT = 1  # counts up when a library built by an older elman must not be taken any more
_FLAGS = ("-O3", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-fPIC", "-shared")
# Never -ffast-math: what is linked with it switches the whole process to numbers without denormals when it is loaded.
_LIBRARIES = ("-lm",)
_LINES = 12  # of what a failing compiler says
_LONGEST = 600.0  # seconds for one kernel


@dataclass(frozen=True)
class Compiler:
    """A C compiler that runs here.

    Attributes:
        command: the words that call it.
        version: the first line of what it says about itself.
    """

    command: tuple[str, ...]
    version: str


def find_compiler() -> Compiler | None:
    """The first that runs of: the environment variable CC, cc, gcc, clang, the wheel ziglang; None without any."""
    own = _words(os.environ.get("CC", ""))
    for command in filter(None, chain((own,), _usual())):
        if version := _version(command, _stamp(command)):
            if own and command != own:
                store.warn_once(f"CC={' '.join(own)} is no compiler that runs here; {' '.join(command)} is used.")
            return Compiler(command, version)
    return None


def _words(text: str) -> tuple[str, ...]:
    """A command and its arguments, as a shell reads them."""
    try:
        return tuple(shlex.split(text))
    except ValueError:  # a quotation mark that is not closed
        return (text,)


def _usual() -> Iterator[tuple[str, ...]]:
    for name in ("cc", "gcc", "clang"):
        if path := shutil.which(name):
            yield (path,)
    if find_spec("ziglang"):
        # Without a word about the processor Zig writes for all that this one can, and not for the target.
        yield (sys.executable, "-m", "ziglang", "cc", "-mcpu=baseline")


_Stamp = tuple[tuple[str, int, int], ...]


def _stamp(command: tuple[str, ...]) -> _Stamp:
    """Path, time and size of the files that a command names: another compiler under the same name has other ones."""
    paths = [path for word in command if (path := shutil.which(word))]
    if "ziglang" in command and (found := find_spec("ziglang")) and found.origin:
        paths.append(found.origin)
    return tuple((path, status.st_mtime_ns, status.st_size) for path in paths for status in (os.stat(path),))


@functools.cache
def _version(command: tuple[str, ...], stamp: _Stamp) -> str:
    """The first line of what a compiler says about itself, asked only if no process has asked before; or nothing."""
    known = store.read(_version_file(command, stamp))
    if known is not None:
        return known.decode()
    try:
        done = subprocess.run(
            [*command, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    lines = done.stdout.decode(errors="replace").splitlines()
    return lines[0] if lines else "no version"


def _version_file(command: tuple[str, ...], stamp: _Stamp) -> str:
    return f"compiler-{_digest(command, stamp)}"


def host() -> Target:
    """The widest target that this processor runs, or the narrower one that ELMAN_TARGET names.

    Raises:
        ArgumentError: ELMAN_TARGET names none, or one that this processor does not run.
    """
    able = {name: target for name, target in TARGETS.items() if runs_here(target)}
    name = os.environ.get("ELMAN_TARGET")
    if not name:
        return next(iter(able.values()))
    if name not in able:
        what = "does not run here" if name in TARGETS else "is not known"
        raise ArgumentError(f"ELMAN_TARGET={name} {what}: expected one of {', '.join(able)} ({processor()}).")
    return able[name]


def runs_here(target: Target) -> bool:
    """Whether this processor runs what is written for a target."""
    return _needs(target) <= _able()


def _needs(target: Target) -> frozenset[str]:
    """What a processor must be able to: the compiler's flags for it are `-m` and the name that Linux gives it."""
    return frozenset(flag.removeprefix("-m") for flag in target.flags)


@functools.cache
def _able() -> frozenset[str]:
    """What this processor and its system are able to, as Linux tells it, else as torch has found."""
    if flags := _information("flags"):
        return frozenset(flags.split())
    return _needs(TARGETS.get(torch.backends.cpu.get_cpu_capability().lower(), TARGETS["plain"]))


@functools.cache
def processor() -> str:
    """The name of the processor, where the system tells it."""
    return _information("model name") or platform.machine()


def _information(key: str) -> str:
    """A line about the first core in /proc/cpuinfo, or nothing."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name.strip() == key:
                    return value.strip()
                if not line.strip():
                    break  # the other cores: with hundreds of them the file takes milliseconds
    except OSError:
        return ""
    return ""


def library(text: str, target: Target, extra: tuple[str, ...] = ()) -> ctypes.CDLL:
    """The library of a C text, built once for all processes and loaded once in each.

    Args:
        text: C11 with GNU extensions, one file that includes nothing but the C library.
        target: the processor to write for; this one must run it.
        extra: more flags for the compiler, such as sanitizers.

    Returns:
        The library, with its functions as attributes.

    Raises:
        SetupError: there is no compiler, or it fails; the failure is remembered for this text.
    """
    key = (text, target, extra, os.environ.get("CC"), os.environ.get("PATH"))
    if (known := _KNOWN.get(key)) is None:
        compiler = find_compiler()
        if compiler is None:
            raise SetupError(NO_COMPILER)
        try:
            known = _load(text, _Order(compiler, target, extra))
        except SetupError as error:
            known = str(error)
        except OSError as error:
            known = f"expected to keep and load a kernel, but the system refuses: {error}"
        _KNOWN[key] = known
    if isinstance(known, str):
        raise SetupError(known)
    return known


NO_COMPILER = (
    "no C compiler that runs (asked: CC, cc, gcc, clang, the wheel ziglang), so layers run on the reference path, "
    "which is slower: install your system's compiler package, or `pip install ziglang`"
)
# What library() has loaded, or why it could not. No lock: threads that ask for the same text at once build it twice,
# and a lock that another thread holds during a fork would never be free again in the child.
_KNOWN: dict[tuple[str, Target, tuple[str, ...], str | None, str | None], ctypes.CDLL | str] = {}


@dataclass(frozen=True)
class _Order:
    """Who builds, for which processor, with which flags on top."""

    compiler: Compiler
    target: Target
    extra: tuple[str, ...]

    def command(self, source: Path, out: Path) -> list[str]:
        """The call of the compiler."""
        flags = (*_FLAGS, *self.target.flags, *self.extra)
        return [*self.compiler.command, *flags, "-o", str(out), str(source), *_LIBRARIES]


def _load(text: str, order: _Order) -> ctypes.CDLL:
    """Load what is kept, else build it."""
    calls = order.command(Path("kernel.c"), Path("kernel.so"))
    here = (platform.machine(), processor())
    name = f"{_digest(_FORMAT, text, calls, order.compiler.version, order.target.name, here)}.so"
    path = store.find(name) or _build(text, name, order)
    _keep_version(order.compiler)
    try:
        return ctypes.CDLL(str(path))
    except OSError:
        return _load_elsewhere(path)


def _load_elsewhere(path: Path) -> ctypes.CDLL:
    """Load a copy in the private folder: the cache may lie on a disk that runs no programs."""
    copy = store.keep_privately(path.name, path.read_bytes())
    try:
        loaded = ctypes.CDLL(str(copy))
    except OSError:
        path.unlink()  # then it is no good library, wherever it lies
        raise
    store.warn_once(f"Kernels in {path.parent} cannot be loaded: set ELMAN_CACHE to a folder whose disk runs programs.")
    return loaded


def _build(text: str, name: str, order: _Order) -> Path:
    """Compile a text, which stays beside the library for people to read.

    The compiler writes into the private folder: a disk without room, or a quota, is then met where the cache is
    written to, and a compiler that fails has failed at the text.
    """
    source = store.keep(str(Path(name).with_suffix(".c")), text.encode())
    out = store.private() / f"{os.urandom(8).hex()}.so"
    try:
        if said := _run(order.command(source, out)):
            raise SetupError(f"expected {order.compiler.version} to compile {source}, but it failed: {said}")
        content = out.read_bytes()
    finally:
        out.unlink(missing_ok=True)
    return store.keep(name, store.seal(name, content))


def _run(command: list[str]) -> str:
    """Call the compiler; what it says if it fails, in a few lines, else nothing."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LONGEST, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    lines = done.stderr.decode(errors="replace").splitlines()[:_LINES]
    return "\n".join([f"exit status {done.returncode}", *lines, f"called as: {shlex.join(command)}"])


def _keep_version(compiler: Compiler) -> None:
    """Spare the next process the question for the version."""
    name = _version_file(compiler.command, _stamp(compiler.command))
    if store.read(name) is None:
        store.keep(name, store.seal(name, compiler.version.encode()))


def _digest(*what: object) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]
