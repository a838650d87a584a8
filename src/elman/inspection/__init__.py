"""Inspection: drawings of graphs."""

from .draw import draw, draw_graph
from .layered import GraphNode
from .structure import Structure

__all__ = ["GraphNode", "Structure", "draw", "draw_graph"]
