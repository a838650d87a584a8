"""Every built-in cell in C: each target, precision and number of threads against the loop on torch, and by itself."""

import contextlib
import ctypes
import math
import os
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.utils.data import DataLoader

import elman
from c_kernels import HERE, SCHEDULE, in_c, kernels_of
from compiled import assert_same, flat, outcome, random_tensor, step_by_step
from elman.compiler.codegen import TARGETS, Kernel, Schedule
from elman.compiler.runtime import build, launch
from elman.compiler.runtime.backend import using
from elman.compiler.runtime.rows import all_rows

CELLS = {
    "elman": elman.Elman,
    "lstm": elman.LSTM,
    "gru": elman.GRU,
    "reset after": elman.GRUResetAfter,
    "jordan": lambda i, h: elman.Jordan(i, h, 3),
}
SIZES = [(1, 1), (3, 17), (17, 3), (5, 100)]
SHAPES = {(1, 1): (40, 300), (3, 17): (7, 230), (17, 3): (1, 5), (5, 100): (4, 13)}
each = pytest.mark.parametrize("name", CELLS)
T, B, I, H = 6, 5, 3, 9


@contextlib.contextmanager
def threads(number):
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def make(name, i=I, h=H, dtype=torch.float64):
    torch.manual_seed(0)
    return elman.Recurrent(CELLS[name](i, h).to(dtype))


def state_of(layer, batch, dtype=torch.float64):
    sizes = [(batch, size) for size in layer.cell.state_size]
    sizes += [(batch, layer.cell.feedback_size)] if layer.cell.feedback_size else []
    made = tuple(random_tensor(*size, seed=5 + number, dtype=dtype) for number, size in enumerate(sizes))
    return made if len(made) > 1 else made[0]


def some_lengths(steps, batch):
    """In no order, some of them 0."""
    return torch.randint(0, steps + 1, (batch,), generator=torch.Generator().manual_seed(1))


def tolerance(dtype, h, steps):
    """Each step rounds about 8 h + 100 times, and errors are handed on with slopes near 1."""
    return torch.finfo(dtype).eps * (8 * h + 100) * math.sqrt(steps) * 4


def both(layer, x, state, schedule=SCHEDULE, **options):
    with in_c(schedule):
        got = outcome(layer, x, state, **options)
    with using(backend="reference"):
        return got, outcome(layer, x, state, **options)


@pytest.mark.slow
@each
@pytest.mark.parametrize("target", HERE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sizes_batches_lengths_and_threads(name, target, dtype):
    for i, h in SIZES:
        steps, batch = SHAPES[i, h]
        layer = make(name, i, h, dtype)
        x, state = random_tensor(steps, batch, i, dtype=dtype), state_of(layer, batch, dtype)
        marks = {"reset": torch.rand((steps, batch), generator=torch.Generator().manual_seed(3)) < 0.3}
        for options in ({}, {"lengths": some_lengths(steps, batch)}, marks):
            for number in (1, 2):
                with threads(number):
                    got, expected = both(layer, x, state, Schedule(target=target), **options)
                bound = tolerance(dtype, h + batch * steps / 8, steps)
                assert_same(got, expected, bound, bound)


@pytest.mark.slow
@pytest.mark.parametrize("target", HERE)
def test_wide_layers(target):
    layer = make("lstm", 100, 257, torch.float32)
    x, state = random_tensor(3, 7, 100, dtype=torch.float32), state_of(layer, 7, torch.float32)
    got, expected = both(layer, x, state, Schedule(target=target), lengths=torch.tensor([3, 0, 1, 2, 3, 3, 1]))
    bound = tolerance(torch.float32, 257, 3)
    assert_same(got, expected, bound, bound)


@pytest.mark.parametrize("make_layer", [elman.nn.RNN, elman.nn.LSTM, elman.nn.GRU])
def test_stacks_in_both_directions(make_layer):
    torch.manual_seed(0)
    layer = make_layer(I, H, num_layers=2, bidirectional=True).double()
    x = random_tensor(T, B, I)
    with in_c(SCHEDULE):
        got = outcome(layer, x)
    with step_by_step():
        expected = outcome(layer, x)
    assert_same(got, expected, tolerance(torch.float64, H, T), 1e-14)
    packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([3, 6, 1, 2, 6]), enforce_sorted=False)
    with in_c(SCHEDULE):
        y, ends = layer(packed)
    with step_by_step():
        other, other_ends = layer(packed)
    torch.testing.assert_close((y.data, *flat(ends)), (other.data, *flat(other_ends)), rtol=1e-12, atol=1e-13)


@each
def test_other_schedules_agree(name):
    layer = make(name)
    x, state, bound = random_tensor(T, B, I), state_of(layer, B), tolerance(torch.float64, H + T * B, T)
    with in_c(SCHEDULE):
        first = outcome(layer, x, state)
    for schedule in (Schedule(target=SCHEDULE.target, columns=3, rows=2), Schedule(target="plain", rows=1, block=2)):
        with in_c(schedule):
            assert_same(outcome(layer, x, state), first, bound, bound)


@each
@pytest.mark.parametrize("options", [{}, {"lengths": torch.tensor([6, 0, 3, 2, 6])}])
def test_the_same_schedule_gives_the_same_bits(name, options):
    layer, big = make(name), make(name)
    x, state = random_tensor(T, B, I), state_of(layer, B)
    with in_c(SCHEDULE):
        first = outcome(layer, x, state, **options)
        outcome(big, random_tensor(2 * T, 3 * B, I), state_of(big, 3 * B))
        for _ in range(3):
            again = outcome(layer, x, state, **options)
            assert all(torch.equal(first[key], again[key]) for key in first)


@each
def test_in_two_halves_and_in_another_order(name):
    layer = make(name)
    x, state, order = random_tensor(T, B, I), state_of(layer, B), torch.tensor([3, 1, 4, 0, 2])
    with in_c(SCHEDULE):
        whole, ends = layer(x, state)
        one, between = layer(x[:2], state)
        two, last = layer(x[2:], between)
        turned, turned_ends = layer(
            x[:, order], tuple(s[order] for s in flat(state)) if isinstance(state, tuple) else state[order]
        )
    close = {"rtol": 1e-13, "atol": 1e-14}
    torch.testing.assert_close(torch.cat([one, two]), whole, **close)
    torch.testing.assert_close(flat(last), flat(ends), **close)
    torch.testing.assert_close(turned, whole[:, order], **close)
    torch.testing.assert_close(flat(turned_ends), [end[order] for end in flat(ends)], **close)


@each
def test_nan_stays_in_its_row_and_begins_at_its_step(name):
    layer = make(name)
    x = random_tensor(T, B, I, grad=False)
    x[2, 3, 1] = math.nan
    with in_c(SCHEDULE):
        y = layer(x)[0].detach()
    hurt = y.isnan().any(-1)
    expected = torch.zeros(T, B, dtype=torch.bool)
    expected[2:, 3] = True
    assert torch.equal(hurt, expected)


@each
def test_denormals_are_as_they_were(name):
    layer, x = make(name, dtype=torch.float32), random_tensor(T, B, I, dtype=torch.float32)
    for flushed in (True, False):
        if not torch.set_flush_denormal(flushed):
            pytest.skip("this processor has no such mode")
        with in_c(SCHEDULE), threads(2):
            outcome(layer, x)
        assert (torch.tensor(1e-40) * torch.tensor(0.5)).item() == 0 if flushed else True
        assert torch.tensor(1e-40).mul(0.5).item() > 0 or flushed
    torch.set_flush_denormal(False)


@each
@pytest.mark.parametrize("options", [{}, {"lengths": torch.tensor([4, 2])}], ids=["all", "lengths"])
def test_gradcheck_and_the_gradient_of_the_gradient(name, options):
    layer = make(name, 2, 3)
    names = [name for name, _ in layer.named_parameters()]

    def function(x, *parameters):
        return functional_call(layer, dict(zip(names, parameters, strict=True)), (x,), options)[0]

    point = (random_tensor(4, 2, 2), *(p.detach().requires_grad_() for p in layer.parameters()))
    with using(backend="c", schedule=SCHEDULE):
        assert torch.autograd.gradcheck(function, point, fast_mode=True)
        assert torch.autograd.gradgradcheck(function, point, fast_mode=True, atol=1e-4)


def test_vmap_is_still_right():
    layer, many = make("gru"), random_tensor(3, T, B, I, grad=False)
    with using(backend="c", schedule=SCHEDULE):
        together = vmap(lambda x: layer(x)[0])(many)
        torch.testing.assert_close(together, torch.stack([layer(x)[0] for x in many]))


@each
@pytest.mark.parametrize("batch", [0, 1, 2000])
def test_odd_batches(name, batch):
    layer = make(name, dtype=torch.float32)
    x = random_tensor(2, batch, I, dtype=torch.float32)
    with using(backend="c", schedule=SCHEDULE), threads(2):
        got = outcome(layer, x)
    with step_by_step():
        expected = outcome(layer, x)
    bound = tolerance(torch.float32, H + batch / 8, 2)
    assert_same(got, expected, bound, bound)


def test_many_steps():
    layer, x = make("lstm", 2, 3), random_tensor(100_000, 2, 2, grad=False)
    with in_c(SCHEDULE):
        y, _ = layer(x)
        y.sum().backward()
    with using(backend="reference"), torch.no_grad():
        torch.testing.assert_close(layer(x[:2000])[0], y[:2000], rtol=1e-9, atol=1e-12)
    assert all(p.grad.isfinite().all() for p in layer.parameters())


def test_threads_are_obeyed():
    layer, x = make("lstm", 8, 64, torch.float32), random_tensor(50, 64, 8, dtype=torch.float32)
    seen = []
    for number in (1, 2):
        with threads(number), using(backend="c", schedule=SCHEDULE):
            program = layer.plan(x).layers[0].programs.forward
            seen.append(program.launcher.form(all_rows(50, 64)).workers)
    assert seen == [1, 2]


class Torn:
    """Adds across the units, and multiplies more than once in a step."""

    def __new__(cls, i, h):
        cell = elman.GRU(i, h)
        step = type(cell).step
        kind = type(
            "Torn", (elman.GRU,), {"step": lambda self, x, h: step(self, x, torch.softmax(h, -1) + h.sum(1, True))}
        )
        cell.__class__ = kind
        return cell


@pytest.mark.parametrize("name", [*CELLS, "torn"])
@pytest.mark.parametrize("late", [False, True])
def test_threads_share_the_units_of_few_rows(name, late, monkeypatch):
    """Whether every worker is there, or one does the parts of all."""
    torch.manual_seed(0)
    layer = elman.Recurrent((CELLS | {"torn": Torn})[name](40, 70).to(torch.float32))
    x = random_tensor(30, 1, 40, dtype=torch.float32)
    if late:
        run_alone(monkeypatch)
    with in_c(SCHEDULE), threads(1):
        expected = outcome(layer, x, None)
    monkeypatch.setattr(launch, "_ALONE", 0)
    monkeypatch.setattr(launch, "_SHARE", 1)
    with in_c(SCHEDULE), threads(2):
        got = outcome(layer, x, None)
        assert layer.plan(x).layers[0].programs.forward.launcher.workers(all_rows(30, 1)) == (2, True)
    assert_same(got, expected, 0.0)


def run_alone(monkeypatch):
    """Kernels are told of workers that never come."""
    made = launch.Launcher.__init__

    def init(self, kernel):
        made(self, kernel)
        run, place = self.run, self.field["parallel"]

        def alone(address):
            (ctypes.c_long * len(kernel.fields)).from_address(address)[place] = 0
            run(address)

        self.run = alone

    monkeypatch.setattr(launch.Launcher, "__init__", init)


class Collate:
    """Runs a layer in the worker of a DataLoader."""

    def __init__(self, layer):
        self.layer = layer

    def __call__(self, rows):
        with using(backend="c", schedule=SCHEDULE), torch.no_grad():
            return self.layer(torch.stack(rows, 1))[0]


def test_workers_of_a_data_loader():
    layer, x = make("gru", 3, 40, torch.float32), random_tensor(20, 64, 3, dtype=torch.float32, grad=False)
    with threads(2), using(backend="c", schedule=SCHEDULE), torch.no_grad():
        expected = layer(x)[0]  # threads have begun before the workers are forked
        loader = DataLoader(list(x.unbind(1)), batch_size=16, num_workers=2, collate_fn=Collate(layer), timeout=60)
        got = torch.cat(list(loader), 1)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


FORK = """
import os, sys, torch, elman
from elman.compiler.runtime.backend import using
from elman.compiler.runtime.launch import parallel
torch.set_num_threads(2)
layer, x = elman.Recurrent(elman.LSTM(3, 40)), torch.randn(50, 64, 3)
with using(backend="c"):
    y = layer(x)[0]
    y.sum().backward()
    child = os.fork()
    if not child:
        torch.set_num_threads(1)  # torch's own products hang in a fork without this; the workers of a DataLoader do it
        with torch.no_grad():
            os._exit(0 if parallel() == 0 and torch.allclose(layer(x)[0], y, atol=1e-6) else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), torch.allclose(layer(x)[0], y))
"""


@pytest.mark.slow
def test_a_fork_goes_on_by_itself():
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["0", "True"]


@pytest.mark.slow
@each
def test_avx512_can_be_compiled(name, tmp_path):
    compiler = build.find_compiler()
    flags = "-mavx512f"
    works = subprocess.run(
        [*compiler.command, flags, "-x", "c", "-c", os.devnull, "-o", os.devnull], capture_output=True, check=False
    )
    if works.returncode:
        pytest.skip("this compiler knows no AVX-512")
    for dtype in (torch.float32, torch.float64):
        layer, x = make(name, dtype=dtype), random_tensor(T, B, I, dtype=dtype)
        for number, kernel in enumerate(kernels_of(layer, x, schedule=SCHEDULE)):
            file = tmp_path / f"{number}.c"
            file.write_text(Kernel(kernel.loop, Schedule(target="avx512")).text)
            command = [*compiler.command, "-O2", "-std=gnu11", *TARGETS["avx512"].flags, "-c", str(file)]
            subprocess.run([*command, "-o", os.devnull], check=True, capture_output=True)
