"""elman's cells against loops of NumPy that were written from the equations alone."""

import numpy as np
import pytest
import torch

import elman
from tolerances import assert_close

T, B, INPUT, HIDDEN, OUT = 6, 3, 2, 4, 3


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def elu(z):
    return np.where(z > 0, z, np.exp(z) - 1)


def relu(z):
    return np.maximum(z, 0)


def run(step, x, *states):
    """The step T times; what is given out is the first state."""
    outputs = []
    for x_t in x:
        states = step(x_t, *states)
        outputs.append(states[0])
    return np.stack(outputs), *states


def elman_step(activation):
    def make(w):
        return lambda x, h: (activation(w["U.bias"] + x @ w["U.weight"].T + h @ w["W.weight"].T),)

    return make


def lstm_step(w):
    def step(x, h, c):
        z = w["U.bias"] + x @ w["U.weight"].T + h @ w["W.weight"].T
        i, f, g, o = np.split(z, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c

    return step


def gru_step(w):
    def step(x, h):
        u_r, u_z, u_n = np.split(w["U.bias"] + x @ w["U.weight"].T, 3, axis=-1)
        w_r, w_z = np.split(w["W.weight"], 2)
        r, z = sigmoid(u_r + h @ w_r.T), sigmoid(u_z + h @ w_z.T)
        return (z * h + (1 - z) * np.tanh(u_n + (r * h) @ w["W_n.weight"].T),)

    return step


def gru_reset_after_step(w):
    def step(x, h):
        u_r, u_z, u_n = np.split(w["U.bias"] + x @ w["U.weight"].T, 3, axis=-1)
        w_r, w_z, w_n = np.split(w["W.bias"] + h @ w["W.weight"].T, 3, axis=-1)
        z = sigmoid(u_z + w_z)
        return ((1 - z) * np.tanh(u_n + sigmoid(u_r + w_r) * w_n) + z * h,)

    return step


def jordan_step(w):
    def step(x, y):
        h = np.tanh(w["U.bias"] + x @ w["U.weight"].T + y @ w["W.weight"].T)
        return (sigmoid(w["V.bias"] + h @ w["V.weight"].T),)

    return step


ORACLES = {
    "elman tanh": (lambda: elman.Elman(INPUT, HIDDEN), elman_step(np.tanh)),
    "elman relu": (lambda: elman.Elman(INPUT, HIDDEN, torch.relu), elman_step(relu)),
    "elman elu": (lambda: elman.Elman(INPUT, HIDDEN, torch.nn.functional.elu), elman_step(elu)),
    "lstm": (lambda: elman.LSTM(INPUT, HIDDEN), lstm_step),
    "gru": (lambda: elman.GRU(INPUT, HIDDEN), gru_step),
    "gru reset after": (lambda: elman.GRUResetAfter(INPUT, HIDDEN), gru_reset_after_step),
    "jordan": (lambda: elman.Jordan(INPUT, HIDDEN, OUT, output_activation=torch.sigmoid), jordan_step),
}


def sample(name):
    """A layer in float64, the maker of its NumPy step, and x and the initial states as arrays."""
    make, oracle = ORACLES[name]
    torch.manual_seed(1)
    layer = elman.Recurrent(make()).double()
    draw = np.random.default_rng(2)
    sizes = layer.cell.state_size or (layer.cell.feedback_size,)
    return layer, oracle, draw.normal(size=(T, B, INPUT)), [draw.normal(size=(B, size)) for size in sizes]


def weights_of(layer):
    return {name: p.detach().numpy().copy() for name, p in layer.cell.named_parameters()}


def as_state(states):
    tensors = tuple(torch.from_numpy(s).requires_grad_() for s in states)
    return tensors, tensors if len(tensors) > 1 else tensors[0]


@pytest.mark.parametrize("name", ORACLES)
def test_values(name):
    layer, oracle, x, states = sample(name)
    y, end = layer(torch.from_numpy(x), as_state(states)[1])
    got = [y, *end] if isinstance(end, tuple) else [y, end]
    assert_close(got, run(oracle(weights_of(layer)), x, *states))


@pytest.mark.parametrize("name", ORACLES)
def test_gradients_by_central_differences(name):
    layer, oracle, x, states = sample(name)
    leaf = torch.from_numpy(x).requires_grad_()
    tensors, state = as_state(states)
    draw = np.random.default_rng(3)
    y, _ = layer(leaf, state)
    weigh = draw.normal(size=y.shape)
    names, parameters = zip(*layer.cell.named_parameters(), strict=True)
    gradients = torch.autograd.grad((y * torch.from_numpy(weigh)).sum(), [leaf, *tensors, *parameters])
    weights = weights_of(layer)
    places = [x, *states, *(weights[name] for name in names)]
    step = 1e-6
    for place, gradient in zip(places, gradients, strict=True):
        direction, ends = draw.normal(size=place.shape), []
        for sign in (1, -1):
            place += sign * step * direction
            ends.append((run(oracle(weights), x, *states)[0] * weigh).sum())
            place -= sign * step * direction
        slope = (ends[0] - ends[1]) / (2 * step)
        # The difference of two sums of about 1e2 over 2e-6 errs by about 1e-8, the curvature by step squared.
        assert slope == pytest.approx((gradient.numpy() * direction).sum(), rel=1e-6, abs=1e-7)


def test_jordan_with_teacher_forcing():
    layer, _, x, (first,) = sample("jordan")
    targets = np.random.default_rng(4).normal(size=(T, B, OUT))
    y, end = layer(torch.from_numpy(x), torch.from_numpy(first), targets=torch.from_numpy(targets))
    step, fed = jordan_step(weights_of(layer)), [first, *targets[:-1]]
    assert_close(y, np.stack([step(x[t], fed[t])[0] for t in range(T)]))
    assert_close(end, targets[-1])


def test_jordan_fed_through_emit():
    layer, _, x, (first,) = sample("jordan")
    y, end = layer(torch.from_numpy(x), torch.from_numpy(first), emit=lambda y: 2 * y)
    step, fed, expected = jordan_step(weights_of(layer)), first, []
    for x_t in x:
        expected.append(step(x_t, fed)[0])
        fed = 2 * expected[-1]
    assert_close(y, np.stack(expected))
    assert_close(end, fed)


@pytest.mark.parametrize("name", ORACLES)
def test_each_row_alone(name):
    """Rows of unequal length, in both directions, against each row by itself in NumPy."""
    layer, oracle, x, states = sample(name)
    back = elman.Recurrent(layer.cell, reverse=True)
    lengths, step = [4, 0, 6], oracle(weights_of(layer))
    for way, turn in ((layer, slice(None)), (back, slice(None, None, -1))):
        y, end = way(torch.from_numpy(x), as_state(states)[1], lengths=lengths)
        ends = end if isinstance(end, tuple) else (end,)
        for row, length in enumerate(lengths):
            starts = [s[row] for s in states]
            if length == 0:
                assert_close([e[row] for e in ends], [torch.from_numpy(s) for s in starts])
                assert not y[:, row].any()
                continue
            expected, *last = run(step, x[:length, row][turn], *starts)
            assert_close(y[:length, row], expected[turn].copy())
            assert_close([e[row] for e in ends], last)
            assert not y[length:, row].any()
