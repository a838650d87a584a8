"""Schedules that were found to be faster, kept beside the kernels: schedules.json in the cache folder.

An entry belongs to a loop, a processor with its vectors, a number of threads and a size of the batch. The file is
replaced as a whole; what cannot be read is left aside with a warning, and the schedule that elman chooses runs. Doubt:
of two processes that tune at the same moment one may lose what it found.
"""

import functools
import hashlib
import json
import os
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from elman.compiler.codegen import Schedule
from elman.errors import ArgumentError

from . import store
from .build import processor
from .compiled import Compiled
from .programs import Backend

FILE = "schedules.json"
_FORMAT = 1


def tuned(compiled: Compiled, backend: Backend, batch: int) -> Backend:
    """The backend with the schedule that was tuned for a loop and a size of the batch, if there is one.

    Where nothing was ever tuned this costs a call; else a look into a dictionary.
    """
    if not backend.free or not (known := _known()):
        return backend
    assert backend.schedule is not None
    here = (backend.schedule.target, torch.get_num_threads(), _size(batch), backend.strict)
    found = _FOUND.setdefault(compiled, {})
    if here not in found:
        schedule = known.get(_key(compiled, *here[:3]))
        fits = schedule is not None and schedule.target == backend.schedule.target
        found[here] = (
            replace(backend, schedule=schedule, reason=f"{backend.reason}, tuned schedule") if fits else backend
        )
    return found[here]


_FOUND: "weakref.WeakKeyDictionary[Compiled, dict[Any, Backend]]" = weakref.WeakKeyDictionary()


def remember(compiled: Compiled, schedule: Schedule, batch: int, told: Mapping[str, Any]) -> Path:
    """Keep a schedule for a loop, a size of the batch, and as many threads as there are now.

    Args:
        compiled: the loop.
        schedule: how its kernels are cut up from now on.
        batch: B.
        told: for people who read the file.

    Returns:
        The file, which lies elsewhere if the cache folder cannot be written to; that is said.
    """
    entries = _read()
    key = _key(compiled, schedule.target, torch.get_num_threads(), _size(batch))
    entries[key] = {"schedule": schedule.as_dict(), **told}
    return _write(entries)


def forget_schedules() -> int:
    """Forget all that was tuned; how many schedules there were."""
    entries = _read()
    if entries:
        _write({})
    return len(entries)


def schedules_file() -> Path:
    """Where schedules are kept."""
    return store.cache_folder().absolute() / FILE


def reload() -> None:
    """Read the file again when it is next needed."""
    _known.cache_clear()
    _FOUND.clear()


@functools.cache
def _known() -> dict[str, Schedule]:
    """All schedules by key; none where ELMAN_TUNED is 0."""
    if os.environ.get("ELMAN_TUNED") == "0":
        return {}
    return {key: Schedule.from_dict(entry["schedule"]) for key, entry in _read().items()}


def _read() -> dict[str, dict[str, Any]]:
    """The entries of the file; none, and a warning, where it is not what was written."""
    path = schedules_file()
    try:
        if store.refusal(path.parent):
            return {}
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != _FORMAT:
            raise ArgumentError(f"expected the format {_FORMAT}, got {found['format']!r}")
        entries = dict(found["schedules"])
        for entry in entries.values():
            Schedule.from_dict(entry["schedule"])
    except OSError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        store.warn_once(f"{path} is not what `elman tune` wrote ({why}), so it is left aside: remove it, or tune anew.")
        return {}
    return entries


def _write(entries: Mapping[str, Any]) -> Path:
    content = {"format": _FORMAT, "schedules": entries}
    path = store.keep(FILE, f"{json.dumps(content, indent=1, ensure_ascii=False)}\n".encode())
    reload()
    return path


def _size(batch: int) -> int:
    """A size of the batch, rounded to a power of two: its exponent."""
    return (3 * batch // 2).bit_length() - 1


def _key(compiled: Compiled, target: str, threads: int, size: int) -> str:
    what = (_signature(compiled), target, processor(), threads, size)
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]


def _signature(compiled: Compiled) -> str:
    """What a loop computes, without names, numbers and lines, which change nothing about its speed.

    Where rows end before T the loop is that over all steps, which then runs over packed rows.
    """
    loop = (compiled if compiled.binding.reset else compiled.without_live).loop
    nodes = loop.nodes
    place = {node: number for number, node in enumerate(nodes)}
    lines = [
        (n.op, [place[i] for i in n.inputs], n.shape, n.dtype, None if n.op in ("input", "const") else repr(n.value))
        for n in nodes
    ]
    ends = [[place.get(carry.entering, -1), place[carry.leaving]] for carry in loop.carries]
    return json.dumps([lines, ends, [place[node] for node in loop.each.values()]])
