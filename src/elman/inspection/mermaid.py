"""Drawings in Mermaid's language, for pages that render it."""

from collections.abc import Sequence

from .layered import GraphNode
from .structure import Edge, Structure, delayed, ends, moments, outputs, parameters, shared, within
from .svg import colour_of

SHAPES = {"input": ("([", "])"), "weight": ("[/", "/]"), "state": ("((", "))"), "output": ("([", "])")}


def rolled(structure: Structure) -> str:
    """The graph of one step with its loop, a dotted edge."""
    lines = [f"%% {structure.name}: dotted edges arrive one step later", "flowchart BT"]
    lines += [f'    {name}(("{name}"))' for name in (*structure.inputs, *structure.states, *outputs(structure))]
    edges = within(structure) + delayed(structure)
    for edge in edges:
        source, target, label = edge
        arrow = "-.->" if edge in delayed(structure) else "-->"
        text = f"{label}, one step later".removeprefix(", ") if edge in delayed(structure) else label
        lines.append(f"    {source} {arrow}{_quoted(text)} {target}")
    return "\n".join(lines + _colours(edges)) + "\n"


def unfolded(structure: Structure, steps: int) -> str:
    """The steps side by side; edges of one colour share their parameters."""
    lines, edges = [f"%% {structure.name}: {shared(structure)}", "flowchart LR"], []
    names = (*structure.inputs, *structure.states, *outputs(structure))
    for step, moment in enumerate(moments(steps)):
        lines += [f'    {name}_{step}(("{name}({moment})"))' for name in names]
    before, after = ends(structure)
    lines += [f'    {name}_before(("{name}(...)"))' for name in before]
    lines += [f'    {name}_after(("{name}(...)"))' for name in after]
    for step in range(steps + 1):
        came = "before" if step == 0 else str(step - 1)
        now = "after" if step == steps else str(step)
        edges += [(f"{s}_{came}", f"{t}_{now}", label) for s, t, label in delayed(structure)]
        if step < steps:
            edges += [(f"{s}_{now}", f"{t}_{now}", label) for s, t, label in within(structure)]
    lines += [f"    {source} -->{_quoted(label)} {target}" for source, target, label in edges]
    return "\n".join(lines + _colours(edges)) + "\n"


def graph(nodes: Sequence[GraphNode], edges: Sequence[Edge], groups: Sequence[str], title: str) -> str:
    """A graph of operations; see `draw_graph`."""
    lines = ([f"%% {title}"] if title else []) + ["flowchart TB"]
    number = {node.id: f"n{i}" for i, node in enumerate(nodes)}
    lines += ["    " + _node(number[node.id], node) for node in nodes if not node.group]
    for i, group in enumerate(groups):
        inner = ["        " + _node(number[node.id], node) for node in nodes if node.group == group]
        if inner:
            lines += [f'    subgraph g{i} ["{_escaped(group)}"]', *inner, "    end"]
    lines += [f"    {number[source]} -->{_quoted(label)} {number[target]}" for source, target, label in edges]
    return "\n".join(lines) + "\n"


def _node(name: str, node: GraphNode) -> str:
    opening, closing = SHAPES.get(node.kind, ("[", "]"))
    return f'{name}{opening}"{_escaped(node.label)}"{closing}'


def _quoted(label: str) -> str:
    return f'|"{_escaped(label)}"|' if label else ""


def _escaped(text: str) -> str:
    """Text in which nothing ends a quoted label."""
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")


def _colours(edges: Sequence[Edge]) -> list[str]:
    """One colour per parameter, so that sharing is seen."""
    labels = parameters(edges)
    lines = []
    for label in labels:
        numbers = ",".join(str(i) for i, edge in enumerate(edges) if edge[2] == label)
        lines.append(f"    linkStyle {numbers} stroke:{colour_of(label, labels)},stroke-width:2px")
    return lines
