"""elman: recurrent networks as easy to write as their equation, as fast as hand-written kernels."""

from . import errors, nn
from .cells import GRU, LSTM, Cell, Elman, GRUResetAfter, Jordan
from .compiler import Checkpointed, PerStep, Schedule, Truncated, using
from .layers import Bidirectional, Layer, Recurrent, Stack
from .version import __version__

__all__ = [
    "GRU",
    "LSTM",
    "Bidirectional",
    "Cell",
    "Checkpointed",
    "Elman",
    "GRUResetAfter",
    "Jordan",
    "Layer",
    "PerStep",
    "Recurrent",
    "Schedule",
    "Stack",
    "Truncated",
    "__version__",
    "errors",
    "nn",
    "using",
]
