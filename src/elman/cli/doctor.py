"""Ten lines for a bug report."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import torch
import typer

from elman.compiler import NO_COMPILER, cache_folder, find_compiler, host, processor, refusal
from elman.errors import ArgumentError
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
        ("cores", f"{_cores()} of {os.cpu_count()}, {processor()}"),
        ("threads", f"{torch.get_num_threads()}, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}"),
        ("compiler", _compiler()),
        ("cache", _cache()),
        ("gpu", _gpu()),
    ]


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
    try:
        target = host().name
    except ArgumentError as error:
        return str(error)
    compiler = find_compiler()
    if compiler is None:
        return NO_COMPILER
    return f"{' '.join(compiler.command)}, {compiler.version}, kernels for {target}"


def _cache() -> str:
    folder = cache_folder()
    if os.path.exists(folder) and (why := refusal(folder)):
        return f"{folder}, not used: {why}"
    # The folder may not be there yet: then the nearest one above it decides.
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.exists(place))
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return f"{folder}, {'writable' if writable else 'not writable'}{'' if os.path.exists(folder) else ', not made yet'}"


def _gpu() -> str:
    triton = _versions("triton") if find_spec("triton") else "no triton"
    if not torch.cuda.is_available():
        return f"none that torch can use, {triton}"
    names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
    return f"{names}, CUDA {torch.version.cuda}, {triton}"


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _onednn() -> str:
    return f"oneDNN {_yes(torch.backends.mkldnn.is_available())}"


def _yes(there: bool) -> str:
    return "yes" if there else "no"
