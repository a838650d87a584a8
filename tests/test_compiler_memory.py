"""Memory that all steps share is seen by none but the step that writes it."""

import pytest
import torch
from torch import nn

import elman
from compiled import DTYPE
from elman.compiler.graph import Builder, Graph
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
