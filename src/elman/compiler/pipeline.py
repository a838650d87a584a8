"""The story of the compiler.

    trace      the step is read into a graph, once for each form of input that it meets
    unfold     the graph is repeated for t = 1..T, or T..1
    bptt       the loop of the gradient, the other way round, by the chain rule
    hoist      out of both loops goes whatever does not wait for them
    run        what is left runs on torch, as one differentiable function

Where a step cannot be read, the layer says so once and runs it step by step.
"""

import contextlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from elman.errors import ArgumentError, TraceError

from .cache import compile_step, known_of, parameters_of
from .operator import unroll_as_operator
from .plan import note
from .runtime.autograd import Unrolled, plain_precision
from .runtime.backend import choose, in_range, way
from .runtime.compiled import Compiled
from .runtime.eager import States, unroll_eagerly
from .runtime.gradient import Span
from .runtime.job import prepared
from .runtime.memory import apart
from .runtime.rows import filled
from .runtime.ways import PerStep
from .sequences import Sequences

Emit = Callable[[Tensor], Tensor]


class StepByStepWarning(UserWarning):
    """A layer runs its step in a Python loop: it is right, but slow."""


def unroll(
    cell: Any,
    given: Sequences,
    states: States,
    *,
    emit: Emit | None = None,
    parameters: Mapping[str, Tensor] | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, States]:
    """Run a cell over sequences.

    Args:
        cell: the step: `step`, `output`, `state_size`, `feedback_size`.
        given: the inputs of all steps.
        states: the initial states [B, ...]; where the own output is fed back, what is fed first stands last.
        emit: makes what is fed at the next step of what is given out now.
        parameters: parameters and buffers by name, in place of the cell's own.
        generator: source of the random numbers that the step draws.

    Returns:
        What is given out [T, B, O], zero where a row has ended, and the states at each row's own end.
    """
    if torch._C._get_tracing_state() is not None:
        raise ArgumentError("torch.jit.trace would write out T steps and keep this T: use torch.compile.")
    used = parameters_of(cell) if parameters is None else dict(parameters)
    if torch.compiler.is_compiling():
        return _in_torch_compile(cell, given, states, used, emit, generator)
    if transformed():
        note(cell, None, "torch.func, forward-mode differentiation, make_fx or fake tensors look at every operation")
        return _step_by_step(cell, given, states, emit, parameters)
    with _plain_precision(states, given):
        given, states = in_precision(used, given, states)
        try:
            if emit is not None:
                raise TraceError("`emit` may look at anything, so the own output goes through it in Python")
            compiled = compile_step(cell, given, states, used)
        except TraceError as error:
            _warn_once(cell, "step by step, which is right but slow", str(error))
            note(cell, None, str(error))
            if generator is not None:
                raise ArgumentError(
                    f"{type(cell).__name__} runs step by step, where its draws come from torch's default generator: "
                    f"drop `generator` and use torch.manual_seed. {error}"
                ) from error
            return _step_by_step(cell, given, states, emit, parameters)
        return run(cell, compiled, given, states, used, generator)


def run(
    cell: Any,
    compiled: Compiled,
    given: Sequences,
    states: States,
    parameters: Mapping[str, Tensor],
    generator: torch.Generator | None = None,
) -> tuple[Tensor, States]:
    """Run the programs on tensors."""
    named = compiled.named(given, parameters, states, generator)
    tensors = (*named.values(), *states)
    training = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    backend = choose(tensors)
    if compiled.counts:
        backend = in_range(backend, tensors)
    chosen = way()
    job = prepared(compiled, backend, given, named, training, isinstance(chosen, PerStep))
    if job.programs.refused:
        _warn_once(cell, "on torch instead of kernels of its own", job.programs.refused)
    note(cell, job.programs, "" if chosen is None else f"gradient by {chosen}")
    tensors = (*job.named.values(), *states)
    if training:
        span = Span(job.programs, tuple(job.named), given.steps, given.batch, job.rows)
        outputs = Unrolled.apply(span, chosen, *tensors)  # type: ignore[no-untyped-call]
    else:
        results, ends = job.programs.run(job.programs.forward, job.named, states, given.steps, given.batch, job.rows)
        outputs = apart((*(results[name] for name in compiled.loop.each), *ends), tensors)
    return _ends(job.programs.compiled, given, states, outputs)


def _in_torch_compile(
    cell: Any, given: Sequences, states: States, parameters: Mapping[str, Tensor], emit: Any, generator: Any
) -> tuple[Tensor, States]:
    """One operator in the graph that torch.compile makes."""
    if emit is not None or generator is not None:
        raise ArgumentError("under torch.compile a layer takes no `emit` and no `generator`: call it outside.")
    return unroll_as_operator(cell.handle, given, states, list(parameters.values()))


def _ends(compiled: Compiled, given: Sequences, states: States, outputs: Any) -> tuple[Tensor, States]:
    """What is given out, and the states at each row's own end, in order."""
    names = tuple(compiled.loop.each)
    each = dict(zip(names, outputs, strict=False))
    if len(compiled.carried) == len(states):
        return each["y"], tuple(outputs[len(names) :])
    carried = dict(zip(compiled.carried, outputs[len(names) :], strict=True))
    ends = []
    for number, (state, node) in enumerate(zip(states, compiled.step.states, strict=True)):
        ends.append(carried[number] if number in carried else _last(each[f"{node.value}'"], state, given))
    return each["y"], tuple(ends)


def _last(sequence: Tensor, first: Tensor, given: Sequences) -> Tensor:
    """A state that no step reads, after each row's own last step."""
    if given.live is None:
        return sequence[0 if given.reverse else -1].clone()
    lengths = given.live.sum(0).reshape((-1,) + (1,) * (first.dim() - 1))
    last = torch.zeros_like(lengths) if given.reverse else (lengths - 1).clamp(min=0)
    found = sequence.gather(0, last.unsqueeze(0).expand(1, *first.shape)).squeeze(0)
    return torch.where(lengths == 0, first, found)


_HALVES = {torch.bfloat16, torch.float16}


def _plain_precision(states: States, given: Sequences) -> Any:
    """What turns autocast off on the device of a call; see `plain_precision`."""
    some = states[0] if states else given.x if given.x is not None else given.fed
    return contextlib.nullcontext() if some is None else plain_precision(some.device.type)


def in_precision(parameters: Mapping[str, Tensor], given: Sequences, states: States) -> tuple[Sequences, States]:
    """Inputs that autocast made in a layer before, in the dtype of the parameters; nothing else is converted."""
    if _HALVES.isdisjoint([t.dtype for t in (given.x, given.fed, *states) if t is not None]):
        return given, states
    dtype = next((p.dtype for p in parameters.values() if p.is_floating_point()), None)

    def own(tensor: Any) -> Any:
        return tensor.to(dtype) if tensor is not None and dtype is not None and tensor.dtype in _HALVES else tensor

    return replace(given, x=own(given.x), fed=own(given.fed)), tuple(own(state) for state in states)


_MODES = (torch._C._TorchDispatchModeKey.PROXY, torch._C._TorchDispatchModeKey.FAKE)


def transformed() -> bool:
    """Whether torch.func, forward-mode differentiation, make_fx or fake tensors look at what is run.

    They want plain operations.
    """
    forward_mode = torch.autograd.forward_ad._current_level >= 0
    if forward_mode or torch._C._are_functorch_transforms_active():
        return True
    return torch._C._len_torch_dispatch_stack() > 0 and any(map(torch._C._get_dispatch_mode, _MODES))


def _step_by_step(
    cell: Any, given: Sequences, states: States, emit: Emit | None, parameters: Mapping[str, Tensor] | None
) -> tuple[Tensor, States]:
    """The Python loop, under other parameters if there are some."""
    if torch.is_grad_enabled() and way() is not None:
        raise ArgumentError(
            f"expected a step that can be read as a graph for a gradient by {way()}, and {type(cell).__name__} runs "
            "step by step: `layer.plan(x)` without it says why."
        )
    given = filled(given)
    if parameters is None:
        return unroll_eagerly(cell, given, states, emit)
    with torch.nn.utils.stateless._reparametrize_module(cell, dict(parameters)):
        return unroll_eagerly(cell, given, states, emit)


def _warn_once(cell: nn.Module, how: str, reason: str) -> None:
    """Say that a layer runs slower than it could, once for each cell and reason."""
    warned = known_of(cell).warned
    if reason not in warned:
        warned.add(reason)
        warnings.warn(f"{type(cell).__name__} runs {how}: {reason}", StepByStepWarning, stacklevel=2)
