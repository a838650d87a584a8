"""Programs as one differentiable function of torch."""

import contextlib
import itertools
from typing import Any

import torch
from torch import Tensor

from elman.axes import BATCH
from elman.errors import ArgumentError

from .gradient import Cotangents, Span, gradient
from .memory import apart
from .parts import checkpointed, per_step, run_in_parts, truncated
from .program import Result, Tensors
from .programs import Programs
from .rows import fill_ended
from .ways import Checkpointed, PerStep, Truncated, Way


class Unrolled(torch.autograd.Function):
    """A loop whose gradient is the loop that the compiler derived.

    The gradient of the gradient (`create_graph=True`) is taken of the reference program, by torch's own autograd.
    """

    @staticmethod
    def forward(ctx: Any, span: Span, way: Way | None, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run the loop, keep what the gradient needs.

        Args:
            ctx: torch's context.
            span: what runs, over what.
            way: how the caller differentiates; None for in full.
            tensors: sequences, invariants, states.
        """
        ctx.span, ctx.way, programs = span, way, span.programs
        if isinstance(way, Checkpointed):
            outputs, ends, kept = run_in_parts(way, span, tensors)
            ctx.kept = tuple(map(str, range(len(kept))))
        else:
            given, states = span.split(tensors)
            results, ends = programs.run(programs.forward_kept, given, states, span.steps, span.batch, span.rows)
            outputs = [results.pop(name) for name in programs.compiled.loop.each]
            kept, ctx.kept = tuple(results.values()), tuple(results)
        ctx.save_for_backward(*tensors, *kept)
        ctx.set_materialize_grads(False)
        return apart((*outputs, *ends), (*tensors, *kept))

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
        """Run the loop of the gradient."""
        saved = ctx.saved_tensors  # asked for once: hooks may fetch them from elsewhere each time
        count = len(saved) - len(ctx.kept)
        inputs, kept = saved[:count], dict(zip(ctx.kept, saved[count:], strict=True))
        wanted = ctx.needs_input_grad[2:]
        with plain_precision(inputs[0].device.type):
            if not torch.is_grad_enabled() and not any(map(_is_batched, cotangents)):
                found = _gradient(ctx, inputs, kept, cotangents, frozenset(itertools.compress(ctx.span.names, wanted)))
                return (None, None, *[g if w else None for g, w in zip(found, wanted, strict=True)])
            if ctx.way is not None:
                raise ArgumentError(
                    f"the gradient is taken by {ctx.way}, which can be differentiated no further (create_graph, vmap): "
                    "take the full one."
                )
            return (None, None, *_twice(ctx, inputs, cotangents, wanted))


def _gradient(
    ctx: Any, inputs: tuple[Tensor, ...], kept: Tensors, cotangents: Cotangents, wanted: frozenset[str]
) -> list[Tensor | None]:
    """The cotangents of the inputs, in the way that the caller wants."""
    span: Span = ctx.span
    if isinstance(ctx.way, Checkpointed):
        return checkpointed(ctx.way, span, inputs, tuple(kept.values()), cotangents, wanted)
    kept = span.programs.kept(kept, packed=span.rows is not None)
    if isinstance(ctx.way, Truncated):
        return truncated(ctx.way, span, inputs, kept, cotangents, wanted)
    if isinstance(ctx.way, PerStep):
        return per_step(ctx.way, span, inputs, kept, cotangents, wanted)
    return gradient(span, inputs, kept, cotangents, wanted)


_is_batchedtensor = torch._C._functorch.is_batchedtensor
_is_legacy_batchedtensor = torch._C._functorch.is_legacy_batchedtensor


_AS_IT_IS = contextlib.nullcontext()


def plain_precision(device: str) -> Any:
    """Under autocast a layer computes in the dtype of its parameters, as it was read; this turns autocast off."""
    if not torch.is_autocast_enabled(device):
        return _AS_IT_IS
    return torch.autocast(device, enabled=False)


def _is_batched(g: Tensor | None) -> bool:
    """Whether torch's vmap asks for many gradients at once: then nothing may be written in place."""
    return g is not None and (_is_batchedtensor(g) or _is_legacy_batchedtensor(g))


def _twice(ctx: Any, inputs: tuple[Tensor, ...], cotangents: tuple[Tensor | None, ...], wanted: Any) -> list[Any]:
    """The cotangents of the inputs as functions that can be differentiated again.

    The inputs stand under new names, so that a path from one to another outside of this loop is not followed.
    """
    with torch.enable_grad():
        aliases = [t.view_as(t) if t.is_floating_point() else t for t in inputs]
        given, states = ctx.span.split(tuple(aliases))
        results, ends = _differentiably(ctx, given, states)
        outcome = zip((*results.values(), *ends), cotangents, strict=True)
        pairs = [(o, g) for o, g in outcome if g is not None and o.requires_grad]
        sources = [alias for alias, w in zip(aliases, wanted, strict=True) if w]
        if not pairs:
            return [None] * len(inputs)
        outputs, coming = zip(*pairs, strict=True)
        found = iter(torch.autograd.grad(outputs, sources, coming, create_graph=True, allow_unused=True))
        return [next(found) if w else None for w in wanted]


def _differentiably(ctx: Any, given: Tensors, states: tuple[Tensor, ...]) -> Result:
    """Run the loop so that autograd can follow."""
    span: Span = ctx.span
    programs, rows = span.programs, span.rows
    if rows is None:
        return programs.run(programs.compiled.differentiable, given, states, span.steps, span.batch)
    step, compiled = programs.compiled.step, programs.compiled.with_live
    live, read = rows.live(), {str(node.value): BATCH in node.shape for node in step.sequences}
    filled = {name: fill_ended(t, live) if read.get(name) else t for name, t in given.items()}
    return Programs(compiled, programs.backend).run(
        compiled.differentiable, {**filled, "live": live}, states, span.steps, span.batch
    )
