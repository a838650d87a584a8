"""The training engine: the same for every job, run by Lightning, with nothing left behind but what was asked for."""

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import nn

from elman.errors import DataError, NumericsError

from .curve import draw_curve
from .files import beside
from .history import History
from .learner import CONTENT, Learner, Stopped, Work, weights_of
from .processes import is_first, share_of
from .settings import Settings, find_device
from .sidefile import SideFile, side_file_of

__all__ = ["Stopped", "Work", "choose_start", "side_file_of", "train"]


def train(network: nn.Module, work: Work, out: Path | None, resume: bool, callbacks: list[Callback]) -> History:
    """Train a network in place; at the end it holds the best weights.

    Args:
        network: a `Trainable`; with `resume` its weights are replaced by those of the side file.
        work: what it is trained on, and how.
        out: the model file; the history (.csv) and the curve (.png) come beside it. None for no files at all.
        resume: go on where the side file stands.
        callbacks: what shows the progress.

    Raises:
        NumericsError: NaN or infinity in a loss or a gradient; the best weights so far are kept, and saved;
            without any, what stands at `out` stays.
        KeyboardInterrupt: Ctrl-C; the best weights so far are kept, and saved, and the side file stays.
    """
    settings = work.settings
    device = find_device(settings.device)
    learner = Learner(network, work)
    try:
        with _seeded(settings.seed, device), _threads(settings), _quiet(), _ask_on_interrupt(learner):
            _fit(learner, device, resume, callbacks)
    except (Stopped, NumericsError) as stop:
        nothing_good = isinstance(stop, NumericsError) and learner.standing.best is None
        _finish(learner, None if nothing_good else out)
        if isinstance(stop, Stopped):
            raise KeyboardInterrupt from None
        _forget(work)  # the same numbers would come again
        raise
    _finish(learner, out)
    _forget(work)
    return learner.standing.history


def choose_start(side_file: Path, model: Path, facts: dict[str, Any], resume: bool, fresh: bool) -> bool:
    """Whether to go on from a side file; errors where what is asked for and what stands on disk do not agree.

    Args:
        side_file: where the side file would be.
        model: the model file.
        facts: all that decides the numbers of the training asked for.
        resume: go on with the training that was stopped.
        fresh: throw away what was left of it.

    Raises:
        DataError: there is a side file and neither was asked for; or it belongs to another training; or there is
            nothing to resume because the model is finished.
    """
    files = SideFile()
    if fresh:
        files.remove_checkpoint(side_file)
        return False
    if not side_file.exists():
        files.remove_checkpoint(side_file)
        if resume and model.exists():
            raise DataError(f"{model}: nothing to resume, this model is finished. Train anew without --resume.")
        return False
    if not resume:
        raise DataError(
            f"{side_file}: a training of this model was stopped before its end. "
            "Go on with --resume, or throw it away with --fresh."
        )
    _check_facts(side_file, files.load_checkpoint(side_file)[CONTENT]["facts"], facts)
    return True


def _check_facts(side_file: Path, begun: dict[str, Any], asked: dict[str, Any]) -> None:
    """Raise unless the training that was begun is the one that is asked for."""
    other = [
        f"{name.replace('_', '-')} was {begun.get(name)}, is {asked.get(name)}"
        for name in sorted(begun.keys() | asked.keys())
        if begun.get(name) != asked.get(name)
    ]
    if other:
        raise DataError(
            f"{side_file}: cannot go on with other data or options ({'; '.join(other)}). "
            "Give the same ones, or begin anew with --fresh."
        )


def _fit(learner: Learner, device: torch.device, resume: bool, callbacks: list[Callback]) -> None:
    """Hand everything to Lightning's Trainer."""
    work, settings = learner.work, learner.work.settings
    devices: int | list[int] = settings.devices
    if settings.devices == 1 and device.type == "cuda":
        devices = [device.index or 0]
    done = SideFile().load_checkpoint(work.side_file)[CONTENT]["standing"]["epoch"] if resume else 0
    trainer = Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=devices,
        num_nodes=settings.nodes,
        strategy="auto" if settings.processes == 1 else "ddp",
        max_epochs=settings.epochs - done,
        plugins=[SideFile()],
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
    )
    learner.train()
    checks = _Pass(lambda: work.validation.starting_at(0, 0, share_of())) if work.validation else None
    try:
        trainer.fit(learner, _Pass(learner.windows), checks, ckpt_path=work.side_file if resume else None)
    except SystemExit:  # what Lightning makes of a second Ctrl-C
        raise KeyboardInterrupt from None


class _Pass:
    """What Lightning iterates over in each epoch; without a length, since a resumed epoch is shorter."""

    def __init__(self, start: Any) -> None:
        self.start = start

    def __iter__(self) -> Iterator[Any]:
        yield from self.start()


def _finish(learner: Learner, out: Path | None) -> None:
    """Put the best weights into the network (the last ones, where no epoch has ended), and write all files."""
    standing = learner.standing
    if standing.best is not None:
        learner.network.load_state_dict(standing.best)
    learner.network.eval()
    if standing.best is not None:
        learner.work.finish()
    if out is not None and is_first(learner.work.settings.processes):
        learner.work.save(weights_of(learner.network), standing.history)
        standing.history.write_csv(beside(out, ".csv"))
        draw_curve(standing.history, beside(out, ".png"), learner.work.title)
        learner.work.report()


def _forget(work: Work) -> None:
    if work.side_file is not None and is_first(work.settings.processes):
        SideFile().remove_checkpoint(work.side_file)


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Torch's generators seeded here, and as they were before afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def _threads(settings: Settings) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads or max(1, before // settings.devices))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's advice and banners are about trainers that a user wrote; here it is only in the way."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(lightning|torch)\b")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def _ask_on_interrupt(learner: Learner) -> Iterator[None]:
    """The first Ctrl-C, or SIGTERM, asks the training to stop after its step; a second Ctrl-C stops it where it is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: Any) -> None:
        learner.stop_asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def arm() -> None:  # once more when Lightning has put its own in front, which do not wait for the step
        for number in before:
            signal.signal(number, ask)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    arm()
    learner.arm = arm
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
