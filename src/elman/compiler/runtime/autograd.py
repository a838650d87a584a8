"""Programs as one differentiable function of torch."""

import contextlib
import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elman.axes import BATCH, numbers

from .memory import apart
from .native import NativeProgram
from .program import Program, Result, Tensors
from .programs import Programs
from .rows import Rows, fill_ended


class Unrolled(torch.autograd.Function):
    """A loop whose gradient is the loop that the compiler derived.

    The gradient of the gradient (`create_graph=True`) is taken of the reference program, by torch's own autograd.
    """

    @staticmethod
    def forward(
        ctx: Any,
        programs: Programs,
        names: tuple[str, ...],
        steps: int,
        batch: int,
        rows: Rows | None,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        """Run the loop, keep what the gradient needs.

        Args:
            ctx: torch's context.
            programs: what runs.
            names: of the sequences and invariants; the tensors after them are the states.
            steps: T.
            batch: B.
            rows: which rows are live at which step, where some end before T and no program may look at the rest.
            tensors: sequences, invariants, states.
        """
        given, states = split(names, tensors)
        results, ends = programs.run(programs.forward_kept, given, states, steps, batch, rows)
        outputs = [results.pop(name) for name in programs.compiled.loop.each]
        kept = tuple(results.values())
        ctx.programs, ctx.names, ctx.steps, ctx.batch, ctx.rows = programs, names, steps, batch, rows
        ctx.kept = tuple(results)
        ctx.save_for_backward(*tensors, *kept)
        ctx.set_materialize_grads(False)
        return apart((*outputs, *ends), (*tensors, *kept))

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
        """Run the loop of the gradient."""
        saved = ctx.saved_tensors  # asked for once: hooks may fetch them from elsewhere each time
        count = len(saved) - len(ctx.kept)
        inputs, kept = saved[:count], dict(zip(ctx.kept, saved[count:], strict=True))
        wanted = ctx.needs_input_grad[_FIRST:]
        with plain_precision(inputs[0].device.type):
            if torch.is_grad_enabled() or any(map(is_batched, cotangents)):
                return (*_NONE, *_twice(ctx, inputs, cotangents, wanted))
            programs: Programs = ctx.programs
            gradients = gradient(
                programs,
                ctx.names,
                inputs,
                programs.kept(kept, packed=ctx.rows is not None),
                cotangents,
                ctx.steps,
                ctx.batch,
                frozenset(itertools.compress(ctx.names, wanted)),
                ctx.rows,
            )
        return (*_NONE, *[g if w else None for g, w in zip(gradients, wanted, strict=True)])


_is_batchedtensor = torch._C._functorch.is_batchedtensor
_is_legacy_batchedtensor = torch._C._functorch.is_legacy_batchedtensor
_FIRST = 5  # arguments of `forward` before the tensors
_NONE = (None,) * _FIRST


_AS_IT_IS = contextlib.nullcontext()


def plain_precision(device: str) -> Any:
    """Under autocast a layer computes in the dtype of its parameters, as it was read; this turns autocast off."""
    if not torch.is_autocast_enabled(device):
        return _AS_IT_IS
    return torch.autocast(device, enabled=False)


def is_batched(g: Tensor | None) -> bool:
    """Whether torch's vmap asks for many gradients at once: then nothing may be written in place."""
    return g is not None and (_is_batchedtensor(g) or _is_legacy_batchedtensor(g))


def split(names: tuple[str, ...], tensors: tuple[Tensor, ...]) -> tuple[Tensors, tuple[Tensor, ...]]:
    """Named tensors, and the states after them."""
    return dict(zip(names, tensors, strict=False)), tuple(tensors[len(names) :])


def gradient(
    programs: Programs,
    names: tuple[str, ...],
    inputs: tuple[Tensor, ...],
    kept: Tensors,
    cotangents: tuple[Tensor | None, ...],
    steps: int,
    batch: int,
    wanted: frozenset[str],
    rows: Rows | None = None,
) -> list[Tensor | None]:
    """The cotangents of the states and of the inputs named in `wanted`, by the loop of the gradient."""
    given, states = split(names, inputs)
    values = {**given, **programs.firsts(states), **kept}
    program = programs.backward(wanted)
    return collected(programs, names, *back(programs, program, values, states, cotangents, steps, batch, rows))


def back(
    programs: Programs,
    program: Program | NativeProgram,
    values: Tensors,
    states: tuple[Tensor, ...],
    cotangents: Sequence[Tensor | None],
    steps: int,
    batch: int,
    rows: Rows | None,
) -> tuple[Tensors, tuple[Tensor, ...]]:
    """The loop of the gradient over some steps.

    Args:
        programs: of the layer.
        program: that of the gradient which runs.
        values: what it reads, by name: inputs of these steps, and what was kept of them.
        states: all states, for their shapes.
        cotangents: of what these steps give out, and of the carried states that leave the last of them; None for 0.
        steps: how many.
        batch: B.
        rows: which rows are live at which of these steps; None for all.

    Returns:
        The cotangents of the inputs by name, with a "d " before it, and of the carried states that enter.
    """
    compiled = programs.compiled
    each, device = compiled.loop.each, next(iter(values.values())).device if not states else states[0].device
    coming = {}
    for (name, node), g in zip(each.items(), cotangents, strict=False):
        if g is None:
            size = (steps, *numbers(node.shape, steps, batch))
            g = torch.zeros(size, dtype=getattr(torch, node.dtype), device=device)
        coming[f"d {name}"] = g
    entering = tuple(
        torch.zeros_like(states[number]) if g is None else g
        for number, g in zip(compiled.carried, cotangents[len(each) :], strict=True)
    )
    return programs.start(program, {**values, **coming}, entering, steps, batch, device, rows)


def collected(
    programs: Programs, names: tuple[str, ...], found: Tensors, starts: Sequence[Tensor]
) -> list[Tensor | None]:
    """Cotangents in the order of the inputs: those named, then the states."""
    compiled = programs.compiled
    by_state = dict(zip(compiled.carried, starts, strict=True))
    states = [
        _sum(by_state.get(number), found.get(f"d {state.value}[0]"))
        for number, state in enumerate(compiled.step.states)
    ]
    return [*(found.get(f"d {name}") for name in names), *states]


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b


def _twice(ctx: Any, inputs: tuple[Tensor, ...], cotangents: tuple[Tensor | None, ...], wanted: Any) -> list[Any]:
    """The cotangents of the inputs as functions that can be differentiated again.

    The inputs stand under new names, so that a path from one to another outside of this loop is not followed.
    """
    with torch.enable_grad():
        aliases = [t.view_as(t) if t.is_floating_point() else t for t in inputs]
        given, states = split(ctx.names, tuple(aliases))
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
    programs: Programs = ctx.programs
    rows: Rows | None = ctx.rows
    if rows is None:
        return programs.run(programs.compiled.differentiable, given, states, ctx.steps, ctx.batch)
    step, compiled = programs.compiled.step, programs.compiled.with_live
    live, read = rows.live(), {str(node.value): BATCH in node.shape for node in step.sequences}
    filled = {name: fill_ended(t, live) if read.get(name) else t for name, t in given.items()}
    return Programs(compiled, programs.backend).run(
        compiled.differentiable, {**filled, "live": live}, states, ctx.steps, ctx.batch
    )
