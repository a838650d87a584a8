"""The engine by itself, on a job that is not text: a network that learns to add up what it has seen."""

import time

import pytest
import torch
from torch import nn

import elman
from elman.errors import ArgumentError, NumericsError
from elman.training import Loss, Measure, Settings, constant, warmup_cosine
from elman.training.engine import Work, train
from elman.training.loss import detached
from elman.training.settings import seconds_of


class Sums:
    """Windows [T, B] of numbers and of their running sums, which go on from window to window."""

    def __init__(self, windows=6, bad=None):
        x = torch.rand(5 * windows, 4, generator=torch.Generator().manual_seed(1)) - 0.5
        self.x, self.y = x.split(5), x.cumsum(0).split(5)
        self.bad = bad

    def __len__(self):
        return len(self.x)

    def starting_at(self, index, epoch=0, share=(0, 1)):
        for number in range(index, len(self)):
            spoiled = float("nan") if number == self.bad else 1.0
            yield self.x[number] * spoiled, self.y[number]


class Adder(nn.Module):
    """One recurrent layer; `states` records where each window began."""

    def __init__(self):
        super().__init__()
        self.layer = elman.Recurrent(elman.Elman(1, 8))
        self.out = nn.Linear(8, 1)
        self.states = []

    def loss(self, batch, state):
        x, y = batch
        self.states.append(state)
        h, state = self.layer(x.unsqueeze(-1), state)
        total = ((self.out(h).squeeze(-1) - y) ** 2).sum()
        return Loss(total, y.numel(), y.numel(), state)


def work(tmp_path=None, saved=None, training=None, validation=None, **options):
    return Work(
        training=training or Sums(),
        validation=validation or Sums(),
        settings=Settings(device="cpu", **{"epochs": 3, "schedule": constant, **options}),
        measure=Measure(),
        facts={},
        side_file=None,
        save=lambda weights, history: saved.append((weights, len(history.epochs))) if saved is not None else None,
        save_every=1000.0,
    )


def fresh_adder():
    torch.manual_seed(2)
    return Adder()


def test_it_is_plain_training():
    ours = fresh_adder()
    history = train(ours, work(learning_rate=0.01), None, False, [])

    theirs = fresh_adder()
    optimizer = torch.optim.Adam(theirs.parameters(), 0.01)
    for _ in range(3):
        state = None
        for batch in Sums().starting_at(0):
            loss = theirs.loss(batch, state)
            optimizer.zero_grad()
            (loss.total / loss.count).backward()
            nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
            optimizer.step()
            state = detached(loss.state)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)
    assert [round(row.epoch, 6) for row in history.epochs] == [1, 2, 3]
    assert history.epochs[-1].validation < history.epochs[0].validation


def test_state_goes_on_within_an_epoch_and_not_beyond():
    network = fresh_adder()
    train(network, work(epochs=2), None, False, [])
    began_anew = [state is None for state in network.states]
    assert began_anew == ([True] + [False] * 5) * 4  # two epochs, each with its validation
    assert not any(state.requires_grad for state in network.states[:6] if state is not None)


def test_the_best_weights_win_and_training_stops_early():
    saved = []
    network = fresh_adder()
    history = train(network, work(saved=saved, epochs=40, learning_rate=0.5, patience=2), None, False, [])
    best = history.best
    assert len(history.epochs) == best.epoch + 2 < 40
    assert saved[-1][1] == best.epoch
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, saved[-1][0][name])


@pytest.mark.parametrize(
    ("training", "validation", "where"), [(4, None, "at step 5 "), (None, 2, "at validation after step 6 ")]
)
def test_nan_stops_and_names_the_step(training, validation, where):
    network = fresh_adder()
    given = work(training=Sums(bad=training), validation=Sums(bad=validation))
    with pytest.raises(NumericsError, match=f"loss became nan {where}"):
        train(network, given, None, False, [])
    assert all(torch.isfinite(weight).all() for weight in network.parameters())


def test_generators_and_threads_are_left_as_they_were():
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    train(fresh_adder(), work(epochs=1, threads=1), None, False, [])
    torch.manual_seed(5)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_training_ends_when_the_time_is_up():
    network, start = fresh_adder(), time.monotonic()
    history = train(
        network, work(epochs=10**6, patience=10**6, time_limit=1.0, schedule=warmup_cosine), None, False, []
    )
    assert 1 <= time.monotonic() - start < 10
    assert history.rows[-1].validation is not None and history.rows[-1].epoch < 10**6
    rates = [row.learning_rate for row in history.rows]
    assert rates[-1] < 0.1 * max(rates)  # it fell with the time, not with the steps


def test_an_epoch_longer_than_the_time_ends_with_a_validation():
    history = train(fresh_adder(), work(training=Sums(20_000), time_limit=0.5), None, False, [])
    assert 0 < history.rows[-1].epoch < 1 and history.best is not None


@pytest.mark.parametrize(
    ("limit", "seconds"), [("90s", 90), ("10m", 600), ("1.5 h", 5400), ("20", 20), (3, 3), (None, None)]
)
def test_times(limit, seconds):
    assert seconds_of(limit) == seconds


@pytest.mark.parametrize("limit", ["soon", "10 days", "-5m"])
def test_what_is_no_time(limit):
    with pytest.raises(ArgumentError, match="expected a time"):
        seconds_of(limit)
