"""A graph as text: one node a line, with its formula, its shape and the line of the step that it comes from."""

from collections.abc import Iterable

from elman.axes import show_shape

from .node import Graph, Node


def show_graph(graph: Graph, names: dict[Node, str] | None = None) -> str:
    """The graph as text.

    Args:
        graph: what to print.
        names: names of nodes that were printed before; it is filled with the names of this graph's nodes.
    """
    names = {} if names is None else names
    lines = [_line(node, names) for node in graph.nodes if node.op != "const"]
    results = [f"-> {name} = {_name(node, names)}" for name, node in graph.outputs.items()]
    return "\n".join(_aligned(lines) + results)


def formula(node: Node, names: dict[Node, str]) -> str:
    """The right side of a node's line, in which numbers stand for themselves."""
    sources = " ".join(_name(source, names) for source in node.inputs)
    match node.op:
        case "einsum":
            return f"einsum {node.value} {sources}"
        case "slice":
            axis, start, stop = node.value
            return f"slice {sources} axis {axis}, {start}:{stop}"
        case _ if node.value is None:
            return f"{node.op} {sources}"
        case "cast":
            return f"cast {sources} {node.dtype}"
        case _:
            return f"{node.op} {sources} {_show_value(node.value)}"


def _line(node: Node, names: dict[Node, str]) -> tuple[str, str, str]:
    shape = f"{show_shape(node.shape)} {node.dtype}"
    if node.op == "input":
        names.setdefault(node, str(node.value))
        return f"{names[node]} : input", shape, ""
    if node not in names:
        names[node] = f"%{1 + sum(name.startswith('%') for name in names.values())}"
    return f"{names[node]} = {formula(node, names)}", shape, str(node.where) if node.where else ""


def _name(node: Node, names: dict[Node, str]) -> str:
    if node.op == "const":
        return f"{node.value:g}" if isinstance(node.value, float) else str(node.value)
    return names.get(node, "?")


def _show_value(value: object) -> str:
    return "(" + ", ".join(str(v) for v in value) + ")" if isinstance(value, tuple) else str(value)


def _aligned(lines: Iterable[tuple[str, str, str]]) -> list[str]:
    rows = list(lines)
    width = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    return [f"{row[0]:<{width[0]}}  {row[1]:<{width[1]}}  {row[2]}".rstrip() for row in rows]
