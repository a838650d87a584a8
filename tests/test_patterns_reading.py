"""Encoder and decoder: whole sequences are chains of steps, rows do not meet, padding is not there."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import elman
from compiled import flat
from elman import around, decoding, patterns
from elman.decoding import FreeFor, FreeRunning, NextToken, PerSequence, PerToken, TeacherForcing
from elman.decoding.states import map_states, take_rows
from elman.errors import ArgumentError, ShapeError
from elman.patterns import Bridge, EncoderDecoder, HandOn, initial_states
from elman.training import averaged, every_step
from readers import DECODERS, EOS, FIRST, LENGTHS, SOURCE, SOURCES, TOKENS, A, B, E, H, M, S, T, V, gru, reader
from speakers import cases
from tolerances import assert_close

ENCODERS = {
    "backwards": lambda: elman.Recurrent(elman.GRU(E, M), reverse=True),
    "both": lambda: elman.Bidirectional(
        elman.Recurrent(elman.LSTM(E, 3)), elman.Recurrent(elman.GRU(E, 2), reverse=True)
    ),
    "stack of both": lambda: elman.Stack(
        elman.Bidirectional(elman.Recurrent(elman.GRU(E, 2)), elman.Recurrent(elman.GRU(E, 2), reverse=True)),
        elman.Recurrent(elman.LSTM(4, M)),
    ),
    "batch first": lambda: elman.Recurrent(elman.LSTM(E, M), batch_first=True),
}
LAYERS = {
    "lstm": lambda size: elman.Recurrent(elman.LSTM(size, H)),
    "slstm": lambda size: elman.Recurrent(elman.SLSTM(size, H)),
    "jordan": lambda size: elman.Recurrent(elman.Jordan(size, 6, H)),
    "stack": lambda size: elman.Stack(elman.Recurrent(elman.LSTM(size, 6)), elman.Recurrent(elman.GRU(6, H))),
    "around": lambda size: elman.Stack(
        elman.Recurrent(around.LearnedStart(elman.GRU(size, H), std=0.5)),
        elman.Highway(elman.Residual(elman.Recurrent(elman.GRU(H, H))), H),
    ),
    "held": lambda size: elman.Recurrent(around.VariationalDropout(elman.LSTM(size, H), 0.3)),
    "batch first": lambda size: elman.Recurrent(elman.GRU(size, H), batch_first=True),
}
POLICIES = {
    "teacher": lambda: TeacherForcing(),
    "free": lambda: FreeRunning(),
    "token": lambda: PerToken(0.5, torch.Generator().manual_seed(1)),
    "sequence": lambda: PerSequence(0.5, torch.Generator().manual_seed(5)),
    "free for": lambda: FreeFor(2),
}


@pytest.fixture(autouse=True)
def on_torch():
    """No kernel is built for these small sizes."""
    with elman.using(backend="reference"):
        yield


def models():
    """Every decoder; every encoder and every layer under one decoder with attention, and one that is fed it."""
    yield from ((f"{name} decoder", lambda name=name: reader(name)) for name in DECODERS)
    for name, make in ENCODERS.items():
        yield f"{name} encoder", lambda make=make: reader("general", encoder=make())
    for name, layer in LAYERS.items():
        for kind in ("general", "fed, general"):
            yield f"{name} layer, {kind}", lambda layer=layer, kind=kind: reader(kind, layer=layer)


MODELS = dict(models())
SLOW = [name for name in MODELS if "layer, fed" in name or "additive" in name]
each = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in MODELS]
)


@each
def test_a_sequence_is_the_chain_of_its_steps(name):
    model = MODELS[name]()
    states = model.encode(SOURCE, SOURCES)
    logits, ends = model.sequence(TOKENS, states, LENGTHS)
    assert logits.shape == (T, B, V)
    trail = [states]
    for t, tokens in enumerate(TOKENS):
        one, after = model(tokens, trail[-1])
        assert_close(one[t < LENGTHS], logits[t, t < LENGTHS], 1e-12)
        trail.append(after)
    for row, length in enumerate(LENGTHS.tolist()):
        at = torch.tensor([row])
        map_states(
            lambda got, expected: assert_close(got.double(), expected.double(), 1e-12) or got,
            take_rows(ends, at, 0),
            take_rows(trail[length], at, 0),
        )


@each
def test_rows_do_not_meet_and_padding_of_the_source_changes_nothing(name):
    model = MODELS[name]()
    empty = SOURCE[:, :0]
    longer = torch.cat([torch.where(torch.arange(S).unsqueeze(1) < SOURCES, SOURCE, -100), empty.new_full((3, B), -7)])
    results = []
    for source in (SOURCE, longer):
        logits, _ = model.sequence(TOKENS, model.encode(source, SOURCES), LENGTHS)
        loss = averaged("cross_entropy", logits, TOKENS, every_step(T, LENGTHS))
        results.append([logits, *torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)])
    for one, other in zip(*results, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert one.isfinite().all()
            assert_close(one, other, 1e-12)
    for row, length in enumerate(SOURCES.tolist()):
        alone = SOURCE[: max(1, length), row : row + 1]
        states = model.encode(alone, SOURCES[row : row + 1])
        logits, _ = model.sequence(TOKENS[:, row : row + 1], states)
        assert_close(results[0][0][: LENGTHS[row], row], logits[: LENGTHS[row], 0], 1e-11)


@pytest.mark.parametrize("name", DECODERS)
def test_beam_search_and_generation_do_not_see_padding_or_other_rows(name):
    model = reader(name, scale=3.0)
    found = decoding.beam_search(model, FIRST, width=4, n_best=3, max_length=6, eos=EOS, states=coded(model))
    made = decoding.generate(model, FIRST, max_length=6, eos=EOS, states=coded(model))
    best = decoding.beam_search(model, FIRST, width=1, max_length=6, eos=EOS, states=coded(model))
    assert torch.equal(best.tokens[:, 0, : made.tokens.size(1)], made.tokens)
    for row, length in enumerate(SOURCES.tolist()):
        states = model.encode(SOURCE[: max(1, length), row : row + 1], SOURCES[row : row + 1])
        alone = decoding.beam_search(
            model, FIRST[row : row + 1], width=4, n_best=3, max_length=6, eos=EOS, states=states
        )
        assert_close(alone.scores[0], found.scores[row], 1e-11)
        assert torch.equal(alone.tokens[0], found.tokens[row, :, : alone.tokens.size(2)])
        tokens = found.tokens[row, 0, : found.lengths[row, 0]]
        fed = torch.cat([FIRST[row : row + 1], tokens[:-1]]).unsqueeze(1)
        chances = model.sequence(fed, states)[0].squeeze(1).log_softmax(-1)
        assert_close(found.scores[row, 0], chances[torch.arange(len(tokens)), tokens].sum(), 1e-11)


def coded(model):
    return model.encode(SOURCE, SOURCES)


@pytest.mark.parametrize(
    ("name", "policy"), cases(DECODERS, POLICIES, quick=lambda name, policy: "general" in name or policy == "free")
)
def test_every_policy_teaches_every_decoder(name, policy):
    model = reader(name)
    logits, _ = decoding.teach(model, FIRST, TOKENS, POLICIES[policy](), states=coded(model), lengths=LENGTHS)
    states, fed, forced = coded(model), FIRST, POLICIES[policy]().forced(T, B)
    for t in range(T):
        one, states = model(fed, states)
        assert_close(one[t < LENGTHS], logits[t, t < LENGTHS], 1e-11)
        fed = torch.where(forced[t], TOKENS[t], one.argmax(-1))
    loss = averaged("cross_entropy", logits, TOKENS, every_step(T, LENGTHS))
    gradients = torch.autograd.grad(loss, list(model.embedding.parameters()) + list(model.encoder.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert all(gradient.any() for gradient in gradients)


def test_sampling_and_states_that_go_on():
    model = reader("fed, general")
    choice = decoding.sampling(torch.Generator().manual_seed(3))
    whole = decoding.generate(model, FIRST, max_length=6, choice=choice, states=coded(model))
    choice = decoding.sampling(torch.Generator().manual_seed(3))
    begun = decoding.generate(model, FIRST, max_length=2, choice=choice, states=coded(model))
    rest = decoding.generate(model, begun.tokens[:, -1], max_length=4, choice=choice, states=begun.states)
    assert torch.equal(whole.tokens, torch.cat([begun.tokens, rest.tokens], 1))


@pytest.mark.parametrize("kind", ["general", "fed, general"])
def test_attentive_decoders_are_the_equations_of_luong(kind):
    """Both ways, with an Elman network, by NumPy."""
    model = reader(kind, layer=lambda size: elman.Recurrent(elman.Elman(size, H)))
    decoder = model.decoder
    states = coded(model)
    logits, weights = model.sequence(TOKENS, states)[0], decoder.weights(TOKENS, states)
    p = {name: value.detach().numpy() for name, value in decoder.named_parameters()}
    U, b, W = (p[f"layer.cell.{name}"] for name in ("U.weight", "U.bias", "W.weight"))
    for row in range(B):
        memory = states["memory"].values[row, : SOURCES[row]].detach().numpy()
        h, a = states["layer"][row].detach().numpy(), np.zeros(A)
        for t in range(T):
            x = p["embedding.weight"][TOKENS[t, row]]
            h = np.tanh(U @ (x if kind == "general" else np.concatenate([x, a])) + b + W @ h)
            scores = memory @ p["attention.W.weight"].T @ h
            alpha = np.exp(scores) / np.exp(scores).sum()
            c = alpha @ memory
            a = np.tanh(p["mix.weight"] @ np.concatenate([c, h]) + p["mix.bias"])
            assert_close(weights[t, row, : len(memory)], alpha, 1e-11)
            assert not weights[t, row, len(memory) :].any()
            assert_close(logits[t, row], p["readout.weight"] @ a + p["readout.bias"], 1e-11)


@pytest.mark.parametrize("name", ["general", "fed, additive"])
def test_the_gradient_of_an_encoder_decoder_is_right(name):
    whole = Whole(reader(name))
    names, values = zip(*whole.named_parameters(), strict=True)
    assert torch.autograd.gradcheck(
        lambda *values: torch.func.functional_call(whole, dict(zip(names, values, strict=True)), ()),
        values,
        fast_mode=True,
    )


class Whole(nn.Module):
    """The loss of an encoder-decoder in one call."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self):
        logits, _ = self.model.sequence(TOKENS[:3], self.model.encode(SOURCE, SOURCES))
        return averaged("cross_entropy", logits, TOKENS[:3])


# bridges


@pytest.mark.parametrize("layer", LAYERS)
def test_own_states_are_those_that_a_layer_starts_from(layer):
    torch.manual_seed(0)
    layer = LAYERS[layer](E).double()
    assert [s.shape for s in flat(layer(torch.zeros(S, S, E).double())[1])] == [  # in training, with masks
        s.shape for s in flat(initial_states(layer, S))
    ]
    layer.eval()
    x = torch.randn(S, B, E, dtype=torch.float64)
    x = x.transpose(0, 1) if layer.batch_first else x
    y, state = layer(x)
    again, other = layer(x, initial_states(layer, B))
    assert torch.equal(y, again)
    assert [s.shape for s in flat(state)] == [s.shape for s in flat(initial_states(layer, B))]
    assert patterns.bridge.same_shapes(state, other)


def test_states_of_one_size_are_handed_on_and_others_go_through_a_network():
    same = elman.Recurrent(elman.LSTM(E, H))
    assert isinstance(
        reader("plain", layer=lambda size: elman.Recurrent(elman.LSTM(size, H)), encoder=same).bridge, HandOn
    )
    model = reader("plain", layer=lambda size: elman.Recurrent(elman.LSTM(size, H)))
    assert isinstance(model.bridge, Bridge)
    final, own = (torch.randn(2, M), torch.randn(2, M)), initial_states(elman.Recurrent(elman.LSTM(E, H)), 2)
    assert [tuple(s.shape) for s in model.bridge.float()(final, own)] == [(2, H), (2, H)]
    v = torch.cat(final, -1)
    for got, network in zip(model.bridge(final, own), model.bridge.V, strict=True):
        assert torch.equal(got, torch.tanh(network(v)))
    with pytest.raises(ShapeError, match=r"\(\[2, 4\], \[2, 4\]\), got \[2, 5\]"):
        HandOn()(final[0], own)


def test_a_bridge_leaves_a_learned_start_and_a_stabiliser_in_force():
    decoder = elman.Stack(
        elman.Recurrent(around.LearnedStart(elman.GRU(E, H), std=1.0)), elman.Recurrent(elman.SLSTM(H, H))
    )
    bridge = Bridge(elman.Recurrent(elman.GRU(E, M)), decoder)
    start = bridge(torch.zeros(2, M), initial_states(decoder, 2))
    learned = decoder.layers[0].cell.starts[0]
    assert_close(start[0], learned.expand(2, H) + torch.tanh(bridge.V[0].bias), 1e-6)
    assert (start[1][3] < -9e3).all()
    y, _ = decoder(torch.randn(S, 2, E), start)
    assert y.isfinite().all()
    assert y.abs().max() < 10


def test_a_model_is_copied_and_saved_whole():
    model = reader("general")
    copied = copy.deepcopy(model)
    assert torch.equal(copied.sequence(TOKENS, coded(copied))[0], model.sequence(TOKENS, coded(model))[0])
    other = reader("general", seed=3)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.sequence(TOKENS, coded(other))[0], model.sequence(TOKENS, coded(model))[0])
    assert len(list(model.state_dict())) == len({value.data_ptr() for value in model.state_dict().values()})


def test_sources_may_be_vectors_and_a_vector_may_stand_beside_each_token():
    torch.manual_seed(0)
    encoder = elman.Recurrent(elman.GRU(3, M))
    model = EncoderDecoder(nn.Identity(), encoder, DECODERS["conditioned"](gru)).double()
    x = torch.randn(S, B, 3, dtype=torch.float64)
    dead = (torch.arange(S).unsqueeze(1) >= SOURCES).unsqueeze(-1)
    logits, _ = model.sequence(TOKENS, model.encode(x.masked_fill(dead, float("nan")), SOURCES))
    assert_close(logits, model.sequence(TOKENS, model.encode(x, SOURCES))[0], 0.0)
    decoder, v = model.decoder, torch.randn(B, M, dtype=torch.float64)
    beside = torch.cat([decoder.embedding(TOKENS), v.expand(T, B, M)], -1)
    logits, _ = decoder.sequence(TOKENS, decoder.about(v))
    assert_close(logits, decoder.readout(decoder.layer(beside)[0]), 0.0)
    made = decoding.generate(decoder, FIRST, max_length=3, states=decoder.about(v))
    fed = torch.cat([FIRST.unsqueeze(0), made.tokens[:, :2].t()])
    assert torch.equal(decoder.sequence(fed, decoder.about(v))[0].argmax(-1).t(), made.tokens)


# plans and errors


def test_a_plan_says_what_is_called_step_by_step():
    plan = reader("general").plan(SOURCE, TOKENS, SOURCES, LENGTHS)
    assert [layer.cell for layer in plan.layers] == ["LSTM", "GRU"]
    assert "step" not in str(plan)
    plan = reader("fed, general").plan(SOURCE, TOKENS, SOURCES, LENGTHS)
    assert [layer.cell for layer in plan.layers] == ["LSTM", "GRU"]
    assert "called for each step by itself" in plan.layers[1].reason
    assert "called" not in plan.layers[0].reason
    assert len(reader("plain").plan(SOURCE, TOKENS).layers) == 2


def test_strict_teacher_forcing_is_one_call_of_the_layer():
    for name, calls in (("general", 1), ("conditioned", 1), ("plain", 1), ("fed, general", T)):
        model, seen = reader(name), []
        model.decoder.layer.register_forward_hook(lambda *_, seen=seen: seen.append(1))
        decoding.teach(model, FIRST, TOKENS, TeacherForcing(), states=coded(model))
        assert len(seen) == calls


def test_what_does_not_fit_is_said_before_anything_runs():
    model = reader()
    with pytest.raises(ArgumentError, match="encode"):
        model(FIRST)
    with pytest.raises(ArgumentError, match="memory"):
        model(FIRST, torch.zeros(B, H))
    with pytest.raises(ArgumentError, match="fed"):
        reader("fed, general").sequence(TOKENS, coded(model))
    with pytest.raises(ShapeError, match=r"source \[S, B"):
        model.encode(SOURCE[0])
    with pytest.raises(ShapeError, match=r"padded.*PackedSequence"):
        model.encode(nn.utils.rnn.pack_padded_sequence(SOURCE, [S] * B))
    with pytest.raises(ArgumentError, match="row 1"):
        model.encode(SOURCE, torch.tensor([5, 6, 1, 1]))
    with pytest.raises(ShapeError, match="lengths"):
        model.encode(SOURCE, torch.tensor([5]))
    with pytest.raises(ShapeError, match=r"expected \[2, 4\], got \[4, 4\]"):
        model.sequence(TOKENS[:, :2], coded(model))
    with pytest.raises(ArgumentError, match="runs ahead"):
        DECODERS["general"](lambda size: elman.Recurrent(elman.GRU(size, H), reverse=True))
    with pytest.raises(ArgumentError, match=r"elman\.Recurrent"):
        DECODERS["general"](lambda size: elman.nn.GRU(size, H))
    with pytest.raises(ArgumentError, match="over a layer"):
        EncoderDecoder(nn.Identity(), gru(E), NextToken(nn.Embedding(V, E), elman.nn.GRU(E, H), nn.Linear(H, V)))
    with pytest.raises(ArgumentError, match="mix to be a Linear, got Tanh"):
        patterns.Attentive(nn.Embedding(V, E), gru(E), patterns.Dot(), nn.Tanh(), nn.Linear(A, V))
    with pytest.raises(ArgumentError, match="encoder to be a Layer"):
        EncoderDecoder(nn.Identity(), nn.GRU(E, H), DECODERS["plain"](gru))
    with pytest.raises(ArgumentError, match="decoder to be a NextToken"):
        EncoderDecoder(nn.Identity(), gru(E), gru(E))
    with pytest.raises(ArgumentError, match="Recurrent, Parallel"):
        initial_states(nn.GRU(E, H), 1)
