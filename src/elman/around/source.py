"""Where the random numbers of one call come from: the call's own generator, or torch's."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import torch

_SOURCE: ContextVar[torch.Generator | None] = ContextVar("source", default=None)


def source() -> torch.Generator | None:
    """The generator of the call that is being made; None for torch's default."""
    return None if torch.compiler.is_compiling() else _SOURCE.get()


def drawing_from(generator: torch.Generator | None) -> contextlib.AbstractContextManager[None]:
    """While this lasts, what is drawn once for a whole call comes from `generator`, if there is one."""
    return contextlib.nullcontext() if generator is None else _drawing_from(generator)


@contextlib.contextmanager
def _drawing_from(generator: torch.Generator) -> Iterator[None]:
    before = _SOURCE.set(generator)
    try:
        yield
    finally:
        _SOURCE.reset(before)
