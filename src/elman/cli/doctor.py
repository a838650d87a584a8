"""Ten lines for a bug report."""

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import torch
import typer

from elman.version import __version__


def doctor() -> None:
    """Print ten lines for a bug report.

    Versions, cores, threads, the C compiler, the cache folder, the GPU.
    """
    for name, finding in findings():
        typer.echo(f"{name:<10} {finding}")


def findings() -> list[tuple[str, str]]:
    """What a bug report should tell, line by line."""
    return [
        ("elman", f"{__version__} in {Path(__file__).parents[1]}"),
        ("python", f"{platform.python_version()} in {sys.prefix}, {platform.platform()}"),
        ("torch", f"{torch.__version__}, MKL {_yes(torch.backends.mkl.is_available())}, {_onednn()}"),
        ("libraries", _versions("numpy", "safetensors", "typer", "rich")),
        ("jobs", _versions("lightning", "matplotlib", advice="pip install 'elman[jobs]'")),
        ("cores", f"{_cores()} of {os.cpu_count()}, {_processor()}"),
        ("threads", f"{torch.get_num_threads()}, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}"),
        ("compiler", _compiler()),
        ("cache", _cache()),
        ("gpu", _gpu()),
    ]


def cache_folder() -> Path:
    """Where built code is kept: ELMAN_CACHE, else elman/ in XDG_CACHE_HOME, else ~/.cache/elman."""
    if own := os.environ.get("ELMAN_CACHE"):
        return Path(own)
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "elman"


def find_compiler() -> list[str] | None:
    """The command that calls a C compiler: cc, gcc, clang, else the ziglang wheel; None without any."""
    for name in ("cc", "gcc", "clang"):
        if path := shutil.which(name):
            return [path]
    return [sys.executable, "-m", "ziglang", "cc"] if find_spec("ziglang") else None


def _versions(*names: str, advice: str = "") -> str:
    found, missing = [], []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    lacking = [f"missing {', '.join(missing)}: {advice}"] if missing else []
    return ", ".join(found + lacking)


def _compiler() -> str:
    command = find_compiler()
    if command is None:
        return "none found (cc, gcc, clang, ziglang); nothing needs one yet"
    try:
        said = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return f"{' '.join(command)} does not run: {error}"
    return f"{' '.join(command)}, {said.splitlines()[0] if said else 'no version'}"


def _cache() -> str:
    folder = cache_folder()
    # The folder may not be there yet: then the nearest one above it decides.
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return f"{folder}, {'writable' if writable else 'not writable'}{'' if folder.exists() else ', not made yet'}"


def _gpu() -> str:
    triton = _versions("triton") if find_spec("triton") else "no triton"
    if not torch.cuda.is_available():
        return f"none that torch can use, {triton}"
    names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
    return f"{names}, CUDA {torch.version.cuda}, {triton}"


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    """The name of the processor, where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _onednn() -> str:
    return f"oneDNN {_yes(torch.backends.mkldnn.is_available())}"


def _yes(there: bool) -> str:
    return "yes" if there else "no"
