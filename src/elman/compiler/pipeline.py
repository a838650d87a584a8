"""The story of the compiler.

    trace      the step is read into a graph, once for each form of input that it meets
    unfold     the graph is repeated for t = 1..T
    bptt       the loop of the gradient, t = T..1, by the chain rule
    hoist      out of both loops goes whatever does not wait for them
    run        what is left runs on torch, as one differentiable function

Where a step cannot be read, the layer says so once and runs it step by step.
"""

import threading
import warnings
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from elman.errors import TraceError

from .plan import note
from .runtime.autograd import Unrolled
from .runtime.compiled import Compiled
from .runtime.eager import States, one_step, unroll_eagerly
from .sequences import Sequences
from .trace import Traced, trace_step
from .trace.step import Sizes
from .unfold import Binding

Emit = Callable[[Tensor], Tensor]


class StepByStepWarning(UserWarning):
    """A layer runs its step in a Python loop: it is right, but slow."""


@dataclass
class _Known:
    """What is known of one cell: its traces by the form of the input, and what has been said about it."""

    traces: dict[Any, list[Traced | TraceError]] = field(default_factory=dict)
    compiled: dict[tuple[int, Binding], Compiled] = field(default_factory=dict)
    warned: set[str] = field(default_factory=set)


_KNOWN: "weakref.WeakKeyDictionary[nn.Module, _Known]" = weakref.WeakKeyDictionary()
_LOCK = threading.Lock()


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
    used = parameters_of(cell) if parameters is None else dict(parameters)
    if transformed():
        note(cell, None, "torch.func or forward-mode differentiation looks at every operation")
        return _step_by_step(cell, given, states, emit, parameters)
    try:
        compiled = compile_step(cell, given, states, emit, used)
    except TraceError as error:
        _warn_once(cell, str(error))
        note(cell, None, str(error))
        return _step_by_step(cell, given, states, emit, parameters)
    note(cell, compiled, "the only one that is built in so far")
    return run(compiled, given, states, used, generator)


def compile_step(
    cell: Any, given: Sequences, states: States, emit: Emit | None, parameters: Mapping[str, Tensor]
) -> Compiled:
    """The programs for a cell and a form of input, made once.

    Raises:
        TraceError: the step cannot be read as a graph.
    """
    with _LOCK:
        known = _KNOWN.setdefault(cell, _Known())
    traced = _traced(known, cell, given, states, emit, parameters)
    own = cell.feedback_size is not None and given.fed is None
    binding = Binding(own_feedback=own, live=given.live is not None, reset=given.reset is not None)
    key = (id(traced), binding)
    if key not in known.compiled:
        known.compiled[key] = Compiled(traced, binding)
    return known.compiled[key]


def _traced(
    known: _Known, cell: Any, given: Sequences, states: States, emit: Emit | None, parameters: Mapping[str, Tensor]
) -> Traced:
    """A trace whose every assumption still holds, from memory or new."""
    key = (
        None if given.x is None else (given.x.shape[2:], given.x.dtype),
        None if given.fed is None else (given.fed.shape[2:], given.fed.dtype),
        tuple((s.shape[1:], s.dtype) for s in states),
        tuple((name, p.shape, p.dtype) for name, p in parameters.items()),
        cell.training,
        emit,
    )
    for trace in known.traces.get(key, ()):
        if isinstance(trace, TraceError):
            raise trace
        if trace.reads.hold(cell):
            return trace
    sizes = Sizes(key[0], key[1], key[2])
    try:
        trace = trace_step(cell, lambda c, x, fed, s: one_step(c, x, fed, s, emit), sizes, parameters)
    except TraceError as error:
        known.traces.setdefault(key, []).append(error.with_traceback(None))
        raise
    known.traces.setdefault(key, []).append(trace)
    return trace


def run(
    compiled: Compiled,
    given: Sequences,
    states: States,
    parameters: Mapping[str, Tensor],
    generator: torch.Generator | None = None,
) -> tuple[Tensor, States]:
    """Run the programs on tensors."""
    traced, device = compiled.traced, states[0].device if states else given.x.device  # type: ignore[union-attr]
    named = {
        name: tensor
        for name, tensor in (("x", given.x), ("fed", given.fed), ("live", given.live), ("reset", given.reset))
        if tensor is not None
    }
    named |= compiled.drawn(given.steps, given.batch, device, generator)
    named |= {str(node.value): parameters[name] for name, node in traced.parameters.items()}
    named |= {str(node.value): tensor.to(device) for node, tensor in traced.captured.items()}
    tensors = (*named.values(), *states)
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        outputs = Unrolled.apply(compiled, tuple(named), given.steps, given.batch, *tensors)  # type: ignore[no-untyped-call]
    else:
        results, ends = compiled.run(compiled.forward, named, states, given.steps, given.batch)
        outputs = (*results.values(), *ends)
    return _ends(compiled, given, states, outputs)


def _ends(compiled: Compiled, given: Sequences, states: States, outputs: Any) -> tuple[Tensor, States]:
    """What is given out, and the states at each row's own end, in order."""
    names = tuple(compiled.loop.each)
    each = dict(zip(names, outputs, strict=False))
    carried = dict(zip(compiled.carried, outputs[len(names) :], strict=True))
    ends = []
    for number, (state, node) in enumerate(zip(states, compiled.step.states, strict=True)):
        ends.append(carried[number] if number in carried else _last(each[f"{node.value}'"], state, given.live))
    return each["y"], tuple(ends)


def _last(sequence: Tensor, first: Tensor, live: Tensor | None) -> Tensor:
    """A state that no step reads, at each row's own end."""
    if live is None:
        return sequence[-1]
    lengths = live.sum(0).reshape((-1,) + (1,) * (first.dim() - 1))
    last = sequence.gather(0, (lengths - 1).clamp(min=0).unsqueeze(0).expand(1, *first.shape)).squeeze(0)
    return torch.where(lengths == 0, first, last)


def parameters_of(cell: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of a cell by name."""
    return {**dict(cell.named_parameters()), **dict(cell.named_buffers())}


def transformed() -> bool:
    """Whether torch.func or forward-mode differentiation looks at what is run: they want plain operations."""
    forward_mode = torch.autograd.forward_ad._current_level >= 0
    return forward_mode or torch._C._are_functorch_transforms_active()


def _step_by_step(
    cell: Any, given: Sequences, states: States, emit: Emit | None, parameters: Mapping[str, Tensor] | None
) -> tuple[Tensor, States]:
    """The Python loop, under other parameters if there are some."""
    if parameters is None:
        return unroll_eagerly(cell, given, states, emit)
    with torch.nn.utils.stateless._reparametrize_module(cell, dict(parameters)):
        return unroll_eagerly(cell, given, states, emit)


def _warn_once(cell: nn.Module, reason: str) -> None:
    """Say that a step cannot be read, once for each cell and reason."""
    warned = _KNOWN.setdefault(cell, _Known()).warned
    if reason not in warned:
        warned.add(reason)
        warnings.warn(
            f"{type(cell).__name__} runs step by step, which is right but slow: {reason}",
            StepByStepWarning,
            stacklevel=2,
        )
