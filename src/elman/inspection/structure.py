"""What a drawing needs to know of a cell: which of its quantities reads which, through which parameters."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from elman.errors import ArgumentError

Edge = tuple[str, str, str]


@dataclass(frozen=True)
class Structure:
    """The wiring of one step.

        Structure("Elman", ("x",), ("h",), "o", False, (("x", "h", "U"), ("h", "h", "W"), ("h", "o", "V")))

    Attributes:
        name: of the cell, for the title.
        inputs: what comes from outside at each step; empty for a system without input.
        states: what the step computes and hands on, or what stands between input and output where only the
            output is fed back (the hidden units of a Jordan network).
        output: what the layer gives out where that is more than a state, else None.
        feedback: whether the step reads what was given out one step before.
        edges: (source, target, label): the target is computed from the source, through the parameters named by
            the label; "" where there are none. An edge that leaves a state or the output for a state carries
            what the source was one step before; every other edge stays within its step.

    Raises:
        ArgumentError: an edge names what is not there, or feedback and its edges disagree.
    """

    name: str
    inputs: tuple[str, ...]
    states: tuple[str, ...]
    output: str | None
    feedback: bool
    edges: tuple[Edge, ...]

    def __post_init__(self) -> None:
        known = {*self.inputs, *self.states, *([] if self.output is None else [self.output])}
        for source, target, _ in self.edges:
            if source not in known or target not in known:
                raise ArgumentError(f"edge {source} -> {target}: expected names among {sorted(known)}.")
        fed = any(source == self.output and target in self.states for source, target, _ in self.edges)
        if fed != self.feedback:
            raise ArgumentError(f"{self.name}: feedback is {self.feedback}, but its edges say {fed}.")


def is_delayed(structure: Structure, edge: Edge) -> bool:
    """Whether an edge carries what its source was one step before."""
    source, target, _ = edge
    return source not in structure.inputs and target in structure.states


def delayed(structure: Structure) -> list[Edge]:
    """The edges from step to step."""
    return [edge for edge in structure.edges if is_delayed(structure, edge)]


def within(structure: Structure) -> list[Edge]:
    """The edges that stay within their step."""
    return [edge for edge in structure.edges if not is_delayed(structure, edge)]


def parameters(edges: Iterable[Edge]) -> list[str]:
    """The distinct labels of some edges, in the order of their first use."""
    return list(dict.fromkeys(label for _, _, label in edges if label))


def outputs(structure: Structure) -> tuple[str, ...]:
    """The output as a tuple of none or one."""
    return () if structure.output is None else (structure.output,)


def shared(structure: Structure) -> str:
    """One sentence that says what all steps share."""
    labels = parameters(structure.edges)
    return f"the same {', '.join(labels)} at every step" if labels else "the same f at every step"


def moments(steps: int) -> list[str]:
    """The names of some steps around t: t-1, t, t+1 for three."""
    first = -((steps - 1) // 2)
    return ["t" if d == 0 else f"t{d:+d}" for d in range(first, first + steps)]


def ends(structure: Structure) -> tuple[list[str], list[str]]:
    """What comes from before the first step drawn, and what goes on after the last."""
    edges = delayed(structure)
    order = list(chain(structure.states, outputs(structure)))
    sources, targets = {source for source, _, _ in edges}, {target for _, target, _ in edges}
    return [name for name in order if name in sources], [name for name in order if name in targets]
