"""What a step is, once it has been read: nodes, the table of operations, checks, and a way to print it."""

from .build import Builder
from .node import Graph, Node, Where, depending_on, topological
from .ops import OPS, Op
from .show import show_graph
from .verify import verify

__all__ = ["OPS", "Builder", "Graph", "Node", "Op", "Where", "depending_on", "show_graph", "topological", "verify"]
