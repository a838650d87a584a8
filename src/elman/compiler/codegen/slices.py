"""Slices first: what is computed for all units and then cut in parts is computed part by part.

    before   %2 = add A1 %1 [B, 4H] ;  %3 = slice %2 0:H ;  %4 = sigmoid %3
    after    %2 = slice A1 0:H ;  %3 = slice %1 0:H ;  %4 = add %2 %3 ;  %5 = sigmoid %4       all [B, H]

So the gates of one unit meet in one place.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import pairwise

from elman.compiler.graph import OPS, Builder, Node
from elman.compiler.unfold import Carry, Loop


def sink_slices(loop: Loop) -> Loop:
    """A loop that computes the same, its slices taken as early as they can be."""
    while True:
        readers: dict[Node, list[Node]] = {}
        for node in loop.nodes:
            for source in node.inputs:
                readers.setdefault(source, []).append(node)
        roots = set(loop.roots)
        early = {n for n in loop.nodes if n.op == "slice" and _may_sink(n, readers[n.inputs[0]], roots)}
        if not early:
            return loop
        loop = _sunk(loop, early)


def _may_sink(cut: Node, readers: Collection[Node], roots: Collection[Node]) -> bool:
    """Whether a slice may be taken of the inputs of what it reads."""
    source = cut.inputs[0]
    if source.op == "slice":
        return bool(source.value[0] <= cut.value[0])  # of two axes the last is cut first: products are cut along it
    if source.op == "concat":
        return source.value == cut.value[0] and _part(cut) is not None
    if not OPS[source.op].pointwise or source.op == "const" or source in roots:
        return False
    axis = cut.value[0]
    if any(node.op != "slice" or node.value[0] != axis for node in readers):
        return False
    ends: list[tuple[int, int]] = sorted(node.value[1:] for node in readers)
    return all(one[1] <= other[0] for one, other in pairwise(ends))


def _part(cut: Node) -> tuple[Node, int] | None:
    """The part of a concatenation that holds all of a slice, and where it starts."""
    (whole,), (axis, start, stop) = cut.inputs, cut.value
    begin = 0
    for part in whole.inputs:
        size = int(part.shape[axis])
        if begin <= start and stop <= begin + size:
            return part, begin
        begin += size
    return None


def _sunk(loop: Loop, early: Collection[Node]) -> Loop:
    build = Builder()
    new: dict[Node, Node] = {}
    for node in loop.nodes:
        build.where = node.where
        if node in early:
            new[node] = _earlier(build, node, new)
        elif node.op == "input":
            new[node] = node
        elif node.op == "const":
            new[node] = build.const(node.value, node.dtype)
        else:
            new[node] = build.make(node.op, *(new[i] for i in node.inputs), value=node.value, dtype=node.dtype)
    return replace(
        loop,
        carries=tuple(Carry(c.entering, new[c.leaving]) for c in loop.carries),
        each={name: new[node] for name, node in loop.each.items()},
        total={name: new[node] for name, node in loop.total.items()},
    )


def _earlier(build: Builder, cut: Node, new: Mapping[Node, Node]) -> Node:
    """The node that computes a slice from slices of the inputs of what it reads."""
    source, (axis, start, stop) = cut.inputs[0], cut.value
    if source.op == "concat":
        found = _part(cut)
        assert found is not None
        part, begin = found
        return build.make("slice", new[part], value=(axis, start - begin, stop - begin), dtype=part.dtype)
    if source.op == "slice" and source.value[0] == axis:
        first = source.value[1]
        return build.make("slice", new[source.inputs[0]], value=(axis, first + start, first + stop), dtype=cut.dtype)
    if source.op == "slice":
        inner = build.make("slice", new[source.inputs[0]], value=cut.value, dtype=cut.dtype)
        return build.make("slice", inner, value=source.value, dtype=cut.dtype)
    parts = []
    for node in source.inputs:
        own = axis - len(source.shape) + len(node.shape)
        repeats = own < 0 or node.shape[own] == 1
        kept = new[node] if repeats else build.make("slice", new[node], value=(own, start, stop), dtype=node.dtype)
        parts.append(kept)
    return build.make(source.op, *parts, value=source.value, dtype=source.dtype)
