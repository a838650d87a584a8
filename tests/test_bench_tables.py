"""bench.tables: rows are found, figures judged, data that are missing named; what the rows compute is what they say."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bench import problems, tables
from bench.problems import Asked, Measured, Settings, jsb_chorales
from bench.problems.training import Plan, train
from torch import nn

import elman

ASKED = (Asked("error", "<", 0.1), Asked("accuracy", ">=", 0.9))


def row(*values, data=()):
    def run(settings):
        return (Measured(asked, value) for asked, value in zip(ASKED, values, strict=False))

    return SimpleNamespace(TITLE="a row", DATA=data, ASKED=ASKED, run=run)


def test_every_row_says_what_is_asked():
    found = tables.rows()
    assert {"adding", "copy_memory", "jsb_chorales"} <= set(found) and "training" not in found
    for module in found.values():
        assert module.TITLE and module.ASKED and isinstance(module.DATA, tuple) and callable(module.run)
        assert all(asked.sense in problems.SENSES for asked in module.ASKED)


@pytest.mark.parametrize(
    ("sense", "value", "met"),
    [
        ("<", 1.0, False),
        ("<=", 1.0, True),
        (">", 1.0, False),
        (">=", 1.0, True),
        ("<", 0.5, True),
        ("<", math.nan, False),
    ],
)
def test_a_bound_is_kept_or_not(sense, value, met):
    assert Measured(Asked("x", sense, 1.0), value).met is met


def verdicts(module, **options):
    settings = {"seeds": [0], "data": None, "quick": False} | options
    return [(line.seed, line.verdict) for line in tables.run({"row": module}, **settings)]


def test_figures_are_judged_seed_by_seed():
    assert verdicts(row(0.05, 0.8), seeds=[0, 3]) == [("0", "met"), ("0", "MISSED"), ("3", "met"), ("3", "MISSED")]
    assert verdicts(row(0.05, 0.8), quick=True) == [("0", "quick")] * 2


def test_a_figure_that_does_not_come_is_missed():
    assert verdicts(row(0.05)) == [("0", "met"), ("0", "MISSED")]


def test_a_row_without_its_data_says_so(tmp_path, capsys):
    module = row(0.05, 0.95, data=("*song.mat",))
    assert verdicts(module) == [("", "NOT RUN")] * 2
    assert "needs --data FOLDER" in capsys.readouterr().out
    assert verdicts(module, data=tmp_path) == [("", "NOT RUN")] * 2
    assert "found none" in capsys.readouterr().out
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "my_song.mat").touch()
    assert verdicts(module, data=tmp_path) == [("0", "met")] * 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "unknown row nonsense: expected any of"),
        (["adding", "--data", "nowhere"], "--data nowhere: expected a folder"),
        (["adding", "--quick", "--write"], "--quick measures nothing"),
        (["adding", "--threads", "0"], "--threads 0: expected at least 1"),
    ],
)
def test_what_cannot_be_done_is_said_before_the_work(arguments, said, capsys):
    with pytest.raises(SystemExit):
        tables.main(arguments)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("accuracy", "status"), [(0.95, 0), (0.5, 1)])
def test_the_table_is_written_when_it_is_asked_for(accuracy, status, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "DOCS", tmp_path)
    monkeypatch.setattr(tables, "rows", lambda: {"row": row(0.05, accuracy)})
    threads = str(torch.get_num_threads())
    assert tables.main(["row", "--threads", threads]) == status and not list(tmp_path.iterdir())
    assert tables.main(["row", "--threads", threads, "--seeds", "4", "--write"]) == status
    written = (tmp_path / "tables.md").read_text(encoding="utf-8")
    assert "| row | 4 | error | < 0.1 | 0.05 | met |" in written
    assert f"| >= 0.9 | {accuracy} | {'MISSED' if status else 'met'} |" in written


def test_what_validation_finds_best_is_kept():
    network, seen = nn.Linear(1, 1, bias=False), []
    nn.init.zeros_(network.weight)

    def validate():
        seen.append(network.weight.item())
        return abs(seen[-1] - 0.25)

    when = train(network, lambda: -network.weight.sum(), validate, Plan(100, 0.01, every=10), lambda text: None)
    best = min(range(10), key=lambda n: abs(seen[n] - 0.25))
    assert 0 < best < 9 and network.weight.item() == pytest.approx(seen[best])  # it went past, and came back
    assert when == f"step {10 * (best + 1)} of 100"


def test_a_training_that_diverges_ends_with_its_best():
    network, said, calls = nn.Linear(1, 1, bias=False), [], iter(range(9))
    nn.init.zeros_(network.weight)

    def loss():
        return network.weight.sum() * (1 if next(calls) < 3 else math.nan)

    when = train(network, loss, lambda: network.weight.item(), Plan(9, 0.01, every=1), said.append)
    assert when == "step 3 of 4" and network.weight.item() < 0 and "the loss is nan" in said[-1]


def test_the_nats_of_a_frame_are_those_of_a_loop():
    torch.manual_seed(0)
    chorales = [(torch.rand(steps, 88) < 0.1).float() for steps in (5, 1, 3)]
    network = jsb_chorales.Composer(elman.GRU(88, 4), 4, torch.rand(88)).eval()
    nats = []
    with torch.no_grad():
        for chorale in chorales:
            h = network.layer.cell.initial_state(1)[0]
            for t in range(len(chorale)):
                x = chorale[t - 1] if t else torch.zeros(88)
                p = network.readout(h := elman.Recurrent(network.layer.cell)(x.expand(1, 1, 88), h)[1]).sigmoid()
                p, frame = p[0].double().numpy(), chorale[t].numpy()
                nats.append(-np.log(np.where(frame == 1, p, 1 - p)).sum())
        found = network(jsb_chorales.together(chorales)).item()
    assert len(nats) == 9 and found == pytest.approx(np.mean(nats), rel=1e-5)


def test_batches_go_over_all_chorales():
    chorales = [torch.full((n + 1, 88), float(n)) for n in range(20)]
    batches = jsb_chorales.shuffled(chorales, torch.Generator().manual_seed(0))
    for _ in range(2):
        seen = torch.cat([next(batches).lengths for _ in range(2)]).tolist()
        assert sorted(seen) == list(range(1, 21))


@pytest.mark.parametrize("name", ["adding", "copy_memory"])
def test_a_row_runs(name, capsys):
    module = tables.rows()[name]
    lines = list(tables.run({name: module}, [1], None, True))
    assert [line.asked for line in lines] == list(module.ASKED)
    assert all(math.isfinite(float(line.measured)) for line in lines)


def test_settings_find_one_file(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.mat").touch()
    assert Settings(data=tmp_path).file("x.mat") == tmp_path / "a" / "x.mat"
    (tmp_path / "x.mat").touch()
    with pytest.raises(FileNotFoundError, match="expected one file"):
        Settings(data=tmp_path).file("x.mat")


def test_rows_that_are_not_run_again_stay_in_the_page_and_seeds_have_a_mean(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "DOCS", tmp_path)
    monkeypatch.setattr(tables, "rows", lambda: {"one": row(0.05, 0.95), "two": row(0.02, 0.99)})
    tables.main(["--write"])
    tables.main(["two", "--seeds", "0", "1", "--write"])
    page = (tmp_path / "tables.md").read_text()
    lines = [line.split(" | ")[:2] for line in page.splitlines() if line.startswith("| ")][2:]
    assert [line[0][2:] for line in lines] == ["one"] * 2 + ["two"] * 6
    assert [line[1] for line in lines].count("mean") == 2
    assert "0.02 ± 0" in page


def test_the_rows_of_the_jobs():
    with_job = {name: module.JOB for name, module in tables.rows().items() if hasattr(module, "JOB")}
    assert with_job["passengers"] == with_job["etth1"] == "forecast" and "adding" not in with_job
