"""Laws over every cell that elman has: the reference, the kernels in C, sizes, rows that end, noise, bad arguments."""

import math
from unittest import mock

import pytest
import torch

import elman
from builds import needs_compiler
from c_kernels import HERE, SCHEDULE, build_all, in_c, kernels_of
from compiled import assert_same, assert_verified, compiled_of, compiled_only, outcome, step_by_step
from elman.compiler import Schedule, using
from elman.compiler.runtime import launch
from elman.errors import ArgumentError, ShapeError
from every_cell import CELLS, make_cell, make_input, make_state

T, B, I, H = 5, 3, 4, 5
LENGTHS, RESET = [2, 5, 0], [[False, False, True], [True, False, False], *[[False] * 3] * 2, [False, True, False]]
MARKS = {
    "plain": {},
    "lengths": {"lengths": torch.tensor(LENGTHS)},
    "lengths and reset": {"lengths": torch.tensor(LENGTHS), "reset": torch.tensor(RESET)},
}
# I, H, T, B: each once as small as it can be, and odd sizes.
GRID = [(1, 1, 5, 3), (4, 3, 1, 3), (3, 17, 5, 1), (4, 17, 6, 5)]


def call_of(name, i, h, steps, batch, dtype=torch.float64):
    """A layer of this cell, and the arguments of a call."""
    cell = make_cell(name, i, h, dtype)
    x, options = make_input(cell, steps, batch, i, dtype)
    return elman.Recurrent(cell), x, make_state(cell, batch, dtype), options


def tolerance(dtype, h, steps):
    """Each step rounds about 16 h + 200 times, and errors are handed on with slopes of 1.5 or less."""
    return torch.finfo(dtype).eps * (16 * h + 200) * 1.5**steps


def some_lengths(steps, batch):
    """In no order, one of them 0 and one of them T."""
    return torch.arange(batch).mul(3).add(steps - 1) % (steps + 1)


def in_python(layer, x, state, **options):
    with step_by_step():
        return outcome(layer, x, state, **options)


@pytest.mark.parametrize("name", CELLS)
def test_the_reference_equals_the_loop(name):
    layer, x, state, options = call_of(name, I, H, T, B)
    with using(backend="reference"), compiled_only():
        assert_verified(compiled_of(layer, x, state, **options))
        for marks in MARKS.values():
            got = outcome(layer, x, state, **options, **marks)
            bound = tolerance(torch.float64, H, T)
            assert_same(got, in_python(layer, x, state, **options, **marks), bound, bound)
    unused = [key for key, g in got.items() if key.startswith("gradient of cell.") and not g.any()]
    assert not unused


def assert_in_c(calls, dtype, flags=(), schedule=SCHEDULE):
    """Each call in C gives what the Python loop gives; the kernels of all are built together."""
    with mock.patch.dict(launch._TOGETHER):  # kernels that no optimizer has seen are not for other tests
        kernels = []
        for _, layer, x, state, options in calls:
            kernels += kernels_of(layer, x, state, schedule=schedule, **options)
        build_all(kernels, flags)
        assert_all_agree(calls, dtype, schedule)


def assert_all_agree(calls, dtype, schedule):
    for name, layer, x, state, options in calls:
        try:
            with in_c(schedule):
                got = outcome(layer, x, state, **options)
            h, (steps, batch) = layer.cell.state_size[0] if layer.cell.state_size else H, got["y"].shape[:2]
            bound = tolerance(dtype, h + steps * batch, steps)
            assert_same(got, in_python(layer, x, state, **options), bound, bound)
        except Exception as error:
            raise AssertionError(f"{name}: {error}") from error


@needs_compiler
def test_every_cell_runs_in_c():
    """On kernels that no optimizer has seen: so they are built in seconds."""
    calls = [(name, *call_of(name, I, H, T, B)) for name in CELLS]
    assert_in_c(calls, torch.float64, ("-O0",))
    for name, layer, x, _, options in calls:
        with using(schedule=SCHEDULE):
            assert layer.plan(x, **options).backend == "c", name  # the kernels are there by now


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("sizes", GRID, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_sizes_and_precisions(sizes, dtype):
    i, h, steps, batch = sizes
    calls = []
    for name in CELLS:
        layer, x, state, options = call_of(name, i, h, steps, batch, dtype)
        marks = {"": {}, "lengths": {"lengths": some_lengths(steps, batch)}}
        if sizes == GRID[-1]:
            marks["reset"] = {"reset": torch.arange(steps * batch).reshape(steps, batch) % 7 == 3}
        calls += [(f"{name} {how}", layer, x, state, options | more) for how, more in marks.items()]
    optimized = sizes == GRID[-1] and dtype == torch.float32
    assert_in_c(calls, dtype, () if optimized else ("-O0",))


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("target", HERE[1:])
def test_other_targets(target):
    """What the widest vectors do is tested above."""
    calls = [(name, *call_of(name, 4, 17, 6, 5, torch.float32)) for name in CELLS]
    assert_in_c(calls, torch.float32, ("-O0",), Schedule(target=target))


@needs_compiler
@pytest.mark.slow
def test_threads_share_the_units_of_few_rows(monkeypatch):
    calls = [(name, *call_of(name, 4, 37, 6, 1, torch.float32)) for name in CELLS]
    monkeypatch.setattr(launch, "_ALONE", 0)
    monkeypatch.setattr(launch, "_SHARE", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert_in_c(calls, torch.float32, ("-O0",))
    finally:
        torch.set_num_threads(before)


# noise


def noisy(dtype=torch.float64):
    torch.manual_seed(1)
    return elman.Recurrent(elman.LeakyRate(I, H, noise=0.3).to(dtype))


@needs_compiler
def test_noise_is_drawn_from_the_generator():
    layer, x = noisy(), torch.randn(T, B, I, dtype=torch.float64)

    def ran(backend, seed):
        with using(backend=backend), compiled_only():
            return layer(x, generator=torch.Generator().manual_seed(seed))[0]

    torch.testing.assert_close(ran("c", 3), ran("reference", 3), rtol=1e-12, atol=1e-12)
    assert not torch.equal(ran("c", 3), ran("c", 4))


def test_noise_is_as_strong_as_it_says():
    layer = elman.Recurrent(elman.LeakyRate(1, 1, tau=100.0, dt=20.0, noise=0.3, activation=lambda v: v).double())
    with torch.no_grad():
        for p in layer.parameters():
            p.zero_()
    v, many = layer(torch.zeros(1, 200_000, 1, dtype=torch.float64), generator=torch.Generator().manual_seed(1))[0], 2e5
    # One step away from 0 is normal with variance 2 α s²; the estimate of it errs by √(2 / n) of it, here five times.
    expected = 2 * 0.2 * 0.3**2
    assert v.var().item() == pytest.approx(expected, rel=5 * math.sqrt(2 / many))


def test_dales_law_and_the_mask_hold_whatever_is_learned():
    signs, mask = torch.tensor([1.0, 1.0, -1.0]), 1 - torch.eye(3)
    cell = elman.LeakyRate(2, 3, signs=signs, mask=mask)
    layer, optimizer = elman.Recurrent(cell), torch.optim.SGD(cell.parameters(), lr=5.0)
    for seed in range(5):
        y, _ = layer(torch.randn(8, 4, 2, generator=torch.Generator().manual_seed(seed)))
        optimizer.zero_grad()
        (y - 1).square().sum().backward()
        optimizer.step()
        weights = cell.weights().detach()
        assert (weights[:, :2] >= 0).all()
        assert (weights[:, 2:] <= 0).all()
        assert not weights.diagonal().any()


# what the theory of a cell promises


def test_the_stabiliser_changes_nothing_and_saves_large_gates():
    cell = make_cell("SLSTM", I, H)
    x = torch.randn(T, B, I, dtype=torch.float64)
    h, c, n, m = make_state(cell, B, grad=False)
    expected = elman.Recurrent(cell)(x, (h, c, n, m))[0]
    moved = elman.Recurrent(cell)(x, (h, c * math.exp(3), n * math.exp(3), m - 3))[0]
    torch.testing.assert_close(moved, expected, rtol=1e-12, atol=1e-12)
    for size in (1e3, -1e3):
        with torch.no_grad():
            cell.U.bias[:H] = size
        y = elman.Recurrent(cell.float())(x.float())[0]
        assert y.isfinite().all()
        assert y.abs().max() > 0.01
        cell.double()


def test_minimal_cells_and_the_linear_unit_are_linear_in_their_state():
    for name in ("MinGRU", "MinLSTM", "LRU"):
        layer, x, _, _ = call_of(name, I, H, T, B)
        state = make_state(layer.cell, B)
        states = state if isinstance(state, tuple) else (state,)
        base, first, second = (layer(x, tuple(number * s for s in states))[0] for number in (0, 1, 2))
        torch.testing.assert_close(second - base, 2 * (first - base), rtol=1e-10, atol=1e-12)


def test_the_one_matrix_form_is_elmans_network():
    cell = make_cell("OneMatrix", I, H)
    other = elman.Elman(I, H).double()
    with torch.no_grad():
        other.U.weight.copy_(cell.W.weight[:, :I])
        other.W.weight.copy_(cell.W.weight[:, I:])
        other.U.bias.copy_(cell.W.bias)
    x = torch.randn(T, B, I, dtype=torch.float64)
    torch.testing.assert_close(elman.Recurrent(cell)(x), elman.Recurrent(other)(x))


def test_lambda_begins_on_its_ring():
    cell = elman.LRU(2, 2000, r_min=0.4, r_max=0.8, max_phase=0.5)
    size, angle = torch.exp(-torch.exp(cell.nu)), torch.exp(cell.theta)
    assert 0.4 <= size.min() < 0.42 < 0.78 < size.max() <= 0.8
    assert 0 <= angle.min() < 0.01 < 0.49 < angle.max() <= 0.5
    torch.testing.assert_close(torch.exp(cell.gamma) ** 2 + size**2, torch.ones(2000))


def test_weights_begin_as_the_papers_say():
    torch.manual_seed(1)
    antisymmetric, gate = elman.AntisymmetricRNN(400, 300), elman.CFN(4, 5).U.bias
    assert antisymmetric.W.std().item() == pytest.approx(300**-0.5, rel=0.02)
    assert antisymmetric.U.weight.std().item() == pytest.approx(400**-0.5, rel=0.02)
    assert gate.tolist() == [1.0] * 5 + [-1.0] * 5
    for w in elman.LiGRU(4, 5).W.weight.chunk(2):
        torch.testing.assert_close(w @ w.T, torch.eye(5))
    w = elman.IndRNN(4, 2000).w
    assert 0 <= w.min() < 0.01 < 0.99 < w.max() <= 1
    assert all((layer.bias[5:] == -2).all() for layer in elman.RHN(4, 5).W)
    oscillators = elman.UnICORNN(4, 2000)
    assert 0 <= oscillators.w.min() < 0.01 < 0.99 < oscillators.w.max() <= 1
    assert 0.099 < oscillators.c.abs().max() <= 0.1


def test_any_module_may_be_a_dynamical_system():
    f = torch.nn.Sequential(torch.nn.Linear(3, 7), torch.nn.ReLU(), torch.nn.Linear(7, 3)).double()
    start = torch.randn(2, 3, dtype=torch.float64)
    y, _ = elman.Recurrent(elman.Autonomous(3, f))(None, start, steps=3)
    torch.testing.assert_close(y, torch.stack([f(start), f(f(start)), f(f(f(start)))]))
    with pytest.raises(ArgumentError, match="takes no input"):
        elman.Recurrent(elman.Autonomous(3))(torch.zeros(2, 2, 3))


# bad arguments


@pytest.mark.parametrize("name", [name for name in CELLS if "," not in name])
@pytest.mark.parametrize("size", [0, -1, 2.5])
def test_sizes_are_whole_and_positive(name, size):
    kind = getattr(elman, name)
    for wrong in ("input_size", "hidden_size"):
        sizes = {"input_size": 2, "hidden_size": 3} | ({"output_size": 2} if name == "Jordan" else {}) | {wrong: size}
        if name == "Autonomous":
            sizes.pop("input_size")
        if name == "Neuron":
            sizes.pop("hidden_size")
        if wrong in sizes:
            with pytest.raises(ArgumentError, match=f"{wrong}: expected a whole number"):
                kind(**sizes)


@pytest.mark.parametrize(
    "make",
    [
        lambda: elman.SCRN(2, 3, alpha=1.5),
        lambda: elman.SCRN(2, 3, context_size=0),
        lambda: elman.LRU(2, 3, r_min=0.9, r_max=0.5),
        lambda: elman.LRU(2, 3, r_max=1.5),
        lambda: elman.LRU(2, 3, output_size=0),
        lambda: elman.RHN(2, 3, depth=0),
        lambda: elman.CoRNN(2, 3, dt=-1),
        lambda: elman.UnICORNN(2, 3, alpha=math.nan),
        lambda: elman.LEM(2, 3, dt=-0.1),
        lambda: elman.CfC(2, 3, dt=-1.0),
        lambda: elman.AntisymmetricRNN(2, 3, step_size=-1),
        lambda: elman.LeakyRate(2, 3, tau=10.0, dt=20.0),
        lambda: elman.LeakyRate(2, 3, tau=0.0, dt=0.0),
        lambda: elman.LeakyRate(2, 3, noise=-1.0),
        lambda: elman.LeakyRate(2, 3, signs=torch.tensor([1, 0, -1])),
        lambda: elman.MultiplicativeRNN(2, 3, factor_size=-2),
    ],
)
def test_numbers_out_of_range(make):
    with pytest.raises(ArgumentError, match="expected"):
        make()


def test_signs_and_masks_of_another_size():
    with pytest.raises(ShapeError, match=r"signs: expected \[3\], got \[2\]"):
        elman.LeakyRate(2, 3, signs=torch.ones(2))
    with pytest.raises(ShapeError, match=r"mask: expected \[3, 3\], got \[3\]"):
        elman.LeakyRate(2, 3, mask=torch.ones(3))
