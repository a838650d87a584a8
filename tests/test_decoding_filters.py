"""Filters and choices: against their definitions, on random distributions with ties."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elman.decoding import draw, greedy, sampling, temperature, top_k, top_p, without
from elman.errors import ArgumentError, DtypeError, NumericsError, ShapeError

COUNTS = st.lists(st.integers(0, 6), min_size=1, max_size=9).filter(any)  # few numbers, so that there are ties
NAN, INF = math.nan, math.inf


def logits_of(counts):
    """Logits whose softmax is proportional to the counts; 0 is minus infinity."""
    return torch.tensor(counts, dtype=torch.float64).log()


def kept(logits):
    return {i for i, each in enumerate(logits.tolist()) if each > -INF}


def ranked(counts):
    """Tokens with a chance, the likeliest first, the smaller number first among equals."""
    return sorted((i for i, count in enumerate(counts) if count), key=lambda i: (-counts[i], i))


@given(COUNTS, st.data())
def test_top_k_keeps_the_k_likeliest(counts, data):
    k = data.draw(st.integers(1, len(counts)))
    logits = logits_of(counts)
    filtered = top_k(logits, k)
    assert kept(filtered) == set(ranked(counts)[:k])
    assert all(filtered[i] == logits[i] for i in kept(filtered))
    for beyond in (len(counts) + 1, len(counts) + 100):
        with pytest.raises(ArgumentError, match=f"top_k <= V = {len(counts)}, got {beyond}"):
            top_k(logits, beyond)


@given(COUNTS, st.integers(1, 20))
def test_top_p_keeps_the_smallest_set_with_that_mass(counts, twentieths):
    p, total = Fraction(twentieths, 20), sum(counts)
    filtered = top_p(logits_of(counts), float(p))
    left, order = kept(filtered), ranked(counts)
    assert left == set(order[: len(left)])
    mass = Fraction(sum(counts[i] for i in left), total)
    least = Fraction(counts[order[len(left) - 1]], total)
    near = Fraction(1, 10**12)  # a sum of chances in double
    assert mass >= p - near
    assert p == 1 or mass - least < p + near
    if p == 1:
        assert left == set(order)


@given(COUNTS, st.floats(0.01, 100))
def test_temperature_is_a_power_of_the_distribution(counts, tau):
    expected = logits_of(counts).softmax(0) ** (1 / tau)
    assert torch.allclose(temperature(logits_of(counts), tau).softmax(0), expected / expected.sum())


@given(COUNTS, st.integers(1, 20), st.data())
def test_filters_compose_and_rows_do_not_meet(counts, twentieths, data):
    k = data.draw(st.integers(1, len(counts)))
    logits, p = logits_of(counts), twentieths / 20
    both = top_p(top_k(logits, k), p)
    assert kept(both) <= kept(top_k(logits, k))
    assert torch.equal(top_k(top_k(logits, k), k), top_k(logits, k))
    assert greedy(both.unsqueeze(0)).item() == ranked(counts)[0]
    rows = torch.stack([logits, logits.flip(0)])
    for change in (lambda z: top_k(z, k), lambda z: top_p(z, p), lambda z: temperature(z, p)):
        assert torch.equal(change(rows), torch.stack([change(rows[0]), change(rows[1])]))
        assert torch.equal(change(rows.view(2, 1, -1)), change(rows).view(2, 1, -1))


def test_temperatures_near_the_ends_of_the_numbers():
    logits = torch.tensor([[1.0, 3.0, 3.0, -INF]])
    assert temperature(logits, 5e-324).softmax(-1).tolist() == [[0, 0.5, 0.5, 0]]
    assert torch.allclose(temperature(logits, 1e300).softmax(-1), torch.tensor([[1 / 3, 1 / 3, 1 / 3, 0]]))
    assert temperature(torch.tensor([1e38, -1e38]), 1e-3).softmax(-1).tolist() == [1, 0]


def test_filters_at_their_borders():
    assert kept(top_p(torch.zeros(4), 0.5)) == {0, 1}  # which are just enough
    assert kept(top_p(torch.tensor([0.0, 0.0, -60.0]), 1.0)) == {0, 1, 2}  # the sum of two rounds to 1
    many = torch.zeros(1000)
    assert kept(top_k(many, 300)) == kept(top_p(many, 0.3)) == set(range(300))


def test_without():
    logits = torch.tensor([[1.0, 3.0, 2.0]])
    assert without(logits, 1).tolist() == [[1.0, -INF, 2.0]]
    assert without(logits, 0, 2).tolist() == [[-INF, 3.0, -INF]]
    assert without(logits).tolist() == logits.tolist() == [[1.0, 3.0, 2.0]]
    for token in (3, -1):
        with pytest.raises(ArgumentError, match=r"0 to V - 1 = 2 .* got"):
            without(logits, token)


def test_draws_follow_the_distribution():
    counts = torch.tensor([1.0, 5, 3, 0, 1])
    drawn = draw(counts.log().expand(20_000, -1), torch.Generator().manual_seed(0))
    assert torch.allclose(drawn.bincount(minlength=5) / 20_000, counts / 10, atol=0.02)
    drawn = sampling(torch.Generator().manual_seed(0), temperature=0.5)(counts.log().expand(20_000, -1))
    assert torch.allclose(drawn.bincount(minlength=5) / 20_000, counts**2 / 36, atol=0.02)


def test_sampling_is_temperature_then_k_then_p():
    logits = torch.tensor([[1.0, 3.0, 2.0, -INF]]).expand(300, -1)

    def drawn(**options):
        return set(sampling(torch.Generator().manual_seed(0), **options)(logits).tolist())

    assert drawn() == {0, 1, 2}
    assert drawn(temperature=1e-3) == drawn(top_k=1) == drawn(top_p=0.1) == {1}
    assert drawn(top_k=2) == drawn(top_p=0.7) == {1, 2}
    assert drawn(top_k=4, top_p=1.0) == {0, 1, 2}
    assert drawn(top_k=2, top_p=0.7) == {1}  # 0.73 of the two that are left


@given(st.integers(1, 9), st.integers(1, 20), st.floats(0.1, 10), st.integers(0, 99))
def test_sampling_is_a_draw_from_what_the_filters_leave(k, twentieths, tau, seed):
    logits, p = torch.randn(5, 9, generator=torch.Generator().manual_seed(seed)).round(decimals=1), twentieths / 20
    got = sampling(torch.Generator().manual_seed(seed), temperature=tau, top_k=k, top_p=p)(logits)
    left = top_p(top_k(temperature(logits.double(), tau), k), p)
    assert torch.equal(got, draw(left, torch.Generator().manual_seed(seed)))


def test_a_draw_does_not_depend_on_the_numbers_of_the_tokens_and_leaves_torchs_generator_alone():
    logits, order = torch.randn(50, 9, generator=torch.Generator().manual_seed(1)), torch.randperm(9)
    before = torch.get_rng_state()
    one = draw(logits, torch.Generator().manual_seed(2))
    other = draw(logits[:, order], torch.Generator().manual_seed(2))
    assert torch.equal(one, order[other])
    assert torch.equal(torch.get_rng_state(), before)


SILLY = {
    "tau 0": (lambda z: temperature(z, 0), ArgumentError, "temperature > 0, got 0"),
    "tau nan": (lambda z: temperature(z, NAN), ArgumentError, "temperature > 0, got nan"),
    "tau inf": (lambda z: temperature(z, INF), ArgumentError, "temperature > 0, got inf"),
    "k 0": (lambda z: top_k(z, 0), ArgumentError, "top_k >= 1, got 0"),
    "p 0": (lambda z: top_p(z, 0), ArgumentError, "0 < top_p <= 1, got 0"),
    "p 1.1": (lambda z: top_p(z, 1.1), ArgumentError, r"0 < top_p <= 1, got 1\.1"),
    "p nan": (lambda z: top_p(z, NAN), ArgumentError, "got nan"),
    "sampling": (lambda z: sampling(torch.Generator(), temperature=-1), ArgumentError, "temperature > 0, got -1"),
    "sampling k": (lambda z: sampling(torch.Generator(), top_k=0), ArgumentError, "top_k >= 1, got 0"),
    "sampling p": (lambda z: sampling(torch.Generator(), top_p=2), ArgumentError, "top_p <= 1, got 2"),
    "sampling k > V": (lambda z: sampling(torch.Generator(), top_k=9)(z), ArgumentError, "top_k <= V = 3, got 9"),
    "no axis": (lambda z: greedy(z[0, 0]), ShapeError, r"logits \[..., V\] with V >= 1, got \[\]"),
    "V = 0": (lambda z: greedy(z[:, :0]), ShapeError, r"V >= 1, got \[2, 0\]"),
    "integers": (lambda z: greedy(z.long()), DtypeError, r"got torch.int64.*use logits.float\(\)"),
}


@pytest.mark.parametrize("name", SILLY)
def test_silly_arguments(name):
    use, error, message = SILLY[name]
    with pytest.raises(error, match=message):
        use(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))


@pytest.mark.parametrize(
    ("bad", "message"),
    [(NAN, "got nan in row 1"), (INF, "got inf in row 1"), (-INF, "minus infinity for all 2 tokens in row 1")],
)
def test_rows_without_a_largest_number(bad, message):
    logits = torch.tensor([[1.0, 2.0], [bad, bad]])
    every = [
        greedy, sampling(torch.Generator()), lambda z: draw(z, torch.Generator()), lambda z: top_k(z, 1),
        lambda z: top_p(z, 0.5), lambda z: temperature(z, 2.0),
    ]  # fmt: skip
    for use in every:
        with pytest.raises(NumericsError, match=message):
            use(logits)
