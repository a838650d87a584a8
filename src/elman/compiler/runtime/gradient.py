"""The loop of the gradient, over some steps at a time.

Few enough that what it hands to the stage after it is still in a cache, or as many as a way to differentiate wants.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from elman.axes import TIME, numbers

from .eager import where_rows
from .memory import block
from .native import NativeProgram
from .program import Program, Tensors
from .programs import Programs
from .rows import Rows

Cotangents = Sequence[Tensor | None]


@dataclass(frozen=True)
class Part:
    """Some steps of a loop.

    Attributes:
        start: the first.
        stop: the one after the last.
        lost: those of them of which what is given out is sent back, from and to.
        begins: whether it is entered by the initial states.
    """

    start: int
    stop: int
    lost: tuple[int, int]
    begins: bool


@dataclass(frozen=True, eq=False)
class Span:
    """What a loop runs over.

    Attributes:
        programs: of the layer.
        names: of its sequences and invariants.
        steps: T.
        batch: B.
        rows: which rows are live at which step, where some end before T and no program may look at the rest.
    """

    programs: Programs
    names: tuple[str, ...]
    steps: int
    batch: int
    rows: Rows | None = None

    @cached_property
    def timed(self) -> frozenset[str]:
        """The names of the inputs that differ from step to step."""
        return frozenset(str(node.value) for node in self.programs.compiled.loop.sequences)

    def parts(self, length: int, back: int = 0) -> list[Part]:
        """Parts of so many steps, in the order of the loop; each goes `back` so many steps from its end, at least
        its own.
        """
        found, steps, reverse = [], self.steps, self.programs.compiled.loop.reverse
        for first in range(0, steps, length):
            last = min(first + length, steps)
            start = min(first, max(0, last - back))
            if reverse:
                found.append(Part(steps - last, steps - start, (steps - last, steps - first), start == 0))
            else:
                found.append(Part(start, last, (first, last), start == 0))
        return found

    def in_cache(self, program: Program | NativeProgram) -> list[Part]:
        """Parts of nearly equal length for the loop of the gradient."""
        length = program.at_once(self.batch) if isinstance(program, NativeProgram) else self.steps
        return self.parts(-(-self.steps // max(1, self.steps // length)))

    def inputs_at(self, part: Part, given: Tensors) -> Tensors:
        """Inputs of the loop at the steps of a part."""
        if part.stop - part.start == self.steps:
            return given
        return {name: t[part.start : part.stop] if name in self.timed else t for name, t in given.items()}

    def kept_at(self, part: Part, kept: Tensors) -> Tensors:
        """What was kept of all steps, at those of a part."""
        start, stop = part.start, part.stop
        if stop - start == self.steps:
            return kept
        nodes = self.programs.compiled.training_stages.after.outputs
        if self.rows is not None and self.programs.keeps_packed:
            start, stop = self.rows.position(start), self.rows.position(stop)
        return {name: t[start:stop] if nodes[name].shape[:1] == (TIME,) else t for name, t in kept.items()}

    def finished(self, given: Tensors) -> Tensor | None:
        """[B] the step after the last one that a row makes, in the order of the layer; None where all make all."""
        live = given.get("live") if self.rows is None else self.rows.live().to(next(iter(given.values())).device)
        if live is None:
            return None
        lengths = live.sum(0)
        # from the last step to the first, all rows that have a step end with t = 0
        return (lengths > 0).long() if self.programs.compiled.loop.reverse else lengths

    def rows_at(self, part: Part) -> Rows | None:
        """The rows at the steps of a part."""
        return None if self.rows is None else self.rows.part(part.start, part.stop)

    def split(self, tensors: tuple[Tensor, ...]) -> tuple[Tensors, tuple[Tensor, ...]]:
        """Named tensors, and the states after them."""
        return dict(zip(self.names, tensors, strict=False)), tuple(tensors[len(self.names) :])


def gradient(
    span: Span,
    inputs: tuple[Tensor, ...],
    kept: Tensors,
    cotangents: Cotangents,
    wanted: frozenset[str],
) -> list[Tensor | None]:
    """The cotangents of the inputs named in `wanted`, and of the states, by the loop of the gradient.

    Args:
        span: what ran.
        inputs: sequences, invariants, states.
        kept: what the loop kept, by name.
        cotangents: of what is given out, and of the carried states at the end; None for 0.
        wanted: names of inputs.
    """
    program = span.programs.backward(wanted)
    return sent_back(
        span, program, inputs, cotangents, span.in_cache(program), lambda number, part: span.kept_at(part, kept)
    )


def sent_back(
    span: Span,
    program: Program | NativeProgram,
    inputs: tuple[Tensor, ...],
    cotangents: Cotangents,
    parts: Sequence[Part],
    kept: Callable[[int, Part], Tensors],
    chained: bool = True,
) -> list[Tensor | None]:
    """The loop of the gradient over one part after the other, the last one first.

    Args:
        span: what ran.
        program: the loop of the gradient.
        inputs: sequences, invariants, states.
        cotangents: of what is given out, and of the carried states at the end; None for 0.
        parts: in the order of the layer.
        kept: what the loop kept of a part, of its number and itself.
        chained: whether the cotangents of the states go on from part to part; else the parts may overlap.

    Returns:
        The cotangents of the inputs.
    """
    compiled, (given, states) = span.programs.compiled, span.split(inputs)
    count, firsts = len(compiled.loop.each), span.programs.firsts(states)
    ends: Cotangents = cotangents[count:]
    found: Tensors = {}
    starts: list[Tensor] = []
    finished = None if chained else span.finished(given)
    for number, part in reversed(list(enumerate(parts))):
        values = {**span.inputs_at(part, given), **firsts, **kept(number, part)}
        now = ends if finished is None else [_of_rows(g, part.lost, finished) for g in ends]
        coming = (*(_lost(g, part) for g in cotangents[:count]), *now)
        some, entering = back(span, program, part, values, states, coming)
        _add(span, found, some, part, single=len(parts) == 1, chained=chained)
        if part.begins:
            starts = [g if not starts else g + starts[place] for place, g in enumerate(entering)]
        if chained:
            ends = entering
        elif finished is None:
            ends = (None,) * len(entering)
    if finished is not None:  # a row without any step gives out its initial state
        never = [_of_rows(g, (-1, 0), finished) for g in ends]
        starts = [start if g is None else start + g for g, start in zip(never, starts, strict=True)]
    return collected(span, found, starts)


def back(
    span: Span,
    program: Program | NativeProgram,
    part: Part,
    values: Tensors,
    states: tuple[Tensor, ...],
    cotangents: Cotangents,
) -> tuple[Tensors, tuple[Tensor, ...]]:
    """The loop of the gradient over a part.

    Args:
        span: what ran.
        program: the loop of the gradient.
        part: the steps.
        values: what it reads, by name: inputs of these steps, and what was kept of them.
        states: all states, for their shapes.
        cotangents: of what these steps give out, and of the carried states that leave the last of them; None for 0.

    Returns:
        The cotangents of the inputs by name, with a "d " before it, and of the carried states that enter.
    """
    compiled, steps = span.programs.compiled, part.stop - part.start
    each, device = compiled.loop.each, next(iter((*states, *values.values()))).device
    coming = {}
    for (name, node), g in zip(each.items(), cotangents, strict=False):
        if g is None:
            size = (steps, *numbers(node.shape, steps, span.batch))
            g = torch.zeros(size, dtype=getattr(torch, node.dtype), device=device)
        coming[f"d {name}"] = g
    entering = tuple(
        torch.zeros_like(states[number]) if g is None else g
        for number, g in zip(compiled.carried, cotangents[len(each) :], strict=True)
    )
    rows = span.rows_at(part)
    return span.programs.start(program, {**values, **coming}, entering, steps, span.batch, device, rows)


def collected(span: Span, found: Tensors, starts: Iterable[Tensor]) -> list[Tensor | None]:
    """Cotangents in the order of the inputs: those named, then the states."""
    compiled = span.programs.compiled
    by_state = dict(zip(compiled.carried, starts, strict=True))
    states = [
        _sum(by_state.get(number), found.get(f"d {state.value}[0]"))
        for number, state in enumerate(compiled.step.states)
    ]
    return [*(found.get(f"d {name}") for name in span.names), *states]


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b


def _lost(g: Tensor | None, part: Part) -> Tensor | None:
    """The cotangents of what is given out in a part, zero but for what is sent back from there."""
    if g is None or part.lost == (part.start, part.stop):
        return None if g is None else g[part.start : part.stop]
    coming = torch.zeros_like(g[part.start : part.stop])
    first, last = part.lost
    coming[first - part.start : last - part.start] = g[first:last]
    return coming


def _of_rows(g: Tensor | None, steps: tuple[int, int], finished: Tensor) -> Tensor | None:
    """The cotangent of a state [B, ...] in the rows whose last step is one of some."""
    if g is None:
        return None
    return where_rows((finished > steps[0]) & (finished <= steps[1]), g, torch.zeros_like(g))


def _add(span: Span, found: Tensors, some: Tensors, part: Part, *, single: bool, chained: bool) -> None:
    """Add the cotangents of a part to those of all: step by step for what differs from step to step."""
    for name, g in some.items():
        if single:
            found[name] = g
        elif name.removeprefix("d ") not in span.timed:  # a copy of its own: two names may share what they get
            own = g.clone(memory_format=torch.contiguous_format) if name not in found else found[name].add_(g)
            found[name] = own
        elif chained:
            if name not in found:
                found[name] = block((span.steps, *g.shape[1:]), g.dtype, g.device)
            found[name][part.start : part.stop] = g
        else:
            if name not in found:
                found[name] = g.new_zeros((span.steps, *g.shape[1:]))
            found[name][part.start : part.stop] += g
