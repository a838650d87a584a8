"""Which backend runs: C on the processor where a compiler is found, torch elsewhere; or the one that is asked for."""

import contextlib
import functools
import os
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter

from elman.compiler.codegen import HALF, Schedule
from elman.errors import ArgumentError

from .build import host, processor, runs_here
from .programs import Backend
from .ways import Full, Way

BACKENDS = ("c", "reference")


@dataclass(frozen=True)
class _Wanted:
    """What a caller asks for; None for the default."""

    backend: str | None = None
    schedule: Schedule | None = None
    gradient: Way | None = None


_NOTHING = _Wanted()
_WANTED: ContextVar[_Wanted] = ContextVar("elman_backend", default=_NOTHING)


@contextlib.contextmanager
def using(backend: str | None = None, schedule: Schedule | None = None, gradient: Way | None = None) -> Iterator[None]:
    """While this lasts, layers run on one backend and nothing else, or by one schedule.

    Args:
        backend: "c" (kernels; none for a layer is an error then) or "reference" (torch alone).
        schedule: how kernels are cut up.
        gradient: how that is differentiated: `Full` (the default), `Truncated`, `Checkpointed` or `PerStep`.

    Raises:
        ArgumentError: an unknown backend or gradient, or a schedule for another processor than this one.
    """
    if backend is not None and backend not in BACKENDS:
        raise ArgumentError(f"expected a backend among {', '.join(BACKENDS)}, got {backend!r}.")
    if schedule is not None and not runs_here(schedule.machine):
        raise ArgumentError(f"expected a schedule that runs here ({processor()}), got one for {schedule.target}.")
    if gradient is not None and not isinstance(gradient, Way):
        raise ArgumentError(f"expected a gradient by elman.Full, Truncated, Checkpointed or PerStep, got {gradient!r}.")
    old = _WANTED.get()
    new = _Wanted(backend or old.backend, schedule or old.schedule, gradient or old.gradient)
    token = _WANTED.set(new)
    try:
        yield
    finally:
        _WANTED.reset(token)


def way() -> Way | None:
    """How the caller wants to differentiate; None for in full."""
    chosen = _WANTED.get().gradient
    return None if isinstance(chosen, Full) else chosen


def choose(tensors: tuple[Tensor, ...]) -> Backend:
    """The backend for a call on these tensors.

    Raises:
        ArgumentError: ELMAN_BACKEND or ELMAN_TARGET names none.
    """
    wanted = _WANTED.get()
    name = wanted.backend or os.environ.get("ELMAN_BACKEND") or None
    if name not in (None, *BACKENDS):
        raise ArgumentError(f"expected ELMAN_BACKEND among {', '.join(BACKENDS)}, got {name!r}.")
    if name == "reference":
        return Backend(None, "as asked for")
    if not all(tensor.is_cpu for tensor in tensors) or not tensors:
        devices = ", ".join(sorted({tensor.device.type for tensor in tensors})) or "no device"
        if name == "c":
            raise ArgumentError(f"the C backend computes on the CPU, and the tensors are on {devices}.")
        return Backend(None, f"on {devices} torch runs the loop")
    if strangers := [type(t).__name__ for t in tensors if type(t) not in USUAL and _has_no_memory(type(t))]:
        if name == "c":
            raise ArgumentError(f"the C backend computes on memory, which a {strangers[0]} does not show.")
        return Backend(None, f"a {strangers[0]} looks at every operation")
    if wanted.schedule is None:
        return _for_host(os.environ.get("ELMAN_TARGET"), name == "c")
    return Backend(wanted.schedule, f"kernels for {wanted.schedule.target}", strict=name == "c")


def in_range(backend: Backend, tensors: tuple[Tensor, ...]) -> Backend:
    """Torch in the place of kernels where whole numbers are given that are too large for them.

    Raises:
        ArgumentError: the kernels are what was asked for.
    """
    if backend.schedule is None:
        return backend
    for tensor in tensors:
        bits = HALF.get(str(tensor.dtype).removeprefix("torch."))
        if bits is not None and tensor.numel() and max(map(abs, map(int, tensor.aminmax()))) >= 2**bits:
            why = f"whole numbers of {tensor.dtype} beyond 2^{bits} are given, and kernels compute in double precision"
            if backend.strict:
                raise ArgumentError(f"expected numbers that the C backend holds: {why}.")
            return Backend(None, why)
    return backend


USUAL = frozenset((Tensor, Parameter))
"""Kinds of tensors that are memory and nothing else."""


def _has_no_memory(kind: type[Tensor]) -> bool:
    """Whether a kind of tensor has operations of its own, such as a fake one: where its numbers are, nobody knows."""
    return kind.__torch_dispatch__ is not torch._C._disabled_torch_dispatch_impl


@functools.cache
def _for_host(named: str | None, strict: bool) -> Backend:
    """Kernels for this machine, under what ELMAN_TARGET says; found out once."""
    target = host().name
    return Backend(Schedule(target=target), f"kernels for {target}", strict, free=True)
