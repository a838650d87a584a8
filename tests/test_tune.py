"""`elman tune`: what it finds is remembered, looked up, stronger than the default, and never in the way."""

import json

import pytest
import torch
from typer.testing import CliRunner

import elman
from builds import forget, needs_compiler
from elman.cli import app
from elman.compiler import BuildWarning, Schedule, forget_schedules, host, schedules_file, tune
from elman.compiler.runtime import tuned
from elman.compiler.search import Contender, _Search
from elman.errors import ArgumentError

pytestmark = needs_compiler
OWN = Schedule(target=host().name, gates=1, rows=3, block=24)


@pytest.fixture(autouse=True)
def start(monkeypatch, tmp_path):
    """A cache folder without any schedules; kernels are those of the usual folder."""
    monkeypatch.delenv("ELMAN_TUNED", raising=False)
    monkeypatch.setattr(tuned, "schedules_file", lambda: tmp_path / tuned.FILE)
    keep = tuned.store._write
    monkeypatch.setattr(tuned.store, "keep", lambda name, content: keep(tmp_path, name, content))
    monkeypatch.setattr(tuned.store, "_SAID", set())
    tuned.reload()
    yield
    monkeypatch.undo()
    tuned.reload()


def layer(dtype=torch.float32):
    torch.manual_seed(0)
    return elman.Recurrent(elman.GRU(3, 5)).to(dtype)


def plan(layer, batch=8, **options):
    like = next(layer.parameters())
    return layer.plan(like.new_zeros(4, batch, 3), **options).layers[0]


def remember(layer, batch=8, schedule=OWN):
    return tuned.remember(plan(layer).compiled, schedule, batch, {"cell": "GRU"})


def test_nothing_tuned_is_the_default():
    assert plan(layer()).schedule == Schedule(target=host().name)
    assert "tuned" not in str(plan(layer()))


def test_a_tuned_schedule_runs_and_changes_no_result():
    one, x = layer(), torch.randn(4, 8, 3)
    before = one(x)[0]
    path = remember(one)
    assert plan(one).schedule == OWN
    assert "tuned schedule" in str(plan(one))
    torch.testing.assert_close(one(x)[0], before)
    one(x)[0].sum().backward()
    assert json.loads(path.read_text())["schedules"]
    assert plan(layer()).schedule == OWN, "another layer of the same form"
    assert plan(one, lengths=[4] + [2] * 7).schedule == OWN, "packed rows run the same loop"


@pytest.mark.slow
def test_what_a_tuned_schedule_belongs_to():
    one = layer()
    remember(one)
    default = Schedule(target=host().name)
    assert [plan(one, batch=b).schedule == OWN for b in (1, 4, 5, 6, 8, 10, 11, 16)] == [0, 0, 0, 1, 1, 1, 0, 0]
    assert plan(layer(torch.float64)).schedule == default
    assert plan(one, reset=torch.zeros(4, 8, dtype=torch.bool)).schedule == default
    assert elman.Recurrent(elman.GRU(3, 6)).plan(torch.zeros(4, 8, 3)).layers[0].schedule == default
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        assert plan(one).schedule == default
    finally:
        torch.set_num_threads(threads)


def test_lines_names_and_numbers_do_not_matter():
    class Other(elman.GRU):
        """The same, written elsewhere."""

        def step(self, x, last):
            a, b, c = self.U(x).chunk(3, dim=-1)
            d, e = self.W(last).chunk(2, dim=-1)
            reset, update = torch.sigmoid(a + d), torch.sigmoid(b + e)
            new = torch.tanh(c + self.W_n(reset * last))
            return update * last + (1 - update) * new

    one, other = layer(), elman.Recurrent(Other(3, 5))
    assert tuned._signature(plan(one).compiled) == tuned._signature(plan(other).compiled)


def test_who_asks_for_a_schedule_gets_it(monkeypatch):
    one, own = layer(), Schedule(target=host().name, block=7)
    remember(one)
    with elman.using(schedule=own):
        assert plan(one).schedule == own
    with elman.using(backend="reference"):
        assert plan(one).backend == "reference"
    monkeypatch.setenv("ELMAN_TUNED", "0")
    tuned.reload()
    assert plan(one).schedule == Schedule(target=host().name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        '{"format": 1}',
        '{"format": 9, "schedules": {}}',
        '{"format": 1, "schedules": {"a": {"schedule": {"gates": 0}}}}',
        '{"format": 1, "schedules": {"a": {"schedule": {"tiles": 1}}}}',
        '{"format": 1, "schedules": {"a": 3}}',
        '{"format": 1, "schedules": [1]}',
        "\xff\x00",
    ],
)
def test_a_corrupt_file_is_left_aside(text):
    tuned.schedules_file().write_bytes(text.encode("latin-1"))
    tuned.reload()
    with pytest.warns(BuildWarning, match="is not what `elman tune` wrote"):
        assert plan(layer()).schedule == Schedule(target=host().name)
    remember(layer())
    assert plan(layer()).schedule == OWN


def test_forget():
    one, two = layer(), elman.Recurrent(elman.LSTM(3, 5))
    remember(one)
    remember(two)
    assert forget_schedules() == 2
    assert plan(one).schedule == Schedule(target=host().name)
    assert forget_schedules() == 0


def test_a_folder_that_others_may_write_to_is_not_believed(tmp_path):
    one = layer()
    remember(one)
    tuned.reload()
    tmp_path.chmod(0o777)
    assert plan(one).schedule == Schedule(target=host().name)


class Clock:
    """A search whose measurements are made up: a schedule is faster, the nearer it is to `OWN`."""

    def __init__(self, monkeypatch, gain=0.1):
        self.gain, self.asked = gain, []
        monkeypatch.setattr(_Search, "measured", self.measured)

    def measured(self, schedules, run, rounds):
        self.asked += schedules
        return [Contender(schedule, 1.0, self.ratio(schedule)) for schedule in schedules]

    def ratio(self, schedule):
        alike = sum(getattr(schedule, name) == getattr(OWN, name) for name in ("gates", "rows", "block"))
        return 1 - self.gain * alike


def test_the_search_finds_the_best(monkeypatch):
    clock = Clock(monkeypatch)
    found = tune(plan(layer()), lambda: None, 100)
    assert clock.asked[0] == found.default.schedule == Schedule(target=host().name)
    assert (found.best.schedule.gates, found.best.schedule.rows) == (1, 3)
    assert found.path == tuned.schedules_file()
    assert plan(layer(), batch=100).schedule == found.best.schedule
    assert found.contenders[0].ratio == min(one.ratio for one in found.contenders)


def test_what_makes_the_same_kernels_is_measured_once(monkeypatch):
    clock = Clock(monkeypatch, gain=0)
    tune(plan(layer()), lambda: None, 4)
    assert {schedule.block for schedule in clock.asked} == {96}, "four rows are one block in any case"


def test_a_straw_is_not_remembered(monkeypatch):
    Clock(monkeypatch, gain=0.004)
    assert tune(plan(layer()), lambda: None, 100).path is None
    assert not tuned.schedules_file().exists()


def test_what_slows_down_something_else_is_not_remembered(monkeypatch):
    monkeypatch.setattr(Clock, "measured", _slower_elsewhere(Clock.measured))
    Clock(monkeypatch)
    found = tune(plan(layer()), "training", 100, others=["inference"])
    assert found.path is None
    assert found.others == (2.0,)


def _slower_elsewhere(measured):
    def other(self, schedules, run, rounds):
        return [Contender(s, 1.0, 2.0) for s in schedules] if run == "inference" else measured(self, schedules, run, 1)

    return other


def test_only_kernels_have_a_schedule():
    with elman.using(backend="reference"):
        found = plan(layer())
    with pytest.raises(ArgumentError, match="only kernels have a schedule"):
        tune(found, lambda: None, 8)


SMALL = ("--input-size", "3", "--hidden-size", "4", "--batch", "2", "--steps", "3", "--rounds", "2")


def command(*arguments):
    return CliRunner().invoke(app, ["tune", *arguments], catch_exceptions=False)


@pytest.mark.parametrize("cell", [["elman"], ["jordan"], ["gru", "--threads", "1"]])
@pytest.mark.slow
def test_command(monkeypatch, cell):
    monkeypatch.setattr("elman.compiler.search.AXES", {"gates": (1, 2)})
    threads = torch.get_num_threads()
    done = command(*cell, *SMALL)
    assert done.exit_code == 0
    assert "default" in done.stdout
    assert host().name in done.stdout
    assert "remembered" in done.stdout
    assert torch.get_num_threads() == threads


def test_command_forgets():
    remember(layer())
    assert command("--forget").stdout.startswith("1 schedules forgotten")


@pytest.mark.parametrize(("arguments", "message"), [([], "expected a cell"), (["lstn"], "expected one of the cells")])
def test_what_cannot_be_tuned(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        command(*arguments)


def test_without_a_compiler(monkeypatch, tmp_path):
    for name, value in (("PATH", str(tmp_path)), ("ELMAN_CACHE", str(tmp_path / "cache"))):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("elman.compiler.runtime.build.find_spec", lambda name: None)
    forget(monkeypatch)
    with pytest.raises(elman.errors.SetupError, match="no C compiler"):
        command("lstm", "--hidden-size", "4")


def test_the_file_stands_beside_the_kernels(monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setenv("ELMAN_CACHE", str(tmp_path / "cache"))
    assert schedules_file() == tmp_path / "cache" / "schedules.json"
