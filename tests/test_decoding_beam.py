"""Beam search: exact where it is wide enough, greedy where it is one wide."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import elman
from elman.decoding import beam_search, generate, length_penalty
from elman.errors import ArgumentError, NumericsError, ShapeError
from speakers import EOS, LAYERS, PAD, V, cases, every_sequence, log_probability, nothing, speaker, table
from tolerances import assert_close

FIRST = torch.tensor([0, 2, 3])
LONGEST = 4
WIDE = V * (V - 1) ** (LONGEST - 1)  # as many beginnings as there can be


@pytest.fixture(autouse=True)
def on_torch():
    """No kernel is built for these small sizes."""
    with elman.using(backend="reference"):
        yield


def enumerated(model, first, alpha, least=1):
    """All sequences with their scores, the best first, those by EOS before the others."""
    groups = []
    for group in every_sequence(LONGEST):
        longest = max(map(len, group))
        fed = torch.tensor([[int(first), *each, *[0] * (longest - len(each))] for each in group]).T
        logs = model.sequence(fed)[0].log_softmax(-1).detach()
        totals = [sum(logs[t, n, token] for t, token in enumerate(each)) for n, each in enumerate(group)]
        scored = [(float(total) / length_penalty(len(s), alpha), s) for total, s in zip(totals, group, strict=True)]
        groups += sorted((each for each in scored if len(each[1]) >= least), reverse=True)
    return groups


@pytest.mark.parametrize(
    ("name", "how"),
    cases(LAYERS, [(0.0, 1), (0.7, 1), (2.0, 3)], quick=lambda name, how: name == "gru" or how == (0.7, 1)),
)
def test_a_wide_beam_finds_what_enumeration_finds(name, how):
    alpha, least = how
    model = speaker(name, seed=2, scale=1.5)
    options = {"alpha": alpha, "min_length": least, "eos": EOS, "pad": PAD, "max_length": LONGEST}
    found = beam_search(model, FIRST, width=WIDE, n_best=7, **options)
    for row, first in enumerate(FIRST):
        for number, (score, tokens) in enumerate(enumerated(model, first, alpha, least)[:7]):
            length = int(found.lengths[row, number])
            assert found.tokens[row, number, :length].tolist() == tokens
            assert found.tokens[row, number, length:].eq(PAD).all()
            assert float(found.scores[row, number]) == pytest.approx(score, rel=1e-10)
            assert_close(found.log_probabilities[row, number, :length], log_probability(model, first, tokens), 1e-10)
            assert found.log_probabilities[row, number, length:].eq(0).all()
    assert found.finished.all()


@pytest.mark.parametrize(("name", "seed"), cases(LAYERS, range(4), quick=lambda name, seed: seed < 1 or name == "gru"))
def test_a_beam_of_one_is_greedy(name, seed):
    model = speaker(name, seed)
    greedy = generate(model, FIRST, max_length=6, eos=EOS, pad=PAD)
    found = beam_search(model, FIRST, width=1, max_length=6, eos=EOS, pad=PAD)
    assert torch.equal(found.tokens[:, 0], greedy.tokens)
    assert torch.equal(found.lengths[:, 0], greedy.lengths)
    assert torch.equal(found.finished[:, 0], greedy.finished)
    assert_close(found.scores[:, 0], greedy.scores, 1e-12)


#             PAD  EOS  a    b
GARDEN = [[0.0, 0.0, 0.6, 0.4],  # a is likelier, but what comes after it is not
          [0.0, 1.0, 0.0, 0.0],
          [0.0, 0.4, 0.3, 0.3],
          [0.0, 0.9, 0.0, 0.1]]  # fmt: skip


def test_it_finds_what_greedy_misses():
    step, first = table(GARDEN), torch.tensor([0])
    greedy = generate(step, first, max_length=4, eos=1)
    found = beam_search(step, first, width=2, max_length=4, eos=1, n_best=2)
    assert greedy.tokens.tolist() == [[2, 1]]
    assert found.tokens.tolist() == [[[3, 1], [2, 1]]]
    assert found.scores.exp().tolist() == [pytest.approx([0.36, 0.24])]
    assert found.scores[0, 0] > greedy.scores[0]


def test_the_length_penalty_of_wu_et_al():
    assert length_penalty(7, 0.0) == 1
    assert length_penalty(1, 0.6) == 1
    assert length_penalty(13, 0.5) == pytest.approx(math.sqrt(3))
    # Ending at once has 0.3, the way over 2 has 0.7 * 0.36: only the penalty makes them win.
    step = table([[0, 0.3, 0.7], [0, 1, 0], [0.64, 0.36, 0]])
    plain, long = (
        beam_search(step, torch.tensor([0]), width=9, max_length=3, eos=1, alpha=alpha).tokens[0, 0].tolist()
        for alpha in (0.0, 1.0)
    )
    assert plain == [1]
    assert long == [2, 1]


def test_what_goes_on_may_still_win_by_its_length():
    chain = [[0.0] * 6 for _ in range(6)]
    chain[0][1:3] = 0.6, 0.4  # ending at once is likelier; the other way is long and sure
    for number in range(1, 6):
        chain[number][{1: 1, 5: 1}.get(number, number + 1)] = 1.0
    for alpha, best in ((0.0, [1]), (2.0, [2, 3, 4, 5, 1])):
        found = beam_search(table(chain), torch.tensor([0]), width=2, max_length=9, eos=1, alpha=alpha)
        assert found.tokens[0, 0].tolist() == best


def test_a_wider_beam_scores_no_worse_here_and_rows_do_not_meet():
    model = speaker("lstm", seed=5, scale=2.0)
    options = {"max_length": 8, "eos": EOS, "pad": PAD, "width": 4, "n_best": 3}
    found = beam_search(model, FIRST, **options)
    for row in range(3):
        alone = beam_search(model, FIRST[row : row + 1], **options)
        length = alone.tokens.size(-1)
        assert torch.equal(alone.tokens[0], found.tokens[row, :, :length])
        assert found.tokens[row, :, length:].eq(PAD).all()
        assert_close(alone.scores[0], found.scores[row], 1e-12)
    best = generate(model, FIRST, max_length=8, eos=EOS)
    assert (found.scores[:, 0] >= best.scores - 1e-12)[best.finished].all()


@pytest.mark.parametrize("name", ["jordan", "stack", "nn.LSTM", "nn.GRU"])
def test_it_goes_on_from_given_states(name):
    model = speaker(name, seed=3)
    prompt = torch.tensor([[0, 2, 3], [4, 4, 2]])
    first, states = model.read(prompt)
    found = beam_search(model, first, states=states, width=WIDE, max_length=LONGEST, eos=EOS, n_best=2)
    for row in range(3):
        for number in range(2):
            tokens = found.tokens[row, number, : found.lengths[row, number]].tolist()
            whole = log_probability(model, prompt[0, row], [int(prompt[1, row]), *tokens])
            assert float(found.scores[row, number]) == pytest.approx(float(whole[1:].sum().detach()), rel=1e-10)


def test_every_row_goes_on_until_it_has_as_many_as_asked_for():
    # After 0 EOS is likely, after 2 it is not: the first row is done long before the second.
    step = table([[0.05, 0.9, 0.05], [0, 1, 0], [0.0, 0.1, 0.9]])
    found = beam_search(step, torch.tensor([0, 2]), width=3, max_length=12, eos=1, pad=9, n_best=3)
    assert found.finished.all()
    assert found.lengths[0].tolist() == [1, 2, 2]
    assert found.lengths[1].tolist() == [1, 2, 3]
    assert found.tokens[1, 2].tolist() == [2, 2, 1]


def test_what_max_length_ends_comes_last_and_is_marked():
    step = table([[0.5, 0.0, 0.5], [0, 1, 0], [0.3, 0.6, 0.1]])
    found = beam_search(step, torch.tensor([0]), width=3, max_length=2, eos=1, n_best=3)
    assert found.tokens[0, 0].tolist() == [2, 1]
    assert found.finished.tolist() == [[True, False, False]]
    assert found.scores.exp().tolist() == [pytest.approx([0.3, 0.25, 0.25])]
    assert found.lengths.tolist() == [[2, 2, 2]]
    never = beam_search(table([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0]), width=1, max_length=5, eos=1)
    assert never.finished.tolist() == [[False], [False]]
    assert never.tokens.tolist() == [[[0] * 5]] * 2


def test_where_there_are_fewer_sequences_than_asked_for():
    found = beam_search(table([[0.0, 1.0], [0.0, 1.0]]), torch.tensor([0]), width=3, max_length=5, eos=1, n_best=3)
    assert found.lengths.tolist() == [[1, 0, 0]]
    assert found.tokens.tolist() == [[[1], [0], [0]]]
    assert found.scores.tolist() == [[0.0, -math.inf, -math.inf]]
    assert found.finished.tolist() == [[True, False, False]]


def test_ways_that_cannot_be_gone_are_not_looked_at():
    inner = table(GARDEN)

    def step(tokens, states):
        logits, states = inner(tokens, states)
        return torch.where((tokens == 0).unsqueeze(1) & (states["seen"] > 1), nothing(logits), logits), states

    assert beam_search(step, torch.tensor([0]), width=6, max_length=4, eos=1).tokens.tolist() == [[[3, 1]]]


ROWS = st.lists(st.integers(0, 3), min_size=3, max_size=3).filter(any)


@given(st.lists(ROWS, min_size=3, max_size=3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.data())
def test_any_beam_over_any_table(counts, width, longest, least, data):
    least, alpha = min(least, longest), data.draw(st.sampled_from([0.0, 0.6, 2.0]))
    chances = [[count / sum(row) for count in row] for row in counts]
    options = {"max_length": longest, "min_length": least, "eos": 1, "pad": PAD, "alpha": alpha}

    def score(tokens):
        way = [chances[a][b] for a, b in itertools.pairwise([0, *tokens])]
        return math.log(math.prod(way)) / length_penalty(len(tokens), alpha) if all(way) else -math.inf

    ended, cut = every_sequence(longest, vocabulary=3)
    groups = [sorted((score(each) for each in group if len(each) >= least), reverse=True) for group in (ended, cut)]
    best = [each for group in groups for each in group if each > -math.inf]
    for beams in (width, 40):
        found = beam_search(table(chances), torch.tensor([0, 2]), width=beams, n_best=width, **options)
        there = found.scores[0].isfinite()
        tokens = [t[:n].tolist() for t, n in zip(found.tokens[0], found.lengths[0], strict=True)]
        for each, got, done in zip(tokens, found.scores[0], found.finished[0], strict=True):
            assert (not each and not got.isfinite()) or float(got) == pytest.approx(score(each), abs=1e-12)
            assert bool(done) == (each[-1:] == [1])
            assert 1 not in each[:-1]
            assert not each or least <= len(each) <= longest
            assert done or len(each) in (0, longest)
        assert len({tuple(each) for each in tokens if each}) == int(there.sum())
        order = list(zip(found.finished[0].tolist(), found.scores[0].tolist(), strict=True))
        assert order == sorted(order, reverse=True)
    assert found.scores[0][there].tolist() == pytest.approx(best[:width], abs=1e-12)


SILLY = {
    "width": ({"width": 0}, ArgumentError, "width >= 1, got 0"),
    "n_best": ({"n_best": 4}, ArgumentError, "1 <= n_best <= width = 3, got 4"),
    "no n_best": ({"n_best": 0}, ArgumentError, "n_best <= width = 3, got 0"),
    "alpha": ({"alpha": -0.1}, ArgumentError, r"alpha >= 0, got -0\.1"),
    "alpha nan": ({"alpha": math.nan}, ArgumentError, "alpha >= 0, got nan"),
    "eos": ({"eos": V}, ArgumentError, "0 to V - 1 = 4, got 5"),
    "length": ({"max_length": 0}, ArgumentError, "max_length >= 1, got 0"),
    "least": ({"min_length": 0}, ArgumentError, "1 <= min_length"),
    "rows": ({"first": FIRST[:0]}, ShapeError, r"B >= 1, got \[0\]"),
    "states": ({"states": torch.zeros(2, 4)}, ShapeError, r"B = 3 rows on axis 0, got \[2, 4\]"),
    "nan": ({"step": lambda tokens, _: (torch.full((9, V), math.nan), None)}, NumericsError, "got nan in row 0 at st"),
    "nothing": ({"step": lambda tokens, _: (nothing(torch.ones(9, V)), None)}, NumericsError, "all 5 tokens in row 0"),
    "B rows": ({"step": lambda tokens, _: (torch.ones(3, V), None)}, ShapeError, r"B = 9 from the step, got \[3, 5\]"),
}


@pytest.mark.parametrize("name", SILLY)
def test_silly_arguments(name):
    change, error, message = SILLY[name]
    arguments = {"step": speaker("lstm"), "first": FIRST, "width": 3, "max_length": 5, "eos": EOS, **change}
    with pytest.raises(error, match=message):
        beam_search(arguments.pop("step"), arguments.pop("first"), **arguments)
