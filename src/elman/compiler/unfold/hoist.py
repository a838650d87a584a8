"""Loop -> before | inside | after: only what one step must hand to the next stays in the loop.

    before   what needs no carry: computed for all t at once
    inside   what the next step waits for
    after    what needs a carry but no later step needs: for all t at once; the sums over t

The stages hand values to each other by name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from elman.axes import BATCH, TIME
from elman.compiler.graph import OPS, Builder, Graph, Node, depending_on, topological, verify

from .batch import Lift
from .loop import Carry, Loop, substitute


@dataclass(frozen=True, eq=False)
class Stages:
    """A loop in three parts.

    Attributes:
        before: from sequences [T, ...] and invariants to sequences and invariants of the loop.
        inside: the loop that is left; None where no step waits for another.
        after: from all of it to the results.
    """

    before: Graph
    inside: Loop | None
    after: Graph


def hoist(
    loop: Loop,
    keep: Mapping[str, Node] | None = None,
    finish: Mapping[str, Node] | None = None,
    light: Callable[[Node], bool] | None = None,
) -> Stages:
    """Split a loop.

    Args:
        loop: what to split.
        keep: further nodes of the body that are wanted at every step (or once, if they are the same at all steps).
        finish: graphs over the sums over t, whose inputs are named after them.
        light: operations that a step does at no cost beside what it reads and writes anyway; they stay in the loop
            where that spares the stages before and after a pass over all steps, and so do sums of them over t and
            the rows. None for none.
    """
    cut = _Cut(loop, {**loop.each, **(keep or {})}, light)
    after = cut.after(finish or {})
    inside = cut.inside() if loop.carries else None
    return Stages(cut.before(), inside, after)


class _Cut:
    """One split while it is made: which node stands where, and under which name it is handed on.

    Attributes:
        carried: nodes that depend on a carry.
        waiting: those of them that the next step waits for.
    """

    def __init__(self, loop: Loop, each: dict[str, Node], light: Callable[[Node], bool] | None) -> None:
        self.loop, self.each, self.sums_inside = loop, each, light is not None
        light = light or _none
        nodes = topological([*loop.roots, *each.values()])
        entering = [carry.entering for carry in loop.carries]
        self.carried = depending_on(entering, nodes) if entering else set()
        self.waiting = set(topological([c.leaving for c in loop.carries])) & self.carried | set(entering)
        self.waiting |= self._stay_behind(nodes, light)
        self.pulled = self._stay_ahead(nodes, light)
        self.early, self.late = Lift(Builder()), Lift(Builder())
        self.inputs: dict[str, Node] = {}
        self.handed: dict[str, Node] = {}
        self.kept: dict[Node, str] = {}
        self.summed: dict[Node, str] = {}
        self._names: dict[Node, str] = {}
        self.parts = self._parts(nodes)
        for node in nodes:
            if node not in self.carried and node not in self.pulled:
                self._lift_early(node)

    def _stay_behind(self, nodes: Sequence[Node], light: Callable[[Node], bool]) -> set[Node]:
        """Light nodes that no later step waits for, and that read nothing but what is inside anyway.

        What is only summed over t is left to the stage after, which sums without writing it down.
        """
        kept: set[Node] = set()
        summed = set(self.loop.total.values())
        for node in nodes:
            inside = all(i in self.waiting or i in kept or i not in self.carried for i in node.inputs)
            if node in self.carried and node not in self.waiting and node not in summed and inside and light(node):
                kept.add(node)
        return kept

    def _stay_ahead(self, nodes: Sequence[Node], light: Callable[[Node], bool]) -> set[Node]:
        """Light nodes that need no carry, but that nothing else than the loop reads."""
        readers: dict[Node, list[Node]] = {}
        for node in nodes:
            for source in node.inputs:
                readers.setdefault(source, []).append(node)
        sequences = depending_on(self.loop.sequences, nodes) - self.carried
        inside = set(topological(self.waiting))
        summed = set(self.loop.total.values())
        pulled: set[Node] = set()
        for node in reversed(nodes):
            read = all(reader in self.waiting or reader in pulled for reader in readers.get(node, []))
            if node in sequences and node in inside and node not in summed and read and light(node):
                pulled.add(node)
        return pulled

    def _lift_early(self, node: Node) -> None:
        if node.op == "input":
            self._names[node] = str(node.value)
            self.inputs[str(node.value)] = self.early.given(node, str(node.value), node in self.loop.sequences)
        else:
            self.early.lift(node)

    def _hand_over(self, node: Node) -> str:
        """The name under which a node from before reaches the later stages."""
        if node not in self._names:
            self._names[node] = self._give(self.early.made[node], "A" if node in self.early.timed else "C")
        return self._names[node]

    def _give(self, made: Node, letter: str) -> str:
        name = f"{letter}{1 + sum(name.startswith(letter) for name in self.handed)}"
        self.handed[name] = made
        return name

    def _keep(self, node: Node) -> str:
        """The name under which a node inside reaches the stage after."""
        if node not in self.kept:
            leaving = [str(c.entering.value) for c in self.loop.carries if c.leaving is node]
            name = f"{leaving[0]}'" if leaving else f"S{1 + sum(name.startswith('S') for name in self.kept.values())}"
            self.kept[node] = str(node.value) if node.op == "input" else name
        return self.kept[node]

    def after(self, finish: Mapping[str, Node]) -> Graph:
        """What no later step waits for, and the sums over t."""
        results = {name: self._result(name, node) for name, node in self.each.items()}
        totals = {name: self._total(node) for name, node in self.loop.total.items()}
        done = {f"d {name}": self._finished(node, totals) for name, node in finish.items()}
        outputs = {**results, **(done or totals)}
        inputs = [n for n in topological(outputs.values()) if n.op == "input"]
        return verify(Graph(tuple(inputs), outputs))

    def _result(self, name: str, node: Node) -> Node:
        """A result; one of every step has an axis of time even where all steps give the same."""
        made = self._late(node)
        timed = (self.late.timed, self.early.timed, self.waiting, self.pulled)
        if name not in self.loop.each or any(node in some for some in timed):
            return made
        return self.late.build.expand(made, (TIME, *made.shape))

    def _late(self, root: Node) -> Node:
        """A node of the body, for all t at once, in the stage after."""
        for node in topological([root], stop={*self.late.made, *self.waiting, *self.pulled, *self.early.made}):
            if node in self.late.made:
                continue
            if node in self.parts:
                self._late_part(node, *self.parts[node])
            elif node in self.waiting or node in self.pulled:
                self.late.given(node, self._keep(node), timed=True)
            elif node in self.carried or node.op == "const":
                self.late.lift(node)
            else:
                self.late.given(node, self._hand_over(node), node in self.early.timed)
        return self.late.made[root]

    def _late_part(self, node: Node, whole: Node, start: int) -> None:
        """A node that is kept as a part of another is not kept twice."""
        axis, size = whole.value, node.shape[whole.value]
        assert isinstance(size, int)
        build, all_steps = self.late.build, self._late(whole)
        self.late.made[node] = build.make("slice", all_steps, value=(axis + 1, start, start + size))
        self.late.timed.add(node)

    def _parts(self, nodes: Sequence[Node]) -> dict[Node, tuple[Node, int]]:
        """Nodes inside that stand in a concatenation which is kept anyway, and where they start there."""
        behind = [n for n in nodes if n in self.carried and n not in self.waiting]
        read = {source for node in behind for source in node.inputs}
        found: dict[Node, tuple[Node, int]] = {}
        for whole in (n for n in nodes if n.op == "concat" and n in self.waiting and n in read):
            start = 0
            for part in whole.inputs:
                if part in self.waiting and part.op != "input":
                    found.setdefault(part, (whole, start))
                start += int(part.shape[whole.value])
        return found

    def _total(self, node: Node) -> Node:
        """A node of the body, summed over t: each summand in the stage where it first can be."""
        build = self.late.build
        if node not in self.carried:
            total = self.early.total(node)
            return build.input(self._give(total, "C"), total.shape, total.dtype)
        match node.op, node.inputs:
            case "add", (x, y) if x.shape == y.shape:
                return build.add(self._total(x), self._total(y))
            case "neg" | "cast" | "reshape" | "permute" | "slice" | "pad", (x,):
                return build.make(node.op, self._total(x), value=node.value, dtype=node.dtype)
            case "concat", parts:
                return build.make("concat", *(self._total(part) for part in parts), value=node.value)
        if self.sums_inside and self._is_sum_of_rows(node):
            name = self.summed.setdefault(node, f"Σ{len(self.summed) + 1}")
            return build.input(name, node.shape, node.dtype)
        self._late(node)
        return self.late.total(node)

    def _is_sum_of_rows(self, node: Node) -> bool:
        """Whether a node sums, over the rows alone, what a light operation inside computes."""
        if node.op != "sum" or node.value != (0,) or node.inputs[0].shape[0] != BATCH:
            return False
        (summand,) = node.inputs
        return (
            (OPS[summand.op].pointwise or summand.op == "concat")
            and summand in self.waiting
            and summand.dtype == node.dtype
        )

    def _finished(self, root: Node, totals: Mapping[str, Node]) -> Node:
        """What the sums over t stand for, in the stage after."""
        standing = {}
        for node in topological([root]):
            if node.op == "input":
                known = totals.get(str(node.value)) or self.late.made.get(node)
                standing[node] = known or self.late.given(node, str(node.value), timed=False)
        return substitute(self.late.build, root, standing)

    def inside(self) -> Loop:
        """The loop that is left, over inputs that the stage before hands over."""
        build = Builder()
        roots = [*(c.leaving for c in self.loop.carries), *self.kept, *self.summed]
        body = topological(roots, stop=self.early.made)
        ready = [n for n in body if n in self.early.made and n.op != "const"]
        standing = {n: build.input(self._hand_over(n), n.shape, n.dtype) for n in ready}
        return Loop(
            sequences=tuple(s for n, s in standing.items() if n in self.early.timed),
            carries=tuple(Carry(c.entering, substitute(build, c.leaving, standing)) for c in self.loop.carries),
            invariants=tuple(s for n, s in standing.items() if n not in self.early.timed),
            each={name: substitute(build, node, standing) for node, name in self.kept.items()},
            total={name: substitute(build, node, standing) for node, name in self.summed.items()},
            reverse=self.loop.reverse,
        )

    def before(self) -> Graph:
        """What needs no carry, for all t at once."""
        used = topological(self.handed.values())
        return verify(Graph(tuple(i for i in self.inputs.values() if i in used), dict(self.handed)))


def _none(node: Node) -> bool:
    return False
