"""Loops and stages as text."""

from elman.compiler.graph import Graph, Node, show_graph
from elman.compiler.graph.node import topological

from .hoist import Stages
from .loop import Loop


def show_loop(loop: Loop, names: dict[Node, str] | None = None) -> str:
    """A loop as text: what it reads, the body, what it hands on."""
    names = {} if names is None else names
    read = topological(loop.roots)
    inputs = tuple(n for n in (*loop.sequences, *(c.entering for c in loop.carries), *loop.invariants) if n in read)
    outputs = {f"{c.entering.value} of the next step": c.leaving for c in loop.carries}
    outputs |= {f"{name}[t]": node for name, node in loop.each.items()}
    outputs |= {f"{name} += over t": node for name, node in loop.total.items()}
    head = f"for t = {'T, ..., 1' if loop.reverse else '1, ..., T'}:"
    kinds = [("from t", loop.sequences), ("carried", [c.entering for c in loop.carries]), ("the same", loop.invariants)]
    lists = [f"  {kind}: {', '.join(str(n.value) for n in nodes)}" for kind, nodes in kinds if nodes]
    return "\n".join([head, *lists, _indented(show_graph(Graph(inputs, outputs), names))])


def show_stages(stages: Stages) -> str:
    """A hoisted loop as text: before, inside, after."""
    inside = "nothing: no step waits for another" if stages.inside is None else show_loop(stages.inside)
    parts = [
        ("before: for all t at once", show_graph(stages.before) if stages.before.outputs else "nothing"),
        ("inside: step by step", inside),
        ("after: for all t at once", show_graph(stages.after) if stages.after.outputs else "nothing"),
    ]
    return "\n\n".join(f"{title}\n{_indented(text)}" for title, text in parts)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" if line else line for line in text.splitlines())
