"""Layers: a cell unfolded through time, in stacks and in both directions."""

from .batch_normed import BatchNormed
from .bidirectional import Bidirectional
from .layer import Layer
from .recurrent import Recurrent
from .residual import Highway, Residual
from .stack import Stack

__all__ = ["BatchNormed", "Bidirectional", "Highway", "Layer", "Recurrent", "Residual", "Stack"]
