"""elman: recurrent networks as easy to write as their equation, as fast as hand-written kernels."""

from . import around, errors, init, nn
from .cells import GRU, LSTM, Cell, Elman, GRUResetAfter, Jordan
from .compiler import Schedule, using
from .layers import Bidirectional, Layer, Recurrent, Stack
from .version import __version__

__all__ = [
    "GRU",
    "LSTM",
    "Bidirectional",
    "Cell",
    "Elman",
    "GRUResetAfter",
    "Jordan",
    "Layer",
    "Recurrent",
    "Schedule",
    "Stack",
    "__version__",
    "around",
    "errors",
    "init",
    "nn",
    "using",
]
