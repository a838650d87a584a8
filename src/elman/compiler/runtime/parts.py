"""The gradient of a loop by other ways than in full: truncated, checkpointed, or step by step.

truncated      what the steps of a block give out is sent back over the k2 steps up to its end, and no further
checkpointed   the states at the start of each part are kept and nothing else; a part runs anew on the way back
per step       all steps at once, and the gradients of the parameters are not summed over them
"""

import math
from typing import Any

import torch
from torch import Tensor

from elman.axes import numbers
from elman.compiler.graph import Node
from elman.errors import ArgumentError

from .gradient import Cotangents, Part, Span, back, collected, sent_back
from .memory import block
from .program import Tensors
from .ways import Checkpointed, PerStep, Truncated

Given = tuple[Tensor, ...]
Gradients = list[Tensor | None]


def truncated(
    way: Truncated, span: Span, inputs: Given, kept: Tensors, cotangents: Cotangents, wanted: frozenset[str]
) -> Gradients:
    """Each block of k1 steps over the k2 steps up to its end."""
    program, parts = span.programs.backward(wanted), span.parts(way.k1, way.k2)
    return sent_back(
        span, program, inputs, cotangents, parts, lambda number, part: span.kept_at(part, kept), chained=False
    )


def run_in_parts(way: Checkpointed, span: Span, inputs: Given) -> tuple[list[Tensor], Given, Given]:
    """Run all steps, part by part.

    Returns:
        What is given out; the carried states at the end; the carried states at the start of each part.
    """
    given, states = span.split(inputs)
    each, carried = span.programs.compiled.loop.each, tuple(states[n] for n in span.programs.compiled.carried)
    outputs: Tensors = {}
    starts: list[Tensor] = []
    for part in span.parts(_length(way, span)):
        starts += carried
        results, carried = _run(span, span.programs.forward, part, given, states, carried)
        for name in each:
            if name not in outputs:
                some = results[name]
                outputs[name] = block((span.steps, *some.shape[1:]), some.dtype, some.device)
            outputs[name][part.start : part.stop] = results[name]
    return [outputs[name] for name in each], carried, tuple(starts)


def checkpointed(
    way: Checkpointed, span: Span, inputs: Given, starts: Given, cotangents: Cotangents, wanted: frozenset[str]
) -> Gradients:
    """Each part run anew from its start, and sent back."""
    programs, (given, states), carried = span.programs, span.split(inputs), len(span.programs.compiled.carried)

    def anew(number: int, part: Part) -> Tensors:
        entering = starts[number * carried : (number + 1) * carried]
        results, _ = _run(span, programs.forward_kept, part, given, states, entering)
        return programs.kept(results, packed=span.rows is not None)

    return sent_back(span, programs.backward(wanted), inputs, cotangents, span.parts(_length(way, span)), anew)


def per_step(
    way: PerStep, span: Span, inputs: Given, kept: Tensors, cotangents: Cotangents, wanted: frozenset[str]
) -> Gradients:
    """The cotangents of the parameters are made of their gradients at each step."""
    programs, (given, states) = span.programs, span.split(inputs)
    (part,), compiled = span.parts(span.steps), programs.compiled
    values = {**given, **programs.firsts(states), **kept}
    found, starts = back(span, programs.by_step(wanted), part, values, states, cotangents)
    names = {f"d {node.value}": name for name, node in compiled.traced.parameters.items()}
    for name in found.keys() - {f"d {name}" for name in span.timed}:
        each, known = found[name], names.get(name)
        found[name] = each.sum(0) if known is None else way.of(known, each, compiled.loop.reverse)
    return collected(span, found, starts)


def _run(span: Span, program: Any, part: Part, given: Tensors, states: Given, carried: Given) -> Any:
    """Run a loop over the steps of a part."""
    values = {**span.inputs_at(part, given), **span.programs.firsts(states)}
    device = next(iter((*states, *given.values()))).device
    steps, rows = part.stop - part.start, span.rows_at(part)
    return span.programs.start(program, values, carried, steps, span.batch, device, rows)


def _length(way: Checkpointed, span: Span) -> int:
    """Steps of a part that is run anew."""
    compiled, steps, batch, budget = span.programs.compiled, span.steps, span.batch, way.budget
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
        f"expected memory for T = {steps} and B = {batch} of {least} bytes or more, got {way.memory}: a step keeps "
        f"{kept} bytes, and a part {states} for its states."
    )


def _bytes(node: Node, batch: int) -> int:
    """Of a tensor at one step."""
    dtype: torch.dtype = getattr(torch, node.dtype)
    return math.prod(numbers(node.shape, 1, batch)) * dtype.itemsize
