"""From a step in PyTorch to a graph."""

from .reads import Reads
from .step import Draw, Traced, trace_step

__all__ = ["Draw", "Reads", "Traced", "trace_step"]
