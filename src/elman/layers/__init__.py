"""Layers: a cell unfolded through time, in stacks and in both directions."""

from .bidirectional import Bidirectional
from .layer import Layer
from .parallel import ConvergenceWarning, Parallel
from .recurrent import Recurrent
from .rtrl import RTRL
from .stack import Stack

__all__ = ["RTRL", "Bidirectional", "ConvergenceWarning", "Layer", "Parallel", "Recurrent", "Stack"]
