"""Wrappers around cells, against a plain loop that draws the same masks: values, gradients, lengths, seeds."""

import pytest
import torch
from torch import nn

import elman
from around import (
    CELLS,
    STATEFUL,
    B,
    H,
    I,
    T,
    assert_is,
    each,
    flat_leaves,
    grid,
    loop,
    make,
    runs_on,
    start_of,
    stateful,
)
from compiled import flat, random_tensor
from elman.around import NormedState, SharedDropout, VariationalDropout, Zoneout, weight_drop
from elman.compiler import using
from elman.errors import ArgumentError


def run(layer, x, state, backend, seed=None, **options):
    """What a layer gives, by the default generator or one of the call."""
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    if seed is None:
        torch.manual_seed(11)
    with using(backend=backend):
        assert runs_on(layer, x, state, **options) == backend
        y, end = layer(x, state, generator=generator, **options)
    return y, tuple(flat(end))


def drawn(sizes, seed=11):
    """What is drawn, one tensor after the other."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(size, generator=generator, dtype=torch.float64) for size in sizes]


# zoneout


@grid(STATEFUL)
def test_zoneout_in_training(name, backend, marks, reverse):
    cell, p = make(name), (0.3, 0.1)
    wrapped = Zoneout(cell, p[: len(cell.state_size)])
    x, state = random_tensor(T, B, I), start_of(cell)
    masks = drawn([(T, B, size) for size in cell.state_size])

    def step(t, x, *states):
        after = flat(cell.step(x, *states))
        zipped = zip(states, after, masks, p, strict=False)
        return tuple(old * (mask[t] < q) + new * (mask[t] >= q) for old, new, mask, q in zipped)

    layer = elman.Recurrent(wrapped, reverse=reverse)
    expected = loop(step, cell.output, x, state, reverse=reverse, **marks)
    assert_is(run(layer, x, state, backend, **marks), expected, flat_leaves(cell, x, state))
    assert_is(run(layer, x, state, backend, seed=11, **marks), expected, flat_leaves(cell, x, state))


@grid(STATEFUL, (False,))
def test_zoneout_in_use_is_the_expectation(name, backend, marks, reverse):
    cell = make(name)
    x, state = random_tensor(T, B, I), start_of(cell)

    def step(t, x, *states):
        after = flat(cell.step(x, *states))
        return tuple(0.3 * old + 0.7 * new for old, new in zip(states, after, strict=True))

    layer = elman.Recurrent(Zoneout(cell, 0.3)).eval()
    assert_is(
        run(layer, x, state, backend, **marks), loop(step, cell.output, x, state, **marks), flat_leaves(cell, x, state)
    )


# one mask for a sequence


def masked_step(name, cell, masks):
    """The steps of the cells, written out with a mask on what the recurrent products read."""
    m = masks.get(H)
    if name == "elman":
        return lambda t, x, h: torch.tanh(cell.U(x) + cell.W(m * h))
    if name in ("lstm", "nn.lstm"):

        def lstm(t, x, h, c):
            i, f, g, o = (cell.U(x) + cell.W(m * h)).chunk(4, dim=-1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            return torch.sigmoid(o) * torch.tanh(c), c

        return lstm
    if name == "gru":

        def gru(t, x, h):
            u_r, u_z, u_n = cell.U(x).chunk(3, dim=-1)
            w_r, w_z = cell.W(m * h).chunk(2, dim=-1)
            r, z = torch.sigmoid(u_r + w_r), torch.sigmoid(u_z + w_z)
            return z * h + (1 - z) * torch.tanh(u_n + cell.W_n(m * (r * h)))

        return gru
    if name == "reset after":

        def reset_after(t, x, h):
            u_r, u_z, u_n = cell.U(x).chunk(3, dim=-1)
            w_r, w_z, w_n = cell.W(m * h).chunk(3, dim=-1)
            r, z = torch.sigmoid(u_r + w_r), torch.sigmoid(u_z + w_z)
            return (1 - z) * torch.tanh(u_n + r * w_n) + z * h

        return reset_after

    def two(t, x, h, s):
        f, n = (cell.U(x) + cell.W(m * h)).chunk(2, dim=-1)
        h = torch.sigmoid(f) * h + (1 - torch.sigmoid(f)) * torch.tanh(n)
        return h, 0.8 * s + 0.2 * torch.tanh(cell.W_s(m * h))

    return two


@grid(STATEFUL)
def test_one_mask_for_a_sequence(name, backend, marks, reverse):
    cell = make(name)
    x, state = random_tensor(T, B, I), start_of(cell)
    masks = {H: (drawn([(B, H)])[0] >= 0.4).double() / (1 - 0.4)}
    layer = elman.Recurrent(VariationalDropout(cell, 0.4), reverse=reverse)
    expected = loop(masked_step(name, cell, masks), cell.output, x, state, reverse=reverse, **marks)
    assert_is(run(layer, x, state, backend, **marks), expected, flat_leaves(cell, x, state))
    assert_is(run(layer, x, state, backend, seed=11, **marks), expected, flat_leaves(cell, x, state))


@stateful
def test_in_use_nothing_is_dropped_and_states_are_those_of_the_cell(name):
    cell = make(name)
    x, state = random_tensor(T, B, I), start_of(cell)
    layer = elman.Recurrent(VariationalDropout(cell, 0.4))
    got = layer(x, state if len(state) > 1 else state[0])[1]
    assert [s.shape for s in flat(got)] == [s.shape for s in state]
    layer(x, got)  # goes on
    assert_is(layer.eval()(x, state), elman.Recurrent(cell)(x, state), flat_leaves(cell, x, state))
    assert layer(x)[1] is not None


@stateful
def test_masks_of_each_call_row_and_layer_are_others(name):
    def layer():
        return elman.Recurrent(VariationalDropout(make(name), 0.5))

    one, x = layer(), torch.ones(T, 1, I, dtype=torch.float64).expand(T, 30, I)
    a, b = one(x)[0], one(x)[0]
    assert not torch.equal(a, b)
    assert len(torch.unique(a[-1], dim=0)) > 10
    torch.manual_seed(5)
    first = one(x)[0]
    torch.manual_seed(5)
    assert torch.equal(one(x)[0], first)
    with using(backend="reference"):
        torch.manual_seed(5)
        torch.testing.assert_close(one(x)[0], first, rtol=1e-11, atol=1e-12)


def test_stacked_and_nested():
    torch.manual_seed(0)
    bottom = Zoneout(VariationalDropout(elman.LSTM(I, H), 0.3), (0.1, 0.2))
    top = VariationalDropout(NormedState(Zoneout(elman.GRU(H, H), 0.1)), 0.2)
    stack = elman.Stack(elman.Recurrent(bottom), elman.Residual(elman.Recurrent(top))).double()
    x = random_tensor(T, B, I)
    assert [part.backend for part in stack.plan(x).layers] == ["c", "c"]
    y, (below, above) = stack(x, lengths=torch.tensor([3, 5, 0, 1]), generator=torch.Generator().manual_seed(0))
    again = stack(x, lengths=torch.tensor([3, 5, 0, 1]), generator=torch.Generator().manual_seed(0))[0]
    assert torch.equal(y, again)
    assert len(below) == 2 and above.shape == (B, H)
    with using(backend="reference"):
        other = stack(x, lengths=torch.tensor([3, 5, 0, 1]), generator=torch.Generator().manual_seed(0))[0]
    torch.testing.assert_close(y, other, rtol=1e-11, atol=1e-12)


def test_statistics_of_masks():
    """Each within 5 standard deviations of its expectation, and the same at all steps where it should be."""

    class Counting(elman.Cell):
        state_size = (50, 50)

        def __init__(self):
            super().__init__()
            self.W = nn.Linear(50, 50, bias=False)
            nn.init.eye_(self.W.weight)

        def step(self, x, h, n):
            return self.W(torch.ones_like(h)) + 0 * h, n + 1

    T, B, p = 40, 100, 0.3
    x = torch.zeros(T, B, 1)
    y = elman.Recurrent(VariationalDropout(Counting(), p))(x)[0]
    assert torch.equal(y, y[:1].expand_as(y))
    dropped = (y[0] == 0).double().mean().item()
    assert abs(dropped - p) < 5 * (p * (1 - p) / (B * 50)) ** 0.5
    assert torch.unique(y).numel() == 2 and abs(y.max().item() - 1 / (1 - p)) < 1e-6
    n = elman.Recurrent(Zoneout(Counting(), (0.0, p)))(x)[1][1] / T
    assert abs(n.mean().item() - (1 - p)) < 5 * (p * (1 - p) / (T * B * 50)) ** 0.5
    y = SharedDropout(p)(torch.ones(T, B, 50))
    assert torch.equal(y, y[:1].expand_as(y)) and abs((y[0] == 0).double().mean().item() - p) < 0.04
    assert torch.equal(SharedDropout(p).eval()(x), x)


# weight drop


@grid(CELLS, (False,))
def test_weight_drop(name, backend, marks, reverse):
    cell, plain = make(name), make(name)
    names = weight_drop(cell, 0.5)
    x, state = random_tensor(T, B, I), start_of(cell)
    originals = [getattr(m.parametrizations, n).original for m, n in (place(cell, k) for k in names)]
    masks = [(u >= 0.5).double() / 0.5 for u in drawn([tuple(o.shape) for o in originals])]
    lent = {k: o * m for k, o, m in zip(names, originals, masks, strict=True)}
    others = {k: v for k, v in cell.named_parameters() if "parametrizations" not in k}
    with nn.utils.stateless._reparametrize_module(plain, lent | others):
        expected = loop(lambda t, *a: plain.step(*a), plain.output, x, state, fed=name == "jordan", **marks)
        got = run(elman.Recurrent(cell), x, state, backend, **marks)
        assert_is(got, expected, flat_leaves(cell, x, state))
        got = run(elman.Recurrent(cell), x, state, backend, seed=11, **marks)
        assert_is(got, expected, flat_leaves(cell, x, state))


def place(cell, name):
    path, _, last = name.rpartition(".")
    return cell.get_submodule(path), last


@each
def test_weight_drop_in_use_and_in_files(name):
    cell, plain = make(name), make(name)
    weight_drop(cell, 0.5)
    x, state = random_tensor(T, B, I), start_of(cell)
    layer, other = elman.Recurrent(cell).eval(), elman.Recurrent(plain)
    assert torch.equal(layer(x, state)[0], other(x, state)[0])
    layer.train()
    assert not torch.equal(layer(x, state)[0], other(x, state)[0])
    assert sorted(layer.state_dict()) == sorted(other.state_dict())
    other.load_state_dict(layer.state_dict())
    layer.load_state_dict(other.state_dict())
    assert torch.equal(layer.eval()(x, state)[0], other(x, state)[0])


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_weight_drop_in_elman_nn(kind):
    torch.manual_seed(0)
    layer = getattr(elman.nn, kind)(I, H, num_layers=2).double()
    assert weight_drop(layer, 0.5) == ("weight_hh_l0", "weight_hh_l1")
    x = random_tensor(T, B, I)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    layer.eval()
    assert torch.equal(layer(x)[0], layer(x)[0])
    layer(x)[0].sum().backward()
    assert layer.parametrizations.weight_hh_l1.original.grad.any()


# normalised states


@grid(STATEFUL, (False,))
def test_states_that_are_normalised_where_they_are_read(name, backend, marks, reverse):
    cell = make(name)
    wrapped = NormedState(cell)
    with torch.no_grad():
        wrapped.norms[0].weight.uniform_(0.5, 1.5)
        wrapped.norms[0].bias.normal_()
    x, state = random_tensor(T, B, I), start_of(cell)

    def step(t, x, h, *rest):
        mean, variance = h.mean(1, keepdim=True), h.var(1, keepdim=True, unbiased=False)
        h = (h - mean) / (variance + 1e-5).sqrt() * wrapped.norms[0].weight + wrapped.norms[0].bias
        return cell.step(x, h, *rest)

    expected = loop(step, cell.output, x, state, **marks)
    assert_is(run(elman.Recurrent(wrapped), x, state, backend, **marks), expected, flat_leaves(wrapped, x, state))


# what is wrong


def test_errors():
    with pytest.raises(ArgumentError, match="expected a probability of at least 0 and below 1, got 1"):
        Zoneout(make("lstm"), 1)
    with pytest.raises(ArgumentError, match="expected 2 probabilities, one for each state, got 3"):
        Zoneout(make("lstm"), (0.1, 0.2, 0.3))
    with pytest.raises(ArgumentError, match="carries no state"):
        Zoneout(make("jordan"), 0.1)
    with pytest.raises(ArgumentError, match="carries no state but what it gave out"):
        VariationalDropout(make("jordan"), 0.1)
    with pytest.raises(ArgumentError, match=r"expected a cell .*, got Recurrent"):
        Zoneout(elman.Recurrent(make("lstm")), 0.1)
    with pytest.raises(ArgumentError, match=r"no parameter of LSTM matches 'W.wieght': did you mean 'W.weight'"):
        weight_drop(make("lstm"), 0.1, "W.wieght")
    with pytest.raises(ArgumentError, match="expected states 0 to 1 of LSTM, got 2"):
        NormedState(make("lstm"), (2,))


def test_a_product_that_is_no_linear_layer():
    class Matrix(elman.Cell):
        state_size = (H,)

        def __init__(self):
            super().__init__()
            self.W = nn.Parameter(torch.randn(H, H))

        def step(self, x, h):
            return torch.tanh(x + h @ self.W)

    with pytest.raises(ArgumentError, match="reads W otherwise than by a linear layer"):
        elman.Recurrent(VariationalDropout(Matrix(), 0.5))(torch.zeros(T, B, H))
