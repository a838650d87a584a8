"""Several processes that train one network learn what one learns, and can be killed."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import elman
from elman.data import Padded, Streams
from elman.errors import ArgumentError
from elman.training.processes import RANKS, check_processes, is_first
from processes import JOBS

HERE = Path(__file__).parent
pytestmark = pytest.mark.slow


def begin(job, folder, devices, nodes=1, *more, **environment):
    folder.mkdir(exist_ok=True)
    command = [sys.executable, str(HERE / "processes.py"), job, str(folder), str(devices), str(nodes), *more]
    return subprocess.Popen(command, env={**os.environ, **environment}, start_new_session=True)


def figures(folder):
    with (folder / "m.csv").open() as file:
        return [[float(row[name] or 0) for name in ("step", "training", "validation")] for row in csv.DictReader(file)]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


@pytest.mark.parametrize("job", [job for job in JOBS if job != "dropped"])
def test_two_processes_learn_what_one_learns(job, tmp_path):
    alone, shared = begin(job, tmp_path / "alone", 1), begin(job, tmp_path / "shared", 2)
    assert (alone.wait(), shared.wait()) == (0, 0)
    torch.testing.assert_close(
        torch.tensor(figures(tmp_path / "shared")), torch.tensor(figures(tmp_path / "alone")), rtol=2e-4, atol=1e-6
    )
    one, other = (elman.load(tmp_path / folder / "m.elman").network.state_dict() for folder in ("alone", "shared"))
    for name, weight in one.items():
        torch.testing.assert_close(other[name], weight, rtol=1e-2, atol=2e-4)


def test_two_machines_learn_what_two_processes_learn(tmp_path):
    given = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    nodes = [begin("dropped", tmp_path / "nodes", 1, 2, **given, NODE_RANK=str(n)) for n in (0, 1)]
    together = begin("dropped", tmp_path / "devices", 2)
    assert [each.wait() for each in (*nodes, together)] == [0, 0, 0]
    assert figures(tmp_path / "nodes") == figures(tmp_path / "devices")


def test_processes_that_are_killed_go_on_bit_for_bit(tmp_path):
    whole = begin("dropped", tmp_path / "whole", 2)
    assert whole.wait() == 0
    folder, kills = tmp_path / "killed", 0
    side = folder / "m.elman.resume"
    while kills < 2:
        child = begin("dropped", folder, 2, 1, *["resume"][: kills and 1])
        seen, until = side.stat().st_mtime if side.exists() else 0.0, time.monotonic() + 120
        while child.poll() is None and time.monotonic() < until:
            if side.exists() and side.stat().st_mtime > seen:
                time.sleep(0.1)
                break
            time.sleep(0.005)
        os.killpg(child.pid, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        kills += 1
    last = begin("dropped", folder, 2, 1, "resume")
    assert last.wait() == 0
    assert figures(folder) == figures(tmp_path / "whole")


def test_a_share_of_the_rows_is_taken_of_each_batch():
    whole = Padded([3, 1, 2, 5, 4], lambda rows: rows, 2, seed=3)
    parts = [list(whole.starting_at(0, 1, (part, 2))) for part in (0, 1)]
    for batch, first, second in zip(whole.starting_at(0, 1), *parts, strict=True):
        assert sorted(batch) == sorted([*(first or []), *(second or [])])
    streams = Streams(torch.arange(31), 3, 4)
    for (x, y), left, right in zip(
        streams.starting_at(0), streams.starting_at(0, 0, (0, 2)), streams.starting_at(0, 0, (1, 2)), strict=True
    ):
        assert torch.equal(x[:, [0, 2]], left[0])
        assert torch.equal(y[:, [1]], right[1])
    assert list(Streams(torch.arange(9), 1, 4).starting_at(0, 0, (1, 2))) == [None, None]


@pytest.mark.parametrize("job", JOBS)
def test_killed_twenty_times_a_model_is_the_same_bit_for_bit(job, tmp_path):
    made = subprocess.run(
        [sys.executable, str(HERE / "killed.py"), job, str(tmp_path), "5"],
        stdout=subprocess.PIPE, text=True, timeout=400, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert int(made.stdout) >= 1
    assert figures(tmp_path / "killed") == figures(tmp_path / "whole")
    one, other = (elman.load(tmp_path / folder / "m.elman") for folder in ("whole", "killed"))
    assert one.checked == other.checked
    for name, weight in one.network.state_dict().items():
        assert torch.equal(other.network.state_dict()[name], weight), name


@pytest.mark.parametrize("to", ["group", "first"])
def test_processes_that_are_asked_to_stop_do_so_after_a_step(to, tmp_path):
    whole, folder = begin("dropped", tmp_path / "whole", 2), tmp_path / "stopped"
    assert whole.wait() == 0
    child, side = begin("dropped", folder, 2), folder / "m.elman.resume"
    until = time.monotonic() + 120
    while not side.exists() and time.monotonic() < until:
        time.sleep(0.005)
    time.sleep(0.3)
    os.killpg(child.pid, signal.SIGTERM) if to == "group" else child.send_signal(signal.SIGTERM)
    child.wait(timeout=60)
    if side.exists():
        assert begin("dropped", folder, 2, 1, "resume").wait() == 0
    assert figures(folder) == figures(tmp_path / "whole")


def test_one_process_is_the_first_whatever_started_it(monkeypatch):
    for name in RANKS:
        monkeypatch.setenv(name, "1")
    assert is_first(1) and not is_first(2)
    check_processes(1, None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    check_processes(2, None)
    with pytest.raises(ArgumentError, match="torchrun has started 2 processes"):
        check_processes(1, None)
    with pytest.raises(ArgumentError, match="standard input"):
        check_processes(2, Path("-"))
