"""Every pattern works with every cell that elman has, compiled, with lengths, in both directions of the gradient."""

import pytest
import torch
from torch import nn

import elman
from compiled import compiled_only, step_by_step
from elman import patterns
from elman.decoding import NextToken
from elman.patterns import BothEnds, Last, Max, Mean, at_every_step, initial_states
from elman.training import averaged, every_step, last_step, summed
from every_cell import CELLS, make_cell, make_input, make_state
from tolerances import assert_close

T, B, I, H, V, A = 5, 4, 3, 4, 6, 3
LENGTHS = torch.tensor([5, 0, 2, 3])
SOURCES = torch.tensor([3, 5, 0, 1])
TOKENS = torch.randint(V, (T, B), generator=torch.Generator().manual_seed(0))
QUICK = {"Jordan", "Neuron", "SLSTM"}
each = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in CELLS]
)
reads = pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in CELLS if n != "Autonomous"],
)
backends = pytest.mark.parametrize("backend", ["reference", pytest.param("c", marks=pytest.mark.slow)])


def outputs_of(cell):
    """How many features a layer of the cell gives out."""
    with elman.using(backend="reference"):
        x, options = make_input(cell, 1, 1, I)
        return elman.Recurrent(cell)(x, **options)[0].size(-1)


def compared(module, run, tolerance=1e-9):
    """What `run` gives, and the gradient of its square, compiled and by the Python loop."""
    results = []
    for way in (compiled_only, step_by_step):
        with way():
            got = run()
        results.append([got, *torch.autograd.grad((got**2).sum(), list(module.parameters()), allow_unused=True)])
    for one, other in zip(*results, strict=True):
        assert (one is None or not one.any()) if other is None else one.isfinite().all()
        if one is not None and other is not None:
            assert_close(one, other, tolerance)
    return results[0][0]


@each
@backends
def test_sequence_to_vector_and_to_an_aligned_sequence(name, backend):
    cell = make_cell(name, I, H)
    layer, size = elman.Recurrent(cell), outputs_of(cell)
    x, options = make_input(cell, T, B, I, grad=False)
    state = make_state(cell, B, grad=False)
    readout = nn.Linear(size, 2).double()
    module = nn.ModuleList([layer, readout])

    def aligned():
        y, _ = layer(x, state, lengths=LENGTHS, **options)
        return summed("squared_error", readout(y), torch.ones(1, 1, 2).double().expand(T, B, 2), last_step(T, LENGTHS))

    with elman.using(backend=backend):
        compared(module, aligned)
        for pool in (Last(), Mean(), Max(), patterns.AttentionPool(size, 3).double()):
            v = compared(module, lambda pool=pool: pool(layer(x, state, lengths=LENGTHS, **options)[0], LENGTHS))
            assert v.shape == (B, size)
            assert not v[1].any()


@reads
@backends
def test_bidirectional_and_vector_to_sequence(name, backend):
    ahead, back = make_cell(name, I, H), make_cell(name, I, H)
    size, v = outputs_of(ahead), torch.randn(B, I, dtype=torch.float64)
    layer = elman.Bidirectional(elman.Recurrent(ahead), elman.Recurrent(back, reverse=True))
    with elman.using(backend=backend):
        got = compared(layer, lambda: BothEnds()(layer(at_every_step(v, T), lengths=LENGTHS)[0], LENGTHS))
        assert got.shape == (B, 2 * size)
        first = elman.Recurrent(ahead)
        x = torch.cat([v.unsqueeze(0), torch.zeros(T - 1, B, I, dtype=torch.float64)])
        assert_close(first(v, steps=T)[0], first(x)[0], 1e-14)


def reader(name, kind):
    """An encoder-decoder of the cell; the encoder has other sizes where the cell lets it."""
    encoder, embedding = make_cell(name, I, H + 2), nn.Embedding(V, I)
    memory, size = outputs_of(encoder), outputs_of(make_cell(name, I, H))
    more = (memory + size, A)
    match kind:
        case "plain":
            decoder = NextToken(embedding, elman.Recurrent(make_cell(name, I, H)), nn.Linear(size, V))
        case "conditioned":
            layer = elman.Recurrent(make_cell(name, I + memory, H))
            decoder = patterns.Conditioned(embedding, layer, nn.Linear(size, V))
        case "attentive":
            layer, attention = elman.Recurrent(make_cell(name, I, H)), patterns.General(size, memory)
            decoder = patterns.Attentive(embedding, layer, attention, nn.Linear(*more), nn.Linear(A, V))
        case "input feeding":
            layer, attention = elman.Recurrent(make_cell(name, I + A, H)), patterns.Additive(size, memory, 2)
            decoder = patterns.InputFeeding(embedding, layer, attention, nn.Linear(*more), nn.Linear(A, V))
    return patterns.EncoderDecoder(nn.Embedding(V, I), elman.Recurrent(encoder), decoder).double()


@reads
@pytest.mark.parametrize(
    ("kind", "backend"),
    [(kind, "reference") for kind in ("plain", "conditioned", "attentive", "input feeding")]
    + [pytest.param("attentive", "c", marks=pytest.mark.slow)],
)
def test_encoder_and_decoder(name, kind, backend):
    torch.manual_seed(0)
    model = reader(name, kind)
    counts = every_step(T, LENGTHS)

    def loss():
        logits, _ = model.sequence(TOKENS, model.encode(TOKENS, SOURCES), LENGTHS)
        return averaged("cross_entropy", logits, TOKENS, counts)

    with elman.using(backend=backend):
        compared(model, loss, 1e-8)
        states = model.encode(TOKENS, SOURCES)
        whole, _ = model.sequence(TOKENS, states, LENGTHS)
        for t, tokens in enumerate(TOKENS):
            logits, states = model(tokens, states)
            assert_close(logits[counts[t]], whole[t][counts[t]], 1e-10)
        plan = model.plan(TOKENS, TOKENS, SOURCES, LENGTHS)
    assert {layer.backend for layer in plan.layers} <= {backend, "reference"}
    assert len(plan.layers) == 2
    assert initial_states(model.encoder, B) is not None
