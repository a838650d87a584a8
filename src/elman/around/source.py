"""Where the random numbers of one call come from: the call's own generator, or torch's."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import torch

_SOURCE: ContextVar[torch.Generator | None] = ContextVar("source", default=None)


def source() -> torch.Generator | None:
    """The generator of the call that is being made; None for torch's default."""
    return _SOURCE.get()


@contextlib.contextmanager
def drawing_from(generator: torch.Generator | None) -> Iterator[None]:
    """While this lasts, what is drawn once for a whole call comes from `generator`."""
    before = _SOURCE.set(generator)
    try:
        yield
    finally:
        _SOURCE.reset(before)
