"""The rows of bench.tables that read and write: their data, their batches, their figures."""

import gzip
import math

import pytest
import torch
from bench import tables
from bench.problems import Settings, addition, scan
from bench.problems.reading import BOS, EOS, Pairs, exact, reader

import elman
from elman.errors import DataError


@pytest.fixture(autouse=True)
def on_torch():
    """No kernel is built for a few steps."""
    with elman.using(backend="reference"):
        yield


def spoken(tokens):
    return "".join(addition.SYMBOLS[int(token) - BOS - 1] for token in tokens)


def test_sums_are_right_and_no_two_numbers_are_added_twice():
    pairs, seen = addition.made(2000, torch.Generator().manual_seed(0)), set()
    for source, target in zip(pairs.sources, pairs.targets, strict=True):
        a, b = (int(number) for number in spoken(source).split("+"))
        assert max(a, b) < 1000 and int(target[-1]) == EOS and int(spoken(target[:-1])) == a + b
        seen.add(frozenset([a, b]))
    assert len(seen) == 2000


def test_batches_hold_every_pair_once():
    numbers = range(3, 3 + 150)
    pairs = Pairs([torch.tensor([n]) for n in numbers], [torch.tensor([n, *[5] * (n % 7), EOS]) for n in numbers])
    for generator in (None, torch.Generator().manual_seed(0)):
        seen = []
        for source, lengths, targets in pairs.batches(8, generator):
            assert source.shape[1] == targets.shape[1] == len(lengths) <= 8
            assert torch.equal(source[0], targets[0])
            assert (targets == EOS).sum(0).eq(1).all()
            seen += source[0].tolist()
        assert sorted(seen) == list(numbers)
        assert seen != list(numbers)


def test_exact_counts_what_is_written_without_a_mistake():
    torch.manual_seed(0)
    model = reader(8, 6, 4, 4).eval()
    sources = [torch.tensor([3 + n % 5, 4]) for n in range(5)]
    with torch.no_grad():
        model.decoder.readout.weight.zero_()
        model.decoder.readout.bias.copy_(torch.tensor([0.0, 9, 0, 0, 0, 0]))  # EOS at once, whatever was read
    targets = [torch.tensor([EOS] if n < 2 else [3, EOS]) for n in range(5)]
    assert exact(model, Pairs(sources, targets)) == pytest.approx(2 / 5)


def test_addition_runs():
    lines = list(tables.run({"addition": addition}, [1], None, True))
    assert [line.asked for line in lines] == list(addition.ASKED)
    assert all(0 <= float(line.measured) <= 100 for line in lines)


def test_scan_reads_its_files_and_runs(tmp_path):
    words, actions = ["walk", "jump", "run", "left"], ["I_WALK", "I_JUMP", "I_RUN", "I_LEFT"]
    for split, count in (("train", 60), ("test", 10)):
        with gzip.open(tmp_path / f"tasks_{split}_simple.txt.gz", "wt", encoding="utf-8") as file:
            for n in range(count):
                file.write(f"IN: {words[n % 4]} {words[n // 4 % 4]} OUT: {actions[n % 4]} {actions[n // 4 % 4]}\n")
    read = list(scan.lines(tmp_path / "tasks_test_simple.txt.gz"))
    assert read[1] == (["jump", "walk"], ["I_JUMP", "I_WALK"])
    (measured,) = scan.run(Settings(0, tmp_path, lambda text: None, True))
    assert math.isfinite(measured.value)
    with gzip.open(tmp_path / "broken.gz", "wt", encoding="utf-8") as file:
        file.write("IN: walk OUT: I_WALK\nwalk\n")
    with pytest.raises(DataError, match="line 2"):
        list(scan.lines(tmp_path / "broken.gz"))
