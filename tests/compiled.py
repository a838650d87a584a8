"""What the tests of the compiler share: a layer on its compiled path, beside the Python loop under plain autograd."""

import contextlib
import warnings
from unittest import mock

import torch
from torch import nn

import elman
from elman.compiler import pipeline
from elman.compiler.graph import Graph, Node, verify
from elman.compiler.runtime.eager import unroll_eagerly
from elman.layers import recurrent

DTYPE = torch.float64


def _plainly(cell, given, states, *, emit=None, parameters=None, generator=None):
    """The Python loop in place of the compiler."""
    if parameters is None:
        return unroll_eagerly(cell, given, states, emit)
    with nn.utils.stateless._reparametrize_module(cell, parameters):  # weights that are computed once in each call
        return unroll_eagerly(cell, given, states, emit)


@contextlib.contextmanager
def step_by_step():
    """While this lasts, layers run the Python loop under plain autograd."""
    with mock.patch.object(recurrent, "unroll", _plainly):
        yield


@contextlib.contextmanager
def compiled_only():
    """While this lasts, a layer that falls back to the Python loop is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", pipeline.StepByStepWarning)
        yield


def flat(state):
    """All tensors of a nested state."""
    return [t for part in state for t in flat(part)] if isinstance(state, tuple | list) else [state]


def outcome(layer, x=None, state=None, **options):
    """By name: y, the final states, and the gradient of a fixed mixture of them by everything that has one."""
    y, ends = layer(x, state, **options)
    results = [y, *flat(ends)]
    generator = torch.Generator().manual_seed(7)
    loss = torch.zeros((), dtype=torch.float64)
    for result in results:
        if result.is_floating_point():
            weight = torch.randn(result.shape, generator=generator, dtype=torch.float64)
            loss = loss + (weight * result).sum()
    leaves = {"x": x, "targets": options.get("targets")}
    leaves |= {f"state {number}": t for number, t in enumerate([] if state is None else flat(state))}
    leaves |= dict(layer.named_parameters())
    leaves = {name: t for name, t in leaves.items() if t is not None and t.requires_grad}
    found = [None] * len(leaves)
    if leaves and loss.requires_grad:
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    gradients = {
        f"gradient of {name}": torch.zeros_like(t) if g is None else g
        for (name, t), g in zip(leaves.items(), found, strict=True)
    }
    return {"y": y.detach()} | {f"end {n}": e.detach() for n, e in enumerate(flat(ends))} | gradients


def assert_same(got, expected, relative, absolute=0.0):
    """Every entry within `relative` times the largest entry of its tensor, plus `absolute`."""
    assert got.keys() == expected.keys()
    for name, other in expected.items():
        one = got[name]
        assert one.shape == other.shape, f"{name}: {list(one.shape)} instead of {list(other.shape)}"
        assert one.dtype == other.dtype, f"{name}: {one.dtype} instead of {other.dtype}"
        if not other.numel():
            continue
        assert torch.equal(one.isnan(), other.isnan()), f"{name}: NaN in other places"
        one, other = one.double().nan_to_num(), other.double().nan_to_num()
        worst, bound = (one - other).abs().max().item(), relative * other.abs().max().item() + absolute
        assert worst <= bound, f"{name}: off by {worst:.3g}, more than {bound:.3g}\n{one}\n{other}"


def assert_agrees(layer, x=None, state=None, relative=1e-10, absolute=1e-12, **options):
    """The compiled path and the Python loop give the same values and gradients."""
    layer = layer if isinstance(layer, elman.Layer) else elman.Recurrent(layer)
    with compiled_only():
        got = outcome(layer, x, state, **options)
    with step_by_step():
        expected = outcome(layer, x, state, **options)
    assert_same(got, expected, relative, absolute)
    return got


def random_tensor(*shape, seed=0, dtype=DTYPE, grad=True):
    """Normal numbers by seed."""
    made = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=DTYPE).to(dtype)
    return made.requires_grad_(grad)


class Written(elman.Cell):
    """A cell out of functions: `step(self, x, *states)` and attributes."""

    def __init__(self, function, state_size=(4,), feedback_size=None, output=None, **attributes):
        super().__init__()
        self.state_size, self.feedback_size = state_size, feedback_size
        self.function, self.readout = function, output
        for name, value in attributes.items():
            setattr(self, name, nn.Parameter(value) if isinstance(value, torch.Tensor) else value)

    def step(self, x, *states):
        return self.function(self, x, *states)

    def initial_state(self, batch_size):
        return tuple(state.to(DTYPE) for state in super().initial_state(batch_size))

    def start(self, batch_size):
        return super().start(batch_size).to(DTYPE)

    def output(self, *states):
        return states[0] if self.readout is None else self.readout(self, *states)


def compiled_of(layer, x=None, state=None, **options):
    """The programs that a call of a layer runs."""
    seen = []

    def watch(*args):
        seen.append(original(*args))
        return seen[-1]

    original = pipeline.compile_step
    with mock.patch.object(pipeline, "compile_step", watch):
        layer(x, state, **options)
    return seen[-1]


def graph_of(loop):
    """The body of a loop as a graph."""
    inputs = (*loop.sequences, *(c.entering for c in loop.carries), *loop.invariants)
    return Graph(inputs, {str(number): node for number, node in enumerate(loop.roots)})


def stages_of(compiled):
    """Every graph that the compiler makes of a step, by name."""
    made = {"trace": compiled.traced.graph, "unfold": graph_of(compiled.loop), "bptt": graph_of(compiled.gradient.loop)}
    every = (("", compiled.stages), ("training ", compiled.training_stages), ("gradient ", compiled.gradient_stages))
    for kind, stages in every:
        made |= {f"{kind}before": stages.before, f"{kind}after": stages.after}
        if stages.inside is not None:
            made[f"{kind}inside"] = graph_of(stages.inside)
    return made


def assert_verified(compiled):
    """Each pass left a graph that the checker accepts."""
    for graph in stages_of(compiled).values():
        verify(graph)


def ops_of(graph):
    """The operations of a graph."""
    nodes: tuple[Node, ...] = graph.nodes
    return {node.op for node in nodes}
