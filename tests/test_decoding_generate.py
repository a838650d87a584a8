"""Generation: with the states of every layer it is the chain of steps that it should be."""

from collections import namedtuple

import pytest
import torch
from torch import nn

import elman
from elman import nn as elman_nn
from elman.decoding import NextToken, beam_search, generate, greedy, sampling, stream
from elman.decoding.states import choose_rows, map_states, take_rows
from elman.errors import ArgumentError, DtypeError, NumericsError, ShapeError
from speakers import EOS, LAYERS, PAD, E, H, V, log_probability, nothing, speaker, table
from tolerances import assert_close

FIRST = torch.tensor([0, 2, 3, 4])


@pytest.fixture(autouse=True)
def on_torch():
    """No kernel is built for these small sizes."""
    with elman.using(backend="reference"):
        yield


def drawn(seed=0, **options):
    return sampling(torch.Generator().manual_seed(seed), **options)


@pytest.mark.parametrize("name", LAYERS)
def test_log_probabilities_and_states_are_those_of_one_call_over_the_tokens(name):
    model = speaker(name)
    made = generate(model, FIRST, max_length=9, choice=drawn(3), eos=EOS, pad=PAD, keep_states=True)
    assert made.tokens.shape == made.log_probabilities.shape == (4, int(made.lengths.max()))
    for row, length in enumerate(made.lengths.tolist()):
        tokens = made.tokens[row, :length].tolist()
        assert_close(made.log_probabilities[row, :length], log_probability(model, FIRST[row], tokens), 1e-12)
        assert bool(made.finished[row]) == (tokens[-1] == EOS)
        assert EOS not in tokens[:-1]
        assert made.finished[row] or length == 9
        assert made.tokens[row, length:].eq(PAD).all()
        assert made.log_probabilities[row, length:].eq(0).all()
        fed = torch.tensor([int(FIRST[row]), *tokens[:-1]]).unsqueeze(1)
        for steps in range(1, made.tokens.size(1) + 1):
            _, expected = model.sequence(fed[:steps])
            got = take_rows(made.trail[steps - 1], torch.tensor([row]), model.batch_axis)
            map_states(lambda one, other: assert_close(one, other, 1e-12) or one, got, expected)
    assert_close(made.scores, made.log_probabilities.sum(1), 0.0)
    assert not made.scores.requires_grad
    map_states(lambda one, other: assert_close(one, other, 0.0) or one, made.states, made.trail[-1])


@pytest.mark.parametrize("name", ["lstm", "jordan", "nn.LSTM", "nn.GRU"])
def test_rows_do_not_meet_and_a_prompt_is_read_before(name):
    model = speaker(name, seed=1)
    prompt = torch.tensor([[0, 2, 3], [4, 4, -9], [1, -9, -9], [2, -9, -9]])  # [T, B], padded by what is no token
    lengths = torch.tensor([4, 2, 1])
    first, states = model.read(prompt, lengths)
    made = generate(model, first, max_length=6, eos=EOS, states=states)
    for row, length in enumerate(lengths.tolist()):
        alone = prompt[:length, row : row + 1]
        first, states = model.read(alone)
        one = generate(model, first, max_length=6, eos=EOS, states=states)
        assert one.tokens[0].tolist() == made.tokens[row, : one.tokens.size(1)].tolist()
        assert_close(one.scores[0], made.scores[row], 1e-10)
        states = None  # and token by token
        for token in alone[:-1]:
            _, states = model(token, states)
        again = generate(model, alone[-1], max_length=6, eos=EOS, states=states)
        assert torch.equal(one.tokens, again.tokens)


def test_generation_goes_on_from_its_states():
    model = speaker("stack")
    whole = generate(model, FIRST, max_length=8)
    begun = generate(model, FIRST, max_length=3)
    rest = generate(model, begun.tokens[:, -1], max_length=5, states=begun.states)
    assert torch.equal(whole.tokens, torch.cat([begun.tokens, rest.tokens], 1))
    assert whole.lengths.tolist() == [8] * 4
    assert not whole.finished.any()


def test_a_stream_gives_the_same_one_step_at_a_time():
    model, asked = speaker("gru"), []

    def step(tokens, states):
        asked.append(torch.is_grad_enabled())
        return model(tokens, states)

    whole = generate(model, FIRST, max_length=5, choice=drawn(8))
    moves = stream(step, FIRST, drawn(8))
    for t in range(5):
        move = next(moves)
        assert torch.equal(move.tokens, whole.tokens[:, t])
        assert torch.equal(move.log_probabilities, whole.log_probabilities[:, t])
        assert asked == [False] * (t + 1)
        assert torch.is_grad_enabled()


def test_the_same_seed_gives_the_same_tokens_and_greedy_the_likeliest():
    model = speaker("lstm", scale=1.0)
    texts = [generate(model, FIRST, max_length=30, choice=drawn(seed)).tokens for seed in (7, 7, 8)]
    assert torch.equal(texts[0], texts[1])
    assert not torch.equal(texts[0], texts[2])
    expected, fed = [], FIRST[:1].unsqueeze(0)
    for _ in range(6):
        fed = torch.cat([fed, model.sequence(fed)[0][-1:].argmax(-1)])
        expected.append(int(fed[-1]))
    assert generate(model, FIRST[:1], max_length=6).tokens.tolist() == [expected]
    assert torch.equal(generate(model, FIRST, max_length=6, choice=drawn(top_k=1)).tokens[:1], torch.tensor([expected]))


def test_it_stops_when_all_rows_have_ended_and_not_before_the_least_length():
    ends = table([[0.1, 0.8, 0.1], [0, 1, 0], [0.4, 0.2, 0.4]])
    first, asked = torch.tensor([0, 2]), []

    def step(tokens, states):
        asked.append(tokens.tolist())
        return ends(tokens, states)

    made = generate(step, first, max_length=50, eos=1, pad=9)
    assert made.tokens.tolist() == [[1, 9], [0, 1]]
    assert asked == [[0, 2], [1, 0]]
    assert made.states["seen"].tolist() == [[1], [2]]
    least = generate(ends, first, max_length=50, min_length=4, eos=1)
    assert least.lengths.tolist() == [4, 4]
    assert least.log_probabilities[0, 0].exp().item() == pytest.approx(0.1)  # the model's own, not made anew
    assert generate(ends, first, max_length=1, eos=1).finished.tolist() == [True, False]


def test_logits_of_ended_rows_are_nobodys_business():
    def step(tokens, states):
        logits = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        return (logits if states is None else torch.stack([nothing(logits[0]), logits[1]])), torch.zeros(2, 1)

    made = generate(step, torch.tensor([0, 0]), max_length=3, eos=1, choice=drawn(temperature=0.01))
    assert made.tokens.tolist() == [[1, 0, 0], [0, 0, 0]]


def test_scores_of_half_precision_are_not_halves():
    model = speaker("gru").to(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = generate(model, FIRST, max_length=5, choice=drawn(top_k=3, top_p=0.9))
        likely = generate(model, FIRST, max_length=5)
    assert made.log_probabilities.dtype == likely.scores.dtype == torch.float32
    assert made.scores.isfinite().all()


Pair = namedtuple("Pair", "a b")


def test_states_of_any_shape():
    one = torch.arange(6.0).view(3, 2)
    states = {"list": [one, None], "pair": Pair(one, (one + 1, {})), "none": None}
    taken = take_rows(states, torch.tensor([2, 0, 0]), 0)
    assert isinstance(taken["pair"], Pair)
    assert torch.equal(taken["pair"].b[0], one[[2, 0, 0]] + 1)
    assert taken["list"][1] is taken["none"] is None
    mixed = choose_rows(torch.tensor([True, False]), {"x": one}, {"x": -one}, 1)
    assert torch.equal(mixed["x"], one * torch.tensor([1.0, -1.0]))
    with pytest.raises(ArgumentError, match="got int: what is the same for all rows"):
        take_rows((one, 3), torch.tensor([0]), 0)


def test_a_step_may_keep_its_rows_on_another_axis():
    model = speaker("nn.LSTM")
    plainly = generate(lambda tokens, states: model(tokens, states), FIRST, max_length=4, batch_axis=1)
    assert torch.equal(plainly.tokens, generate(model, FIRST, max_length=4).tokens)
    with pytest.raises(
        ShapeError, match=r"states \[4, ...\] with B = 4 rows on axis 0, got \[2, 4, 4\]: give `batch_a"
    ):
        generate(lambda tokens, states: model(tokens, states), FIRST, max_length=4)


def test_a_state_may_grow():
    ends = table([[0.1, 0.8, 0.1], [0, 1, 0], [0.1, 0.2, 0.7]])

    def step(tokens, states):
        logits, _ = ends(tokens, None)
        return logits, (tokens.unsqueeze(1) if states is None else torch.cat([states[0], tokens.unsqueeze(1)], 1),)

    made = generate(step, torch.tensor([0, 2]), max_length=5, min_length=3, eos=1, keep_states=True)
    assert made.lengths.tolist() == [3, 5]
    assert made.states[0].tolist() == [[0, 0, 0, 1, 1], [2] * 5]
    found = beam_search(step, torch.tensor([0, 2]), width=3, max_length=3, min_length=3, eos=1, n_best=2)
    assert found.tokens[:, 0].tolist() == [[2, 2, 1], [2, 2, 1]]


@pytest.mark.parametrize(
    "layer",
    [
        lambda: elman.Recurrent(elman.LSTM(E, H), reverse=True),
        lambda: elman.Stack(
            elman.Bidirectional(elman.Recurrent(elman.GRU(E, H)), elman.Recurrent(elman.GRU(E, H), reverse=True))
        ),
        lambda: elman_nn.LSTM(E, H, bidirectional=True),
    ],
)
def test_what_runs_backwards_is_no_model_of_the_next_token(layer):
    with pytest.raises(ArgumentError, match="expected a layer that runs ahead"):
        NextToken(nn.Embedding(V, E), layer(), nn.Linear(H, V))


def answers(logits, states=None):
    return lambda tokens, _: (logits, states)


ROWS = torch.zeros(4, V)
SILLY = {
    "no rows": ({"first": FIRST[:0]}, ShapeError, r"\[B\] with B >= 1, got \[0\]"),
    "two axes": ({"first": FIRST.view(2, 2)}, ShapeError, r"got \[2, 2\]: .*NextToken.read"),
    "floats": ({"first": FIRST.double()}, DtypeError, "first tokens of an integer dtype, got torch.float64"),
    "max_length": ({"max_length": 0}, ArgumentError, "max_length >= 1, got 0"),
    "min_length": ({"min_length": 9}, ArgumentError, "min_length <= max_length = 5, got 9"),
    "eos": ({"eos": V}, ArgumentError, "0 to V - 1 = 4, got 5"),
    "negative eos": ({"eos": -1}, ArgumentError, "0 to V - 1 = 4, got -1"),
    "axis": ({"batch_axis": -1}, ArgumentError, "batch_axis >= 0, got -1"),
    "states": ({"states": torch.zeros(3, H)}, ShapeError, r"B = 4 rows on axis 0, got \[3, 4\]"),
    "no states": ({"step": lambda tokens, _: ROWS}, ArgumentError, r"return \(logits, states\), got a Tensor"),
    "three": ({"step": lambda tokens, _: (ROWS, 1, 2)}, ArgumentError, "got a tuple of 3"),
    "time axis": ({"step": answers(ROWS.unsqueeze(0))}, ShapeError, r"\[B, V\] with B = 4 .* got \[1, 4, 5\]"),
    "rows": ({"step": answers(ROWS[:3])}, ShapeError, r"with B = 4 .* got \[3, 5\]"),
    "V = 0": ({"step": answers(ROWS[:, :0])}, ShapeError, r"V >= 1, got \[4, 0\] at step 0"),
    "state rows": ({"step": answers(ROWS, (ROWS[:2],))}, ShapeError, r"B = 4 rows on axis 0, got \[2, 5\]"),
    "nan": ({"step": answers(ROWS / 0)}, NumericsError, "got nan in row 0 at step 0"),
    "nothing": ({"step": answers(nothing(ROWS))}, NumericsError, "all 5 tokens in row 0 at step 0"),
    "choice": ({"choice": lambda logits: greedy(logits)[:2]}, ShapeError, r"tokens \[B\] = \[4\] .* got \[2\]"),
    "choice dtype": ({"choice": lambda logits: logits[:, 0]}, ArgumentError, "integer dtype from the choice"),
    "top_k": ({"choice": drawn(top_k=6)}, ArgumentError, "top_k <= V = 5, got 6"),
}


@pytest.mark.parametrize("name", SILLY)
def test_silly_arguments(name):
    change, error, message = SILLY[name]
    arguments = {"step": speaker("lstm"), "first": FIRST, "max_length": 5, **change}
    with pytest.raises(error, match=message):
        generate(arguments.pop("step"), arguments.pop("first"), **arguments)


def test_silly_prompts():
    model = speaker("lstm")
    with pytest.raises(ShapeError, match=r"prompt \[T, B\] with T, B >= 1, got \[4\]"):
        model.read(FIRST)
    with pytest.raises(ArgumentError, match=r"at least one token in each prompt, got lengths \[1, 0, 1, 1\]"):
        model.read(FIRST.unsqueeze(0), torch.tensor([1, 0, 1, 1]))
