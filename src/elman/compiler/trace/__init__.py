"""From a step in PyTorch to a graph."""

from .reads import Reads, modules_of
from .step import Draw, Traced, trace_step

__all__ = ["Draw", "Reads", "Traced", "modules_of", "trace_step"]
