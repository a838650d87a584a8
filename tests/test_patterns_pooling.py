"""Pools and attention: loops in NumPy say what they are; what stands after a row's end reaches nothing."""

import numpy as np
import pytest
import torch

import elman
from elman.errors import ArgumentError, ShapeError
from elman.patterns import (
    Additive,
    Attention,
    AttentionPool,
    BothEnds,
    Dot,
    General,
    Last,
    Max,
    Mean,
    Pool,
    at_every_step,
)
from tolerances import assert_close

T, B, H = 6, 5, 4
LENGTHS = torch.tensor([6, 1, 0, 3, 6])
POOLS = {
    "last": Last,
    "both ends": BothEnds,
    "mean": Mean,
    "max": Max,
    "attention": lambda: AttentionPool(H, 3),
}
SCORES = {"dot": Dot, "general": lambda: General(H, H), "additive": lambda: Additive(H, H, 3)}
S = 7
SOURCES = torch.tensor([3, 0, 7, 1, 7])


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softmax(scores):
    raised = np.exp(scores - scores.max())
    return raised / raised.sum()


def pooled_row(name, pool, y):
    """One row [τ, H] by hand."""
    if not len(y):
        return np.zeros(H)
    if name == "attention":
        W, b, w = (p.detach().numpy() for p in (pool.W.weight, pool.W.bias, pool.w.weight))
        scores = np.array([float(w[0] @ np.tanh(W @ step + b)) for step in y])
        return sum(weight * step for weight, step in zip(softmax(scores), y, strict=True))
    ends = np.concatenate([y[-1, : H // 2], y[0, H // 2 :]])
    return {"last": y[-1], "both ends": ends, "mean": y.mean(0), "max": y.max(0)}[name]


@pytest.mark.parametrize("name", POOLS)
def test_a_pool_is_the_loop_over_rows(name):
    torch.manual_seed(0)
    pool, y = POOLS[name]().double(), drawn(T, B, H)
    got = pool(y, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        assert_close(got[row], pooled_row(name, pool, y[:length, row].numpy()), 1e-14)
    assert_close(pool(y), torch.stack([pool(y[:, b : b + 1])[0] for b in range(B)]), 1e-14)
    assert torch.equal(pool(y, LENGTHS.int()), got)


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("rest", [float("nan"), float("inf"), 1e300])
def test_what_stands_after_the_end_reaches_neither_the_vector_nor_a_gradient(name, rest):
    torch.manual_seed(0)
    pool, y, way = POOLS[name]().double(), drawn(T, B, H), drawn(B, H, seed=1)
    live = torch.arange(T).unsqueeze(1) < LENGTHS
    results = []
    for filled in (torch.where(live.unsqueeze(-1), y, rest), torch.where(live.unsqueeze(-1), y, 0)):
        filled.requires_grad_()
        v = pool(filled, LENGTHS)
        assert not v[2].any()
        results.append([v, *torch.autograd.grad((v * way).sum(), [filled, *pool.parameters()])])
        assert not results[-1][1][~live].any()
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", POOLS)
def test_the_gradient_of_a_pool_is_right(name):
    torch.manual_seed(0)
    pool, y = POOLS[name]().double(), drawn(T, B, H).requires_grad_()
    assert torch.autograd.gradcheck(lambda y, *_: pool(y, LENGTHS), (y, *pool.parameters()))


def test_weights_of_attention_are_shown_and_sum_to_one():
    pool = AttentionPool(H, 3).double()
    weights = pool.weights(drawn(T, B, H), LENGTHS)
    assert weights.shape == (T, B)
    assert_close(weights.sum(0), (LENGTHS > 0).double(), 1e-14)
    assert not weights[torch.arange(T).unsqueeze(1) >= LENGTHS].any()


def test_the_last_of_both_directions_are_their_final_states():
    with elman.using(backend="reference"):
        layer = elman.Bidirectional(
            elman.Recurrent(elman.GRU(3, 2)), elman.Recurrent(elman.GRU(3, 2), reverse=True)
        ).double()
        y, (ahead, back) = layer(drawn(T, B, 3), lengths=LENGTHS)
    assert_close(BothEnds()(y, LENGTHS), torch.cat([ahead, back], -1), 1e-14)


def test_a_pool_says_what_it_cannot_take():
    for y in (drawn(T, H), drawn(0, B, H), torch.nn.utils.rnn.pack_padded_sequence(drawn(T, B, H), [6] * B)):
        with pytest.raises(ShapeError, match=r"y \[T, B, H\]"):
            Mean()(y)
    with pytest.raises(ShapeError, match="lengths"):
        Mean()(drawn(T, B, H), torch.tensor([1, 2]))
    with pytest.raises(ArgumentError, match="row 3"):
        Last()(drawn(T, B, H), torch.tensor([1, 2, 3, 7, 1]))
    with pytest.raises(ShapeError, match="2 H"):
        BothEnds()(drawn(T, B, 3))
    with pytest.raises(TypeError, match="pool"):
        Pool()(drawn(T, B, H))


def attended(name, module, query, values, length):
    """Context and weights of one query over one source, by hand."""
    weights = np.zeros(S)
    if not length:
        return np.zeros(values.shape[1]), weights
    matrices = {key: p.detach().numpy() for key, p in module.named_parameters()}
    scores = []
    for m in values[:length]:
        match name:
            case "dot":
                scores.append(query @ m)
            case "general":
                scores.append(query @ matrices["W.weight"] @ m)
            case "additive":
                u = np.tanh(matrices["W.weight"] @ query + matrices["U.weight"] @ m)
                scores.append(float(matrices["v.weight"][0] @ u))
    weights[:length] = softmax(np.array(scores))
    return sum(w * m for w, m in zip(weights, values, strict=True)), weights


@pytest.mark.parametrize("name", SCORES)
def test_attention_is_the_loop_over_rows_and_steps(name):
    torch.manual_seed(0)
    module, queries, values = SCORES[name]().double(), drawn(T, B, H), drawn(S, B, H, seed=1)
    memory = module.prepare(values, SOURCES)
    contexts, weights = module(queries, memory), module.weights(queries, memory)
    assert weights.shape == (T, B, S)
    for t in range(T):
        assert_close(module(queries[t], memory), contexts[t], 1e-13)
        assert_close(module.weights(queries[t], memory), weights[t], 1e-13)
        for b in range(B):
            expected = attended(name, module, queries[t, b].numpy(), values[:, b].numpy(), int(SOURCES[b]))
            assert_close(contexts[t, b], expected[0], 1e-13)
            assert_close(weights[t, b], expected[1], 1e-13)
    everything = module.prepare(values)
    assert_close(module(queries, everything), module(queries, module.prepare(values, torch.full((B,), S))), 0.0)


@pytest.mark.parametrize("name", SCORES)
def test_attention_sees_nothing_of_the_padding(name):
    torch.manual_seed(0)
    module, queries, values = SCORES[name]().double(), drawn(T, B, H), drawn(S, B, H, seed=1)
    live = (torch.arange(S).unsqueeze(1) < SOURCES).unsqueeze(-1)
    results = []
    for filled in (torch.where(live, values, float("nan")), torch.where(live, values, 0)):
        filled.requires_grad_()
        context = module(queries, module.prepare(filled, SOURCES))
        results.append([context, *torch.autograd.grad((context**2).sum(), [filled, *module.parameters()])])
    for one, other in zip(*results, strict=True):
        assert one.isfinite().all()
        assert torch.equal(one, other)


def test_large_scores_stay_finite_in_float32():
    values = 1e4 * drawn(S, B, H).float()
    context = Dot()(values[:T] * 1e4, Dot().prepare(values, SOURCES))
    assert context.isfinite().all()


def test_attention_says_what_it_cannot_take():
    memory = Dot().prepare(drawn(S, B, H))
    for query in (drawn(T, B + 1, H), drawn(H)):
        with pytest.raises(ShapeError, match=r"query \[B, Q\] or \[T, B, Q\] with B = 5"):
            Dot()(query, memory)
    with pytest.raises(ShapeError, match=r"General\(3, 4\)"):
        Dot()(drawn(T, B, 3), memory)
    with pytest.raises(ArgumentError, match="hidden_size"):
        Additive(3, 4, 0)
    with pytest.raises(TypeError, match="score"):
        Attention()(drawn(B, H), memory)


def test_a_vector_stands_at_every_step():
    v = drawn(B, H)
    assert torch.equal(at_every_step(v, 3), torch.stack([v, v, v]))
    with pytest.raises(ArgumentError, match="steps"):
        at_every_step(v, 0)
    with pytest.raises(ShapeError, match=r"v \[B, I\]"):
        at_every_step(v[0], 3)
