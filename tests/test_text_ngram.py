"""The n-gram beside a text model: against a loop over the textbook's formula, and as a distribution."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elman.data import build_vocabulary, builtin_text
from elman.errors import DataError
from elman.tasks.text.ngram import NGram
from elman.tasks.text.score import by_blocks, score_of

NUMBERS = st.lists(st.integers(0, 4), min_size=4, max_size=60)


class Loop:
    """Interpolated Kneser-Ney with three discounts, word by word, from dictionaries."""

    def __init__(self, text, order, symbols):
        self.order, self.symbols = order, symbols
        counts = Counter(tuple(text[i : i + order]) for i in range(len(text) - order + 1))
        self.levels = {order: counts}
        for k in range(order - 1, 0, -1):
            self.levels[k] = Counter(gram[1:] for gram in self.levels[k + 1])

    def discount(self, k, count):
        n = {j: sum(c == j for c in self.levels[k].values()) or 0.5 for j in (1, 2, 3, 4)}
        y = n[1] / (n[1] + 2 * n[2])
        j = min(count, 3)
        return min(j, max(0.1, j - (j + 1) * y * n[j + 1] / n[j]))

    def p(self, context, symbol, k=None):
        k = self.order if k is None else k
        if k == 0:
            return 1 / self.symbols
        lower = self.p(context, symbol, k - 1)
        if len(context) < k - 1:
            return lower
        before = tuple(context[len(context) - k + 1 :])
        follow = {gram[-1]: c for gram, c in self.levels[k].items() if gram[:-1] == before}
        if not follow:
            return lower
        kept = follow.get(symbol, 0) - (self.discount(k, follow[symbol]) if symbol in follow else 0)
        return (kept + sum(self.discount(k, c) for c in follow.values()) * lower) / sum(follow.values())


@given(text=NUMBERS, other=NUMBERS, order=st.integers(1, 4))
def test_it_is_the_formula(text, other, order):
    model, loop = NGram.counted(np.array(text), order, 6), Loop(text, order, 6)
    expected = [-math.log(loop.p(other[:t], symbol)) for t, symbol in enumerate(other)]
    np.testing.assert_allclose(model.nats(torch.tensor(other)), expected, rtol=1e-9)


@given(text=NUMBERS, context=st.lists(st.integers(0, 5), max_size=6), order=st.integers(1, 4))
def test_it_sums_up_to_one(text, context, order):
    chances = NGram.counted(np.array(text), order, 6).chances(context)
    assert (chances > 0).all() and chances.sum() == pytest.approx(1, abs=1e-12)


def test_a_text_with_an_order_is_foreseen_by_that_order():
    draw, text = np.random.default_rng(0), [0, 1]
    for _ in range(20_000):  # the next symbol is the sum of the last two, nine times of ten
        text.append((text[-1] + text[-2]) % 5 if draw.random() < 0.9 else int(draw.integers(5)))
    model = NGram.learned(torch.tensor(text[:15_000], dtype=torch.uint8), 5)
    entropy = -(0.92 * math.log(0.92) + 4 * 0.02 * math.log(0.02))
    assert model.order == 3 and model.nats(torch.tensor(text[15_000:])).mean() == pytest.approx(entropy, rel=0.03)


def test_real_text_needs_few_bits_and_parts_are_no_matter(monkeypatch):
    text = builtin_text()[:60_000]
    symbols = build_vocabulary(text[:50_000])
    model = NGram.learned(symbols.encode_long(text[:50_000]), len(symbols))
    nats = model.nats(symbols.encode_long(text[50_000:]))
    assert model.order >= 4 and nats.mean() / math.log(2) < 2.6
    monkeypatch.setattr("elman.tasks.text.ngram.AT_ONCE", 1_234)
    np.testing.assert_array_equal(model.nats(symbols.encode_long(text[50_000:])), nats)
    back = NGram.from_json(model.to_json())
    np.testing.assert_array_equal(back.nats(symbols.encode_long(text[50_000:])), nats)


@pytest.mark.parametrize("text", [[3], [1, 1], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]])
def test_the_shortest_texts(text):
    model = NGram.learned(torch.tensor(text), 10)
    assert np.isfinite(model.nats(torch.tensor([9, 1, 2]))).all() and len(model.nats(torch.tensor([4]))) == 1


def test_many_symbols_do_not_overflow():
    draw = np.random.default_rng(1)
    text = draw.integers(0, 60_000, 400)
    model, loop = NGram.counted(text, 6, 60_000), Loop(text.tolist(), 6, 60_000)
    other = [*text[100:110].tolist(), 7, 8, *text[50:55].tolist()]
    expected = [-math.log(loop.p(other[:t], symbol)) for t, symbol in enumerate(other)]
    np.testing.assert_allclose(model.nats(np.array(other)), expected, rtol=1e-9)


@pytest.mark.parametrize("spoil", [lambda c: c["grams"].__setitem__(1, "AAAA"), lambda c: c.update(symbols=1),
                                   lambda c: c.update(counts=c["grams"][1])])  # fmt: skip
def test_damaged_counts_are_refused(spoil):
    content = NGram.counted(np.array([0, 1, 2, 1, 0]), 2, 3).to_json()
    spoil(content)
    with pytest.raises(DataError, match="counts of an n-gram"):
        NGram.from_json(content)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    draw, held = np.random.default_rng(2), 0
    for _ in range(400):
        noise = np.repeat(draw.normal(size=300), 10)  # neighbours are alike
        low, high = by_blocks(2 + noise + draw.normal(size=3000), np.ones(3000, dtype=np.int64))
        held += low < 2 < high
    assert 0.91 < held / 400 < 0.98
    assert by_blocks(np.ones(200), np.ones(200)) is None


def test_a_score_by_hand():
    nats, others = np.full(1000, math.log(2)), np.full(1000, 2 * math.log(2))
    found = score_of(nats, others, torch.ones(1000, dtype=torch.uint8), torch.tensor([1, 2]), 3)
    assert (found.bits_per_character, found.perplexity, found.baseline, found.gain) == pytest.approx((0.5, 2, 1, 0.5))
    assert found.warning is None and found.interval == pytest.approx((0.5, 0.5)) and found.characters == 2000
    worse = score_of(others, nats, torch.ones(1000, dtype=torch.uint8), torch.tensor([1, 2]), 3)
    assert "n-gram of order 3 is better" in worse.warning and worse.figures("piece")[
        "bits per character saved"
    ] == pytest.approx(-0.5)
    mixed = np.where(np.arange(1000) % 40 < 20, 2, 0.1)
    doubtful = score_of(mixed, mixed[::-1] + 1e-9, torch.ones(1000, dtype=torch.uint8), torch.tensor([1, 2]), 3)
    assert doubtful.gain > 0 and "may be better" in doubtful.warning
