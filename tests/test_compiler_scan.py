"""A loop that is linear in what it carries: found, written as a scan, and the same as the loop."""

import pytest
import torch
from torch import nn

import elman
from compiled import DTYPE, assert_same, compiled_only, outcome, step_by_step
from elman.compiler import scan
from elman.compiler.runtime import program
from elman.compiler.runtime.scan import Scan
from every_cell import CELLS, make_cell, make_input, make_state

LINEAR = {"LRU", "MinGRU", "MinLSTM"}
QUICK = {"LRU", "MinGRU", "IndRNN", "LSTM"}


class Mixed(elman.Cell):
    """Three states that mix entry by entry, decays that are learned, given and numbers, a mask, a division."""

    state_size = (4, 4, 4)

    def __init__(self):
        super().__init__()
        self.U = nn.Linear(3, 12)
        self.decay = nn.Parameter(torch.rand(4))

    def step(self, x, a, b, c):
        u, v, w = self.U(x).chunk(3, dim=-1)
        open_ = torch.sigmoid(u)
        new = torch.where(x[:, :1] > 0, self.decay * a - 0.3 * b, a) + v
        return new, (b - a) / (2 + open_.square()) + u, -open_ * c + (a + w) * 0.5

    def output(self, a, b, c):
        return torch.tanh(a * b) + c


class Sum(elman.Cell):
    """What a running total is: all slopes are the number 1."""

    state_size = (3,)

    def step(self, x, h):
        return h + x


class Leaky(elman.Cell):
    """A state that follows x at a rate that is a number; it is negated and divided, too."""

    state_size = (3, 3)

    def step(self, x, h, c):
        return h + (x - h) / 5, -(c - x) / 3 + h / 7


class Held(elman.Cell):
    """A state that is overwritten where x is positive, and decays elsewhere."""

    state_size = (2,)

    def step(self, x, h):
        return torch.where(x > 0, x, 0.5 * h + x)


class Turned(elman.Cell):
    """Linear, but not entry by entry."""

    state_size = (3,)

    def __init__(self):
        super().__init__()
        self.W = nn.Linear(3, 3, bias=False)

    def step(self, x, h):
        return self.W(h) + x


MADE = {name: lambda name=name: make_cell(name, 3, 5) for name in sorted(LINEAR)} | {
    "mixed": Mixed,
    "sum": Sum,
    "leaky": Leaky,
}


@pytest.fixture
def scans(monkeypatch):
    """Scans run wherever they can; for each, whether it gave the result, or left it to the steps one by one."""
    ran, call = [], Scan.__call__

    def noted(scan, *args):
        found = call(scan, *args)
        ran.append(found is not None)
        return found

    monkeypatch.setattr(program, "pays", lambda *_: True)
    monkeypatch.setattr(Scan, "__call__", noted)
    return ran


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 13, 64, 100])
def test_a_scan_of_matrices_is_the_loop(steps):
    torch.manual_seed(steps)
    slopes = 0.5 * torch.randn(steps, 3, 4, 4, dtype=DTYPE)
    rest = torch.randn(steps, 3, 4, dtype=DTYPE)
    state, expected = torch.zeros(3, 4, dtype=DTYPE), []
    for a, b in zip(slopes, rest, strict=True):
        state = (a @ state.unsqueeze(-1)).squeeze(-1) + b
        expected.append(state)
    (found,) = scan(
        (slopes,),
        (rest,),
        lambda a, s: ((a[0] @ s[0].unsqueeze(-1)).squeeze(-1),),
        lambda later, sooner: (later[0] @ sooner[0],),
    )
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in CELLS])
def test_the_cells_that_are_linear_in_their_state_are_found(name):
    cell = make_cell(name, 3, 4)
    x, options = make_input(cell, 5, 2, 3)
    for backend, words in (("c", ", linear |"), ("reference", ", linear: a scan |")):
        with elman.using(backend=backend):
            _, forward, gradient = str(elman.Recurrent(cell).plan(x, make_state(cell, 2), **options)).splitlines()
        assert (words in forward) == (name in LINEAR)
        assert words in gradient or name not in LINEAR


def test_a_product_of_the_state_is_no_scan(scans):
    with elman.using(backend="reference"):
        layer = elman.Recurrent(Turned())
        assert "scan" not in str(layer.plan(torch.randn(4, 2, 3)))
        assert not scans


@pytest.mark.parametrize("reverse", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("marked", ["", "lengths", "reset"])
@pytest.mark.parametrize("steps", [1, 7, 70])
@pytest.mark.parametrize("name", MADE)
def test_a_scan_is_the_loop(name, steps, marked, reverse, scans):
    torch.manual_seed(3)
    cell, batch = MADE[name]().to(DTYPE), 3
    layer = elman.Recurrent(cell, reverse=reverse)
    x = torch.randn(steps, batch, 3, dtype=DTYPE, requires_grad=True)
    options = {}
    if marked == "lengths":
        options["lengths"] = torch.tensor([steps, 0, (steps + 1) // 2])
    if marked == "reset":
        options["reset"] = torch.rand(steps, batch) < 0.3
    state = tuple(torch.randn(batch, *s, dtype=DTYPE, requires_grad=True) for s in sizes(cell))
    with step_by_step():
        expected = outcome(layer, x, state, **options)
    with compiled_only(), elman.using(backend="reference"):
        assert_same(outcome(layer, x, state, **options), expected, 1e-11, 1e-12)
    assert scans == [True, True]  # forward, and the gradient


def sizes(cell):
    return [size if isinstance(size, tuple) else (size,) for size in cell.state_size]


def test_where_products_of_slopes_overflow_the_steps_run_one_by_one(scans):
    class Growing(elman.Cell):
        """Twice as much at each step."""

        state_size = (2,)

        def step(self, x, h):
            return 2 * h + x

    x = torch.zeros(3000, 1, 2)
    x[-1] = 1
    with elman.using(backend="reference"):
        y, end = elman.Recurrent(Growing())(x)
    assert scans == [False] and torch.equal(y, x) and torch.equal(end, x[-1])


@pytest.mark.parametrize("way", [elman.Truncated(3, 5), elman.Checkpointed(), elman.PerStep("sum")])
def test_every_way_to_differentiate_takes_a_scan(way, scans):
    torch.manual_seed(0)
    layer, x = elman.Recurrent(elman.MinGRU(3, 5)).to(DTYPE), torch.randn(20, 2, 3, dtype=DTYPE, requires_grad=True)
    with elman.using(backend="c", gradient=way):
        expected = outcome(layer, x)
    assert not scans
    with elman.using(backend="reference", gradient=way):
        assert_same(outcome(layer, x), expected, 1e-11, 1e-12)
    assert scans


def test_the_gradient_of_the_gradient(scans):
    torch.manual_seed(0)
    layer = elman.Recurrent(elman.MinGRU(2, 3)).to(DTYPE)
    x = torch.randn(6, 2, 2, dtype=DTYPE, requires_grad=True)
    with elman.using(backend="reference"):
        assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], (x,))
    assert scans


@pytest.mark.parametrize("steps", [9, 80])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_not_kept_may_be_anything(bad, steps, scans):
    torch.manual_seed(0)
    x = torch.randn(steps, 3, 2, dtype=DTYPE)
    x[2, 0] = bad
    x = x.requires_grad_()
    reset = torch.zeros(steps, 3, dtype=torch.bool)
    reset[5, :2] = True
    for cell, options in ((Held(), {}), (make_cell("MinGRU", 2, 2), {"reset": reset}), (Held(), {"reset": reset})):
        layer = elman.Recurrent(cell)
        with step_by_step():
            y = layer(x, **options)[0]
            wanted = torch.autograd.grad(y[5:, :2].sum(), x)[0]
        with elman.using(backend="reference"):
            found = layer(x, **options)[0]
            torch.testing.assert_close(found, y, rtol=1e-10, atol=1e-12, equal_nan=True)
            gradient = torch.autograd.grad(found[5:, :2].sum(), x)[0]
        torch.testing.assert_close(gradient, wanted, rtol=1e-10, atol=1e-12, equal_nan=True)
    assert scans


def test_a_start_that_is_overwritten_may_be_anything(scans):
    x, start = torch.ones(70, 1, 2), torch.full((1, 2), torch.nan)
    with elman.using(backend="reference"):
        assert torch.equal(elman.Recurrent(Held())(x, start)[0], x)
    assert scans


@pytest.mark.parametrize("steps", [64, 100, 127])
def test_where_products_of_slopes_grow_no_digit_is_lost(steps, scans):
    class Unstable(elman.Cell):
        """2 h - x: stays at 1 from 1 on."""

        state_size = (1,)

        def step(self, x, h):
            return 2 * h - x

    with elman.using(backend="reference"):
        y, _ = elman.Recurrent(Unstable())(torch.ones(steps, 1, 1), torch.ones(1, 1))
    assert scans == [False] and torch.equal(y, torch.ones(steps, 1, 1))
