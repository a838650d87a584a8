"""The gradient of a loop, some steps at a time: truncated, or checkpointed.

truncated      what the steps of a block give out is sent back over the k2 steps up to its end, and no further
checkpointed   the states at the start of each part are kept and nothing else; a part runs anew on the way back
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elman.axes import numbers
from elman.compiler.graph import Node
from elman.errors import ArgumentError

from .autograd import back, collected, is_batched, plain_precision, split
from .compiled import Compiled
from .memory import apart, block
from .program import Tensors
from .programs import Programs
from .rows import Rows
from .ways import Checkpointed, PerStep, Truncated, Way


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


class InParts(torch.autograd.Function):
    """A loop whose gradient is taken in parts."""

    @staticmethod
    def forward(
        ctx: Any,
        programs: Programs,
        names: tuple[str, ...],
        steps: int,
        batch: int,
        rows: Rows | None,
        way: Way,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        """Run the loop; see `Unrolled`."""
        given, states = split(names, tensors)
        ctx.programs, ctx.names, ctx.steps, ctx.batch, ctx.rows, ctx.way = programs, names, steps, batch, rows, way
        if not isinstance(way, Checkpointed):
            results, ends = programs.run(programs.forward_kept, given, states, steps, batch, rows)
            outputs = [results.pop(name) for name in programs.compiled.loop.each]
            kept, ctx.kept = tuple(results.values()), tuple(results)
        else:
            outputs, ends, kept = _forward(ctx, given, states)
            ctx.kept = tuple(str(number) for number in range(len(kept)))
        ctx.save_for_backward(*tensors, *kept)
        ctx.set_materialize_grads(False)
        return apart((*outputs, *ends), (*tensors, *kept))

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
        """Run the loop of the gradient over one part after the other."""
        if torch.is_grad_enabled() or any(map(is_batched, cotangents)):
            raise ArgumentError(
                f"the gradient is taken by {ctx.way}, which can be differentiated no further (create_graph, vmap): "
                "take the full one."
            )
        saved, count = ctx.saved_tensors, len(ctx.saved_tensors) - len(ctx.kept)
        wanted = ctx.needs_input_grad[_FIRST:]
        with plain_precision(saved[0].device.type):
            kept, named = dict(zip(ctx.kept, saved[count:], strict=True)), itertools.compress(ctx.names, wanted)
            run = _by_step if isinstance(ctx.way, PerStep) else _backward
            gradients = run(ctx, saved[:count], kept, cotangents, frozenset(named))
        return (*(None,) * _FIRST, *[g if w else None for g, w in zip(gradients, wanted, strict=True)])


_FIRST = 6  # arguments of `forward` before the tensors


def _forward(ctx: Any, given: Tensors, states: tuple[Tensor, ...]) -> tuple[list[Tensor], tuple[Tensor, ...], Any]:
    """Run all steps, part by part: what is given out, the carried states at the end and at the start of each part."""
    programs: Programs = ctx.programs
    each, carried = programs.compiled.loop.each, tuple(states[number] for number in programs.compiled.carried)
    outputs: Tensors = {}
    starts: list[Tensor] = []
    for part in _parts(ctx):
        starts += carried
        results, carried = _run(ctx, programs.forward, part, given, states, carried)
        for name in each:
            if name not in outputs:
                some = results[name]
                outputs[name] = block((ctx.steps, *some.shape[1:]), some.dtype, some.device)
            outputs[name][part.start : part.stop] = results[name]
    return [outputs[name] for name in each], carried, tuple(starts)


def _run(ctx: Any, program: Any, part: Part, given: Tensors, states: Any, carried: tuple[Tensor, ...]) -> Any:
    """Run a loop over the steps of a part."""
    programs: Programs = ctx.programs
    values = {**_steps_of(ctx, given, part), **programs.firsts(states)}
    device = next(iter((*states, *given.values()))).device
    return programs.start(program, values, carried, part.stop - part.start, ctx.batch, device, _rows_of(ctx, part))


def _backward(
    ctx: Any, inputs: tuple[Tensor, ...], kept: Tensors, cotangents: Sequence[Tensor | None], wanted: frozenset[str]
) -> list[Tensor | None]:
    """The cotangents of the inputs, the last part first."""
    programs: Programs = ctx.programs
    compiled, (given, states) = programs.compiled, split(ctx.names, inputs)
    count, carried = len(compiled.loop.each), len(compiled.carried)
    ends: Sequence[Tensor | None] = cotangents[count:]
    found: Tensors = {}
    starts: list[Tensor] = []
    truncated, packed = isinstance(ctx.way, Truncated), ctx.rows is not None
    kept = programs.kept(kept, packed) if truncated else kept
    program = programs.backward(wanted)
    for number, part in reversed(list(enumerate(_parts(ctx)))):
        if truncated:
            values = _kept_of(ctx, kept, part)
        else:
            entering = tuple(kept[str(place)] for place in range(number * carried, (number + 1) * carried))
            results, _ = _run(ctx, programs.forward_kept, part, given, states, entering)
            values = programs.kept(results, packed)
        values = {**_steps_of(ctx, given, part), **programs.firsts(states), **values}
        coming = (*(_lost(g, part) for g in cotangents[:count]), *ends)
        size = (part.stop - part.start, ctx.batch)
        some, entering = back(programs, program, values, states, coming, *size, _rows_of(ctx, part))
        _add(found, some, part, ctx)
        if part.begins:
            starts = [g if not starts else g + starts[place] for place, g in enumerate(entering)]
        ends = (None,) * carried if truncated else entering
    return collected(programs, ctx.names, found, starts)


def _by_step(
    ctx: Any, inputs: tuple[Tensor, ...], kept: Tensors, cotangents: Sequence[Tensor | None], wanted: frozenset[str]
) -> list[Tensor | None]:
    """The cotangents of the inputs; those of the parameters are made of their gradients at each step."""
    programs: Programs = ctx.programs
    compiled, (given, states) = programs.compiled, split(ctx.names, inputs)
    values = {**given, **programs.firsts(states), **programs.kept(kept)}
    program = programs.by_step(wanted)
    found, starts = back(programs, program, values, states, cotangents, ctx.steps, ctx.batch, None)
    names = {f"d {node.value}": name for name, node in compiled.traced.parameters.items()}
    for name in found.keys() - {f"d {name}" for name in _timed(ctx)}:
        each, known = found[name], names.get(name)
        found[name] = each.sum(0) if known is None else ctx.way.of(known, each, compiled.loop.reverse)
    return collected(programs, ctx.names, found, starts)


def _add(found: Tensors, some: Tensors, part: Part, ctx: Any) -> None:
    """Add the cotangents of a part to those of all: step by step for what differs from step to step."""
    timed = {f"d {name}" for name in _timed(ctx)}
    for name, g in some.items():
        if name not in timed:
            found[name] = g if name not in found else found[name] + g
            continue
        if name not in found:
            found[name] = g.new_zeros((ctx.steps, *g.shape[1:]))
        found[name][part.start : part.stop] += g


def _parts(ctx: Any) -> Iterator[Part]:
    """The parts of a loop, in its order."""
    reverse, steps, way = ctx.programs.compiled.loop.reverse, ctx.steps, ctx.way
    k1, k2 = (way.k1, way.k2) if isinstance(way, Truncated) else (_length(ctx), 0)
    for first in range(0, steps, k1):
        last = min(first + k1, steps)
        start = max(0, last - k2) if k2 else first
        if reverse:
            yield Part(steps - last, steps - start, (steps - last, steps - first), start == 0)
        else:
            yield Part(start, last, (first, last), start == 0)


def _length(ctx: Any) -> int:
    """Steps of a part that is run anew."""
    compiled: Compiled = ctx.programs.compiled
    steps: int = ctx.steps
    batch, budget = ctx.batch, ctx.way.budget
    if budget is None:
        return max(1, math.isqrt(steps))
    outputs = compiled.training_stages.after.outputs
    kept = sum(_bytes(outputs[name], batch) for name in compiled.kept_names)
    states = sum(_bytes(carry.entering, batch) for carry in compiled.loop.carries)
    for count in range(1, steps + 1):  # of parts: as few as the memory bears
        if math.ceil(steps / count) * kept + count * states <= budget:
            return math.ceil(steps / count)
    best = math.isqrt(steps * states // max(1, kept)) or 1
    least = best * kept + math.ceil(steps / best) * states
    raise ArgumentError(
        f"expected memory for T = {steps} and B = {batch} of {least} bytes or more, got {ctx.way.memory}: a step keeps "
        f"{kept} bytes, and a part {states} for its states."
    )


def _bytes(node: Node, batch: int) -> int:
    """Of a tensor at one step."""
    dtype: torch.dtype = getattr(torch, node.dtype)
    return math.prod(numbers(node.shape, 1, batch)) * dtype.itemsize


def _timed(ctx: Any) -> frozenset[str]:
    """The names of the inputs that differ from step to step."""
    return frozenset(str(node.value) for node in ctx.programs.compiled.loop.sequences)


def _steps_of(ctx: Any, given: Tensors, part: Part) -> Tensors:
    """Inputs of the loop at the steps of a part."""
    return {name: t[part.start : part.stop] if name in _timed(ctx) else t for name, t in given.items()}


def _kept_of(ctx: Any, kept: Tensors, part: Part) -> Tensors:
    """What was kept of all steps, at those of a part."""
    programs, start, stop = ctx.programs, part.start, part.stop
    nodes = programs.compiled.training_stages.after.outputs
    if ctx.rows is not None and programs.keeps_packed:
        start, stop = ctx.rows.position(start), ctx.rows.position(stop)
    return {name: t[start:stop] if nodes[name].shape[:1] == ("T",) else t for name, t in kept.items()}


def _rows_of(ctx: Any, part: Part) -> Rows | None:
    return None if ctx.rows is None else ctx.rows.part(part.start, part.stop)


def _lost(g: Tensor | None, part: Part) -> Tensor | None:
    """The cotangents of what is given out in a part, zero but for what is sent back from there."""
    if g is None or part.lost == (part.start, part.stop):
        return None if g is None else g[part.start : part.stop]
    coming = torch.zeros_like(g[part.start : part.stop])
    first, last = part.lost
    coming[first - part.start : last - part.start] = g[first:last]
    return coming
