"""Systems without input, networks fed their own output, and input that does not fit."""

import pytest
import torch
from torch import nn

import elman
from elman.errors import ArgumentError, ShapeError
from tolerances import assert_close

T, B, INPUT, HIDDEN, OUT = 5, 3, 2, 4, 3
DTYPE = torch.float64


class Free(elman.Cell):
    """h(t) = tanh(b + W h(t-1)): a system that no one drives."""

    def __init__(self, hidden_size):
        super().__init__()
        self.state_size = (hidden_size,)
        self.W = nn.Linear(hidden_size, hidden_size)

    def step(self, x, h):
        assert x is None
        return torch.tanh(self.W(h))


class Speaker(elman.Cell):
    """A hidden state, and the own output fed back: what is given out is not what is carried."""

    def __init__(self):
        super().__init__()
        self.state_size, self.feedback_size = (HIDDEN,), OUT
        self.U, self.W, self.V = nn.Linear(INPUT + OUT, HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, OUT)
        self.first = nn.Parameter(torch.randn(OUT))

    def start(self, batch_size):
        return self.first.expand(batch_size, -1)

    def step(self, x, fed, h):
        return torch.tanh(self.U(torch.cat([x, fed], dim=-1)) + self.W(h))

    def output(self, h):
        return self.V(h)


def make(cell, **options):
    return elman.Recurrent(cell, **options).double()


def draw(*shape):
    torch.manual_seed(2)
    return torch.randn(shape, dtype=DTYPE)


def by_hand(cell, x, fed, h, targets=None):
    """A loop over a cell that is fed: what it gives out, and its last state."""
    outputs = []
    for t, x_t in enumerate(x):
        h = cell.step(x_t, fed, h)
        outputs.append(cell.output(h))
        fed = outputs[-1] if targets is None else targets[t]
    return torch.stack(outputs), (h, fed)


@pytest.mark.parametrize("batch_first", [False, True])
def test_without_input(batch_first):
    torch.manual_seed(1)
    layer, h = make(Free(HIDDEN), batch_first=batch_first), draw(B, HIDDEN)
    y, end = layer(None, h, steps=T)
    expected = []
    for _ in range(T):
        expected.append(torch.tanh(layer.cell.W(expected[-1] if expected else h)))
    assert_close(y.transpose(0, 1) if batch_first else y, torch.stack(expected))
    assert_close(end, expected[-1])
    short, ends = layer(None, h, [2, 0, 5], steps=T)
    short = short.transpose(0, 1) if batch_first else short
    assert_close(ends, torch.stack([expected[1][0], h[1], expected[4][2]]))
    assert not short[2:, 0].any()
    assert not short[:, 1].any()
    assert layer(None, steps=T)[0].shape == ((1, T, HIDDEN) if batch_first else (T, 1, HIDDEN))
    assert layer(None, lengths=[2, 3], steps=T)[1].shape == (2, HIDDEN)


@pytest.mark.parametrize("forced", [False, True])
def test_feedback_and_a_state(forced):
    torch.manual_seed(1)
    layer, x, h = make(Speaker()), draw(T, B, INPUT), draw(B, HIDDEN).requires_grad_()
    targets = draw(T, B, OUT) if forced else None
    got = layer(x, (h, None), targets=targets)
    expected = by_hand(layer.cell, x, layer.cell.start(B), h, targets)
    leaves = [h, *layer.parameters()]
    assert_close(got, expected)
    loss = [y.square().sum() + end.sum() for y, (end, _) in (got, expected)]
    assert_close(*(torch.autograd.grad(value, leaves) for value in loss))


@pytest.mark.parametrize("forced", [False, True])
def test_feedback_goes_on(forced):
    torch.manual_seed(1)
    layer, x, targets = make(Speaker()), draw(T, B, INPUT), draw(T, B, OUT)
    whole = layer(x, targets=targets if forced else None)
    first, state = layer(x[:2], targets=targets[:2] if forced else None)
    second, end = layer(x[2:], state, targets=targets[2:] if forced else None)
    assert_close((torch.cat([first, second]), end), whole)


@pytest.mark.parametrize("forced", [False, True])
def test_feedback_with_lengths_and_resets(forced):
    torch.manual_seed(1)
    layer, x = make(Speaker()), draw(T, B, INPUT)
    targets, lengths, reset = draw(T, B, OUT), [4, 0, 5], torch.zeros(T, B, dtype=torch.bool)
    reset[2, 0] = True
    y, (h, fed) = layer(x, lengths=lengths, reset=reset, targets=targets if forced else None)
    first = layer.cell.initial_state(B)[0], layer.cell.start(B)
    for row, pieces in enumerate(([(0, 2), (2, 4)], [], [(0, 5)])):
        end, outputs = (first[0][[row]], first[1][[row]]), [y[:0, [row]]]
        for begin, stop in pieces:
            forcing = targets[begin:stop, [row]] if forced else None
            out, end = by_hand(layer.cell, x[begin:stop, [row]], first[1][[row]], first[0][[row]], forcing)
            outputs.append(out)
        assert_close(y[: lengths[row], [row]], torch.cat(outputs))
        assert_close((h[[row]], fed[[row]]), end)


def test_targets_are_not_read_where_they_are_padding():
    torch.manual_seed(1)
    layer, x, targets = make(Speaker()), draw(T, B, INPUT), draw(T, B, OUT)
    lengths, outcomes = [4, 0, 5], []
    for padding in (0.0, torch.nan):
        spoilt = targets.clone()
        for row, length in enumerate(lengths):
            spoilt[length:, row] = padding
        y, (h, fed) = layer(x, lengths=lengths, targets=spoilt)
        gradients = torch.autograd.grad(y.sum() + h.sum() + fed.sum(), list(layer.parameters()))
        outcomes.append([y, h, fed, *gradients])
    assert all(torch.equal(a, b) for a, b in zip(*outcomes, strict=True))


def x_of(*shape):
    return torch.zeros(shape, dtype=DTYPE)


LSTM = make(elman.LSTM(INPUT, HIDDEN))
JORDAN = make(elman.Jordan(INPUT, HIDDEN, OUT))
X = x_of(T, B, INPUT)
WRONG = {
    "too long": (LSTM, {"lengths": [1, 6, 2]}, ArgumentError, r"between 0 and T = 5, got 6 in row 1"),
    "negative": (LSTM, {"lengths": [1, 2, -3]}, ArgumentError, r"between 0 and T = 5, got -3 in row 2"),
    "float": (LSTM, {"lengths": torch.ones(B)}, ArgumentError, r"integer dtype, got torch\.float32"),
    "bool": (LSTM, {"lengths": torch.ones(B, dtype=torch.bool)}, ArgumentError, r"integer dtype, got torch\.bool"),
    "too few": (LSTM, {"lengths": [1, 2]}, ShapeError, r"\[B\] = \[3\], got \[2\]"),
    "a matrix": (LSTM, {"lengths": [[1, 2, 3]]}, ShapeError, r"\[B\] = \[3\], got \[1, 3\]"),
    "reset shape": (LSTM, {"reset": x_of(B, T).bool()}, ShapeError, r"reset \[T, B\] = \[5, 3\], got \[3, 5\]"),
    "reset type": (LSTM, {"reset": x_of(T, B)}, ArgumentError, r"torch\.bool, got torch\.float64"),
    "present shape": (LSTM, {"present": x_of(T).bool()}, ShapeError, r"present \[T, B\] = \[5, 3\], got \[5\]"),
    "present type": (LSTM, {"present": x_of(T, B).long()}, ArgumentError, r"torch\.bool, got torch\.int64"),
    "one state": (LSTM, {"state": x_of(B, HIDDEN)}, ShapeError, "expected 2 states.*, got 1"),
    "state size": (LSTM, {"state": (None, x_of(B, 3))}, ShapeError, r"state 1: expected \[3, 4\], got \[3, 3\]"),
    "state batch": (LSTM, {"state": (x_of(2, HIDDEN), None)}, ShapeError, r"state 0: expected \[3, 4\], got \[2, 4\]"),
    "targets unread": (LSTM, {"targets": x_of(T, B, HIDDEN)}, ArgumentError, "LSTM is fed nothing"),
    "targets size": (JORDAN, {"targets": x_of(T, B, OUT + 1)}, ShapeError, r"\[5, 3, 3\].*got \[5, 3, 4\]"),
    "fed size": (
        JORDAN,
        {"state": x_of(B, OUT + 1)},
        ShapeError,
        r"what is fed first: .* got \[3, 4\]",
    ),
    "no batch": (LSTM, {"x": x_of(T, INPUT)}, ShapeError, r"x \[T, B, I\], got \[5, 2\]"),
    "no steps": (LSTM, {"x": x_of(0, B, INPUT)}, ValueError, "T = 0"),
    "no input": (LSTM, {"x": None}, ArgumentError, "`steps` >= 0"),
    "negative steps": (LSTM, {"x": x_of(B, INPUT), "steps": -1}, ArgumentError, "got -1"),
    "input size": (LSTM, {"x": x_of(T, B, INPUT + 1)}, RuntimeError, None),
    "dtype": (LSTM, {"x": X.float()}, RuntimeError, None),
    "packed and lengths": (
        LSTM,
        {"x": nn.utils.rnn.pack_padded_sequence(X, [5, 4, 3]), "lengths": [5, 4, 3]},
        ArgumentError,
        "drop `lengths`",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_input_that_does_not_fit(what):
    layer, arguments, error, message = WRONG[what]
    with pytest.raises(error, match=message):
        layer(**{"x": X, **arguments})


@pytest.mark.parametrize("steps", [T - 1, T + 1])
def test_targets_of_another_number_of_steps(steps):
    with pytest.raises(ShapeError, match=rf"got \[{steps}, 3, 3\]"):
        JORDAN(X, targets=x_of(steps, B, OUT))


class Grows(elman.Elman):
    """A step that changes its state's shape."""

    def step(self, x, h):
        return torch.cat([h, h], dim=-1)


class Forgets(elman.LSTM):
    """A step that returns one of its two states."""

    def step(self, x, h, c):
        return h


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        pytest.param(
            Grows(INPUT, HIDDEN),
            r"state 0.*\[(3|B), 4\], got \[(3|B), 8\](.|\n)*Grows, .*test_oracles_input\.py:\d+",
        ),
        (Forgets(INPUT, HIDDEN), r"returns 2 states.*got 1(.|\n)*Forgets, .*test_oracles_input\.py:\d+"),
    ],
)
def test_steps_that_do_not_fit(cell, message):
    with pytest.raises(ShapeError, match=message):
        make(cell)(X)


def test_layers_that_do_not_fit_together():
    one, back = elman.Recurrent(elman.Elman(INPUT, HIDDEN)), elman.Recurrent(elman.Elman(INPUT, HIDDEN), reverse=True)
    first = elman.Recurrent(elman.Elman(INPUT, HIDDEN), batch_first=True)
    for build in (
        lambda: elman.Bidirectional(back, one),
        lambda: elman.Bidirectional(one, one),
        lambda: elman.Bidirectional(first, back),
        lambda: elman.Stack(),
        lambda: elman.Stack(one, first),
    ):
        with pytest.raises(ArgumentError):
            build()
