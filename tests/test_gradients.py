"""Truncated and checkpointed BPTT: against their definitions, over cells, lengths, resets, directions and backends."""

import contextlib

import pytest
import torch

import elman
from compiled import Written
from elman.compiler.runtime import gradient, native
from elman.errors import ArgumentError, ShapeError

T, B = 23, 4
LENGTHS = torch.tensor([23, 0, 9, 14])
RESET = torch.rand(T, B, generator=torch.Generator().manual_seed(3)) < 0.1
CELLS = {
    "lstm": lambda: elman.LSTM(3, 5),
    "gru": lambda: elman.GRU(3, 5),
    "fed its output": lambda: elman.Jordan(3, 5, 2),
    "no loop": lambda: Written(lambda s, x, h: torch.tanh(x @ s.A.T), (5,), A=torch.nn.Parameter(torch.randn(5, 3))),
}
MARKS = {"plain": {}, "lengths": {"lengths": LENGTHS}, "reset": {"reset": RESET}}
MARKS["both"] = MARKS["lengths"] | MARKS["reset"]


def layer_of(name, reverse=False):
    torch.manual_seed(7)
    return elman.Recurrent(CELLS[name]().double(), reverse=reverse)


def outcome(layer, way=None, backend=None, **marks):
    """What a layer gives out, and all gradients of a loss on all of it."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(T, B, 3, dtype=torch.float64, generator=draw).requires_grad_()
    start = tuple(
        torch.randn(s.shape, dtype=s.dtype, generator=draw).requires_grad_() for s in layer._states(None, B, x)
    )
    with elman.using(backend=backend), elman.using(gradient=way) if way else contextlib.nullcontext():
        y, ends = layer(x, start, **marks)
    outputs = (y, *(ends if isinstance(ends, tuple) else (ends,)))
    loss = sum((o * torch.randn(o.shape, dtype=o.dtype, generator=draw)).sum() for o in outputs)
    wanted = (x, *start, *layer.parameters())
    return outputs, torch.autograd.grad(loss, wanted, allow_unused=True)


def assert_same(got, expected, tolerance=1e-12):
    for one, other in zip((*got[0], *got[1]), (*expected[0], *expected[1]), strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("marks", MARKS)
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("backend", ["c", pytest.param("reference", marks=pytest.mark.slow)])
def test_checkpointed_is_the_full_gradient(backend, name, marks, reverse):
    layer = layer_of(name, reverse)
    full = outcome(layer, backend=backend, **MARKS[marks])
    few, many = elman.Checkpointed("9kB"), elman.Checkpointed(10**6)
    for way in (elman.Checkpointed(), few, many, elman.Truncated(2, T), elman.PerStep()):
        got = outcome(layer, way, backend, **MARKS[marks])
        assert_same(got, full)
        if "lengths" not in MARKS[marks]:  # a part of few live rows goes to torch's product
            assert all(torch.equal(one, other) for one, other in zip(got[0], full[0], strict=True))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("marks", MARKS)
@pytest.mark.parametrize("name", CELLS)
def test_parts_that_fit_a_cache_are_the_full_gradient(name, marks, reverse, monkeypatch):
    layer, counted, runs = layer_of(name, reverse), [], gradient.Span.in_cache
    full = outcome(layer, **MARKS[marks])
    monkeypatch.setattr(native, "_ROWS", 12)
    monkeypatch.setattr(native, "_PART", 64)
    monkeypatch.setattr(gradient.Span, "in_cache", lambda *a: counted.append(runs(*a)) or counted[-1])
    assert_same(outcome(layer, **MARKS[marks]), full)
    assert [len(parts) for parts in counted] == [1 if name == "no loop" else 6]


def test_states_and_their_cotangents_are_the_same_bits():
    cell = Written(lambda s, x, h: torch.tanh(x + h @ s.A.T), (5,), A=torch.nn.Parameter(0.4 * torch.randn(5, 5)))
    layer, x = elman.Recurrent(cell.float()), torch.randn(200, 9, 5)
    found = []
    for way in (elman.Checkpointed(200 * 9 * 5), None):  # the cotangent of x is that of what tanh is taken of
        given, start = x.clone().requires_grad_(), torch.zeros(9, 5, requires_grad=True)
        with elman.using(gradient=way) if way else contextlib.nullcontext():
            y, _ = layer(given, start)
        y.square().sum().backward()
        found.append((y, given.grad, start.grad))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def by_definition(layer, k1, k2):
    """Each block of k1 steps run from the state k2 steps before its end, which is held fast; its loss sent back."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(T, B, 3, dtype=torch.float64, generator=draw).requires_grad_()
    start = [torch.randn(s.shape, dtype=s.dtype, generator=draw).requires_grad_() for s in layer._states(None, B, x)]
    order = range(T - 1, -1, -1) if layer.reverse else range(T)
    with torch.no_grad():
        states, y = [tuple(start)], torch.empty(0)
        for t in order:
            now, y = step(layer.cell, x[t], states[-1])
            states.append(now)
    weights = torch.randn(T, *y.shape, dtype=torch.float64, generator=draw)
    of_ends = [torch.randn(s.shape, dtype=s.dtype, generator=draw) for s in states[-1]]
    total = [torch.zeros_like(w) for w in (x, *start, *layer.parameters())]
    for first in range(0, T, k1):
        last = min(first + k1, T)
        begin = max(0, last - k2)
        now, loss = tuple(start) if begin == 0 else tuple(s.detach() for s in states[begin]), 0
        for place in range(begin, last):
            now, y = step(layer.cell, x[order[place]], now)
            loss = loss + (y * weights[order[place]]).sum() * (place >= first)
        if last == T:
            loss = loss + sum((s * w).sum() for s, w in zip(now, of_ends, strict=True))
        parts = torch.autograd.grad(loss, (x, *start, *layer.parameters()), allow_unused=True)
        total = [a if b is None else a + b for a, b in zip(total, parts, strict=True)]
    return total


def step(cell, x, states):
    values = cell.step(x, states[-1], *states[:-1]) if cell.feedback_size else cell.step(x, *states)
    values = values if isinstance(values, tuple) else (values,)
    y = cell.output(*values)
    return ((*values[: len(cell.state_size)], y) if cell.feedback_size else values), y


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (1, 4), (5, 5), (4, 9), (7, 30), (40, 50)])
@pytest.mark.parametrize("name", ["lstm", "gru", "fed its output"])
@pytest.mark.parametrize("backend", ["c", pytest.param("reference", marks=pytest.mark.slow)])
def test_truncated_is_what_its_definition_says(backend, name, k1, k2, reverse):
    layer = layer_of(name, reverse)
    got = outcome(layer, elman.Truncated(k1, k2), backend)[1]
    for one, other in zip(got, by_definition(layer, k1, k2), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


def test_one_block_of_all_steps_and_gradients_that_share_memory():
    """Two biases get one tensor from the loop of the gradient; a part over all steps comes before others."""
    x = torch.randn(9, 3, 3)
    for layer in (
        elman.nn.RNN(3, 4),
        elman.Recurrent(
            Written(lambda s, x, h: torch.tanh(x + h + s.b.sum()), (3,), b=torch.nn.Parameter(torch.randn(3))).float()
        ),
    ):
        found = []
        for way in (elman.Full(), elman.Truncated(3, 9)):
            with elman.using(gradient=way):
                found.append(torch.autograd.grad(layer(x)[0].square().sum(), list(layer.parameters())))
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("backend", ["c", "reference"])
def test_a_final_state_is_sent_back_from_where_its_row_ends(backend):
    layer = layer_of("gru")
    x, lengths = torch.randn(10, 3, 3, dtype=torch.float64), torch.tensor([4, 0, 10])

    def gradients(x, lengths):
        x, start = x.clone().requires_grad_(), torch.zeros(x.size(1), 5, dtype=torch.float64, requires_grad=True)
        with elman.using(backend=backend), elman.using(gradient=elman.Truncated(2, 3)):
            _, h = layer(x, start, lengths=lengths)
        return torch.autograd.grad(h.sin().sum(), (x, start))

    got = gradients(x, lengths)
    alone = gradients(x[:4, :1], None)
    torch.testing.assert_close(got[0][:4, :1], alone[0])
    assert torch.equal(got[1][1], torch.ones(5, dtype=torch.float64))  # of sin at 0, straight to where it began
    torch.testing.assert_close(got[0][:, 2:], gradients(x[:, 2:], None)[0])


def test_inside_of_one_way_another_can_be_full():
    layer = layer_of("lstm")
    with elman.using(gradient=elman.Truncated(1, 1)):
        assert_same(outcome(layer, elman.Full()), outcome(layer, elman.Full()))
        truncated = outcome(layer)
    assert_same(outcome(layer), outcome(layer, elman.Full()))
    assert not torch.allclose(truncated[1][-1], outcome(layer)[1][-1])


def test_truncated_leaves_less_than_windows_cut_apart():
    layer = layer_of("lstm")
    full, windows, longer = (
        outcome(layer, way)[1][-1] for way in (None, elman.Truncated(4, 4), elman.Truncated(4, 16))
    )
    assert (full - longer).norm() < 0.5 * (full - windows).norm()


def copies_of(layer, marks):
    """The gradient of each step's own copy of the parameters, by a Python loop: by name, [T, ...]."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(T, B, 3, dtype=torch.float64, generator=draw)
    start = tuple(torch.randn(s.shape, dtype=s.dtype, generator=draw) for s in layer._states(None, B, x))
    copies = [{n: p.detach().clone().requires_grad_() for n, p in layer.cell.named_parameters()} for _ in range(T)]
    lengths, reset = marks.get("lengths", torch.full((B,), T)), marks.get("reset", torch.zeros(T, B, dtype=torch.bool))
    now, ys = start, [None] * T
    for t in range(T - 1, -1, -1) if layer.reverse else range(T):
        entering = tuple(torch.where(reset[t].unsqueeze(1), first, s) for first, s in zip(start, now, strict=True))
        with torch.nn.utils.stateless._reparametrize_module(layer.cell, copies[t]):
            leaving, y = step(layer.cell, x[t], entering)
        live = (t < lengths).unsqueeze(1)
        now = tuple(torch.where(live, new, old) for new, old in zip(leaving, now, strict=True))
        ys[t] = torch.where(live, y, 0)
    outputs = (torch.stack(ys), *now)
    loss = sum((o * torch.randn(o.shape, dtype=o.dtype, generator=draw)).sum() for o in outputs)
    every = torch.autograd.grad(loss, [p for copy in copies for p in copy.values()], materialize_grads=True)
    rows = iter(every)
    steps = [{name: next(rows) for name in copy} for copy in copies]
    return {name: torch.stack([one[name] for one in steps]) for name in copies[0]}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("marks", MARKS)
@pytest.mark.parametrize("name", ["lstm", "gru", "fed its output"])
@pytest.mark.parametrize("backend", ["c", pytest.param("reference", marks=pytest.mark.slow)])
def test_the_gradient_at_each_step_is_that_of_its_own_copy(backend, name, marks, reverse):
    layer, found = layer_of(name, reverse), {}
    expected = copies_of(layer, MARKS[marks])
    got = outcome(layer, elman.PerStep(lambda name, g: found.update({name: g}) or g.sum(0)), backend, **MARKS[marks])
    assert set(found) == set(expected)
    for name, g in found.items():
        torch.testing.assert_close(g, expected[name], rtol=1e-11, atol=1e-11)
    assert_same(got, outcome(layer, backend=backend, **MARKS[marks]))


def test_what_is_made_of_the_gradients_of_all_steps():
    layer, weights = layer_of("gru"), torch.linspace(0, 1, T)
    steps = copies_of(layer, {})
    made = {
        "mean": lambda g: g.mean(0),
        "last": lambda g: g[-1],
        weights: lambda g: torch.tensordot(weights.double(), g, dims=1),
    }
    for how, expected in made.items():
        for one, g in zip(outcome(layer, elman.PerStep(how))[1][2:], steps.values(), strict=True):
            torch.testing.assert_close(one, expected(g), rtol=1e-11, atol=1e-11)
    back = layer_of("gru", reverse=True)
    for one, g in zip(outcome(back, elman.PerStep("last"))[1][2:], copies_of(back, {}).values(), strict=True):
        torch.testing.assert_close(one, g[0], rtol=1e-11, atol=1e-11)


def test_what_nothing_can_be_made_of_is_refused():
    for how, message in ((torch.ones(T + 1), f"T = {T}"), (lambda name, g: g, "expected")):
        with pytest.raises((ArgumentError, ShapeError), match=message):
            outcome(layer_of("gru"), elman.PerStep(how))
    for how in ("median", torch.ones(2, 2), 3):
        with pytest.raises(ArgumentError, match="expected"):
            elman.PerStep(how)


def test_it_holds_for_every_kind_of_layer():
    stack = elman.Stack(
        elman.Recurrent(elman.GRU(3, 5)),
        elman.Bidirectional(elman.Recurrent(elman.LSTM(5, 4)), elman.Recurrent(elman.LSTM(5, 4), reverse=True)),
    )
    for layer in (stack, elman.nn.LSTM(3, 5, num_layers=2, bidirectional=True)):
        x = torch.randn(T, B, 3)
        full = torch.autograd.grad(layer(x)[0].sum(), list(layer.parameters()))
        with elman.using(gradient=elman.Checkpointed()):
            got = torch.autograd.grad(layer(x)[0].sum(), list(layer.parameters()))
        for one, other in zip(got, full, strict=True):
            torch.testing.assert_close(one, other)


def test_the_plan_says_it():
    with elman.using(gradient=elman.Truncated(5, 10)):
        assert "gradient by Truncated(k1=5, k2=10)" in str(layer_of("lstm").plan(torch.randn(T, B, 3).double()))


def test_less_is_kept():
    layer, x = elman.nn.LSTM(32, 32), torch.randn(400, 8, 32)

    def kept(way):
        found = []
        watched = torch.autograd.graph.saved_tensors_hooks(lambda t: found.append(t.nbytes) or t, lambda t: t)
        with watched, elman.using(gradient=way) if way else contextlib.nullcontext():
            layer(x)
        return sum(found) - x.nbytes

    assert kept(elman.Checkpointed()) < 0.1 * kept(None)
    assert kept(elman.Checkpointed("200KiB")) < 200 * 1024


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: elman.Truncated(0, 3), "1 <= k1"),
        (lambda: elman.Truncated(5, 4), "k2 = 4"),
        (lambda: elman.Checkpointed("lots"), "64MiB"),
        (lambda: elman.Checkpointed(-3), "64MiB"),
    ],
)
def test_what_no_gradient_can_be_is_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
    with pytest.raises(ArgumentError, match="Checkpointed"), elman.using(gradient="full"):
        pass


def test_what_it_cannot_do_is_said():
    layer, x = layer_of("lstm"), torch.randn(T, B, 3, dtype=torch.float64, requires_grad=True)
    with elman.using(gradient=elman.Checkpointed(100)), pytest.raises(ArgumentError, match="bytes or more"):
        layer(x)
    with elman.using(gradient=elman.Truncated(2, 3)):
        y, _ = layer(x)
        with pytest.raises(ArgumentError, match="step by step"):
            elman.Recurrent(elman.Jordan(3, 5, 2).double())(x, emit=lambda y: y)
    with pytest.raises(ArgumentError, match="no further"):
        torch.autograd.grad(y.sum(), x, create_graph=True)
