"""Memory that all steps share is seen by none but the step that writes it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

import elman
from compiled import DTYPE
from elman.compiler.graph import Builder, Graph
from elman.compiler.runtime.memory import Pages
from elman.compiler.runtime.python import sliced_nodes
from elman.compiler.runtime.torch_ops import WHOLE


class Halves(elman.Cell):
    """Slices of a product: some end with the step, one outlives it, seen through another shape."""

    def __init__(self, size, function):
        super().__init__()
        self.state_size = (size, size)
        self.U = nn.Linear(size, 3 * size)
        self.W = nn.Linear(size, 3 * size, bias=False)
        self.V = nn.Linear(size, 2 * size, bias=False)
        self.function = getattr(torch, function)

    def step(self, x, h, c):
        a, b, d = (self.U(x) + self.W(h + c)).chunk(3, dim=-1)
        e, f = self.V(torch.sin(h)).chunk(2, dim=-1)
        return self.function(a.square() + 1).tanh() + self.function(e) - f, b.unflatten(1, (2, -1)).flatten(1) * d


class Kept(Halves):
    """A state that is a slice of a product."""

    def step(self, x, h, c):
        a, b, d = (self.U(x) + self.W(h + c)).chunk(3, dim=-1)
        return torch.tanh(a) * d + c, b.unflatten(1, (2, -1)).flatten(1)


def by_hand(cell, x):
    state, outputs = tuple(s.to(DTYPE) for s in cell.initial_state(x.size(1))), []
    for x_t in x.unbind(0):
        state = cell.step(x_t, *state)
        outputs.append(state[0])
    return torch.stack(outputs), state


HALVES = [(Halves, f) for f in sorted(WHOLE - {"log", "sqrt"})]


@pytest.mark.parametrize(("cell", "function"), [(Kept, "tanh"), *HALVES])
@pytest.mark.parametrize("training", [False, True])
def test_slices_of_shared_memory_equal_the_loop(cell, function, training):
    torch.manual_seed(0)  # before the weights are drawn: of exp(e) some draws are infinite
    cell = cell(4, function).to(DTYPE)
    x = torch.randn(5, 3, 4, dtype=DTYPE)
    with torch.set_grad_enabled(training):
        found, expected = elman.Recurrent(cell)(x), by_hand(cell, x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)
    if training:
        gradients = [torch.autograd.grad(y.sum() + c.sum(), [cell.W.weight]) for y, (_, c) in (found, expected)]
        torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-12)


def test_only_slices_that_end_with_the_step_share_memory():
    build = Builder()
    h, w = build.input("h", ("B", 2), "float64"), build.input("w", (4, 2), "float64")
    product = build.einsum("bi,hi->bh", h, w)
    parts = [build.make("slice", product, value=(1, start, start + 2)) for start in (0, 2)]
    free = build.make("tanh", build.add(*parts))
    assert sliced_nodes(Graph((h, w), {"h'": free}), ()) == {product: tuple(parts)}
    assert not sliced_nodes(Graph((h, w), {"h'": free}), [product])
    lasting = build.make("reshape", parts[0], value=("B", 2, 1))
    for result in (parts[0], product, lasting):
        assert not sliced_nodes(Graph((h, w), {"h'": free, "y": result}), ())


def test_large_memory_comes_back_when_the_last_tensor_on_it_is_gone():
    pages, size = Pages(), (3, 2**20)
    first = pages.tensor(size, torch.float32)
    place, view = first.data_ptr(), first[1]
    del first
    second = pages.tensor(size, torch.float32)
    assert second.data_ptr() != place  # `view` still lies there
    del view
    third = pages.tensor((2, 2**20), torch.float32)
    assert third.data_ptr() == place and third.shape == (2, 2**20)  # less of it
    del second, third
    assert pages.held == 2 * 3 * 2**22
    large = pages.tensor((7, 2**20), torch.float64)
    assert pages.held == 0 and large.fill_(1).sum() == 7 * 2**20  # what did not fit went back to the system


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 4])
def test_what_two_graphs_keep_lies_apart(threads):
    torch.manual_seed(0)
    layer = elman.nn.LSTM(64, 64)
    inputs = [torch.randn(300, 64, 64, requires_grad=True) for _ in range(4)]

    def both(x):
        outputs = [layer(part)[0].sin().sum() for part in (x, 2 * x)]  # the second runs while the first keeps its own
        return torch.autograd.grad(sum(outputs), [x])[0]

    expected = [both(x) for x in inputs]
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(3):
            found = list(pool.map(both, inputs))
            for one, two in zip(found, expected, strict=True):
                torch.testing.assert_close(one, two, rtol=0, atol=0)
