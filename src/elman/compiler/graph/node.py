"""The one node type, and graphs as nodes in topological order."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from elman.axes import Shape


@dataclass(frozen=True)
class Where:
    """A line of the user's step: the file and the number of the line."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{'/'.join(self.file.split('/')[-2:])}:{self.line}"


@dataclass(frozen=True, eq=False)
class Node:
    """One operation; two nodes are the same only if they are the same object.

    Attributes:
        op: a name of the table `OPS`.
        inputs: the nodes that it reads.
        shape: sizes of what it computes; B and T are symbols.
        dtype: "float32", "float64", "bool", ...
        value: what the operation needs beside its inputs: the name of an input, a number, an axis, a formula.
        where: the line of the step that it comes from, carried through every rewrite.
    """

    op: str
    inputs: tuple["Node", ...]
    shape: Shape
    dtype: str
    value: Any = None
    where: Where | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in topological order, and what they compute by name.

    Attributes:
        inputs: the input nodes, also those that nothing reads.
        outputs: name of each result, and the node that computes it.
    """

    inputs: tuple[Node, ...]
    outputs: dict[str, Node]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes that the outputs need, and all inputs, each after what it reads."""
        return topological((*self.inputs, *self.outputs.values()))


def topological(roots: Iterable[Node], stop: Collection[Node] = ()) -> tuple[Node, ...]:
    """The roots and everything that they read, each node after its inputs; not what the nodes of `stop` read."""
    order: dict[Node, None] = {}
    stack: list[tuple[Node, bool]] = [(root, False) for root in reversed(list(roots))]
    while stack:
        node, ready = stack.pop()
        if node in order:
            continue
        if ready or node in stop:
            order[node] = None
        else:
            stack.append((node, True))
            stack.extend((source, False) for source in reversed(node.inputs) if source not in order)
    return tuple(order)


def depending_on(sources: Collection[Node], nodes: Sequence[Node]) -> set[Node]:
    """Those of `nodes` (in topological order) that are, or read directly or indirectly, one of `sources`."""
    found = set(sources)
    for node in nodes:
        if any(source in found for source in node.inputs):
            found.add(node)
    return found
