"""Cells that nobody has written a kernel for, in C: values, gradients, rows that end early and rows that start anew."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

import elman
from c_kernels import SCHEDULE, build_all, in_c, kernels_of
from compiled import DTYPE, Written, assert_same, outcome, random_tensor, step_by_step
from elman.compiler import StepByStepWarning
from elman.compiler.runtime.backend import using
from elman.errors import ArgumentError, TraceError

T, B = 5, 3
LENGTHS, RESET = torch.tensor([2, 5, 0]), torch.arange(T * B).reshape(T, B) % 4 == 1
OPTIONS = {"plain": {}, "lengths": {"lengths": LENGTHS}, "lengths and reset": {"lengths": LENGTHS, "reset": RESET}}

# At most some thousand roundings a step, and slopes that grow by less than 3 a step.
RELATIVE = 1000 * 3**T * torch.finfo(DTYPE).eps


def weight(*size):
    return random_tensor(*size, grad=False) / size[-1] ** 0.5


def a_cell(step, *state_size, output=None, **sizes):
    """A step as a function, with weights of the sizes that are named."""
    weights = {name: weight(*(size if isinstance(size, tuple) else (size,))) for name, size in sizes.items()}
    return lambda: Written(step, state_size, output=output, **weights)


def tanh(x):
    return torch.tanh(x)


def attention(s, x, memory, h):
    scores = torch.einsum("bmn,bn->bm", memory, h @ s.A)
    read = torch.einsum("bm,bmn->bn", F.softmax(scores, -1), memory)
    return torch.cat([memory[:, 1:], h.unsqueeze(1)], 1), tanh(x + read)


def fast_weights(s, x, memory, h):
    read = (memory @ h.unsqueeze(-1)).squeeze(-1)
    return 0.9 * memory + tanh(h.unsqueeze(2) * x.unsqueeze(1)), tanh(read + F.linear(h, s.A))


def layer_norm_lstm(s, x, h, c):
    i, f, g, o = F.layer_norm(h @ s.A + x @ s.U, (16,)).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * tanh(g)
    return torch.sigmoid(o) * tanh(F.layer_norm(c, (4,))), c


def peephole_lstm(s, x, h, c):
    i, f, g, o = (h @ s.A + x @ s.U).chunk(4, -1)
    new = torch.sigmoid(f + s.p * c) * c + torch.sigmoid(i + s.q * c) * tanh(g)
    return torch.sigmoid(o + s.r * new) * tanh(new), new


def minimal_gated(s, x, h):
    f = torch.sigmoid(F.linear(h, s.A) + F.linear(x, s.U))
    return (1 - f) * h + f * tanh(F.linear(f * h, s.R) + x)


def roll_sum(s, x, h):
    return tanh(x + torch.cat([torch.zeros_like(h[:, :1]), h[:, :-1]], -1) + torch.cat([h[:, 1:], x[:, :1]], -1))


def cut(s, x, h):
    z = h @ s.A
    return tanh(torch.cat([x[:, :1], z[:, :3]], -1) + z[:, 3:7] * z[:, 7:8] + x)


def overlapping(s, x, h):
    z = h @ s.A
    return tanh(z[:, :4] + z[:, 1:5] * z[:, 2:6] + x)


def cut_and_whole(s, x, h):
    z = h @ s.A
    return tanh(z[:, :4] + z.sum(-1, keepdim=True) * 0.1 + x)


def leaves_in_parts(s, x, h, c):
    z = torch.cat([h, c], -1) @ s.A
    return z[:, :4] * 0.5, z[:, 4:]


def padded_and_read(s, x, h, c):
    q = torch.cat([torch.zeros_like(h[:, :1]), tanh(h[:, 1:3] + x[:, :2]), torch.zeros_like(h[:, :1])], -1)
    return q, tanh(q + c)


def thirteen_gates(s, x, h):
    gates = F.linear(h, s.A).chunk(13, -1)
    return tanh(sum(torch.sin(gate * (1 + i / 13)) for i, gate in enumerate(gates)) + x)


def nested(s, x, h):
    inner = torch.cat([torch.cat([h[:, :1], x[:, :1]], -1), h[:, :2]], -1)
    return tanh(torch.cat([torch.cat([h, x], -1), torch.cat([x * h, h], -1)], -1) @ s.A + inner)


def reshaped(s, x, M):
    return tanh(M.transpose(1, 2).reshape(-1, 3, 4) + M.reshape(-1, 2, 6).flatten(1).unflatten(1, (3, 4)) * x[:, None])


WHOLE = {
    "layer norm": a_cell(layer_norm_lstm, 4, 4, A=(4, 16), U=(4, 16)),
    "peepholes": a_cell(peephole_lstm, 4, 4, A=(4, 16), U=(4, 16), p=4, q=4, r=4),
    "minimal gated": a_cell(minimal_gated, 4, A=(4, 4), U=(4, 4), R=(4, 4)),
    "leaky with a mask": a_cell(lambda s, x, h: 0.7 * h + 0.3 * tanh(F.linear(h, s.A * (s.A > 0)) + x), 4, A=(4, 4)),
    "attention": a_cell(attention, (5, 4), 4, A=(4, 4)),
    "fast weights": a_cell(fast_weights, (4, 4), 4, A=(4, 4)),
    "bilinear": a_cell(lambda s, x, h: tanh(torch.einsum("bi,bj,hij->bh", x, h, s.A)), 5, A=(5, 4, 5)),
    "bilinear in the state": a_cell(lambda s, x, h: tanh(torch.einsum("bi,bj,hij->bh", h, h, s.A) + x), 4, A=(4, 4, 4)),
}

PRODUCTS = {
    "of size 1": a_cell(lambda s, x, h: tanh(F.linear(h, s.A) + x[:, :1]), 1, A=(1, 1)),
    "to size 1": a_cell(lambda s, x, h: tanh(F.linear(h, s.A) * x + h), 4, A=(1, 4)),
    "from size 1": a_cell(lambda s, x, h: tanh(F.linear(h[:, :1], s.A) * x + h), 4, A=(4, 1)),
    "state 1 x n": a_cell(lambda s, x, M: tanh(M @ s.A + x[:, None]), (1, 4), A=(4, 4)),
    "state n x 1": a_cell(lambda s, x, M: tanh(M @ s.A + x[:, :, None]), (4, 1), A=(1, 1)),
    "from the left": a_cell(lambda s, x, M: tanh(s.A @ M + x[:, :, None]), (4, 1), A=(4, 4)),
    "from both sides": a_cell(lambda s, x, M: tanh(s.A @ M @ s.C + x[:, :3, None]), (3, 5), A=(3, 3), C=(5, 5)),
    "13 gates": a_cell(thirteen_gates, 4, A=(52, 4)),
    "13 products": a_cell(
        lambda s, x, h: tanh(sum(torch.sin(F.linear(h, s.A[i]) * (1 + i / 13)) for i in range(13)) + x), 4, A=(13, 4, 4)
    ),
    "weights in part": a_cell(lambda s, x, h: tanh(F.linear(h, s.A[1:5, 2:6]) + x + h @ s.A[2:6, 1:5]), 4, A=(7, 8)),
    "weights in both directions": a_cell(lambda s, x, h, c: (tanh(c @ s.A + x), tanh(h @ s.A.t() + c)), 4, 6, A=(6, 4)),
    "square weights in both directions": a_cell(
        lambda s, x, h: tanh(h @ s.A + tanh(F.linear(h, s.A)) + x), 4, A=(4, 4)
    ),
    "weights turned and cut": a_cell(lambda s, x, h: tanh(h @ s.A.t()[1:5] + x), 4, A=(4, 7)),
    "weights in three axes": a_cell(lambda s, x, h: tanh(F.linear(h, s.A.permute(2, 0, 1)[1]) + x), 4, A=(4, 4, 3)),
    "a chain": a_cell(lambda s, x, h: tanh(F.linear(F.linear(F.linear(h, s.A), s.A), s.A) + x), 4, A=(4, 4)),
    "of what is broadcast": a_cell(lambda s, x, h: tanh(x + h[:, :1].expand(-1, 6) @ s.A), 4, A=(6, 4)),
    "of truths": a_cell(lambda s, x, h: tanh(x + (h > 0).to(h.dtype) @ s.A + h), 4, A=(4, 4)),
    "of parts side by side": a_cell(
        lambda s, x, h, c: (tanh(F.linear(torch.cat([h, c, x], -1), s.A)), tanh(h + c)), 4, 4, A=(4, 12)
    ),
    "with constants side by side": a_cell(
        lambda s, x, h: tanh(x + F.linear(torch.cat([x[:, :2] * 0, h, torch.ones_like(h[:, :1])], -1), s.A)),
        4,
        A=(4, 7),
    ),
    "with nothing but constants beside": a_cell(
        lambda s, x, h: tanh(x + F.linear(torch.cat([torch.zeros_like(h[:, :2]), h], -1), s.A)), 4, A=(4, 6)
    ),
    "cut": a_cell(cut, 4, A=(4, 8)),
    "cut into overlapping parts": a_cell(overlapping, 4, A=(4, 8)),
    "cut and read whole": a_cell(cut_and_whole, 4, A=(4, 8)),
    "that leaves in parts": a_cell(leaves_in_parts, 4, 2, A=(6, 6)),
    "heads": a_cell(lambda s, x, h: tanh(torch.einsum("bmi,mij->bmj", h, s.A) + x[:, None]), (3, 4), A=(3, 4, 4)),
    "head by head": a_cell(
        lambda s, x, h: tanh(torch.stack([h[:, i] @ s.A[i] for i in range(3)], 1) + x[:, None]), (3, 4), A=(3, 4, 4)
    ),
    "of a state with itself": a_cell(lambda s, x, M: tanh(torch.bmm(M, M.mT) @ M * 0.3 + x[:, None]), (3, 4)),
    "along another axis": a_cell(
        lambda s, x, M: tanh(torch.einsum("bmn,mk->bkn", M, s.A) + x[:, None]), (3, 4), A=(3, 3)
    ),
    "to another order": a_cell(
        lambda s, x, M: tanh(torch.einsum("bmn,mk->bnk", M, s.A) + x[:, None, :3]), (3, 3), A=(3, 3)
    ),
    "of four axes": a_cell(
        lambda s, x, M: tanh(M @ s.A + M.permute(0, 2, 1, 3) + x[:, None, None, :3]), (2, 2, 3), A=(3, 3)
    ),
    "along the third of four axes": a_cell(
        lambda s, x, M: tanh(torch.einsum("bmnk,nj->bmjk", M, s.A) + x[:, None, None, :3]), (2, 2, 3), A=(2, 2)
    ),
    "wider than vectors": a_cell(lambda s, x, h: tanh(F.linear(h, s.A) + x[:, :1]), 37, A=(37, 37)),
    "wider than vectors, cut": a_cell(
        lambda s, x, h: tanh(F.linear(h, s.A)[:, :37] * F.linear(h, s.A)[:, 37:74] + x[:, :1]), 37, A=(111, 37)
    ),
    "wider than vectors, in rows": a_cell(lambda s, x, h: tanh(h @ s.A + x[:, :3, None]), (3, 19), A=(19, 19)),
    "wider than vectors, batched": a_cell(lambda s, x, h: tanh(h @ h.mT @ h * 0.1 + x[:, :1, None]), (9, 19)),
}

STATES = {
    "one number a row": a_cell(lambda s, x, h: tanh(x.mean(-1) + h * s.a[0]), (), a=1),
    "one number and a vector": a_cell(
        lambda s, x, h, c: (tanh(x.mean(-1) + h * c.sum(-1)), tanh(c * h[:, None] + x)), (), 4
    ),
    "a shift register": a_cell(lambda s, x, a, b, c: (tanh(x + c @ s.A), a, b), 4, 4, 4, A=(4, 4)),
    "a shift register in one": a_cell(
        lambda s, x, M: torch.cat([tanh(x + M[:, -1]).unsqueeze(1), M[:, :-1]], 1), (3, 4)
    ),
    "constant": a_cell(lambda s, x, a, b: (tanh(x + b * a), torch.ones_like(b) * 0.5), 4, 4),
    "weights as a state": a_cell(lambda s, x, a, b: (tanh(x + b * a), s.p.expand(a.shape[0], 4)), 4, 4, p=4),
    "handed on": a_cell(lambda s, x, h, c: (h, tanh(x + h * c)), 4, 4),
    "swapped": a_cell(lambda s, x, h, c: (c, tanh(x + h)), 4, 4),
    "swapped and nothing else": a_cell(lambda s, x, h, c: (c, h), 4, 4, output=lambda s, h, c: h * c),
    "turned": a_cell(lambda s, x, M: M.transpose(1, 2) * 0.9, (3, 3)),
    "in part": a_cell(lambda s, x, h, c: (tanh(torch.cat([h, c], -1) @ s.A + x), tanh(c)[:, :2]), 4, 2, A=(6, 4)),
    "counted": a_cell(lambda s, x, h, n: (torch.where(n > 1.5, tanh(x + h), h), n.detach() + 1), 4, 1),
}

MOVES = {
    "two axes cut": a_cell(lambda s, x, M: tanh(M * 0.5 + M[:, :1, 1:3].sum((1, 2), True) * x[:, :1, None]), (3, 4)),
    "two axes cut, the last first": a_cell(
        lambda s, x, M: tanh(M + M[:, 1:, :2][:, :1, 1:] * x[:, :1, None] + M[:, :, 1:][:, 1:2, :1]), (3, 4)
    ),
    "roll": a_cell(lambda s, x, h: tanh(x + h.roll(1, -1) * h.roll(-1, -1)), 4),
    "shifted": a_cell(roll_sum, 4),
    "backwards": a_cell(lambda s, x, h: tanh(x + torch.stack(h.unbind(-1)[::-1], -1)), 4),
    "stack": a_cell(lambda s, x, h: tanh(torch.stack([h, x, h * x], 1).mean(1)), 4),
    "stack on the last axis": a_cell(lambda s, x, h: tanh(torch.stack([h, x, h * x], -1) @ s.A)[..., 0], 4, A=(3, 1)),
    "cat of cat": a_cell(nested, 4, A=(16, 4)),
    "cat of cat that leaves": a_cell(
        lambda s, x, h: torch.cat([tanh(h[:, :2] + x[:, :2]), torch.cat([x[:, :1], h[:, :1] * 0.4], -1)], -1), 4
    ),
    "zeros around what leaves": a_cell(padded_and_read, 4, 4),
    "reshape": a_cell(reshaped, (3, 4)),
    "expand": a_cell(lambda s, x, h: tanh(x + h.mean(-1, keepdim=True).expand(-1, 4) @ s.A), 4, A=(4, 4)),
    "sums over two axes": a_cell(lambda s, x, M: tanh(M + x[:, None] - M.sum((1, 2))[:, None, None] * 0.1), (3, 4)),
    "layer norm over two axes": a_cell(lambda s, x, M: tanh(F.layer_norm(M, (3, 4)) + x[:, None]), (3, 4)),
}

TRUTHS = {
    "largest": a_cell(lambda s, x, h: tanh(x + h * (h == h.amax(-1, keepdim=True))), 4),
    "any": a_cell(lambda s, x, h: tanh(x + h) * (h > 0.3).to(h.dtype).amax(-1, keepdim=True), 4),
    "counted": a_cell(lambda s, x, h: tanh(x + h * (h > 0).sum(-1, keepdim=True)), 4),
    "combined": a_cell(lambda s, x, h: torch.where(((h > 0) & (x > 0)) | ~(h < x) & ~(h > 1), tanh(x + h), h * 0.3), 4),
    "compared": a_cell(lambda s, x, h: torch.where((h > 0) == (x > 0), tanh(x + h), h * 0.3), 4),
    "side by side": a_cell(lambda s, x, h: tanh(x + h * torch.cat([h[:, :2] > 0, h[:, 2:] < 0], -1)), 4),
    "cut": a_cell(lambda s, x, h: tanh(x + h * (h > 0)[:, :1]), 4),
    "rolled": a_cell(lambda s, x, h: tanh(x + h * (h > 0).roll(1, -1)), 4),
    "any along the first axis": a_cell(
        lambda s, x, M: tanh(x[:, :1, None] + M * (M > 0).amax(1, keepdim=True)), (3, 9)
    ),
    "a sign": a_cell(lambda s, x, h: tanh(x + h * torch.sign(h)), 4),
    "powers": a_cell(lambda s, x, h: tanh(x + (h.abs() + 0.1) ** x.abs() + h**3 + h**4 + 2.0**h), 4),
}

TABLES = {"whole": WHOLE, "products": PRODUCTS, "states": STATES, "moves": MOVES, "truths": TRUTHS}


def calls(table):
    """A layer and arguments for each cell of a table, and for each way to call it."""
    for name, make in table.items():
        layer = elman.Recurrent(make())
        sizes = [(B, *(size if isinstance(size, tuple) else (size,))) for size in layer.cell.state_size]
        state = tuple(random_tensor(*size, seed=5 + number) for number, size in enumerate(sizes))
        for how, options in OPTIONS.items():
            yield f"{name}, {how}", layer, (random_tensor(T, B, 4), state if len(state) > 1 else state[0]), options


def assert_all_agree(every, relative=RELATIVE):
    """Each call in C gives what the Python loop gives, with gradients and without; its kernels are built together."""
    kernels = []
    for _, layer, arguments, options in every:
        kernels += kernels_of(layer, *arguments, schedule=SCHEDULE, **options)
        with torch.no_grad():
            kernels += kernels_of(layer, *arguments, schedule=SCHEDULE, **options)
    build_all(kernels, ("-O0",))  # what the optimizer does is tested by the cells that we have
    for name, layer, arguments, options in every:
        try:
            with in_c(SCHEDULE):
                got = outcome(layer, *arguments, **options)
                with torch.no_grad():
                    got["y alone"] = layer(*arguments, **options)[0]
            with step_by_step():
                expected = outcome(layer, *arguments, **options)
            assert_same(got, expected | {"y alone": expected["y"]}, relative, 100 * torch.finfo(DTYPE).eps)
        except Exception as error:
            raise AssertionError(f"{name}: {error}") from error


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES)
def test_unusual_cells_equal_the_python_loop(table):
    assert_all_agree(list(calls(TABLES[table])))


def test_some_unusual_cells_equal_the_python_loop():
    some = {
        "rows packed": STATES["constant"],  # what is the same at all steps is there for one row only
        "two axes": MOVES["two axes cut, the last first"],
        "attention": WHOLE["attention"],
    }
    assert_all_agree(list(calls(some)))


class Numbered(Written):
    """A cell whose second state is no float."""

    def initial_state(self, batch_size):
        return (*super().initial_state(batch_size)[:1], torch.zeros(batch_size, 4, dtype=self.dtype))


def numbered(dtype, step):
    return lambda: Numbered(step, (4, 4), dtype=dtype)


NUMBERED = {
    "counted": numbered(torch.int64, lambda s, x, h, n: (tanh(x + 0.1 * n * h), n + (h > 0.1))),
    "narrow": numbered(torch.int32, lambda s, x, h, n: (tanh(x + 0.1 * n * h), n + 1)),
    "kept while": numbered(torch.int64, lambda s, x, h, n: (torch.where(n >= 2, h, tanh(x + h)), (h > 0) * (n + 1))),
    "truths": numbered(torch.bool, lambda s, x, h, n: (torch.where(n, tanh(x + h), h), ~n | (h > 0))),
    "sign of truths": numbered(torch.bool, lambda s, x, h, n: (tanh(x + h * torch.sign(n)), ~n)),
    "products of truths": numbered(torch.bool, lambda s, x, h, n: (tanh(x + h * (n * (h > 0))), n + (x > 0))),
    "truths compared": numbered(torch.bool, lambda s, x, h, n: (tanh(x + h * (n < (h > 0))), n == (x > 0))),
}


@pytest.mark.parametrize("name", NUMBERED)
def test_states_that_are_no_floats(name):
    layer = elman.Recurrent(NUMBERED[name]())
    with in_c(SCHEDULE):
        got = outcome(layer, random_tensor(T, B, 4), lengths=LENGTHS)
    with step_by_step():
        assert_same(
            got, outcome(layer, random_tensor(T, B, 4), lengths=LENGTHS), RELATIVE, 100 * torch.finfo(DTYPE).eps
        )


def test_numbers_that_wrap_around_are_left_to_torch():
    layer = elman.Recurrent(numbered(torch.uint8, lambda s, x, h, n: (tanh(x + 0.01 * n * h), n + 100))())
    with using(backend="c"), pytest.raises(TraceError, match="uint8"):
        layer(random_tensor(T, B, 4))


GROWING = {
    "powers": lambda s, x, h, n: (tanh(x + 1e-18 * n * h), 3 * n + 1),
    "a generator of random numbers": lambda s, x, h, n: (tanh(x + 1e-18 * n * h), n * 6364136223846793005 + 1),
    "the sum of two states": lambda s, x, h, n: (tanh(x + 1e-18 * n * h), n + n),
    "far apart": lambda s, x, h, n: (tanh(x + 1e-18 * n * h), n + 10**12),
    "a large one beside it": lambda s, x, h, n: (tanh(x + h), torch.where(n > 12347, n, n * 0 + (2**53 + 1))),
    "a large constant": lambda s, x, h, n: (tanh(x + h), torch.where(n > 12346, torch.full_like(n, 2**53 + 1), n + 1)),
    "from a real number": lambda s, x, h, n: (tanh(x + h), (x.abs() * 0 + 2.0**60).long() - (n * 0 + 1)),
    "a real number that is counted on": lambda s, x, h, n: (
        tanh(x + h),
        torch.where(n > 12347, n + 1, (h * 0 + 2.0**53).long()),
    ),
    "summed": lambda s, x, h, n: (tanh(x + 1e-18 * n * h), n + n.sum(-1, keepdim=True)),
}


@pytest.mark.parametrize("name", GROWING)
def test_whole_numbers_that_grow_too_fast_are_left_to_torch(name):
    layer, x = elman.Recurrent(numbered(torch.int64, GROWING[name])()), random_tensor(T, B, 4)
    start = (torch.zeros(B, 4, dtype=DTYPE), torch.full((B, 4), 12345, dtype=torch.int64))
    with using(backend="c"), pytest.raises(TraceError, match="whole numbers"):
        layer(x, start)
    with pytest.warns(StepByStepWarning, match="whole numbers"):
        got = layer(x, start)[1][1]
    with step_by_step():
        assert torch.equal(got, layer(x, start)[1][1])


@pytest.mark.parametrize(("dtype", "most"), [(torch.int64, 2**31), (torch.int32, 2**15)])
def test_whole_numbers_that_are_given_too_large_are_left_to_torch(dtype, most):
    layer, x = elman.Recurrent(numbered(dtype, lambda s, x, h, n: (tanh(x + h), n + 1))()), random_tensor(T, B, 4)
    for first, backend in ((most - 1, "c"), (-most, "reference")):
        start = (torch.zeros(B, 4, dtype=DTYPE), torch.full((B, 4), first, dtype=dtype))
        assert layer.plan(x, start).backend == backend
        assert torch.equal(layer(x, start)[1][1], start[1] + T)
    with using(backend="c"), pytest.raises(ArgumentError, match="beyond"):
        layer(x, start)


def test_steps_in_two_precisions():
    cell = Written(lambda s, x, h: tanh(x + tanh(h.float() @ s.A.float()).double()), (4,), A=weight(4, 4))
    layer = elman.Recurrent(cell)
    with in_c(SCHEDULE):
        got = outcome(layer, random_tensor(T, B, 4))
    with step_by_step():
        expected = outcome(layer, random_tensor(T, B, 4))
    assert_same(got, expected, 300 * torch.finfo(torch.float32).eps, 0)


def test_a_step_without_input():
    layer, state = elman.Recurrent(Written(lambda s, x, h: tanh(h @ s.A), (4,), A=weight(4, 4))), random_tensor(B, 4)
    with in_c(SCHEDULE):
        got = outcome(layer, None, state, steps=T)
    with step_by_step():
        assert_same(got, outcome(layer, None, state, steps=T), RELATIVE)


@pytest.mark.parametrize("name", ["layer norm", "minimal gated"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_recomputing_equals_keeping(name, options):
    layer, x, found, texts = elman.Recurrent(WHOLE[name]()), random_tensor(T, B, 4), [], []
    for schedule in (SCHEDULE, replace(SCHEDULE, recompute=False)):
        with in_c(schedule):
            found.append(outcome(layer, x, **options))
        texts.append(kernels_of(layer, x, schedule=schedule, **options)[-1].text)
    assert texts[0] != texts[1]
    assert_same(found[1], found[0], RELATIVE)


class Gained(elman.Cell):
    """Parameters that stand beside what is carried: their gradients are sums over rows and steps."""

    def __init__(self, size):
        super().__init__()
        self.state_size = (size,)
        self.W = torch.nn.Linear(size, size, bias=False)
        self.gain, self.leak = (torch.nn.Parameter(torch.linspace(-1, 1, size)) for _ in range(2))
        self.row, self.scale = torch.nn.Parameter(torch.ones(1, size)), torch.nn.Parameter(torch.tensor(0.5))

    def step(self, x, h):
        rate = torch.sigmoid(self.leak * h + self.row * x)
        return rate * h + (1 - rate) * torch.tanh(self.gain * self.W(h) + self.scale * x)


@pytest.mark.parametrize("size", [1, 4, 19])
@pytest.mark.parametrize(("steps", "batch"), [(5, 3), (70, 1), (130, 230)])
@pytest.mark.parametrize("options", ["plain", "lengths"])
def test_sums_over_rows_and_steps(size, steps, batch, options):
    torch.manual_seed(0)
    layer, x = elman.Recurrent(Gained(size).to(DTYPE)), random_tensor(steps, batch, size)
    given = {} if options == "plain" else {"lengths": torch.arange(batch) % (steps + 1)}
    with in_c(SCHEDULE):
        got = outcome(layer, x, **given)
        kernels = kernels_of(layer, x, schedule=SCHEDULE, **given)
    assert len(kernels[-1].loop.total) >= 2  # of the gradient
    with using(backend="reference"):
        assert_same(got, outcome(layer, x, **given), 1e-10)


@pytest.mark.slow
def test_a_sum_over_many_steps_loses_no_digits():
    torch.manual_seed(0)
    layer, x = elman.Recurrent(Gained(3)), random_tensor(30_000, 2, 3, dtype=torch.float32)
    with in_c(SCHEDULE):
        got = outcome(layer, x)
    with using(backend="reference"):
        expected = outcome(layer.double(), x.detach().double())
    for name in ("cell.gain", "cell.leak"):
        one, other = got[f"gradient of {name}"].double(), expected[f"gradient of {name}"]
        assert ((one - other).abs() <= 2e-5 * other.abs().max()).all(), (one, other)


def test_one_sum_serves_all_who_want_it():
    make = a_cell(lambda s, x, h: tanh(h @ s.A + x) * (s.p + s.q), 4, A=(4, 4), p=4, q=4)
    layer, x = elman.Recurrent(make()), random_tensor(T, B, 4)
    assert len(kernels_of(layer, x, schedule=SCHEDULE)[-1].loop.total) == 1
    with in_c(SCHEDULE):
        got = outcome(layer, x)
    with using(backend="reference"):
        assert_same(got, outcome(layer, x), RELATIVE)
