"""The checker: what every pass must leave behind."""

from elman.axes import show_shape
from elman.errors import ShapeError, TraceError

from .node import Graph, Node
from .ops import OPS


def verify(graph: Graph) -> Graph:
    """Check a graph and give it back.

    Raises:
        TraceError: an unknown operation, a wrong number of inputs, an input that the graph does not list.
        ShapeError: a shape that the table does not give.
    """
    known = set(graph.inputs)
    for node in graph.nodes:
        if node.op not in OPS:
            raise TraceError(f"unknown operation `{node.op}`{_at(node)}")
        if node.op == "input" and node not in known:
            raise TraceError(f"`{node.value}` is read but is no input of the graph{_at(node)}")
        _check_node(node)
    return graph


def _check_node(node: Node) -> None:
    row = OPS[node.op]
    wrong = len(node.inputs) == 0 if row.arity is None else len(node.inputs) != row.arity
    if wrong:
        raise TraceError(f"`{node.op}`: expected {row.arity} inputs, got {len(node.inputs)}{_at(node)}")
    if node.op == "input":
        return
    shape = row.shape([source.shape for source in node.inputs], node.value)
    if shape != node.shape:
        raise ShapeError(f"`{node.op}`: expected {show_shape(shape)}, got {show_shape(node.shape)}{_at(node)}")
    if row.boolean and node.dtype != "bool":
        raise TraceError(f"`{node.op}`: expected bool, got {node.dtype}{_at(node)}")


def _at(node: Node) -> str:
    return f"\n  {node.where}" if node.where else ""
