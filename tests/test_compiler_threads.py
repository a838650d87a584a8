"""Threads that use one layer at once, and calls with and without gradients in any order."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

import elman
from compiled import DTYPE, Written, outcome, random_tensor, step_by_step

T, B = 4, 3
THREADS = 4

MAKE = {
    "gru": lambda: elman.GRU(4, 4).double(),
    "unreadable": lambda: Written(
        lambda s, x, h: torch.tanh(x + (h @ s.W).cumsum(-1)), W=torch.randn(4, 4, dtype=DTYPE) * 0.2
    ),
}


def at_once(work):
    """What `work` gives in threads that start together."""
    barrier = threading.Barrier(THREADS)

    def start(number):
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(start, range(THREADS)))


@pytest.mark.filterwarnings("ignore::elman.compiler.pipeline.StepByStepWarning")
@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("marked", [False, True])
def test_the_first_calls_at_once(name, marked):
    options = {"lengths": torch.tensor([4, 1, 2]), "reset": torch.rand(T, B) < 0.3} if marked else {}
    for seed in range(5):
        torch.manual_seed(seed)
        layer = elman.Recurrent(MAKE[name]())
        found = at_once(lambda number, layer=layer: outcome(layer, random_tensor(T, B, 4), **options))
        with step_by_step():
            expected = outcome(layer, random_tensor(T, B, 4), **options)
        for got in found:
            torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


def test_threads_with_cells_of_their_own():
    def work(number):
        torch.manual_seed(number)
        layer = elman.Stack(elman.Recurrent(elman.LSTM(4, 4)), elman.Recurrent(elman.GRU(4, 4))).double()
        return layer, outcome(layer, random_tensor(T, B, 4))

    for layer, got in at_once(work):
        with step_by_step():
            expected = outcome(layer, random_tensor(T, B, 4))
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


def test_without_gradients_first_and_then_with():
    layer = elman.Recurrent(elman.LSTM(4, 4).double())
    x = random_tensor(T, B, 4)
    with torch.inference_mode():
        layer(x)
    with torch.no_grad():
        first = layer(x)[0]
    assert not first.requires_grad
    second = outcome(layer, x)
    assert torch.equal(first, second["y"])
    with step_by_step():
        torch.testing.assert_close(second, outcome(layer, x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_all_sizes_after_any_other(steps, batch):
    layer = elman.Recurrent(elman.GRUResetAfter(4, 4).double())
    layer(random_tensor(3, 4, 4))
    got = outcome(layer, random_tensor(steps, batch, 4))
    with step_by_step():
        torch.testing.assert_close(got, outcome(layer, random_tensor(steps, batch, 4)), rtol=1e-10, atol=1e-12)


def test_a_batch_as_large_as_the_number_that_stands_for_it():
    layer = elman.Recurrent(Written(lambda s, x, h: torch.tanh(s.U(x) + h)))
    layer.cell.U = nn.Linear(1009, 4, dtype=DTYPE)  # also a feature may have this size
    got = outcome(layer, random_tensor(2, 1013, 1009, grad=False))
    with step_by_step():
        expected = outcome(layer, random_tensor(2, 1013, 1009, grad=False))
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)
