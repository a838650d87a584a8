"""A training that was killed, at any moment, ends in the same bits as one that was not."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from lightning.pytorch import Callback
from safetensors.torch import load_file

from elman.data import builtin_text
from elman.errors import DataError
from elman.tasks import TextModel
from elman.training.files import part_of
from elman.training.sidefile import side_file_of

TEXT = 3_000
OPTIONS = {
    "cell": "gru", "hidden_size": 16, "embedding": 8, "window": 20, "batch_size": 8, "epochs": 2, "dropout": 0.3,
    "seed": 3, "learning_rate": 5e-3,
}  # fmt: skip
CHILD = f"""
import os, signal, sys
import torch
torch.set_num_threads(1)
from elman.data import builtin_text
from elman.tasks import TextModel
from elman.training import files
out, dies_at = sys.argv[1], int(sys.argv[3])
writes, replace = [], os.replace

def replace_or_die(part, path):
    writes.append(path)
    if len(writes) == dies_at:
        with open(part, "r+b") as file:
            file.truncate(os.path.getsize(part) // 2)  # as if killed in the middle of writing
        os.kill(os.getpid(), signal.SIGKILL)
    replace(part, path)

os.replace = replace_or_die
TextModel(**{OPTIONS!r}).fit(
    builtin_text()[:{TEXT}], out=out, resume="--resume" in sys.argv, save_every=float(sys.argv[2]), device="cpu"
)
"""


class Crash(Exception):
    pass


class CrashAt(Callback):
    """Stands for a crash after a step, or in the validation after it."""

    def __init__(self, step, validating=False):
        self.step, self.validating = step, validating

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if pl_module.standing.step == self.step and not self.validating:
            raise Crash

    def on_validation_batch_end(self, trainer, pl_module, *_):
        if pl_module.standing.step == self.step:
            raise Crash


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def fit(out, crash=None, text=TEXT, **changes):
    how = {name: changes.pop(name) for name in ("resume", "fresh", "save_every") if name in changes}
    model = TextModel(**{**OPTIONS, **changes})
    return model.fit(builtin_text()[:text], out=out, device="cpu", callbacks=lambda _: [crash] if crash else [], **how)


def outcome(out):
    """What must be the same: the weights, bit for bit, and the figures without the times."""
    rows = [line.rpartition(",")[0] for line in out.with_suffix(".csv").read_text().splitlines()]
    return {name: tensor.numpy().tobytes() for name, tensor in load_file(out).items()}, rows


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The outcome of a training that nothing disturbs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("whole") / "m.elman"
    fit(out, save_every=1000.0)
    torch.set_num_threads(threads)
    return outcome(out)


STEPS = 17  # of an epoch: (2700 - 1) // 8 streams, in windows of 20


@pytest.mark.parametrize(
    ("crash", "save_every"),
    [
        (CrashAt(7), 0.0),
        (CrashAt(STEPS, validating=True), 0.0),
        pytest.param(CrashAt(0), 0.0, marks=pytest.mark.slow),
        pytest.param(CrashAt(STEPS - 1), 0.0, marks=pytest.mark.slow),
        pytest.param(CrashAt(STEPS), 0.0, marks=pytest.mark.slow),
        pytest.param(CrashAt(STEPS + 5), 1000.0, marks=pytest.mark.slow),
        pytest.param(CrashAt(2 * STEPS, validating=True), 0.0, marks=pytest.mark.slow),
    ],
)
def test_after_a_crash_the_same_bits(tmp_path, whole, crash, save_every):
    out = tmp_path / "m.elman"
    with pytest.raises(Crash):
        fit(out, crash, save_every=save_every)
    assert side_file_of(out).exists()
    fit(out, resume=True, save_every=0.0)
    assert outcome(out) == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.csv", "m.elman", "m.html", "m.png"]


class Interrupt(Callback):
    """Stands for a Ctrl-C during a step."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if pl_module.standing.step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("step", [4, *(pytest.param(step, marks=pytest.mark.slow) for step in (STEPS - 1, STEPS + 3))])
def test_after_ctrl_c_the_same_bits(tmp_path, whole, step):
    out = tmp_path / "m.elman"
    with pytest.raises(KeyboardInterrupt):
        fit(out, Interrupt(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.csv", "m.elman", "m.elman.resume", "m.html", "m.png"]
    fit(out, resume=True)
    assert outcome(out) == whole


@pytest.mark.slow
def test_after_two_crashes_the_same_bits(tmp_path, whole):
    out = tmp_path / "m.elman"
    with pytest.raises(Crash):
        fit(out, CrashAt(5), save_every=0.0)
    with pytest.raises(Crash):
        fit(out, CrashAt(STEPS + 9), resume=True, save_every=0.0)
    fit(out, resume=True)
    assert outcome(out) == whole


@pytest.mark.slow
def test_early_stopping_is_resumed_too(tmp_path):
    options = {"epochs": 20, "patience": 1, "learning_rate": 0.5, "validation": 0.2}
    fit(tmp_path / "whole.elman", **options)
    epochs = len(TextModel.load(tmp_path / "whole.elman").history.epochs)
    rows = outcome(tmp_path / "whole.elman")[1]
    last = int(rows[-1].split(",")[0])
    out = tmp_path / "m.elman"
    with pytest.raises(Crash):
        fit(out, CrashAt(last - 2), save_every=0.0, **options)
    fit(out, resume=True, **options)
    assert outcome(out) == outcome(tmp_path / "whole.elman")
    assert epochs < 20


def test_other_options_or_data_are_refused(tmp_path):
    out = tmp_path / "m.elman"
    with pytest.raises(Crash):
        fit(out, CrashAt(3), save_every=0.0)
    kept = side_file_of(out).read_bytes()
    with pytest.raises(DataError, match=r"Go on with --resume, or throw it away with --fresh"):
        fit(out)
    with pytest.raises(DataError, match=r"learning-rate was 0\.005, is 0\.01"):
        fit(out, resume=True, learning_rate=0.01)
    with pytest.raises(DataError, match=r"data was [0-9a-f]{16}, is"):
        fit(out, resume=True, text=TEXT + 1)
    assert side_file_of(out).read_bytes() == kept
    side_file_of(out).write_bytes(kept[:-10])
    with pytest.raises(DataError, match="expected an elman training file, got a truncated"):
        fit(out, resume=True)
    fit(out, fresh=True, epochs=1)
    assert not side_file_of(out).exists()


def test_nothing_to_resume(tmp_path, whole):
    out = tmp_path / "m.elman"
    fit(out, resume=True)  # killed before the first write, say
    assert outcome(out) == whole
    with pytest.raises(DataError, match="this model is finished"):
        fit(out, resume=True)


@pytest.mark.slow
@pytest.mark.parametrize("save_every", [0.0, 0.003, 1000.0])
def test_when_the_side_file_is_written_does_not_matter(tmp_path, whole, save_every):
    fit(tmp_path / "m.elman", save_every=save_every)
    assert outcome(tmp_path / "m.elman") == whole


def child(out, *words, save_every=0.0, dies_at=0):
    return subprocess.Popen([sys.executable, "-c", CHILD, str(out), str(save_every), str(dies_at), *words])


def wait_for(condition, process):
    while not condition() and process.poll() is None:
        time.sleep(0.001)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_moments_the_same_bits(tmp_path, whole, seed):
    chance = random.Random(seed)
    out, words = tmp_path / "m.elman", []
    side = side_file_of(out)
    for _ in range(2):
        written = side.stat().st_mtime_ns if side.exists() else 0
        process = child(out, *words, save_every=chance.choice([0.0, 0.02]))
        wait_for(lambda before=written: side.exists() and side.stat().st_mtime_ns != before, process)
        time.sleep(chance.random() * 0.3)
        process.send_signal(signal.SIGKILL)
        process.wait()
        words = ["--resume"]
    if side.exists() or not out.with_suffix(".html").exists():  # else it was faster than the kill
        assert child(out, "--resume").wait() == 0
    assert outcome(out) == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.csv", "m.elman", "m.html", "m.png"]


@pytest.mark.slow
@pytest.mark.parametrize("dies_at", [1, 2, STEPS + 1, STEPS + 2])
def test_killed_in_the_middle_of_a_write_the_same_bits(tmp_path, whole, dies_at):
    out = tmp_path / "m.elman"
    assert child(out, dies_at=dies_at).wait() == -signal.SIGKILL
    assert part_of(side_file_of(out)).exists() or part_of(out).exists()
    assert child(out, "--resume").wait() == 0
    assert outcome(out) == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.csv", "m.elman", "m.html", "m.png"]
