"""Ways around layers, and batch normalisation of input terms over what is live."""

import pytest
import torch
from torch import nn

import elman
from around import CELLS, B, I, T, assert_is, flat_leaves, grid, loop, make, runs_on, start_of
from compiled import flat, random_tensor
from elman.compiler import using
from elman.errors import ArgumentError, ShapeError


def square(name, seed=0):
    """A cell that gives out as many features as it takes."""
    torch.manual_seed(seed)
    sizes = {"two": (2, 2), "jordan": (2, 5)}
    return CELLS[name](*sizes.get(name, (I, I))).double()


@grid(CELLS, (False,))
@pytest.mark.parametrize("kind", ["residual", "highway"])
def test_ways_around(name, backend, marks, reverse, kind):
    cell = square(name)
    size = 2 if name in ("two", "jordan") else I
    x, state = random_tensor(T, B, size), start_of(cell)
    inner = elman.Recurrent(cell)
    layer = elman.Residual(inner) if kind == "residual" else elman.Highway(inner, size).double()
    y, ends = loop(lambda t, *a: cell.step(*a), cell.output, x, state, fed=name == "jordan", **marks)
    expected = x + y
    if kind == "highway":
        g = torch.sigmoid(x @ layer.V.weight.t() + layer.V.bias)
        expected = g * y + (1 - g) * x
    if "lengths" in marks:
        expected = expected * (torch.arange(T)[:, None] < marks["lengths"])[:, :, None]
    with using(backend=backend):
        assert runs_on(layer, x, state, **marks) == backend
        got, end = layer(x, state, **marks)
    assert_is((got, tuple(flat(end))), (expected, ends), flat_leaves(layer, x, state))


def test_stacks_with_ways_around_and_batch_first():
    torch.manual_seed(0)
    layers = [elman.Recurrent(elman.LSTM(4, 4)) for _ in range(3)]
    stack = elman.Stack(layers[0], elman.Residual(layers[1]), elman.Highway(layers[2], 4), dropout=0.1)
    y, states = stack(torch.randn(T, B, 4), lengths=torch.tensor([5, 1, 0, 3]))
    assert len(states) == 3 and not y[1:, 1].any()
    first = elman.Residual(layers[0], batch_first=True)
    x = torch.randn(B, T, 4)
    torch.testing.assert_close(first(x)[0], x + layers[0](x.transpose(0, 1))[0].transpose(0, 1))
    with pytest.raises(ShapeError, match=r"expected a layer that gives out \[5, 4, 4\], as many as it takes"):
        elman.Residual(elman.Recurrent(elman.LSTM(4, 6)))(torch.randn(T, B, 4))
    with pytest.raises(ArgumentError, match="there is no x"):
        elman.Residual(elman.Recurrent(elman.LSTM(4, 4)))(None, steps=3)


def normed_terms(U, b, gain, x, live):
    """γ (U x - μ) / √(v + ε) + b over what is live, written out."""
    a = x @ U.t()
    picked = a[live]
    mean = picked.mean(0)
    return gain * (a - mean) / ((picked - mean).square().mean(0) + 1e-5).sqrt() + b


@grid(CELLS)
def test_batch_norm_of_input_terms(name, backend, marks, reverse):
    """The cell with U replaced by what reads terms that were normalised before the loop."""
    cell, other = make(name), make(name)
    layer = elman.BatchNormed(cell, reverse=reverse).double()
    with torch.no_grad():
        for gain in layer.gains:
            gain.uniform_(0.5, 1.5)
    x, state = random_tensor(T, B, I), start_of(cell)
    lengths = marks.get("lengths", torch.full((B,), T))
    live = torch.arange(T)[:, None] < lengths
    weight, bias = (cell.U.weight, cell.U.bias) if name != "nn.lstm" else (cell.weight_ih, cell.bias_ih)
    terms = normed_terms(weight, bias, layer.gains[0], x, live)
    lent = dict(cell.named_parameters())
    if name == "nn.lstm":
        lent["weight_ih"], lent["bias_ih"] = torch.eye(len(bias)).double(), torch.zeros_like(bias)
    else:
        other.U = nn.Identity()
        lent = {k: p for k, p in lent.items() if not k.startswith("U.")}

    def run():
        fed = name == "jordan"
        return loop(lambda t, *a: other.step(*a), other.output, terms, state, reverse=reverse, fed=fed, **marks)

    with nn.utils.stateless._reparametrize_module(other, lent):
        expected = run()
    with using(backend=backend):
        assert runs_on(layer, x, state, **marks) == backend
        y, end = layer(x, state, **marks)
    assert_is((y, tuple(flat(end))), expected, flat_leaves(layer, x, state))


def test_batch_norm_in_use_takes_the_running_averages():
    cell = make("gru")
    layer = elman.BatchNormed(cell, momentum=1.0).double()
    x, lengths = random_tensor(T, B, I, grad=False), torch.tensor([5, 2, 0, 3])
    y = layer(x, lengths=lengths)[0]
    live = x[torch.arange(T)[:, None] < lengths] @ cell.U.weight.t()
    torch.testing.assert_close(layer.mean_0, live.mean(0).detach())
    torch.testing.assert_close(layer.variance_0, live.var(0).detach())
    layer.eval()
    alone = layer(x[:, :1])[0]
    torch.testing.assert_close(layer(x)[0][:, :1], alone)
    padded = x.clone()
    padded[2:, 1] = float("nan")
    layer.train()
    torch.testing.assert_close(layer(padded, lengths=lengths)[0], y)
    state = layer.state_dict()
    assert {"gains.0", "mean_0", "variance_0", "cell.U.weight"} <= set(state)


def test_batch_norm_wants_a_bias():
    with pytest.raises(ArgumentError, match=r"expected U.weight of LSTM to have a bias beside it"):
        elman.BatchNormed(elman.LSTM(3, 4, bias=False))
    with pytest.raises(ArgumentError, match=r"expected x \[T, B, I\], got None"):
        elman.BatchNormed(elman.LSTM(3, 4))(None, steps=2)


def test_batch_norm_under_weight_drop_and_stacked():
    torch.manual_seed(0)
    cell = elman.LSTM(I, 4)
    elman.around.weight_drop(cell, 0.5)
    layer = elman.Stack(elman.BatchNormed(cell), elman.BatchNormed(elman.around.Zoneout(elman.GRU(4, 4), 0.1)))
    y, _ = layer(torch.randn(T, B, I), generator=torch.Generator().manual_seed(1))
    y.sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
    assert [part.backend for part in layer.plan(torch.randn(T, B, I)).layers] == ["c", "c"]
