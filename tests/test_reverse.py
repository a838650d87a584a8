"""A layer that runs backwards equals one that runs ahead over each row turned round, and turns nothing round itself."""

import contextlib
from collections import Counter
from dataclasses import replace
from unittest import mock

import pytest
import torch
from hypothesis import given, note, settings
from torch import nn
from torch.func import functional_call, jvp, vmap
from torch.utils._python_dispatch import TorchDispatchMode

import elman
from c_kernels import SCHEDULE, build_all, drawn, in_c, kernels_of
from compiled import (
    DTYPE,
    Written,
    assert_same,
    assert_verified,
    compiled_of,
    compiled_only,
    outcome,
    random_tensor,
    step_by_step,
)
from elman.compiler.pipeline import StepByStepWarning
from elman.compiler.runtime import native, program
from elman.compiler.runtime.rows import all_rows
from random_cells import cases

T, B, I, H = 6, 5, 3, 9
LENGTHS = torch.tensor([4, 0, 6, 1, 6])
RESET = torch.arange(T * B).reshape(T, B) % 4 == 2
QUICKLY = ("-O0",)


def turned(x, lengths=None):
    """Each row from its own last step to its first; what comes after stays in place."""
    if x is None or lengths is None:
        return None if x is None else x.flip(0)
    return torch.stack([torch.cat([x[:n, row].flip(0), x[n:, row]]) for row, n in enumerate(lengths)], dim=1)


class Turned(elman.Recurrent):
    """Runs ahead over what was turned round, and turns round what is given out."""

    def forward(self, x=None, state=None, lengths=None, reset=None, *, targets=None, **options):
        x, reset, targets = (turned(each, lengths) for each in (x, reset, targets))
        y, end = super().forward(x, state, lengths, reset, targets=targets, **options)
        return turned(y, lengths), end


class Heads(elman.Cell):
    """A state of two heads, a memory that is written by an outer product, and a readout."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.state_size = ((2, hidden_size), (hidden_size, hidden_size))
        self.U = nn.Linear(input_size, 3 * hidden_size)
        self.norm = nn.LayerNorm(hidden_size)
        self.heads = nn.Parameter(torch.randn(2, hidden_size, hidden_size) * 0.3)

    def step(self, x, h, memory):
        q, k, v = self.U(x).chunk(3, dim=-1)
        memory = 0.9 * memory + k.unsqueeze(2) * torch.tanh(v).unsqueeze(1)
        read = self.norm(torch.matmul(memory, q.unsqueeze(-1)).squeeze(-1))
        return torch.tanh(torch.einsum("bmi,mij->bmj", h, self.heads) + read.unsqueeze(1)), torch.tanh(memory)

    def output(self, h, memory):
        return h.flatten(1)


CELLS = {
    "elman": elman.Elman,
    "lstm": elman.LSTM,
    "gru": elman.GRU,
    "reset after": elman.GRUResetAfter,
    "jordan": lambda i, h: elman.Jordan(i, h, 2),
    "heads": Heads,
    "a state that no step reads": lambda i, h: Written(
        lambda s, x, h, c: (torch.tanh(x + 0.5 * h), torch.sin(x)), (i, i)
    ),
    "nothing carried": lambda i, h: Written(lambda s, x, h: torch.tanh(x * s.p), (i,), p=torch.ones(i, dtype=DTYPE)),
}
MARKS = {
    "all": {},
    "lengths": {"lengths": LENGTHS},
    "reset": {"reset": RESET},
    "lengths and reset": {"lengths": LENGTHS, "reset": RESET},
}
each = pytest.mark.parametrize("name", CELLS)
over_marks = pytest.mark.parametrize("marks", MARKS.values(), ids=list(MARKS))


def both(name, i=I, h=H):
    """A layer that runs backwards, and the one that it must equal."""
    torch.manual_seed(0)
    cell = CELLS[name](i, h).double()
    return elman.Recurrent(cell, reverse=True), Turned(cell)


def state_of(layer, batch=B):
    sizes = [(batch, *(size if isinstance(size, tuple) else (size,))) for size in layer.cell.state_size]
    sizes += [(batch, layer.cell.feedback_size)] if layer.cell.feedback_size else []
    made = tuple(random_tensor(*size, seed=5 + number) for number, size in enumerate(sizes))
    return made if len(made) > 1 else made[0]


def calls(layer, steps=T):
    """What a layer is called with: every mark, with targets where it can be fed."""
    found = list(MARKS.values())
    if layer.cell.feedback_size:
        targets = random_tensor(steps, B, layer.cell.feedback_size, seed=9)
        found += [{**marks, "targets": targets} for marks in found]
    return found


@contextlib.contextmanager
def on_torch():
    with elman.using(backend="reference"), compiled_only():
        yield


def assert_equal(layer, other, x, state, here, **options):
    """Values and gradients of a layer on a backend equal those of the other one on torch."""
    with here:
        got = outcome(layer, x, state, **options)
    with on_torch():
        assert_same(got, outcome(other, x, state, **options), 1e-10, 1e-12)


# values and gradients


@each
def test_on_torch(name):
    layer, other = both(name)
    x, state = random_tensor(T, B, I), state_of(layer)
    for options in calls(layer):
        assert_equal(layer, other, x, state, on_torch(), **options)
    assert_equal(layer, other, x, None, on_torch(), **options)
    assert_verified(compiled_of(layer, x, state, **options))


@each
def test_in_c(name):
    layer, other = both(name)
    x, state = random_tensor(T, B, I), state_of(layer)
    made = [kernel for o in calls(layer) for kernel in kernels_of(layer, x, state, schedule=SCHEDULE, **o)]
    build_all(made, QUICKLY)
    for options in calls(layer):
        assert_equal(layer, other, x, state, in_c(SCHEDULE), **options)
        with elman.using(backend="c", schedule=SCHEDULE):
            assert layer.plan(x, **options).backend == "c"


@each
@over_marks
def test_step_by_step(name, marks):
    layer, other = both(name)
    x, state = random_tensor(T, B, I), state_of(layer)
    with step_by_step():
        got = outcome(layer, x, state, **marks)
        assert_same(got, outcome(other, x, state, **marks), 1e-10, 1e-12)


@each
def test_one_step(name):
    layer, other = both(name)
    x, state = random_tensor(1, B, I), state_of(layer)
    marks = ({}, {"lengths": LENGTHS.clamp(max=1)}, {"reset": RESET[:1]})
    build_all([k for m in marks for k in kernels_of(layer, x, state, schedule=SCHEDULE, **m)], QUICKLY)
    for some in marks:
        assert_equal(layer, other, x, state, on_torch(), **some)
        assert_equal(layer, other, x, state, in_c(SCHEDULE), **some)


@pytest.mark.parametrize("name", ["lstm", "jordan"])
@pytest.mark.parametrize("marks", ["all", "lengths", "reset"])
def test_steps_in_runs(name, marks):
    """The stage before is computed for some steps at a time, the last ones first."""
    steps = 40
    generator = torch.Generator().manual_seed(1)
    options = {
        "all": {},
        "lengths": {"lengths": torch.tensor([17, 0, 40, 16, 33])},
        "reset": {"reset": torch.rand((steps, B), generator=generator) < 0.1},
    }[marks]
    with mock.patch.object(native, "_CHUNK", 1), mock.patch.object(program, "_CACHE", 1):
        for here in (on_torch(), in_c(SCHEDULE)):
            layer, other = both(name)
            x, state = random_tensor(steps, B, I), state_of(layer)
            assert_equal(layer, other, x, state, here, **options)
        with elman.using(backend="c", schedule=SCHEDULE):
            runs = layer.plan(x, **options).layers[0].programs.forward._chunks(all_rows(steps, B))
    assert runs == [(32, 40), (16, 32), (0, 16)]


@pytest.mark.parametrize("batch", [1, B])
@pytest.mark.parametrize("marks", [{}, {"lengths": [19, 7, 23, 0, 23]}], ids=["all", "lengths"])
def test_threads(batch, marks):
    """Two threads, each with a part of the units of one row, or with rows of its own."""
    steps, before = 23, torch.get_num_threads()
    layer, other = both("lstm", I, 64)
    x, state = random_tensor(steps, batch, I), state_of(layer, batch)
    options = {name: torch.tensor(lengths[:batch]) for name, lengths in marks.items()}
    try:
        torch.set_num_threads(2)
        assert_equal(layer, other, x, state, in_c(SCHEDULE), **options)
        if not marks:
            with elman.using(backend="c", schedule=SCHEDULE):
                launcher = layer.plan(x).layers[0].programs.forward.launcher
            assert launcher.workers(all_rows(steps, batch)) == (2, batch == 1)
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
@given(cases())
@settings(max_examples=30)
def test_random_cells(case):
    note(case.text)
    layer = replace(case, reverse=True).layer()
    x, state, options = case.arguments()
    relative, absolute = 400 * 5**4 * torch.finfo(DTYPE).eps, 4000 * torch.finfo(DTYPE).eps  # test_compiler_random.py
    with step_by_step():
        expected = outcome(Turned(layer.cell), x, state, **options)
        assert_same(outcome(layer, x, state, **options), expected, relative, absolute)
    with on_torch():
        assert_same(outcome(layer, x, state, **options), expected, relative, absolute)


def test_random_cells_in_c():
    made, kernels = [], []
    for case in drawn("backwards", 10):
        layer, (x, state, options) = replace(case, reverse=True).layer(), case.arguments()
        kernels += kernels_of(layer, x, state, schedule=SCHEDULE, **options)
        made.append((case, layer, x, state, options))
    build_all(kernels, QUICKLY)
    relative, absolute = 1600 * 5**4 * torch.finfo(DTYPE).eps, 16000 * torch.finfo(DTYPE).eps  # test_c_random.py
    for case, layer, x, state, options in made:
        with in_c(SCHEDULE):
            got = outcome(layer, x, state, **options)
        with step_by_step():
            expected = outcome(Turned(layer.cell), x, state, **options)
        try:
            assert_same(got, expected, relative, absolute)
        except AssertionError as error:
            raise AssertionError(f"{error}\n\n{case.text}\n{case}") from error


# what feeds the own output


@over_marks
def test_what_is_given_out_goes_through_emit(marks):
    layer, other = both("jordan")
    x, state = random_tensor(T, B, I), state_of(layer)
    with pytest.warns(StepByStepWarning, match="emit"):
        got = outcome(layer, x, state, emit=torch.sin, **marks)
    assert_same(got, outcome(other, x, state, emit=torch.sin, **marks), 1e-10, 1e-12)


@over_marks
def test_a_step_that_cannot_be_read(marks):
    cell = Written(lambda s, x, h: torch.tanh(x + h + s.kept[0].zero_()), (I,), kept=[torch.ones((), dtype=DTYPE)])
    x, state = random_tensor(T, B, I), random_tensor(B, I, seed=1)
    with pytest.warns(StepByStepWarning):
        got = outcome(elman.Recurrent(cell, reverse=True), x, state, **marks)
    assert_same(got, outcome(Turned(cell), x, state, **marks), 1e-10, 1e-12)


def test_targets_are_those_of_the_step_before_in_the_order_of_the_layer():
    class Told(elman.Cell):
        """Gives out what it is fed."""

        state_size, feedback_size = (1,), 1

        def step(self, x, fed, h):
            return fed

    targets = torch.arange(1.0, 4).reshape(3, 1, 1).expand(3, 2, 1)
    layer = elman.Recurrent(Told(), reverse=True)
    y, (_, fed) = layer(None, (None, torch.full((2, 1), 9.0)), [3, 2], targets=targets)
    assert y[..., 0].T.tolist() == [[2, 3, 9], [2, 9, 0]]
    assert fed.tolist() == [[1], [1]]
    y, (_, fed) = layer(None, (None, torch.full((2, 1), 9.0)), [3, 0], targets=targets)
    assert y[..., 0].T.tolist() == [[2, 3, 9], [0, 0, 0]]
    assert fed.tolist() == [[1], [9]]


@pytest.mark.parametrize("here", [on_torch, lambda: in_c(SCHEDULE)], ids=["torch", "c"])
def test_nothing_is_read_after_the_end_of_a_row(here):
    layer, _ = both("jordan")
    state, ended = state_of(layer), (torch.arange(T).unsqueeze(1) >= LENGTHS).unsqueeze(-1)

    def found(padding):
        x, targets = (
            random_tensor(T, B, size, seed=size, grad=False).masked_fill(ended, padding).requires_grad_()
            for size in (I, 2)
        )
        with here():
            return [outcome(layer, x, state, lengths=LENGTHS, **options) for options in ({}, {"targets": targets})]

    for got, expected in zip(found(torch.nan), found(0.5), strict=True):
        assert all(tensor.isfinite().all() for tensor in got.values())
        assert_same(got, expected, 1e-12, 1e-13)


# derivatives of a higher order, transforms, torch.compile


def penalty(layer, x, state, **options):
    """A loss with the norm of a gradient in it, and its gradient."""
    y, _ = layer(x, state, **options)
    (g,) = torch.autograd.grad((y * y).sum(), x, create_graph=True)
    return torch.autograd.grad((g * g).sum() + y.sum(), [x, *layer.parameters()], allow_unused=True)


@pytest.mark.parametrize("name", ["lstm", "jordan", "heads"])
def test_the_gradient_of_the_gradient(name):
    layer, other = both(name)
    x, state = random_tensor(T, B, I), state_of(layer)
    build_all([k for o in calls(layer) for k in kernels_of(layer, x, state, schedule=SCHEDULE, **o)], QUICKLY)
    for options in calls(layer):
        with on_torch():
            expected = penalty(other, x, state, **options)
        for here in (on_torch(), in_c(SCHEDULE)):
            with here:
                torch.testing.assert_close(penalty(layer, x, state, **options), expected, rtol=1e-9, atol=1e-11)


def test_the_transforms_of_torch_func():
    layer, other = both("lstm")
    x, parameters = random_tensor(T, B, I, grad=False), {n: p.detach() for n, p in layer.named_parameters()}
    direction = random_tensor(T, B, I, seed=1, grad=False)

    def pushed(layer):
        return jvp(lambda x: functional_call(layer, parameters, (x, None, LENGTHS))[0], (x,), (direction,))

    torch.testing.assert_close(pushed(layer), pushed(other))
    many = torch.stack([x, 2 * x])
    torch.testing.assert_close(vmap(lambda x: layer(x)[0])(many), torch.stack([other(each)[0] for each in many]))


@pytest.mark.parametrize("options", [{}, {"lengths": LENGTHS}, {"targets": random_tensor(T, B, 2, seed=9)}])
@pytest.mark.slow
def test_in_one_graph_of_torch_compile(options):
    torch._dynamo.reset()
    layer, other = both("jordan")
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    compiled.named_parameters = layer.named_parameters
    x, state = random_tensor(T, B, I), state_of(layer)
    got, expected = outcome(compiled, x, state, **options), outcome(other, x, state, **options)
    assert_same(got, expected, 1e-10, 1e-12)


# elman.nn


@pytest.mark.slow
@over_marks
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_the_second_direction_of_a_drop_in_layer(kind, marks):
    torch.manual_seed(0)
    layer = getattr(elman.nn, kind)(I, H, bidirectional=True).double()
    cell = getattr(elman.nn, f"{kind}Cell")(I, H).double()
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        getattr(cell, name).data = getattr(layer, f"{name}_l0_reverse").data
    x = random_tensor(T, B, I)
    y, _ = layer(x, **marks)
    other, _ = Turned(cell)(x, **marks)
    weight = random_tensor(*other.shape, seed=3, grad=False)
    torch.testing.assert_close(y[..., H:], other, rtol=1e-12, atol=1e-13)
    (got,) = torch.autograd.grad(y[..., H:], x, weight)
    torch.testing.assert_close(got, torch.autograd.grad(other, x, weight)[0], rtol=1e-11, atol=1e-12)


# nothing is turned round


class _Operations(TorchDispatchMode):
    """Counts what torch is asked for."""

    def __init__(self):
        super().__init__()
        self.counted = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        self.counted[function, tuple(made.shape) if isinstance(made, torch.Tensor) else ()] += 1
        return made


def operations(layer, x, here, **options):
    """What a training step asks of torch, and of what size; the second time, when all is built."""
    with here:
        for _ in range(2):
            with _Operations() as seen:
                layer(x, **options)[0].sum().backward()
    return seen.counted


@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
@over_marks
def test_a_training_step_does_in_both_directions_the_same(name, marks):
    torch.manual_seed(0)
    cell = CELLS[name](I, H).double()
    x = random_tensor(T, B, I)
    ahead, back = elman.Recurrent(cell), elman.Recurrent(cell, reverse=True)
    for here in (on_torch, lambda: in_c(SCHEDULE)):
        assert operations(back, x, here(), **marks) == operations(ahead, x, here(), **marks)


def test_a_kernel_reads_x_where_it_is():
    seen = []

    def watch(self, given, *rest):
        seen.append(given["x"].data_ptr())
        return original(self, given, *rest)

    original, x = native.NativeProgram.__call__, random_tensor(T, B, I)
    layer = elman.Bidirectional(elman.Recurrent(elman.LSTM(I, H)), elman.Recurrent(elman.LSTM(I, H), reverse=True))
    with mock.patch.object(native.NativeProgram, "__call__", watch), in_c(SCHEDULE):
        layer.double()(x)
        elman.nn.LSTM(I, H, bidirectional=True).double()(x)
    assert seen == [x.data_ptr()] * 4


def test_the_plan_says_so():
    layer, _ = both("lstm")
    plan, ahead = layer.plan(random_tensor(T, B, I)), elman.Recurrent(layer.cell).plan(random_tensor(T, B, I))
    assert str(plan).startswith("LSTM, from t = T to 1: c backend")
    assert str(ahead).startswith("LSTM: c backend")
    assert plan.show("unfold").startswith("for t = T, ..., 1:")
    assert plan.show("gradient").startswith("for t = 1, ..., T:")
    assert plan.show("hoist").count("for t = T, ..., 1:") == plan.show("hoist").count("for t = 1, ..., T:") == 1
