"""Loop -> the same loop as a scan, where it is linear in what it carries, entry by entry.

before   h' = where(live, (1 - z) h + z g, h)                      z and g need no carry
after    h' = a h + b,   a = where(live, 1 - z, 1),   b = where(live, z g, 0)

Several carries may mix: h_i' = Σ_j a_ij h_j + b_i. All a and b are then hoisted, and a scan gives h at all t in
O(log T) operations one after the other. The loop of the gradient of a linear loop is linear, too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from elman.compiler.graph import Builder, Node, depending_on, topological

from .loop import Carry, Loop, substitute

Form = tuple[dict[int, Node], Node | None]  # a_j by j, and b


@dataclass(frozen=True, eq=False)
class Linear:
    """What leaves a step as a linear function of what enters it, entry by entry.

    Attributes:
        slopes: a_ij by (i, j); what is left out is 0.
        rests: b_i; None for 0.
    """

    slopes: dict[tuple[int, int], Node]
    rests: tuple[Node | None, ...]


def linear(loop: Loop) -> Linear | None:
    """The slopes and rests of a loop; None where it is not linear in all that it carries, or carries nothing."""
    return _Reading(loop).found() if loop.carries else None


def as_scan(loop: Loop, keep: Mapping[str, Node] | None = None) -> tuple[Loop, dict[str, Node]]:
    """A loop, each carry written a h + b where it is linear in all of them; else as it came.

    Args:
        loop: the loop.
        keep: further nodes of its body.

    Returns:
        The loop, and the further nodes in it.
    """
    keep = dict(keep or {})
    found = linear(loop)
    if found is None:
        return loop, keep
    build = Builder()
    new = {c.leaving: _written(build, loop, found, number) for number, c in enumerate(loop.carries)}
    each, total, kept = (
        {name: substitute(build, node, new) for name, node in some.items()} for some in (loop.each, loop.total, keep)
    )
    carries = tuple(Carry(c.entering, new[c.leaving]) for c in loop.carries)
    return replace(loop, carries=carries, each=each, total=total), kept


def _written(build: Builder, loop: Loop, found: Linear, number: int) -> Node:
    """What carry `number` leaves, as Σ a h + b."""
    terms = [build.mul(a, loop.carries[j].entering) for (i, j), a in found.slopes.items() if i == number]
    rest = found.rests[number]
    made = [*terms, *([] if rest is None else [rest])]
    written = made[0]
    for term in made[1:]:
        written = build.add(written, term)
    return written


class _NotLinearError(Exception):
    """An operation of the body makes something else of a carry than a multiple."""


class _Reading:
    """One loop while it is read: each node as slopes and a rest."""

    def __init__(self, loop: Loop) -> None:
        self.loop, self.build = loop, Builder()
        self.entering = {carry.entering: number for number, carry in enumerate(loop.carries)}
        nodes = topological([carry.leaving for carry in loop.carries])
        self.carried = depending_on(self.entering, nodes)
        self.known: dict[Node, Form] = {}

    def found(self) -> Linear | None:
        slopes: dict[tuple[int, int], Node] = {}
        rests = []
        try:
            for i, carry in enumerate(self.loop.carries):
                some, rest = self._all(carry.leaving)
                if not some and rest is None:
                    return None
                slopes |= {(i, j): a for j, a in some.items()}
                rests.append(rest)
        except _NotLinearError:
            return None
        return Linear(slopes, tuple(rests)) if slopes else None

    def _all(self, root: Node) -> Form:
        for node in topological([root]):
            if node not in self.known:
                self.known[node] = self._one(node)
        return self.known[root]

    def _one(self, node: Node) -> Form:
        """A node as Σ_j a_j h_j + b."""
        if node not in self.carried:
            return {}, node
        if node in self.entering:
            return {self.entering[node]: self.build.const(1.0, node.dtype)}, None
        build = self.build
        some = [self.known[source] for source in node.inputs]
        self._entry_by_entry(node, {j for slopes, _ in some for j in slopes})
        match node.op, node.inputs:
            case "neg", _:
                return _each(some[0], build.neg)
            case "add", _:
                return self._sum(*some)
            case "sub", _:
                return self._sum(some[0], _each(some[1], build.neg))
            case "mul", (factor, _) if factor not in self.carried:
                return _each(some[1], lambda a: build.mul(factor, a))
            case "mul", (_, factor) if factor not in self.carried:
                return _each(some[0], lambda a: build.mul(factor, a))
            case "div", (_, divisor) if divisor not in self.carried:
                return _each(some[0], lambda a: build.div(a, divisor))
            case "where", (condition, _, _) if condition not in self.carried:
                return self._either(condition, node.dtype, some[1], some[2])
        raise _NotLinearError

    def _entry_by_entry(self, node: Node, read: set[int]) -> None:
        """Refuse what is no real number for each entry of the states that it is made of."""
        for number in read:
            state = self.loop.carries[number].entering
            if node.shape != state.shape or node.dtype != state.dtype or "float" not in node.dtype:
                raise _NotLinearError

    def _sum(self, one: Form, two: Form) -> Form:
        slopes = dict(one[0])
        for j, a in two[0].items():
            slopes[j] = self.build.add(slopes[j], a) if j in slopes else a
        rests = [rest for rest in (one[1], two[1]) if rest is not None]
        return slopes, self.build.add(*rests) if len(rests) == 2 else rests[0] if rests else None

    def _either(self, condition: Node, dtype: str, yes: Form, no: Form) -> Form:
        zero = self.build.const(0.0, dtype)
        keys = {**yes[0], **no[0]}
        slopes = {j: self.build.where_(condition, yes[0].get(j, zero), no[0].get(j, zero)) for j in keys}
        if yes[1] is None and no[1] is None:
            return slopes, None
        return slopes, self.build.where_(condition, yes[1] or zero, no[1] or zero)


def _each(some: Form, change: Callable[[Node], Node]) -> Form:
    slopes, rest = some
    return {j: change(a) for j, a in slopes.items()}, None if rest is None else change(rest)
