"""Loop -> the loop of its gradient, the other way round: back-propagation through time by the chain rule.

    before   sequences x[t], carry h, invariants θ -> y[t]
    after    sequences dy[t] and what the first loop kept, carry dh, invariants θ -> dx[t], and the sum of dθ

Source: P. J. Werbos, Backpropagation Through Time: What It Does and How to Do It, Proceedings of the IEEE 78, 1990.
"""

from collections.abc import Collection
from dataclasses import dataclass

from elman.compiler.graph import Builder, Node
from elman.compiler.graph.ops import MOVES

from .gradient import backward
from .loop import Carry, Loop, substitute


@dataclass(frozen=True, eq=False)
class Backward:
    """The loop of the gradient, and how it is tied to the first one.

    Attributes:
        loop: carries `d h`, results at every step `d x`, results summed `d θ`.
        kept: nodes of the first loop that are needed, by the name of the sequence or invariant that holds them.
        finish: from those sums to the cotangents of the invariant inputs, by the name of the input.
    """

    loop: Loop
    kept: dict[str, Node]
    finish: dict[str, Node]


def bptt(forward: Loop, recompute: bool = True) -> Backward:
    """The second loop, which undoes the first from its last step to its first.

    Args:
        forward: the first loop.
        recompute: whether what takes one operation of what is kept anyway is made again rather than kept.
    """
    build, constant = Builder(), forward.constant()
    shared = _frontier(forward, constant)
    coming, sequences, entering = _coming(build, forward)
    wanted = [*forward.sequences, *(c.entering for c in forward.carries), *shared]
    back = backward(build, coming, wanted)
    carries = [
        back.get(c.entering, build.expand(build.const(0.0, c.entering.dtype), c.entering.shape))
        for c in forward.carries
    ]
    each = {_d(s): back[s] for s in forward.sequences if s in back}
    total = {f"sum{number}": back[node] for number, node in enumerate(shared) if node in back}
    kept = _kept(build, forward, [*carries, *each.values(), *total.values()], recompute)
    loop = Loop(
        sequences=(*sequences, *(s for n, s in kept.items() if n not in constant)),
        carries=tuple(Carry(d, substitute(build, c, kept)) for d, c in zip(entering, carries, strict=True)),
        invariants=tuple(s for n, s in kept.items() if n in constant),
        each={name: substitute(build, node, kept) for name, node in each.items()},
        total={name: substitute(build, node, kept) for name, node in total.items()},
        reverse=not forward.reverse,
    )
    named = {f"sum{number}": node for number, node in enumerate(shared) if f"sum{number}" in total}
    return Backward(loop, {str(s.value): n for n, s in kept.items()}, _finish(build, forward, named))


def _coming(build: Builder, forward: Loop) -> tuple[dict[Node, list[Node]], list[Node], list[Node]]:
    """What comes back to the results of a step: dy[t], and dh from the step after it."""
    coming: dict[Node, list[Node]] = {}
    sequences, entering = [], []
    for name, node in forward.each.items():
        if "float" in node.dtype:
            sequences.append(build.input(f"d {name}", node.shape, node.dtype))
            coming.setdefault(node, []).append(sequences[-1])
    for carry in forward.carries:
        entering.append(build.input(_d(carry.entering), carry.entering.shape, carry.entering.dtype))
        coming.setdefault(carry.leaving, []).append(entering[-1])
    return coming, sequences, entering


def _frontier(forward: Loop, constant: set[Node]) -> list[Node]:
    """What is the same at all steps and read by something that is not: there the sum over the steps is taken."""
    read = [s for n in forward.nodes if n not in constant for s in n.inputs if s in constant]
    read += [root for root in forward.roots if root in constant]
    return [n for n in dict.fromkeys(read) if "float" in n.dtype and n.op != "const"]


def _kept(build: Builder, forward: Loop, roots: list[Node], recompute: bool) -> dict[Node, Node]:
    """Nodes of the first loop that the second reads, each with the input that stands for it.

    Slices and other ways of looking at a tensor are taken again rather than kept.
    """
    theirs = set(forward.nodes)
    needed: dict[Node, None] = {}
    stack, seen = list(roots), set()
    while stack:
        node = stack.pop()
        if node in seen or node.op == "const":
            continue
        seen.add(node)
        if node in theirs and node.op not in MOVES:
            needed[node] = None
        else:
            stack.extend(node.inputs)
    again = _made_again(forward, needed, seen) if recompute else set()
    held = {*needed, *(source for node in again for source in node.inputs if source.op == "input")}
    ordered = [node for node in forward.nodes if node in held and node not in again]
    names: dict[str, int] = {}
    kept = {}
    for node in ordered:
        name = str(node.value) if node.op == "input" else _unique(node.op, names)
        kept[node] = build.input(name, node.shape, node.dtype)
    return kept


_CHEAP = frozenset(
    {"add", "sub", "mul", "div", "neg", "maximum", "minimum", "abs", "lt", "le", "eq", "and", "or", "not"}
)


def _made_again(forward: Loop, needed: Collection[Node], read: Collection[Node]) -> set[Node]:
    """Needed nodes that are computed a second time: it takes one operation of what is there anyway.

    A factor of a product is kept: the product over all steps would wait for it.
    """
    factors = {source for node in read if node.op == "einsum" for source in node.inputs}
    there = {*forward.sequences, *forward.invariants, *needed}
    again: set[Node] = set()
    for node in forward.nodes:
        inputs = [source for source in node.inputs if source.op != "const"]
        if node in needed and node.op in _CHEAP and node not in factors and all(i in there for i in inputs):
            again.add(node)
    return again


def _finish(build: Builder, forward: Loop, shared: dict[str, Node]) -> dict[str, Node]:
    """From the sums to the cotangents of the invariant inputs, through what was computed of them once."""
    coming = {node: [build.input(name, node.shape, node.dtype)] for name, node in shared.items()}
    inputs = [i for i in forward.invariants if "float" in i.dtype]
    return {str(i.value): g for i, g in backward(build, coming, inputs).items()}


def _d(node: Node) -> str:
    return f"d {node.value}"


def _unique(op: str, names: dict[str, int]) -> str:
    names[op] = names.get(op, 0) + 1
    return f"kept {op}{names[op]}"
