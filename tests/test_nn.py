"""elman.nn against torch.nn: values, final states and every gradient, over the whole grid of arguments."""

from itertools import product

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from elman import nn as elman_nn
from tolerances import assert_all_close, assert_close

T, B, INPUT, HIDDEN = 5, 4, 3, 4
LENGTHS = torch.tensor([3, 5, 1, 4])
KINDS = {
    "tanh": ("RNN", {}),
    "relu": ("RNN", {"nonlinearity": "relu"}),
    "gru": ("GRU", {}),
    "lstm": ("LSTM", {}),
    "lstmp": ("LSTM", {"proj_size": 2}),
}
FORMS = ("padded", "packed", "lengths")
# layers, bias, bidirectional, batch_first, contiguous, form
GRID = list(product((1, 2), (True, False), (False, True), (False, True), (True, False), FORMS))


def pair(kind, **arguments):
    """The same module from torch.nn and from elman.nn, made under the same seed."""
    name, more = KINDS[kind]
    modules = []
    for library in (torch.nn, elman_nn):
        torch.manual_seed(1)
        modules.append(getattr(library, name)(INPUT, HIDDEN, **more, **arguments))
    return modules


def sequence(dtype=torch.float32, contiguous=True, batch_first=False, steps=T, batch=B):
    """A leaf, and x as a view of it, [T, B, I] or [B, T, I]."""
    shape = (batch, steps) if batch_first else (steps, batch)
    torch.manual_seed(2)
    leaf = torch.randn(*shape, INPUT if contiguous else 2 * INPUT, dtype=dtype, requires_grad=True)
    return leaf, leaf if contiguous else leaf[..., ::2]


def initial(module, contiguous=True, batch=B):
    """Leaves, and hx as views of them, in the form that the module reads."""
    levels = module.num_layers * (2 if module.bidirectional else 1)
    sizes = [module.proj_size or module.hidden_size]
    sizes += [module.hidden_size] if module.mode == "LSTM" else []
    dtype = next(module.parameters()).dtype
    torch.manual_seed(3)
    if contiguous:
        views = leaves = [torch.randn(levels, batch, size, dtype=dtype, requires_grad=True) for size in sizes]
    else:
        leaves = [torch.randn(batch, levels, size, dtype=dtype, requires_grad=True) for size in sizes]
        views = [leaf.transpose(0, 1) for leaf in leaves]
    return leaves, tuple(views) if len(views) == 2 else views[0]


def call(module, x, hx, form):
    """Padded output and final states, however the sequence is given."""
    if form == "lengths" and isinstance(module, elman_nn.RNN | elman_nn.GRU | elman_nn.LSTM):
        y, end = module(x, hx, lengths=LENGTHS)
    elif form == "padded":
        y, end = module(x, hx)
    else:
        first = module.batch_first
        y, end = module(pack_padded_sequence(x, LENGTHS, batch_first=first, enforce_sorted=False), hx)
        y = pad_packed_sequence(y, batch_first=first)[0]
    return [y, *end] if isinstance(end, tuple) else [y, end]


def results(module, form, contiguous=True, steps=T, batch=B):
    """What the module gives out, and the gradient of every leaf for a loss that weighs each entry differently."""
    dtype = next(module.parameters()).dtype
    x_leaf, x = sequence(dtype, contiguous, module.batch_first, steps, batch)
    leaves, hx = initial(module, contiguous, batch)
    values = call(module, x, hx, form)
    torch.manual_seed(4)
    loss = sum((value * torch.randn(value.shape, dtype=dtype)).sum() for value in values)
    names, parameters = zip(*module.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, [x_leaf, *leaves, *parameters])
    names = ["y", "h", "c"][: len(values)] + ["dx", "dh", "dc"][: 1 + len(leaves)] + [f"d{name}" for name in names]
    return list(zip(names, [*values, *gradients], strict=True))


def compare(kind, dtype, grid):
    for layers, bias, bidirectional, batch_first, contiguous, form in grid:
        arguments = {
            "num_layers": layers,
            "bias": bias,
            "bidirectional": bidirectional,
            "batch_first": batch_first,
            "dtype": dtype,
        }
        theirs, ours = pair(kind, **arguments)
        assert_all_close(results(ours, form, contiguous), results(theirs, form, contiguous))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_every_seventh_case_of_the_grid(kind, dtype):
    # 7 divides none of the axes' sizes, so that each value of each axis comes up.
    compare(kind, dtype, GRID[::7])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_grid(kind, dtype):
    compare(kind, dtype, GRID)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("steps", "batch"), [(1, 1), (1, 3), (60, 1), (60, 3)])
def test_one_step_one_row_and_long_rows(kind, steps, batch):
    theirs, ours = pair(kind, num_layers=2, bidirectional=True)
    assert_all_close(
        results(ours, "padded", steps=steps, batch=batch), results(theirs, "padded", steps=steps, batch=batch)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_without_a_batch(kind, batch_first, given):
    theirs, ours = pair(kind, num_layers=2, bidirectional=True, batch_first=batch_first)
    x = torch.randn(T, INPUT)
    hx = None
    if given:
        _, hx = initial(theirs, batch=1)
        hx = tuple(s.squeeze(1) for s in hx) if isinstance(hx, tuple) else hx.squeeze(1)
    assert_close(ours(x, hx), theirs(x, hx))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_packed_sequences_come_back_as_they_came(kind, batch_first):
    theirs, ours = pair(kind, batch_first=batch_first)
    _, x = sequence(batch_first=batch_first)
    for lengths, enforce_sorted in (([5, 3, 3, 2], True), ([3, 5, 1, 4], False), ([2, 2, 2, 2], True)):
        packed = pack_padded_sequence(x, lengths, batch_first=batch_first, enforce_sorted=enforce_sorted)
        got, expected = ours(packed)[0], theirs(packed)[0]
        assert isinstance(got, PackedSequence)
        assert_close(got.data, expected.data)
        for one, other in zip(got[1:], expected[1:], strict=True):
            assert (one is None and other is None) or torch.equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("form", "training"), [*product(("padded", "packed"), (False, True)), ("lengths", False)])
def test_dropout_draws_what_torch_draws(kind, form, training):
    # Not `lengths` in training: torch drops packed numbers there and elman padded ones, under other masks.
    theirs, ours = (m.train(training) for m in pair(kind, num_layers=3, dropout=0.5, batch_first=True))
    values = []
    for module in (ours, theirs):
        _, x = sequence(batch_first=True)
        _, hx = initial(module)
        torch.manual_seed(5)
        values.append(call(module, x, hx, form))
    assert_close(*values)


@pytest.mark.parametrize("kind", KINDS)
def test_zero_length_rows_keep_their_initial_state(kind):
    _, ours = pair(kind, num_layers=2, bidirectional=True)
    _, x = sequence()
    _, hx = initial(ours)
    spoilt = x.detach().clone()
    spoilt[2:, 1] = torch.nan
    spoilt[:, 2] = torch.inf
    lengths = torch.tensor([5, 2, 0, 3])
    y, end = ours(spoilt.requires_grad_(), hx, lengths=lengths)
    ends, starts = (v if isinstance(v, tuple) else (v,) for v in (end, hx))
    for last, first in zip(ends, starts, strict=True):
        assert torch.equal(last[:, 2], first[:, 2])
    assert (y[:, 2] == 0).all()
    y.sum().backward()
    assert spoilt.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in ours.parameters())
    kept = [0, 1, 3]
    shorter, _ = ours(x[:, kept], tuple(s[:, kept] for s in hx) if isinstance(hx, tuple) else hx[:, kept],
                      lengths=lengths[kept])  # fmt: skip
    assert_close(y[:, kept], shorter)


@pytest.mark.parametrize("kind", KINDS)
def test_reset_starts_anew(kind):
    _, ours = pair(kind, bidirectional=True)
    _, x = sequence()
    _, hx = initial(ours)
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[1] = True
    y, _ = ours(x, hx, reset=reset)
    # Forward, steps 1.. start anew; backward, steps 1 and 0 do.
    half = y.size(-1) // 2
    assert_close(y[1:, :, :half], ours(x[1:], hx)[0][..., :half])
    assert_close(y[:2, :, half:], ours(x[:2], hx)[0][..., half:])


@pytest.mark.parametrize("kind", KINDS)
def test_double_backward(kind):
    _, ours = pair(kind, dtype=torch.float64, num_layers=2, bidirectional=True)
    leaves, _ = initial(ours, batch=2)
    _, x = sequence(torch.float64, steps=2, batch=2)

    def run(x, *states):
        y, end = ours(x, states if len(states) == 2 else states[0])
        return [y, *end] if isinstance(end, tuple) else [y, end]

    assert torch.autograd.gradcheck(run, (x, *leaves), fast_mode=True)
    assert torch.autograd.gradgradcheck(run, (x, *leaves), fast_mode=True)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_an_empty_batch(kind):
    theirs, ours = pair(kind)
    x = torch.zeros(T, 0, INPUT)
    assert_close(ours(x), theirs(x))
