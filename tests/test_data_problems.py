"""Synthetic problems: every answer is what a loop in NumPy reads off the inputs."""

import numpy as np
import pytest
import torch

from elman.data import problems
from elman.errors import ArgumentError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def marked(x):
    """The sum of the marked numbers of each row."""
    return np.array([sum(value for value, mark in row if mark) for row in x.transpose(0, 1).tolist()])


def ordered(x):
    """2 first + second, of the two symbols that are no distractors."""
    rows = x.argmax(-1).T.tolist()
    return np.array([2 * a + b for a, b in ([s for s in row if s < 2] for row in rows)])


ANSWERS = {
    problems.adding: lambda x: marked(x)[None, :, None],
    problems.copy_memory: lambda x: x[:10].argmax(-1).numpy(),
    problems.temporal_order: lambda x: ordered(x)[None],
    problems.label_and_tail: lambda x: x[0].argmax(-1).numpy()[None],
}
SIZES = {"adding": (2, 7, 60), "copy_memory": (1, 30), "temporal_order": (10, 37), "label_and_tail": (0, 1, 50)}
CASES = [(draw, size, batch) for draw in ANSWERS for size in SIZES[draw.__name__] for batch in (1, 33)]


@pytest.mark.parametrize(("draw", "size", "batch"), CASES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_the_answer_is_in_the_inputs(draw, size, batch):
    sample = draw(size, batch, generator())
    steps = len(sample.x)
    assert sample.x.shape[:2] == sample.asked.shape == sample.targets.shape[:2] == (steps, batch)
    assert sample.asked.dtype is torch.bool and (sample.asked.sum(0) == sample.asked.sum(0)[0]).all()
    asked = int(sample.asked[:, 0].sum())
    assert sample.asked[steps - asked :].all()
    np.testing.assert_allclose(sample.targets[-asked:].numpy(), ANSWERS[draw](sample.x), rtol=1e-6)


@pytest.mark.parametrize("draw", ANSWERS, ids=lambda draw: draw.__name__)
def test_the_generator_decides_alone(draw):
    torch.manual_seed(1)
    first = draw(40, 8, generator(5))
    torch.manual_seed(2)
    again, other = draw(40, 8, generator(5)), draw(40, 8, generator(6))
    assert torch.equal(first.x, again.x) and torch.equal(first.targets, again.targets)
    assert not torch.equal(first.x, other.x)


def test_one_of_the_two_marks_is_in_each_half():
    for steps in (2, 9, 100):
        marks = problems.adding(steps, 500, generator()).x[..., 1]
        assert (marks[: steps // 2].sum(0) == 1).all() and (marks[steps // 2 :].sum(0) == 1).all()
        if steps == 9:  # every step is marked in some row
            assert marks.sum(1).min() > 0


def test_who_says_one_has_a_sixth():
    targets = problems.adding(50, 20_000, generator()).targets[-1]
    assert (targets - 1).square().mean() == pytest.approx(1 / 6, abs=0.005)


def test_copy_memory_is_laid_out_as_published():
    sample = problems.copy_memory(5, 3, generator(), length=2, symbols=4)
    shown = sample.x.argmax(-1)
    assert sample.x.shape == (5 + 4, 3, 6) and (sample.x.sum(-1) == 1).all()
    assert (shown[:2] < 4).all() and (shown[2:6] == 4).all() and (shown[6] == 5).all() and (shown[7:] == 4).all()
    assert (sample.targets[:-2] == 4).all() and torch.equal(sample.targets[-2:], shown[:2])


def test_copy_memory_draws_all_words_alike():
    counts = torch.bincount(problems.copy_memory(1, 4000, generator()).targets[-10:].flatten(), minlength=8)
    assert len(counts) == 8 and (counts / 5000 - 1).abs().max() < 0.06  # 4 standard deviations


def test_temporal_order_keeps_to_its_places():
    shown = problems.temporal_order(100, 300, generator()).x.argmax(-1)
    places = (shown < 2).nonzero()[:, 0].unique().tolist()
    assert set(places) == {*range(10, 20), *range(40, 50)}
    assert set(shown.unique().tolist()) == set(range(6))


def test_a_label_stands_as_target_through_its_tail():
    sample = problems.label_and_tail(20, 50, generator(), classes=3, shown=2, distractors=5)
    shown = sample.x.argmax(-1)
    assert sample.x.shape == (22, 50, 8)
    assert torch.equal(shown[0], shown[1]) and (shown[:2] < 3).all() and (shown[2:] >= 3).all()
    assert (sample.targets[1:] == shown[0]).all() and not sample.targets[0].any()
    assert set(shown[2:].unique().tolist()) == {3, 4, 5, 6, 7}


def test_a_sample_goes_to_another_dtype_and_classes_stay():
    sample = problems.label_and_tail(3, 2, generator()).to("cpu", torch.float64)
    assert sample.x.dtype is torch.float64 and sample.targets.dtype is torch.int64
    assert problems.adding(4, 2, generator()).to("cpu", torch.float64).targets.dtype is torch.float64


@pytest.mark.parametrize(
    ("draw", "arguments", "said"),
    [
        (problems.adding, (1, 4), "steps >= 2, got 1"),
        (problems.adding, (10, 0), "batch >= 1, got 0"),
        (problems.copy_memory, (0, 4), "delay >= 1, got 0"),
        (problems.temporal_order, (9, 4), "steps >= 10, got 9"),
        (problems.label_and_tail, (-1, 4), "tail >= 0, got -1"),
    ],
)
def test_sizes_out_of_range_are_named(draw, arguments, said):
    with pytest.raises(ArgumentError, match=said):
        draw(*arguments, generator())
