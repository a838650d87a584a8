"""Laws that every layer over every cell obeys, in values and in every gradient."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import elman
from elman import nn as elman_nn
from every_cell import OTHERS
from tolerances import assert_close, rounding

T, B, INPUT, HIDDEN = 6, 3, 3, 4
DTYPE = torch.float64
LENGTHS = torch.tensor([4, 0, 6])
# The longest sums run over T * B rows and 4 * H gates; each step passes a rounding on to the next.
NEAR = rounding(DTYPE, T * (T * B + 4 * HIDDEN + INPUT))


class Learned(elman.Elman):
    """An Elman cell whose initial state is learned."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.first = nn.Parameter(torch.randn(hidden_size))

    def initial_state(self, batch_size):
        return (self.first.expand(batch_size, -1),)


class Readout(elman.LSTM):
    """An LSTM that gives out something else than its state."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.V = nn.Linear(hidden_size, 2)

    def output(self, h, c):
        return self.V(h) * c[..., :1]


CELLS = {
    "elman": lambda: elman.Elman(INPUT, HIDDEN),
    "relu": lambda: elman.Elman(INPUT, HIDDEN, torch.relu, bias=False),
    "elu": lambda: elman.Elman(INPUT, HIDDEN, nn.functional.elu),
    "learned": lambda: Learned(INPUT, HIDDEN),
    "jordan": lambda: elman.Jordan(INPUT, HIDDEN, 2),
    "lstm": lambda: elman.LSTM(INPUT, HIDDEN),
    "readout": lambda: Readout(INPUT, HIDDEN),
    "gru": lambda: elman.GRU(INPUT, HIDDEN),
    "reset after": lambda: elman.GRUResetAfter(INPUT, HIDDEN),
    "nn.RNNCell": lambda: elman_nn.RNNCell(INPUT, HIDDEN, nonlinearity="relu"),
    "nn.GRUCell": lambda: elman_nn.GRUCell(INPUT, HIDDEN, bias=False),
    "nn.LSTMCell": lambda: elman_nn.LSTMCell(INPUT, HIDDEN),
    **{name: lambda make=make: make(INPUT, HIDDEN) for name, make in OTHERS.items()},
}
AHEAD = {name: lambda make=make, **k: elman.Recurrent(make(), **k) for name, make in CELLS.items()}
AHEAD["stack"] = lambda **k: elman.Stack(
    elman.Recurrent(elman.LSTM(INPUT, 5)), elman.Recurrent(elman.GRU(5, HIDDEN)), **k
)
BACK = {
    f"{name} back": lambda make=make, **k: elman.Recurrent(make(), reverse=True, **k)
    for name, make in CELLS.items()
    if name not in OTHERS
}
BOTH = {
    "both": lambda **k: elman.Bidirectional(
        elman.Recurrent(elman.LSTM(INPUT, HIDDEN)), elman.Recurrent(elman.Elman(INPUT, 5), reverse=True), **k
    ),
    "stack of both": lambda **k: elman.Stack(BOTH["both"](), elman.Recurrent(elman.GRUResetAfter(9, HIDDEN)), **k),
}
ANY = AHEAD | BACK | BOTH
# One member of each kind runs always, all of them in the full suite.
QUICK = {"elman", "jordan", "stack", "learned back", "readout back", "reset after back", "stack of both"}


def over(names):
    """The test, for each of the names."""
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]
    )


each = over(ANY)
each_in_one_direction = over(AHEAD | BACK)
each_ahead = over(AHEAD)


def make(name, **options):
    torch.manual_seed(1)
    return ANY[name](**options).double()


def make_x(*shape):
    torch.manual_seed(2)
    return torch.randn(*(shape or (T, B, INPUT)), dtype=DTYPE, requires_grad=True)


def flat(state):
    """All tensors of a nested state."""
    return [t for part in state for t in flat(part)] if isinstance(state, tuple) else [state]


def rebuild(state, tensors):
    """A state of the same form, of other tensors."""
    return tuple(rebuild(part, tensors) for part in state) if isinstance(state, tuple) else next(tensors)


def make_state(layer, batch=B):
    """Leaves, and the state of the layer that is made of them."""
    form = layer(torch.zeros(1, batch, INPUT, dtype=DTYPE))[1]
    torch.manual_seed(3)
    leaves = [torch.randn(t.shape, dtype=DTYPE, requires_grad=True) for t in flat(form)]
    return leaves, rebuild(form, iter(leaves))


def rows_of(state, rows):
    """The state of some rows."""
    return tuple(rows_of(part, rows) for part in state) if isinstance(state, tuple) else state[rows]


def values_of(outcome):
    """Every tensor that a layer gave back."""
    y, state = outcome
    return [y, *flat(state)]


def gradients(values, layer, leaves):
    """Gradients of every leaf and weight, for a loss that weighs each number differently."""
    torch.manual_seed(4)
    loss = sum((v * torch.randn(v.shape, dtype=v.dtype)).sum() for v in values)
    wanted = [*leaves, *layer.parameters()]
    return torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True, materialize_grads=True)


def agree(layer, got, expected, *leaves):
    """Assert that two lists of values are the same function of the leaves and the weights."""
    assert_close(got, expected, NEAR, "values")
    assert_close(gradients(got, layer, leaves), gradients(expected, layer, leaves), NEAR, "gradients")


@each_ahead
def test_the_state_carries_a_sequence_on(name):
    layer, x = make(name), make_x()
    leaves, state = make_state(layer)
    first, between = layer(x[:2], state)
    second, end = layer(x[2:], between)
    agree(layer, [torch.cat([first, second]), *flat(end)], values_of(layer(x, state)), x, *leaves)


@each
def test_rows_do_not_see_each_other(name):
    layer, x = make(name), make_x()
    leaves, state = make_state(layer)
    order, lengths = torch.tensor([2, 0, 1]), torch.tensor([4, 2, 6])
    back = order.argsort()
    y, end = layer(x[:, order], rows_of(state, order), lengths[order])
    agree(layer, [y[:, back], *flat(rows_of(end, back))], values_of(layer(x, state, lengths)), x, *leaves)


@each
def test_padding_is_never_read(name):
    layer = make(name)
    leaves, state = make_state(layer)
    outcomes = []
    for padding in (0.0, 1e300, torch.inf, torch.nan):
        x = make_x().detach()
        for row, length in enumerate(LENGTHS):
            x[length:, row] = padding
        values = values_of(layer(x.requires_grad_(), state, LENGTHS))
        outcomes.append([*values, *gradients(values, layer, [x, *leaves])])
    for other in outcomes[1:]:
        assert all(torch.equal(a, b) for a, b in zip(outcomes[0], other, strict=True))
    dx = outcomes[0][len(flat(state)) + 1]
    assert all((dx[length:, row] == 0).all() for row, length in enumerate(LENGTHS))


@each
def test_rows_without_steps_keep_their_state(name):
    layer, x = make(name), make_x()
    _, state = make_state(layer)
    for lengths in (LENGTHS, torch.zeros(B, dtype=torch.int64)):
        y, end = layer(x, state, lengths)
        for last, first in zip(flat(end), flat(state), strict=True):
            assert torch.equal(last[lengths == 0], first[lengths == 0])
        assert all((y[length:, row] == 0).all() for row, length in enumerate(lengths))


@each
def test_each_row_lasts_as_long_as_it_says(name):
    layer, x = make(name), make_x()
    leaves, state = make_state(layer)
    y, end = layer(x, state, LENGTHS)
    for row, length in enumerate(LENGTHS):
        if length:
            alone = values_of(layer(x[:length, [row]], rows_of(state, [row])))
            agree(layer, [y[:length, [row]], *flat(rows_of(end, [row]))], alone, x, *leaves)


@each_in_one_direction
def test_reset_starts_anew(name):
    layer, x = make(name), make_x()
    leaves, state = make_state(layer)
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[2] = True
    y, end = layer(x, state, reset=reset)
    # In the order of its steps a layer that runs backwards starts anew after step 2.
    cut = 3 if name in BACK else 2
    (before, left), (after, right) = layer(x[:cut], state), layer(x[cut:], state)
    agree(layer, [y, *flat(end)], [torch.cat([before, after]), *flat(left if name in BACK else right)], x, *leaves)


@each_ahead
def test_reset_of_each_row_by_itself(name):
    layer, x = make(name), make_x()
    leaves, state = make_state(layer)
    torch.manual_seed(5)
    reset = torch.rand(T, B) < 0.4
    y, end = layer(x, state, LENGTHS, reset)
    for row, length in enumerate(LENGTHS):
        starts = [0, *(t for t in range(1, length) if reset[t, row]), int(length)]
        start, last, pieces = rows_of(state, [row]), rows_of(state, [row]), [y[:0, [row]]]
        for begin, stop in pairwise(starts):
            if stop > begin:
                piece, last = layer(x[begin:stop, [row]], start)
                pieces.append(piece)
        agree(layer, [y[:length, [row]], *flat(rows_of(end, [row]))], [torch.cat(pieces), *flat(last)], x, *leaves)


@each
def test_missing_input_is_zero_input(name):
    layer, x = make(name), make_x()
    leaves, state = make_state(layer)
    torch.manual_seed(6)
    present = torch.rand(T, B) < 0.6
    zeros = x * present.unsqueeze(-1)
    agree(layer, values_of(layer(x, state, present=present)), values_of(layer(zeros, state)), x, *leaves)
    spoilt = x.detach().masked_fill(~present.unsqueeze(-1), torch.nan).requires_grad_()
    values = values_of(layer(spoilt, state, present=present))
    assert all(g.isfinite().all() for g in gradients(values, layer, [spoilt, *leaves]))


@over(CELLS)
def test_reverse_is_the_flipped_row(name):
    ahead, x = make(name), make_x()
    back = elman.Recurrent(ahead.cell, reverse=True)
    leaves, state = make_state(ahead)
    lengths = [4, 1, 6]

    def flipped(rows):
        return torch.stack([torch.cat([rows[:n, row].flip(0), rows[n:, row]]) for row, n in enumerate(lengths)], dim=1)

    y, end = ahead(flipped(x), state, lengths)
    agree(ahead, values_of(back(x, state, lengths)), [flipped(y), *flat(end)], x, *leaves)


@each
def test_batch_first_is_a_transpose(name):
    layer, x = make(name), make_x()
    other = make(name, batch_first=True)
    leaves, state = make_state(layer)
    torch.manual_seed(5)
    reset, present = torch.rand(T, B) < 0.3, torch.rand(T, B) < 0.7
    y, end = other(x.transpose(0, 1), state, LENGTHS, reset.T, present=present.T)
    got = [y.transpose(0, 1), *flat(end)]
    expected = values_of(layer(x, state, LENGTHS, reset, present=present))
    assert_close(got, expected, NEAR)
    assert_close(gradients(got, other, [x, *leaves]), gradients(expected, layer, [x, *leaves]), NEAR)


@each
@pytest.mark.parametrize("lengths", [[4, 1, 6], [6, 4, 4], [2, 2, 2]])
def test_packed_is_lengths(name, lengths):
    layer, x = make(name), make_x()
    leaves, state = make_state(layer)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    y, end = layer(packed, state)
    assert isinstance(y, PackedSequence)
    assert all(torch.equal(a, b) for a, b in zip(y[1:], packed[1:], strict=True))
    got = [pad_packed_sequence(y, total_length=T)[0], *flat(end)]
    agree(layer, got, values_of(layer(x, state, lengths)), x, *leaves)


@each
def test_lengths_of_any_integer_type(name):
    layer, x = make(name), make_x()
    expected = values_of(layer(x, lengths=LENGTHS))
    kinds = [LENGTHS.to(dtype) for dtype in (torch.int32, torch.int16, torch.uint8)]
    for lengths in (*kinds, LENGTHS.tolist(), tuple(LENGTHS.tolist()), LENGTHS.numpy()):
        assert all(torch.equal(a, b) for a, b in zip(values_of(layer(x, lengths=lengths)), expected, strict=True))


@each
def test_one_step_of_one_row(name):
    layer, x = make(name), make_x(1, 1, INPUT)
    leaves, state = make_state(layer, batch=1)
    y, end = layer(x, state)
    assert y.shape[:2] == (1, 1)
    if isinstance(layer, elman.Recurrent):
        stepped = layer.cell.step(x[0], *flat(state))
        stepped = stepped if isinstance(stepped, tuple) else (stepped,)
        given = layer.cell.output(*stepped)
        ends = stepped if layer.cell.feedback_size is None else [given]
        agree(layer, [y, *flat(end)], [given.unsqueeze(0), *ends], x, *leaves)


@each
def test_full_lengths_change_nothing(name):
    layer, x = make(name), make_x()
    leaves, state = make_state(layer)
    agree(layer, values_of(layer(x, state, [T] * B)), values_of(layer(x, state)), x, *leaves)


@each
def test_the_default_state_is_the_initial_one(name):
    layer, x = make(name), make_x()
    if isinstance(layer, elman.Recurrent):
        cell = layer.cell
        initial = cell.initial_state(B) if cell.feedback_size is None else (cell.start(B),)
        state = initial if len(initial) > 1 else initial[0]
    else:
        form = layer(x)[1]
        state = rebuild(form, iter([torch.zeros_like(t) for t in flat(form)]))
    agree(layer, values_of(layer(x)), values_of(layer(x, state)), x)


@each
def test_vector_to_sequence(name):
    layer, x = make(name), make_x(B, INPUT)
    leaves, state = make_state(layer)
    later = torch.zeros(T - 1, B, INPUT, dtype=DTYPE)
    agree(
        layer,
        values_of(layer(x, state, LENGTHS, steps=T)),
        values_of(layer(torch.cat([x.unsqueeze(0), later]), state, LENGTHS)),
        x,
        *leaves,
    )


@each
def test_strides_do_not_matter(name):
    layer, x = make(name), make_x(B, 2 * INPUT, T)
    leaves, state = make_state(layer)
    view = x.permute(2, 0, 1)[..., ::2]
    got = values_of(layer(view, rebuild(state, iter([t.t().contiguous().t() for t in leaves])), LENGTHS))
    agree(layer, got, values_of(layer(view.contiguous(), state, LENGTHS)), x, *leaves)


@each
def test_double_backward(name):
    layer, x = make(name), make_x(2, 2, INPUT)
    leaves, state = make_state(layer, batch=2)

    def run(x, *leaves):
        return values_of(layer(x, rebuild(state, iter(leaves)), [2, 1]))

    assert torch.autograd.gradcheck(run, (x, *leaves), fast_mode=True)
    assert torch.autograd.gradgradcheck(run, (x, *leaves), fast_mode=True)
