"""The programs as operators of torch, for torch.compile: it sees one call, not the loop.

An operator takes tensors and numbers only, so the cell is named by the number under which it is registered.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from elman.axes import numbers
from elman.errors import ArgumentError, TraceError

from .cache import cell_of, compile_step, parameters_of
from .runtime.backend import choose, way
from .runtime.compiled import Compiled
from .runtime.eager import States
from .runtime.gradient import Span, gradient
from .runtime.job import NO_ROWS, programs_of
from .runtime.program import Tensors
from .runtime.programs import Programs
from .runtime.rows import filled
from .runtime.tuned import tuned
from .sequences import Sequences

MARKS = ("x", "fed", "live", "reset")


def unroll_as_operator(
    handle: int, given: Sequences, states: States, parameters: Sequence[Tensor]
) -> tuple[Tensor, States]:
    """What `unroll` computes, as one operator with a gradient.

    Args:
        handle: the number under which the cell is registered.
        given: the inputs of all steps.
        states: the initial states.
        parameters: parameters and buffers, in the order of the cell.
    """
    given = filled(given)
    marks = [getattr(given, name) for name in MARKS]
    tensors = [t for t in (*marks, *states, *parameters) if t is not None]
    train = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    call = (handle, given.steps, given.batch, given.reverse, train)
    outputs = torch.ops.elman.unroll(*call, *marks, list(states), list(parameters))
    return outputs[0], tuple(outputs[1 : 1 + len(states)])


@torch.library.custom_op("elman::unroll", mutates_args=())
def _unroll(
    handle: int,
    steps: int,
    batch: int,
    reverse: bool,
    train: bool,
    x: Tensor | None,
    fed: Tensor | None,
    live: Tensor | None,
    reset: Tensor | None,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
) -> list[Tensor]:
    if train and way() is not None:
        raise ArgumentError(f"under torch.compile a layer has its full gradient: take the one by {way()} outside.")
    compiled, named = _prepared(handle, steps, batch, reverse, (x, fed, live, reset), states, parameters)
    programs = _programs(compiled, named, states, batch, frozenset(named) if train else None)
    program = programs.forward_kept if train else programs.forward
    results, ends = programs.run(program, named, tuple(states), steps, batch)
    by_number = dict(zip(compiled.carried, ends, strict=True))
    last = [by_number.get(number, states[number]) for number in range(len(states))]
    kept = [programs.kept(results)[name] for name in compiled.kept_names] if train else []
    return _apart([results["y"], *last, *kept])


def _programs(
    compiled: Compiled, named: Tensors, states: Sequence[Tensor], batch: int, wanted: frozenset[str] | None
) -> Programs:
    backend = choose((*named.values(), *states)) if batch else NO_ROWS
    backend = tuned(compiled, backend, batch)
    if backend.schedule is not None:  # what is kept is what torch.compile was told, whatever is tuned later
        backend = replace(backend, schedule=replace(backend.schedule, recompute=True))
    return programs_of(compiled, backend, wanted)


def _apart(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Tensors that share no memory, as an operator must give them out."""
    return [t.clone(memory_format=torch.contiguous_format) for t in tensors]


@_unroll.register_fake
def _(handle, steps, batch, reverse, train, x, fed, live, reset, states, parameters):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    with _real():
        compiled, _ = _prepared(handle, steps, batch, reverse, (x, fed, live, reset), states, parameters)
        outputs = compiled.training_stages.after.outputs
    wanted = [outputs["y"], *([outputs[name] for name in compiled.kept_names] if train else [])]
    like = _like(states, x, parameters)
    made = [like.new_empty(numbers(n.shape, steps, batch), dtype=getattr(torch, n.dtype)) for n in wanted]
    return [made[0], *(torch.empty_like(state) for state in states), *made[1:]]


def _like(states: Sequence[Tensor], x: Tensor | None, parameters: Sequence[Tensor]) -> Tensor:
    return next(t for t in (*states, x, *parameters) if t is not None)


@contextlib.contextmanager
def _real() -> Iterator[None]:
    """While torch.compile looks at shapes only, the compiler itself still works as always."""
    with _disable_current_modes(), torch._C._DisablePythonDispatcher():
        yield


def _prepared(
    handle: int,
    steps: int,
    batch: int,
    reverse: bool,
    marks: Sequence[Tensor | None],
    states: Sequence[Tensor],
    tensors: Sequence[Tensor],
) -> tuple[Compiled, Tensors]:
    """The programs, and the inputs of the loop by name."""
    cell = cell_of(handle)
    parameters = dict(zip(parameters_of(cell), tensors, strict=True))
    x, fed, live, reset = marks
    given = Sequences(steps, batch, x, fed, live, reset, reverse)
    try:
        compiled = compile_step(cell, given, tuple(states), parameters)
    except TraceError as error:
        raise TraceError(
            f"{type(cell).__name__} runs step by step, and torch.compile would write out every step: keep it out "
            f"with torch.compiler.disable(layer). {error}"
        ) from error
    outside = (
        "draws random numbers" if compiled.traced.draws else "reads a tensor that learns but is no parameter of its"
    )
    if compiled.traced.draws or any(t.requires_grad for t in compiled.traced.captured.values()):
        raise TraceError(f"{type(cell).__name__} {outside}: keep it out with torch.compiler.disable(layer).")
    if any(state not in [c.entering for c in compiled.loop.carries] for state in compiled.step.states):
        raise TraceError(
            f"{type(cell).__name__} has a state that no step reads: keep it out with torch.compiler.disable."
        )
    return compiled, compiled.named(given, parameters, states, None)


@torch.library.custom_op("elman::unroll_backward", mutates_args=())
def _backward(
    handle: int,
    steps: int,
    batch: int,
    reverse: bool,
    x: Tensor | None,
    fed: Tensor | None,
    live: Tensor | None,
    reset: Tensor | None,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    kept: Sequence[Tensor],
    cotangents: Sequence[Tensor],
) -> list[Tensor]:
    compiled, named = _prepared(handle, steps, batch, reverse, (x, fed, live, reset), states, parameters)
    inputs = (*named.values(), *states)
    if len(kept) != len(compiled.kept_names):
        raise TraceError(
            "an attribute that the step reads has changed since torch.compile looked: torch._dynamo.reset()"
        )
    back = dict(zip(compiled.kept_names, kept, strict=True))
    programs = _programs(compiled, named, states, batch, frozenset(named))
    found = gradient(Span(programs, tuple(named), steps, batch), inputs, back, tuple(cotangents), frozenset(named))
    by_name = dict(zip(named, found, strict=False))
    own = {name: str(node.value) for name, node in compiled.traced.parameters.items()}
    wanted = [
        *((by_name.get(name), t) for name, t in (("x", x), ("fed", fed)) if t is not None),
        *zip(found[len(named) :], states, strict=True),
        *((by_name[own[name]], t) for name, t in zip(parameters_of(cell_of(handle)), parameters, strict=True)),
    ]
    return _apart([torch.zeros_like(t) if g is None else g for g, t in wanted])


@_backward.register_fake
def _(handle, steps, batch, reverse, x, fed, live, reset, states, parameters, kept, cotangents):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return [
        torch.empty_like(t, memory_format=torch.contiguous_format)
        for t in (x, fed, *states, *parameters)
        if t is not None
    ]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    handle, steps, batch, reverse, _, x, fed, live, reset, states, parameters = inputs
    ctx.numbers, ctx.counts = (handle, steps, batch, reverse), (len(states), len(parameters), 1 + len(states))
    ctx.given = [t is not None for t in (x, fed, live, reset)]
    ctx.sizes = [(tuple(t.shape), t.dtype) for t in output[: ctx.counts[2]]]
    ctx.save_for_backward(
        *(t for t in (x, fed, live, reset) if t is not None), *states, *parameters, *output[ctx.counts[2] :]
    )


def _derive(ctx: Any, grads: list[Tensor | None]) -> tuple[Any, ...]:
    saved = iter(ctx.saved_tensors)
    marks = [next(saved) if there else None for there in ctx.given]
    states, parameters = ([next(saved) for _ in range(count)] for count in ctx.counts[:2])
    kept = list(saved)
    like = _like(states, marks[0], parameters)
    coming = [
        torch.zeros(size, dtype=dtype, device=like.device) if g is None else g
        for g, (size, dtype) in zip(grads, ctx.sizes, strict=False)
    ]
    found = iter(torch.ops.elman.unroll_backward(*ctx.numbers, *marks, states, parameters, kept, coming))
    of_marks = [next(found) if there else None for there in ctx.given[:2]]
    of_states, of_parameters = ([next(found) for _ in some] for some in (states, parameters))
    return (*(None,) * 5, *of_marks, None, None, of_states, of_parameters)


_unroll.register_autograd(_derive, setup_context=_setup)
