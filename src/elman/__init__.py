"""elman: recurrent networks as easy to write as their equation, as fast as hand-written kernels."""

from . import around, errors, init, nn
from .cells import GRU, LSTM, Cell, Elman, GRUResetAfter, Jordan
from .compiler import Schedule, using
from .layers import BatchNormed, Bidirectional, Highway, Layer, Recurrent, Residual, Stack
from .version import __version__

__all__ = [
    "GRU",
    "LSTM",
    "BatchNormed",
    "Bidirectional",
    "Cell",
    "Elman",
    "GRUResetAfter",
    "Highway",
    "Jordan",
    "Layer",
    "Recurrent",
    "Residual",
    "Schedule",
    "Stack",
    "__version__",
    "around",
    "errors",
    "init",
    "nn",
    "using",
]
