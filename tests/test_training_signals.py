"""Teaching signals, losses and metrics: a loss sees what its mask lets through, and nothing else."""

import math

import pytest
import torch
from torch.nn import functional

import elman
from elman import training
from elman.errors import ArgumentError, DtypeError, SetupError, ShapeError
from elman.training import averaged, every_step, last_step, last_steps, some_units, summed, until_eos, weighted
from tolerances import assert_close

T, B, O, V = 5, 4, 3, 6
LENGTHS = torch.tensor([5, 1, 0, 3])
LIVE = torch.arange(T).unsqueeze(1) < LENGTHS


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tokens(*shape, seed=0):
    return torch.randint(V, shape, generator=torch.Generator().manual_seed(seed))


# what a loss is asked: outputs, targets, and one target's loss in plain Python
CASES = {
    "cross_entropy": (drawn(T, B, V), tokens(T, B), lambda z, y: math.log(sum(map(math.exp, z))) - z[y]),
    "squared_error": (drawn(T, B, O), drawn(T, B, O, seed=1), lambda y, d: (y - d) ** 2),
    "absolute_error": (drawn(T, B, O), drawn(T, B, O, seed=1), lambda y, d: abs(y - d)),
    "binary_cross_entropy": (
        drawn(T, B, O),
        drawn(T, B, O, seed=1).sigmoid(),
        lambda z, p: p * math.log(1 + math.exp(-z)) + (1 - p) * math.log(1 + math.exp(z)),
    ),
    "gaussian": (
        drawn(T, B, O, 2),
        drawn(T, B, O, seed=1),
        lambda z, y: (y - z[0]) ** 2 / (2 * math.exp(2 * z[1])) + z[1] + math.log(2 * math.pi) / 2,
    ),
    "poisson": (
        drawn(T, B, O),
        torch.poisson(drawn(T, B, O, seed=1).exp(), torch.Generator().manual_seed(1)),
        lambda z, k: math.exp(z) - k * z + math.lgamma(k + 1),
    ),
}
SIGNALS = {
    "every step": (every_step(T, LENGTHS), lambda t, b: t < LENGTHS[b]),
    "last step": (last_step(T, LENGTHS), lambda t, b: t == LENGTHS[b] - 1),
    "last 2 steps": (last_steps(2, T, LENGTHS), lambda t, b: LENGTHS[b] - 2 <= t < LENGTHS[b]),
    "no lengths": (last_steps(2, T), lambda t, b: t >= T - 2),
    "one row": (torch.tensor([[False, True, False, False]]), lambda t, b: b == 1),
    "all": (None, lambda t, b: True),
    "nothing": (torch.zeros(T, B, dtype=torch.bool), lambda t, b: False),
}


def flat_losses(name, counts):
    """Row, step and loss of each target that counts, by loops."""
    outputs, targets, one = CASES[name]
    for t in range(T):
        for b in range(B):
            if counts(t, b):
                if targets.dim() == 2:
                    yield one(outputs[t, b].tolist(), int(targets[t, b]))
                else:
                    for o in range(O):
                        yield one(outputs[t, b, o].tolist(), targets[t, b, o].item())


def test_every_loss_is_tested_and_found_by_its_name():
    assert set(CASES) == set(training.LOSSES)
    for name, loss in training.LOSSES.items():
        assert training.find_loss(name) is loss
        assert getattr(training, name) is loss
    with pytest.raises(ArgumentError, match="gaussian"):
        training.find_loss("mse")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("signal", SIGNALS)
def test_sums_and_means_are_the_loops(name, signal):
    outputs, targets, _ = CASES[name]
    mask, counts = SIGNALS[signal]
    expected = list(flat_losses(name, counts))
    assert_close(summed(name, outputs, targets, mask), torch.tensor(sum(expected) / B, dtype=torch.float64), 1e-12)
    mean = sum(expected) / max(1, len(expected))
    assert_close(averaged(name, outputs, targets, mask), torch.tensor(mean, dtype=torch.float64), 1e-12)
    losses, weights = weighted(name, outputs, targets, mask)
    assert losses.shape == weights.shape == targets.shape
    assert weights.sum() == len(expected)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_what_does_not_count_reaches_neither_loss_nor_gradient(name, wrong):
    outputs, targets, _ = CASES[name]
    unknown = -100 if name == "cross_entropy" else wrong
    mask = last_steps(2, T, LENGTHS)
    if targets.dim() == 3:
        mask = some_units(mask, [0, 2], O)
    there = mask.reshape(mask.shape + (1,) * (outputs.dim() - mask.dim()))
    results = []
    for given, wanted in (
        (torch.where(there, outputs, wrong), torch.where(mask, targets, unknown)),
        (outputs.clone(), targets),
    ):
        given.requires_grad_()
        loss = summed(name, given, wanted, mask)
        (gradient,) = torch.autograd.grad(loss + averaged(name, given, wanted, mask), given)
        assert not gradient[~there.expand(gradient.shape)].any()
        assert gradient[there.expand(gradient.shape)].abs().min() > 0
        results.append((loss, gradient))
    assert_close(results[0], results[1], 0.0)


def test_nothing_that_counts_is_no_loss_and_no_gradient():
    outputs = torch.full((T, B, O), float("nan"), requires_grad=True)
    for reduced in (summed, averaged):
        loss = reduced("squared_error", outputs, outputs.detach(), torch.zeros(T, B, dtype=torch.bool))
        (gradient,) = torch.autograd.grad(loss, outputs)
        assert loss == 0
        assert not gradient.any()


def test_the_sum_over_time_is_that_of_the_notes_and_the_mean_that_of_torch():
    logits, targets = drawn(T, B, V), tokens(T, B)
    padded = torch.where(LIVE, targets, -100)
    theirs = functional.cross_entropy(logits.flatten(0, 1), padded.flatten())
    assert_close(averaged("cross_entropy", logits, padded, LIVE), theirs, 1e-14)
    total = functional.cross_entropy(logits.flatten(0, 1), padded.flatten(), reduction="sum")
    assert_close(summed("cross_entropy", logits, padded, LIVE), total / B, 1e-14)
    assert_close(averaged(training.cross_entropy, logits, targets), averaged("cross_entropy", logits, targets), 0.0)


def test_weights_weigh_and_desired_final_activities_hold_for_the_last_steps():
    outputs, targets, _ = CASES["squared_error"]
    weights = drawn(T, B).abs()
    error = (outputs - targets) ** 2
    assert_close(summed("squared_error", outputs, targets, weights), (error * weights.unsqueeze(-1)).sum() / B, 1e-14)
    expected = (error * weights.unsqueeze(-1)).sum() / (O * weights.sum())
    assert_close(averaged("squared_error", outputs, targets, weights), expected, 1e-14)
    desired, mask = drawn(1, B, O, seed=4), last_steps(2, T, LENGTHS)
    expected = sum(
        float(((outputs[t, b] - desired[0, b]) ** 2).sum())
        for b in range(B)
        for t in range(max(0, int(LENGTHS[b]) - 2), int(LENGTHS[b]))
    )
    assert_close(
        summed("squared_error", outputs, desired, mask), torch.tensor(expected / B, dtype=torch.float64), 1e-14
    )


def test_the_gradient_flows_back_from_every_output_that_counts_and_from_no_other():
    with elman.using(backend="reference"):
        layer = elman.Recurrent(elman.LSTM(2, O)).double()
        x = drawn(T, B, 2).requires_grad_()
        y, _ = layer(x, lengths=LENGTHS)
        (gradient,) = torch.autograd.grad(summed("squared_error", y, torch.ones(1, B, O), last_step(T, LENGTHS)), x)
    assert torch.equal(gradient.abs().sum(-1) > 0, LIVE)  # through time, up to each row's end
    mask = torch.zeros(T, B, dtype=torch.bool)
    mask[1, 0] = True
    with elman.using(backend="reference"):
        y, _ = layer(x, lengths=LENGTHS)
        (gradient,) = torch.autograd.grad(averaged("squared_error", y, torch.ones(1, B, O), mask), x)
    assert gradient.abs().sum(-1).nonzero().tolist() == [[0, 0], [1, 0]]


def test_signals_are_masks():
    for mask, counts in SIGNALS.values():
        if mask is not None:
            expected = [[bool(counts(t, b)) for b in range(B)] for t in range(T)]
            assert mask.expand(T, B).tolist() == expected
    units = some_units(last_step(T, LENGTHS), slice(1, None), O)
    assert units.shape == (T, B, O)
    assert units.nonzero().tolist() == [[0, 1, 1], [0, 1, 2], [2, 3, 1], [2, 3, 2], [4, 0, 1], [4, 0, 2]]
    written = torch.tensor([[3, 1, 2], [1, 3, 4], [2, 1, 5], [1, 1, 0]])
    expected = [[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 0, 1]]
    assert until_eos(written, 1).long().tolist() == expected
    assert until_eos(written, 1).sum(0).tolist() == [2, 1, 4]


@pytest.mark.parametrize(
    ("outputs", "targets", "mask", "words"),
    [
        ((T, B, O), (T, B, O), (B, T), r"mask \[T, B, O\] = \[5, 4, 3\].*\[4, 5, 1\].*\[B, T\]"),
        ((T, B, O), (T, B, O), (T, B, O + 1), r"mask \[T, B, O\]"),
        ((T, B, O), (T, B, O), (T,), r"mask \[T, B\] or \[T, B, O\]"),
        ((T, B, O), (B, T, O), None, r"targets \[T, B, O\] = \[5, 4, 3\].*\[B, T\]"),
        ((T, B, O), (T, B), None, "shape of the targets"),
        ((T, B), (T, B, O), None, "at most one axis more"),
        ((T,), (T,), None, r"\[T, B"),
    ],
)
def test_wrong_shapes_are_named_by_their_axes(outputs, targets, mask, words):
    with pytest.raises(ShapeError, match=words):
        summed("squared_error", drawn(*outputs), drawn(*targets), None if mask is None else torch.ones(mask))


def test_other_mistakes_are_named():
    logits, targets = drawn(T, B, V), tokens(T, B)
    with pytest.raises(ArgumentError, match=r"tokens 0 to V - 1 = 5, got -100 at step 0, row 2.*mask"):
        summed("cross_entropy", logits, torch.where(LIVE, targets, -100))
    with pytest.raises(DtypeError, match="integer"):
        summed("cross_entropy", logits, targets.double())
    with pytest.raises(ShapeError, match=r"\[T, B, V\]"):
        summed("cross_entropy", logits, tokens(T, B, V))
    with pytest.raises(DtypeError, match="floating"):
        summed("squared_error", targets, targets)
    with pytest.raises(ArgumentError, match="from 0 to 1"):
        summed("binary_cross_entropy", drawn(T, B, O), 2 + drawn(T, B, O).abs())
    with pytest.raises(ShapeError, match="log σ"):
        summed("gaussian", drawn(T, B, O, 3), drawn(T, B, O))
    with pytest.raises(ArgumentError, match="counts"):
        summed("poisson", drawn(T, B, O), -1 - drawn(T, B, O).abs())
    for weight in (-1.0, float("nan")):
        with pytest.raises(ArgumentError, match="weights"):
            summed("cross_entropy", logits, targets, torch.full((T, B), weight))
    with pytest.raises(ShapeError, match="must not sum"):
        summed(lambda y, d: ((y - d) ** 2).sum(), drawn(T, B, O), drawn(T, B, O))
    for k, steps in ((0, T), (1, 0)):
        with pytest.raises(ArgumentError, match="k >= 1"):
            last_steps(k, steps, LENGTHS)
    with pytest.raises(ArgumentError, match="row 0"):
        last_step(3, LENGTHS)
    with pytest.raises(ShapeError, match="units"):
        some_units(LIVE, [O], O)
    with pytest.raises(ShapeError, match=r"\[T, B\]"):
        some_units(LIVE[0], [0], O)
    with pytest.raises(DtypeError, match="integer"):
        until_eos(drawn(T, B), 1)


EOS = 1


def counted(predicted, wanted):
    """Tokens that are right, tokens, rows that are right, rows, by loops up to EOS."""
    right = count = matches = rows = 0
    for row in range(wanted.size(1)):
        column = wanted[:, row].tolist()
        length = column.index(EOS) + 1 if EOS in column else len(column)
        guesses = [int(predicted[t, row]) if t < len(predicted) else None for t in range(length)]
        hits = [guess == target for guess, target in zip(guesses, column, strict=False)]
        right, count, matches, rows = right + sum(hits), count + length, matches + all(hits), rows + 1
    return right, count, matches, rows


def test_metrics_count_up_to_eos_over_several_batches():
    accuracy, match, perplexity = training.token_accuracy(V), training.exact_match(V), training.perplexity()
    sums, nats = torch.zeros(4), 0.0
    for seed in range(3):
        targets = tokens(3 + seed, 40, seed=seed) % 3
        logits = 3 * functional.one_hot(targets, V) + 2 * drawn(3 + seed, 40, V, seed=seed)
        mask = until_eos(targets, EOS)
        spoilt = torch.where(mask.unsqueeze(-1), logits, float("nan"))
        padded = torch.where(mask, targets, -5)
        for metric in (accuracy, match, perplexity):
            metric.update(spoilt, padded, mask)
        sums += torch.tensor(counted(logits.argmax(-1), targets))
        nats += float(functional.cross_entropy(logits[mask], targets[mask], reduction="sum"))
    assert 0 < sums[2] < sums[3]
    assert accuracy.compute() == pytest.approx(float(sums[0] / sums[1]), abs=1e-6)
    assert match.compute() == pytest.approx(float(sums[2] / sums[3]), abs=1e-6)
    assert perplexity.compute() == pytest.approx(math.exp(nats / float(sums[1])), rel=1e-6)


@pytest.mark.parametrize("longest", [2, 4, 7])
def test_what_was_written_is_compared_whatever_its_length(longest):
    targets = torch.tensor([[2, 3, 1], [1, 4, 0], [0, 0, 0], [0, 1, 0]])
    written = torch.tensor([[2, 3, 1], [1, 4, 5], [4, 0, 3], [4, 1, 3], [0, 0, 0], [0, 0, 0], [0, 0, 0]])[:longest]
    accuracy, match = training.token_accuracy(V), training.exact_match(V)
    for metric in (accuracy, match):
        metric.update(written, targets, until_eos(targets, EOS))
    right, count, matches, rows = counted(written, targets)
    assert (right, count, matches, rows) == ((7, 7, 3, 3) if longest > 2 else (5, 7, 2, 3))
    assert accuracy.compute() == pytest.approx(right / count)
    assert match.compute() == pytest.approx(matches / rows)


def test_rows_in_which_nothing_counts_are_left_out_of_metrics():
    targets = torch.tensor([[2, 3], [1, 1]])
    match = training.exact_match(V)
    match.update(torch.tensor([[2, 4], [1, 1]]), targets, torch.tensor([[True, False], [True, False]]))
    match.update(targets, targets, torch.zeros(2, 2, dtype=torch.bool))
    match.update(torch.tensor([[2, 4], [1, 1]]), targets)
    assert match.compute() == pytest.approx(2 / 3)
    with pytest.raises(ShapeError, match=r"logits \[T, B, V\] and"):
        training.perplexity().update(targets, targets)
    with pytest.raises(ShapeError, match="got"):
        match.update(drawn(3, 2, V), targets)


def test_metrics_say_what_must_be_installed(monkeypatch):
    monkeypatch.setattr(training.metrics, "find_spec", lambda name: None)
    for make in (training.perplexity, lambda: training.token_accuracy(V), lambda: training.exact_match(V)):
        with pytest.raises(SetupError, match="pip install"):
            make()


@pytest.mark.parametrize("wrong", [-100, -1])
def test_a_target_that_is_no_token_must_not_count(wrong):
    targets = torch.tensor([[1], [wrong]])
    right = training.token_accuracy(3)
    right.update(torch.tensor([[1], [2]]), targets, torch.tensor([[True], [False]]))
    assert right.compute() == 1
    with pytest.raises(ArgumentError, match=f"where the mask counts, got {wrong}"):
        right.update(torch.tensor([[1], [2]]), targets)
