"""The two questions that this room answers with a drawing: what does a cell look like, and what does a graph."""

from collections.abc import Sequence

from elman.errors import ArgumentError

from . import mermaid, rolled, text, unfolded
from .layered import GraphNode, draw_layers
from .structure import Edge, Structure


def draw(structure: Structure, unfold: int | None = None, format: str = "text") -> str:
    """A cell as a graph: rolled up with its loop, or unfolded for some steps.

    Args:
        structure: the wiring of the step.
        unfold: the number of steps to lay side by side; None for the rolled graph, whose loop carries a delay.
        format: "text", "mermaid" or "svg".

    Returns:
        The drawing, as text in each of the formats.

    Raises:
        ArgumentError: no such format, or fewer than one step.
    """
    if unfold is not None and unfold < 1:
        raise ArgumentError(f"expected at least one step to unfold, got {unfold}.")
    if format == "text":
        return text.rolled(structure) if unfold is None else text.unfolded(structure, unfold)
    if format == "mermaid":
        return mermaid.rolled(structure) if unfold is None else mermaid.unfolded(structure, unfold)
    if format == "svg":
        return rolled.svg(structure) if unfold is None else unfolded.svg(structure, unfold)
    raise ArgumentError(f"expected the format text, mermaid or svg, got {format!r}.")


def draw_graph(
    nodes: Sequence[GraphNode],
    edges: Sequence[Edge],
    groups: Sequence[str] = (),
    *,
    title: str = "",
    format: str = "svg",
) -> str:
    """A graph of operations, from top to bottom, each group in a frame of its own.

    Args:
        nodes: in topological order; an edge to an earlier node is drawn as the way back of a loop.
        edges: (from, to, label), by the ids of the nodes.
        groups: names of the frames from top to bottom, for instance before, inside, after.
        title: stands above.
        format: "svg" or "mermaid".

    Returns:
        The drawing, as text.

    Raises:
        ArgumentError: no such format, no nodes, or an edge or a group that is not there.
    """
    known = {node.id for node in nodes}
    if len(known) != len(nodes) or not nodes:
        raise ArgumentError(f"expected nodes of different ids, at least one, got {[node.id for node in nodes]}.")
    for source, target, _ in edges:
        if source not in known or target not in known:
            raise ArgumentError(f"edge {source} -> {target}: expected two ids of nodes.")
    for node in nodes:
        if node.group and node.group not in groups:
            raise ArgumentError(f"node {node.id}: expected a group among {list(groups)}, got {node.group!r}.")
    if format == "mermaid":
        return mermaid.graph(nodes, edges, groups, title)
    if format == "svg":
        return draw_layers(nodes, edges, groups, title)
    raise ArgumentError(f"expected the format svg or mermaid, got {format!r}.")
