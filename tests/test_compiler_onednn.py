"""Products by oneDNN against torch in double precision, and layers that run with them against layers without."""

import pytest
import torch

import elman
from elman.compiler.runtime import onednn
from elman.compiler.runtime.onednn import BY_ONEDNN
from elman.compiler.runtime.products import BY_TORCH
from test_products import LAYOUTS, close, random
from tolerances import assert_close

NAMES = ("_linear_pointwise", "_reorder_linear_weight")
THERE = torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in NAMES)
pytestmark = [
    pytest.mark.skipif(not THERE, reason="this build of torch has no such operators"),
    pytest.mark.filterwarnings("ignore:TF32 acceleration"),  # said by torch when oneDNN is shut
]


@pytest.fixture
def always(monkeypatch):
    """oneDNN on any processor, for products of any size, in parts of a few rows."""
    monkeypatch.setattr(onednn, "_found", lambda: True)
    monkeypatch.setattr(onednn, "_MANY", 1)
    monkeypatch.setattr(onednn, "_AT_ONCE", 2000)


@pytest.fixture(params=[0, 2**30], ids=["in parts", "at once"])
def large(request, monkeypatch):
    monkeypatch.setattr(onednn, "LARGE", request.param)


@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (9, 17, 5), (97, 31, 64), (40, 16, 257), (300, 48, 52)])
def test_sizes(always, large, m, n, k):
    x, w, b, g = (random(*s, dtype=torch.float32) for s in ((m, k), (n, k), (n,), (m, n)))
    x2, w2, b2, g2 = (t.double() for t in (x, w, b, g))
    close(BY_ONEDNN.linear(x, w, b), x2 @ w2.t() + b2, k)
    close(BY_ONEDNN.linear(x.view(1, m, k), w), (x2 @ w2.t())[None], k)
    close(BY_ONEDNN.times(g.view(1, m, n), w), (g2 @ w2)[None], n)
    close(BY_ONEDNN.summed(g.view(m, 1, n), x.view(m, 1, k)), g2.t() @ x2, m)
    close(BY_ONEDNN.summed(x, g), x2.t() @ g2, m)
    packed, out = onednn.packed(w.t(), m), torch.empty(m, n)
    assert packed.is_mkldnn
    close(onednn.mm(x, packed), x2 @ w2.t(), k)
    close(onednn.mm(x, packed, out=out), x2 @ w2.t(), k)
    close(onednn.addmm(g, x, packed, out=out), g2 + x2 @ w2.t(), k)
    close(onednn.addmm(b, x, packed), b2 + x2 @ w2.t(), k)
    close(out, g2 + x2 @ w2.t(), k)


@pytest.mark.parametrize("a_layout", LAYOUTS)
@pytest.mark.parametrize("b_layout", LAYOUTS)
def test_layouts(always, large, a_layout, b_layout):
    a, b = (LAYOUTS[layout](random(29, 35, dtype=torch.float32)) for layout in (a_layout, b_layout))
    c = LAYOUTS[b_layout](random(35, 29, dtype=torch.float32))
    close(BY_ONEDNN.linear(a, b), a.double() @ b.double().t(), 35)
    close(BY_ONEDNN.times(a, c), a.double() @ c.double(), 35)
    close(BY_ONEDNN.summed(a, b), a.double().t() @ b.double(), 29)
    close(onednn.mm(a, onednn.packed(c, 29)), a.double() @ c.double(), 35)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_steps(always, large, layout):
    w = random(6, 5, dtype=torch.float32)
    x = LAYOUTS[layout](random(20, 15, dtype=torch.float32)).unflatten(1, (3, 5))
    for each in (x, x.transpose(0, 1), x[:, 1:]):
        close(BY_ONEDNN.linear(each, w), each.double() @ w.double().t(), 5)
        close(BY_ONEDNN.times(each, w.t()), each.double() @ w.double().t(), 5)


def test_what_is_left_to_torch(always):
    x, w = random(20, 4, dtype=torch.float64), random(6, 4, dtype=torch.float64)
    torch.testing.assert_close(BY_ONEDNN.linear(x, w), BY_TORCH.linear(x, w), rtol=0, atol=0)
    for m, n, k in ((0, 3, 4), (20, 0, 4), (20, 3, 0)):
        x, w = random(m, k, dtype=torch.float32), random(n, k, dtype=torch.float32)
        torch.testing.assert_close(BY_ONEDNN.linear(x, w), BY_TORCH.linear(x, w))
        torch.testing.assert_close(BY_ONEDNN.times(x.view(m, 1, k), w.t()), BY_TORCH.times(x.view(m, 1, k), w.t()))
        torch.testing.assert_close(BY_ONEDNN.summed(x, x), BY_TORCH.summed(x, x))


def test_autograd_follows(always):
    x, w = random(20, 4, dtype=torch.float32), random(6, 4, dtype=torch.float32).requires_grad_()
    for y in (BY_ONEDNN.linear(x, w), BY_ONEDNN.times(x, w.t()), BY_ONEDNN.summed(w, w)):
        assert y.requires_grad


def test_it_can_be_shut(always):
    x = torch.ones(64, 64)
    assert onednn.takes(x, x.numel())
    with torch.backends.mkldnn.flags(enabled=False):
        assert not onednn.takes(x, x.numel())


class Mixed(elman.Cell):
    """One weight read as it is, one transposed, one both ways, and a state that is a product."""

    def __init__(self):
        super().__init__()
        self.state_size = (6, 6)
        for name in ("U", "V", "W", "Z"):
            self.register_parameter(name, torch.nn.Parameter(0.3 * random(6, 6, dtype=torch.float32)))

    def step(self, x, h, c):
        h, c = torch.tanh(x @ self.U + h @ self.V + c), h @ self.W.t()
        return h * (h @ self.Z), c @ self.Z.t()


def outcome(cell, x):
    """y, the states and all gradients on the reference backend."""
    with elman.using(backend="reference"):
        y, states = elman.Recurrent(cell)(x)
    parts = [y, *(states if isinstance(states, tuple) else (states,))]
    return [*parts, *torch.autograd.grad(sum(p.square().sum() for p in parts), [x, *cell.parameters()])]


CELLS = {"mixed": Mixed, "LSTM": lambda: elman.LSTM(6, 5), "GRU": lambda: elman.GRU(6, 5)}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("batch", [1, 7])
def test_layers_equal_those_without(always, cell, batch, monkeypatch):
    torch.manual_seed(0)
    cell, x = CELLS[cell](), random(9, batch, 6, dtype=torch.float32).requires_grad_()
    product, weights = onednn._product, []
    monkeypatch.setattr(onednn, "_product", lambda x, w, *b: weights.append(w) or product(x, w, *b))
    found = outcome(cell, x)
    assert {w.is_mkldnn for w in weights} == {True, False}, "packed ones in the loop, others around it"
    with torch.backends.mkldnn.flags(enabled=False):
        expected = outcome(cell, x)
    assert_close(found, expected)


def test_the_gradient_of_the_gradient(always):
    torch.manual_seed(0)
    cell, x = elman.LSTM(6, 5), random(9, 3, 6, dtype=torch.float32).requires_grad_()

    def second():
        with elman.using(backend="reference"):
            y = elman.Recurrent(cell)(x)[0]
        (g,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        return torch.autograd.grad(g.square().sum(), list(cell.parameters()))

    found = second()
    with torch.backends.mkldnn.flags(enabled=False):
        assert_close(found, second())
