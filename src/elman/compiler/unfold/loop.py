"""Graph -> loop: the same step at t = 1..T, or T..1.

before   one step: x, h, θ -> h', y
after    a loop: sequences x[t], carries h, invariants θ -> y[t], the last h
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from elman.axes import BATCH
from elman.compiler.graph import Builder, Node, depending_on, topological


@dataclass(frozen=True)
class Binding:
    """What a layer binds at the call, so far as it changes the loop.

    Attributes:
        own_feedback: what is fed is the own output; else it is known beforehand, or nothing is fed.
        live: rows may end before T.
        reset: rows may start anew.
        reverse: t runs from T to 1.
    """

    own_feedback: bool = False
    live: bool = False
    reset: bool = False
    reverse: bool = False


@dataclass(frozen=True, eq=False)
class Step:
    """One step as the loop sees it: the nodes of a traced graph by their part.

    Attributes:
        sequences: inputs that differ at each step: x, what is fed if it is known beforehand, random draws.
        states: the states that enter, what is fed of the own output last.
        leaving: the states that leave, in the same order.
        invariants: inputs that are the same at all steps.
        y: what is given out.
    """

    sequences: tuple[Node, ...]
    states: tuple[Node, ...]
    leaving: tuple[Node, ...]
    invariants: tuple[Node, ...]
    y: Node


@dataclass(frozen=True, eq=False)
class Carry:
    """A value handed from step to step: what enters, and what leaves."""

    entering: Node
    leaving: Node


@dataclass(frozen=True, eq=False)
class Loop:
    """The same body at every step.

    Attributes:
        sequences: inputs that differ at each step.
        carries: what is handed from step to step.
        invariants: inputs that are the same at all steps.
        each: results at every step, by name.
        total: results summed over all steps, by name.
        reverse: t runs from T to 1.
    """

    sequences: tuple[Node, ...]
    carries: tuple[Carry, ...]
    invariants: tuple[Node, ...]
    each: dict[str, Node]
    total: dict[str, Node] = field(default_factory=dict)
    reverse: bool = False

    @property
    def roots(self) -> tuple[Node, ...]:
        """Everything that the body must compute."""
        return (*(carry.leaving for carry in self.carries), *self.each.values(), *self.total.values())

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The body in topological order."""
        return topological(self.roots)

    def constant(self) -> set[Node]:
        """The nodes of the body that are the same at all steps."""
        nodes = self.nodes
        return set(nodes) - depending_on([*self.sequences, *(c.entering for c in self.carries)], nodes)


def unfold(step: Step, binding: Binding) -> Loop:
    """A loop over the step, in which ended rows keep their state and give out zeros, and marked rows start anew.

    A state that no step reads is not carried: it becomes a result of every step (`h'`), and its last value is
    looked up afterwards. So a network whose only way back is cut by teacher forcing has no carries at all.
    """
    build = Builder()
    read = topological([*step.leaving, step.y])
    sequences, invariants = list(step.sequences), list(step.invariants)
    live = _mark(build, "live", sequences) if binding.live else None
    reset = _mark(build, "reset", sequences) if binding.reset else None
    anew: dict[Node, Node] = {}
    if reset is not None:
        for state in step.states:
            first = build.input(f"{state.value}[0]", state.shape, state.dtype)
            anew[state] = build.where_(_rows(build, reset, state), first, state)
            invariants.append(first)
    carries, each = [], {"y": _give_out(build, substitute(build, step.y, anew), live)}
    for state, leaving in zip(step.states, step.leaving, strict=True):
        leaving = substitute(build, leaving, anew)
        if state not in read:
            each[f"{state.value}'"] = leaving
        else:
            carries.append(
                Carry(state, leaving if live is None else build.where_(_rows(build, live, state), leaving, state))
            )
    used = topological([*(c.leaving for c in carries), *each.values()])
    return Loop(
        tuple(s for s in sequences if s in used),
        tuple(carries),
        tuple(i for i in invariants if i in used),
        each,
        reverse=binding.reverse,
    )


def substitute(build: Builder, root: Node, new: Mapping[Node, Node]) -> Node:
    """`root` with some of the nodes that it reads replaced."""
    if not new:
        return root
    done: dict[Node, Node] = dict(new)
    for node in topological([root], stop=done):
        if node not in done:
            inputs = tuple(done[source] for source in node.inputs)
            if inputs == node.inputs:
                done[node] = node
            else:
                build.where = node.where
                done[node] = build.make(node.op, *inputs, value=node.value, dtype=node.dtype)
    return done[root]


def _mark(build: Builder, name: str, sequences: list[Node]) -> Node:
    mark = build.input(name, (BATCH,), "bool")
    sequences.append(mark)
    return mark


def _rows(build: Builder, mark: Node, like: Node) -> Node:
    """A mark per row in a shape that broadcasts against a state."""
    return build.reshape(mark, (BATCH,) + (1,) * (len(like.shape) - 1))


def _give_out(build: Builder, y: Node, live: Node | None) -> Node:
    """y, and zeros in rows that have ended."""
    return y if live is None else build.where_(_rows(build, live, y), y, build.const(0.0, y.dtype))
