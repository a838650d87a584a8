"""Loop -> the same loop as a scan, where it is linear in what it carries, entry by entry.

before   h' = where(reset, h0, (1 - z) h + z g)                    z and g need no carry
after    h' = where(kept, a h, 0) + b,   kept = not reset,   a = 1 - z,   b = where(reset, h0, z g)

Several carries may mix: h_i' = Σ_j where(kept_ij, a_ij h_j, 0) + b_i. All kept, a and b are then hoisted, and a scan
gives h at all t in O(log T) operations one after the other. The loop of the gradient of a linear loop is linear, too.
What a step does not keep is left out rather than multiplied by 0: it may be infinite.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from elman.compiler.graph import Builder, Node, depending_on, topological

from .loop import Carry, Loop, substitute


@dataclass(frozen=True, eq=False)
class Slope:
    """By what a carry is multiplied.

    Attributes:
        factor: a.
        kept: where it is read at all, bool; None for everywhere.
    """

    factor: Node
    kept: Node | None = None


Form = tuple[dict[int, Slope], Node | None]  # the slopes by j, and b; None for 0


@dataclass(frozen=True, eq=False)
class Linear:
    """What leaves a step as a linear function of what enters it, entry by entry.

    Attributes:
        slopes: a_ij by (i, j); what is left out is 0.
        rests: b_i; None for 0.
    """

    slopes: dict[tuple[int, int], Slope]
    rests: tuple[Node | None, ...]


def linear(loop: Loop) -> Linear | None:
    """The slopes and rests of a loop; None where it is not linear in all that it carries, or carries nothing."""
    return _Reading(loop).found() if loop.carries else None


def as_scan(loop: Loop, keep: Mapping[str, Node] | None = None) -> tuple[Loop, dict[str, Node]]:
    """A loop, each carry written as its slopes and its rest where it is linear in all of them; else as it came.

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
    """What carry `number` leaves, by its slopes and its rest."""
    rest = found.rests[number]
    made: list[Node] = [] if rest is None else [rest]
    for (i, j), slope in found.slopes.items():
        if i == number:
            term = build.mul(slope.factor, loop.carries[j].entering)
            zero = build.const(0.0, term.dtype)
            made.append(term if slope.kept is None else build.where_(slope.kept, term, zero))
    written = made[-1]
    for term in made[-2::-1]:
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
        slopes: dict[tuple[int, int], Slope] = {}
        rests = []
        try:
            for i, carry in enumerate(self.loop.carries):
                some, rest = self._all(carry.leaving)
                if not some and rest is None:
                    return None
                slopes |= {(i, j): slope for j, slope in some.items()}
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
        """A node by its slopes and its rest."""
        if node not in self.carried:
            return {}, None if node.op == "const" and node.value == 0 else node
        if node in self.entering:
            return {self.entering[node]: Slope(self.build.const(1.0, node.dtype))}, None
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
        for j, slope in two[0].items():
            slopes[j] = self._joined(slopes[j], slope) if j in slopes else slope
        rests = [rest for rest in (one[1], two[1]) if rest is not None]
        return slopes, self.build.add(*rests) if len(rests) == 2 else rests[0] if rests else None

    def _joined(self, one: Slope, two: Slope) -> Slope:
        """a h + a' h, each where it is kept."""
        build = self.build
        if one.kept is two.kept:
            return Slope(build.add(one.factor, two.factor), one.kept)
        zero = build.const(0.0, one.factor.dtype)
        parts = [s.factor if s.kept is None else build.where_(s.kept, s.factor, zero) for s in (one, two)]
        everywhere = one.kept is None or two.kept is None
        return Slope(build.add(*parts), None if everywhere else build.make("or", one.kept, two.kept))  # type: ignore[arg-type]

    def _either(self, condition: Node, dtype: str, yes: Form, no: Form) -> Form:
        """One form where a condition holds, else the other."""
        build, zero = self.build, self.build.const(0.0, dtype)
        slopes: dict[int, Slope] = {}
        for j in {**yes[0], **no[0]}:
            one, two = yes[0].get(j), no[0].get(j)
            if one is not None and two is not None:
                kept = None if one.kept is two.kept is None else self._kept_either(condition, one, two)
                slopes[j] = Slope(build.where_(condition, one.factor, two.factor), kept)
            elif one is not None:
                slopes[j] = Slope(one.factor, self._both(condition, one.kept))
            elif two is not None:
                slopes[j] = Slope(two.factor, self._both(build.make("not", condition), two.kept))
        if yes[1] is None and no[1] is None:
            return slopes, None
        return slopes, build.where_(condition, yes[1] or zero, no[1] or zero)

    def _kept_either(self, condition: Node, one: Slope, two: Slope) -> Node:
        build = self.build
        first, second = self._both(condition, one.kept), self._both(build.make("not", condition), two.kept)
        return build.make("or", first, second)

    def _both(self, one: Node, two: Node | None) -> Node:
        return one if two is None else self.build.make("and", one, two)


def _each(some: Form, change: Callable[[Node], Node]) -> Form:
    slopes, rest = some
    changed = {j: Slope(change(slope.factor), slope.kept) for j, slope in slopes.items()}
    return changed, None if rest is None else change(rest)
