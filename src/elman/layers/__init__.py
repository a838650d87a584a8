"""Layers: a cell unfolded through time, in stacks and in both directions."""

from .batch_normed import BatchNormed
from .bidirectional import Bidirectional
from .layer import Layer
from .parallel import ConvergenceWarning, Parallel
from .recurrent import Recurrent
from .residual import Highway, Residual
from .rtrl import RTRL
from .stack import Stack

__all__ = [
    "RTRL",
    "BatchNormed",
    "Bidirectional",
    "ConvergenceWarning",
    "Highway",
    "Layer",
    "Parallel",
    "Recurrent",
    "Residual",
    "Stack",
]
