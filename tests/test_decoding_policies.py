"""Who supplies the next input: schedules, masks, and models of the next token under them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import elman
from elman.compiler import planning
from elman.decoding import (
    FreeFor,
    FreeRunning,
    PerSequence,
    PerToken,
    TeacherForcing,
    exponential,
    fed_next,
    fed_tokens,
    generate,
    greedy,
    inverse_sigmoid,
    linear,
    sampling,
    teach,
)
from elman.errors import ArgumentError, DtypeError, NumericsError, ShapeError
from speakers import LAYERS, V, cases, speaker
from tolerances import assert_close

T, B = 7, 4
FIRST = torch.tensor([0, 2, 3, 4])
TARGETS = torch.randint(V, (T, B), generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([7, 3, 0, 5])


@pytest.fixture(autouse=True)
def on_torch():
    """No kernel is built for these small sizes."""
    with elman.using(backend="reference"):
        yield


def coins(seed=0):
    return torch.Generator().manual_seed(seed)


POLICIES = {
    "teacher": TeacherForcing,
    "free": FreeRunning,
    "token": lambda: PerToken(0.5, coins()),
    "sequence": lambda: PerSequence(0.5, coins(5)),
    "free for": lambda: FreeFor(2),
}


# schedules


def test_schedules_are_those_of_the_paper():
    p = linear(10, start=0.9, end=0.2)
    assert [p(0), p(5), p(10), p(11)] == pytest.approx([0.9, 0.55, 0.2, 0.2])
    assert [exponential(0.5)(i) for i in range(3)] == [1, 0.5, 0.25]
    p = inverse_sigmoid(10)
    assert [p(0), p(10 * math.log(10)), p(30)] == pytest.approx([10 / 11, 0.5, 10 / (10 + math.exp(3))])


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.floats(1, 1e6), st.floats(0.01, 0.99))
def test_schedules_fall_and_stay_probabilities(i, j, k, base):
    first, later = min(i, j), max(i, j)
    for p in (linear(k), exponential(base), inverse_sigmoid(k)):
        assert 0 <= p(later) <= p(first) <= 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: linear(0), "steps > 0, got 0"),
        (lambda: linear(5, start=0.1, end=0.2), "start 0.1 and end 0.2"),
        (lambda: exponential(1), "0 < k < 1, got 1"),
        (lambda: inverse_sigmoid(0.5), "k >= 1, got 0.5"),
        (lambda: linear(5)(-1), "i >= 0, .* got -1"),
        (lambda: inverse_sigmoid(5)(math.nan), "i >= 0, .* got nan"),
        (lambda: PerToken(1.1, coins()), "0 <= p <= 1 .* got 1.1"),
        (lambda: PerSequence(-0.1, coins()), "0 <= p <= 1 .* got -0.1"),
        (lambda: FreeFor(-1), "k >= 0, got -1"),
    ],
)
def test_silly_schedules_and_policies(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


# masks


def test_masks():
    assert TeacherForcing().forced(3, 2).all()
    assert not FreeRunning().forced(3, 2).any()
    assert PerToken(0.3, coins()).forced(200, 100).double().mean().item() == pytest.approx(0.3, abs=0.02)
    rows = PerSequence(0.3, coins()).forced(5, 4000)
    assert torch.equal(rows, rows[:1].expand_as(rows))
    assert rows[0].double().mean().item() == pytest.approx(0.3, abs=0.03)
    for p in (0.0, 1.0):
        for make in (PerToken, PerSequence):
            assert make(p, coins()).forced(50, 50).double().mean() == p
    assert torch.equal(PerToken(0.5, coins(1)).forced(9, 9), PerToken(0.5, coins(1)).forced(9, 9))


def test_free_for_k_steps():
    policy = FreeFor(2)
    assert policy.forced(7, 1).squeeze(1).tolist() == [False, False, True, False, False, True, False]
    assert torch.equal(policy.asked(7), policy.forced(7, 3)[:, 0])
    assert FreeFor(0).forced(4, 2).all()
    asked = sum(FreeFor(2, phase).asked(7).int() for phase in range(3))
    assert asked.tolist() == [1] * 7


def test_fed_next():
    forced, target, own = torch.tensor([True, False]), torch.zeros(2, 3), torch.ones(2, 3)
    assert fed_next(forced, target, own).tolist() == [[0.0] * 3, [1.0] * 3]
    assert fed_next(forced, target[:, 0], own[:, 0]).tolist() == [0.0, 1.0]


# models of the next token


def by_hand(model, targets, policy, choice, lengths=None):
    """Step by step, row by row, with gradients: logits of each row, in a list."""
    forced, logits = policy.forced(*targets.shape), []
    for row in range(targets.size(1)):
        fed, states, mine = FIRST[row : row + 1], None, []
        for t in range(len(targets) if lengths is None else int(lengths[row])):
            each, states = model(fed, states)
            mine.append(each[0])
            fed = targets[t, row : row + 1] if forced[t, row] else choice(each.detach())
        logits.append(mine)
    return logits


@pytest.mark.parametrize(
    ("name", "policy", "padded"),
    cases(LAYERS, POLICIES, [True, False], quick=lambda *case: case[0] == "gru" or case[1:] == ("token", True)),
)
def test_teach_is_the_loop_and_so_is_its_gradient(name, policy, padded):
    model, lengths = speaker(name, seed=4), LENGTHS if padded else None
    targets = TARGETS.clone()
    if lengths is not None:
        targets[torch.arange(T).unsqueeze(1) >= lengths] = -100  # what losses take for padding
    logits, _ = teach(model, FIRST, targets, POLICIES[policy](), lengths=lengths)
    expected = by_hand(model, targets, POLICIES[policy](), greedy, lengths)
    weight = torch.randn(T, B, V, generator=coins(), dtype=torch.float64)
    got, wanted = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for row, steps in enumerate(expected):
        for t, each in enumerate(steps):
            assert_close(logits[t, row], each, 1e-10)
            got, wanted = got + (weight[t, row] * logits[t, row]).sum(), wanted + (weight[t, row] * each).sum()
    parameters = list(model.parameters())
    assert_close(torch.autograd.grad(got, parameters), torch.autograd.grad(wanted, parameters), 1e-9)


def test_free_running_is_generation_and_draws_follow_their_seed():
    model = speaker("lstm", scale=1.0)
    for make in (lambda: greedy, lambda: sampling(coins(3))):
        made = generate(model, FIRST, max_length=T, choice=make())
        fed = fed_tokens(model, FIRST, TARGETS, FreeRunning(), choice=make())
        assert torch.equal(fed[0], FIRST)
        assert torch.equal(fed[1:], made.tokens.T[: T - 1])
    assert torch.equal(
        fed_tokens(model, FIRST, TARGETS, TeacherForcing()), torch.cat([FIRST.unsqueeze(0), TARGETS[:-1]])
    )


def test_the_state_goes_on_from_window_to_window():
    model = speaker("nn.LSTM")
    whole, end = teach(model, FIRST, TARGETS, TeacherForcing())
    begun, state = teach(model, FIRST, TARGETS[:3], TeacherForcing())
    rest, last = teach(model, TARGETS[2], TARGETS[3:], TeacherForcing(), states=state)
    assert_close(torch.cat([begun, rest]), whole, 1e-12)
    assert_close(last, end, 1e-12)
    _, state = model(FIRST)
    fed = fed_tokens(model, TARGETS[0], TARGETS[1:], PerSequence(0.5, coins(5)), states=state)
    _, expected = model(FIRST)
    made = generate(model, TARGETS[0], max_length=T - 2, states=expected)
    free = ~PerSequence(0.5, coins(5)).forced(1, B)[0]
    assert 0 < free.sum() < B
    assert torch.equal(fed[1:, free], made.tokens.T[:, free])
    assert torch.equal(fed[1:, ~free], TARGETS[1:-1, ~free])


def test_a_row_that_has_ended_is_fed_its_first_token_and_its_logits_are_nobodys_business():
    def step(tokens, states):
        logits = torch.eye(V).roll(1, 1)[tokens]
        states = torch.zeros(len(tokens), 1) if states is None else states + 1
        return torch.where((states > 1) & (torch.arange(len(tokens)) == 1).unsqueeze(1), math.nan, logits), states

    fed = fed_tokens(step, FIRST, TARGETS, FreeRunning(), lengths=torch.tensor([7, 3, 1, 0]))
    counted = [
        [(int(number) + t) % V if t < n else int(number) for t in range(T)]
        for number, n in zip(FIRST[:2], (7, 3), strict=True)
    ]
    assert fed.T.tolist() == [*counted, [3] * T, [4] * T]


@pytest.mark.parametrize("policy", POLICIES)
def test_only_free_rows_run_by_themselves_and_the_gradient_is_one_call(policy):
    model, rows = speaker("gru"), []
    step = type(model).forward

    class Counted(type(model)):
        def forward(self, tokens, states=None):
            rows.append(len(tokens))
            return step(self, tokens, states)

    model.__class__ = Counted
    with planning() as layers:
        teach(model, FIRST, TARGETS, POLICIES[policy]())
    own = ~POLICIES[policy]().forced(T, B)[:-1]
    free = int(own.any(0).sum())
    assert rows == ([free] * (int(own.any(1).nonzero()[-1]) + 1) if free else [])
    assert len(layers) == len(rows) + 1
    assert {layer.backend for layer in layers} == {"reference"}  # not step by step: each call is compiled


class Silly:
    def __init__(self, mask):
        self.mask = mask

    def forced(self, steps, batch):
        return self.mask


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"targets": TARGETS[:, :2]}, ShapeError, r"T >= 1 and B = 4, got \[7, 2\]"),
        ({"targets": TARGETS[:0]}, ShapeError, r"got \[0, 4\]"),
        ({"targets": TARGETS.double()}, DtypeError, "targets of an integer dtype, got torch.float64"),
        ({"first": FIRST[:0]}, ShapeError, r"B >= 1, got \[0\]"),
        ({"lengths": LENGTHS + 1}, ArgumentError, "between 0 and T = 7, got 8"),
        ({"lengths": LENGTHS[:2]}, ShapeError, r"lengths \[B\] = \[4\], got \[2\]"),
        ({"states": torch.zeros(3, 4)}, ShapeError, r"B = 4 rows on axis 0, got \[3, 4\]"),
        ({"policy": Silly(torch.ones(T, B))}, ArgumentError, "bool mask from Silly, got torch.float32"),
        ({"policy": Silly(torch.ones(T, dtype=torch.bool))}, ShapeError, r"\[7, 4\] from Silly, got \[7\]"),
        ({"model": lambda tokens, _: (torch.full((B, V), math.nan), None)}, NumericsError, "got nan in row 0 at step"),
    ],
)
def test_silly_lessons(change, error, message):
    options = {
        "model": speaker("gru"), "first": FIRST, "targets": TARGETS, "policy": FreeRunning(), "lengths": None,
        "states": None, **change,
    }  # fmt: skip
    with pytest.raises(error, match=message):
        teach(**options)
