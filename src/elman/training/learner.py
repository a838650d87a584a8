"""The network in training: what Lightning calls at each window, and what is kept so that it can go on later."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from elman.errors import NumericsError

from .history import History, Measure
from .loss import Batches, Loss, detached
from .processes import gathered, largest, share_of, summed
from .settings import Settings
from .standing import Standing, Tally, random_state, set_random_state

ROWS = 200
CONTENT = "elman"
Save = Callable[[dict[str, Tensor], History], None]


class Stopped(Exception):
    """Not an error: after Ctrl-C the training stops where all that it needs to go on is on disk."""


@dataclass(frozen=True, eq=False)
class Work:
    """What is to be trained on what, and where it is kept.

    Attributes:
        training: the training data.
        validation: the validation data, or None.
        settings: how to train.
        measure: the figure that is shown.
        facts: all that decides the numbers, as plain values.
        side_file: where to keep what a resumption needs, or None.
        save: writes the model file with the best weights so far.
        save_every: least seconds between two writings of the side file within an epoch.
        title: one line for the picture of the learning curve.
        finish: called when the network holds the best weights of whole epochs, before these are written for the last
            time; it may change them.
        watch: called at the end of each epoch; training ends where it says True.
        report: called when all files but a report are written.
    """

    training: Batches
    validation: Batches | None
    settings: Settings
    measure: Measure
    facts: dict[str, Any]
    side_file: Path | None
    save: Save
    save_every: float
    title: str = ""
    finish: Callable[[], None] = lambda: None
    watch: Callable[[History], bool] = lambda history: False
    report: Callable[[], None] = lambda: None

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.settings.epochs * len(self.training)


class Learner(LightningModule):
    """A network in training.

    Args:
        network: a `Trainable`.
        work: what it is trained on.

    A position is (epoch, window): `standing` holds it, and Lightning's own counters are never asked, so that
    a training resumes at any window.
    """

    def __init__(self, network: nn.Module, work: Work) -> None:
        super().__init__()
        self.network = network
        self.work = work
        self.standing = Standing(History(work.measure))
        self.checked = Tally()
        self.check_state: Any = None
        self.stop_asked = False
        self.arm: Callable[[], None] = lambda: None
        self.saved_at = time.monotonic()
        self._random: dict[str, Tensor] | None = None
        self._elapsed = 0.0  # as all processes have it

    def windows(self) -> Iterator[tuple[int, Any]]:
        """What is left of this epoch: the number of each window and the window."""
        first = self.standing.window
        yield from enumerate(self.work.training.starting_at(first, self.standing.epoch, share_of()), first)

    def configure_optimizers(self) -> Any:
        settings = self.work.settings
        optimizer = settings.optimizer(self.network.parameters(), settings.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: settings.schedule(min(max(step, self._by_time), self.work.steps - 1), self.work.steps),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        self.arm()
        if self._random is not None:
            set_random_state(self._random, self.device)
            return
        rank, _ = share_of()
        if rank:
            torch.manual_seed(self.work.settings.seed + rank)  # or all would drop the same entries
        if self.work.side_file is not None:
            self._keep()  # from here on a training that is killed can be told from one that never began

    def training_step(self, batch: tuple[int, Any]) -> Tensor:
        number, window = batch
        standing = self.standing
        loss = self._loss(window, None if number == 0 else standing.state)
        standing.state = detached(loss.state)
        total, count, size = summed([loss.total.item(), loss.count, loss.size], self.device)
        self._check("loss", total)
        standing.tally.add(total, int(size))
        standing.size += int(size)
        return loss.total * (share_of()[1] / count)  # the mean over all processes is taken of the gradients

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.work.settings.clip)
        self._check("gradient", float(norm))

    def on_train_batch_end(self, outputs: Any, batch: tuple[int, Any], batch_idx: int) -> None:
        standing = self.standing
        standing.step += 1
        standing.window = batch[0] + 1
        due = time.monotonic() - self.saved_at >= self.work.save_every
        self._elapsed, keep, stop = largest([standing.elapsed, due, self.stop_asked], self.device)
        self.stop_asked = self.stop_asked or bool(stop)
        if standing.window == len(self.work.training):
            return  # the validation is still to come: what is kept is kept after it
        if standing.step % max(1, self.work.steps // ROWS) == 0:
            standing.close_row(None, standing.epoch + standing.window / len(self.work.training), self.learning_rate)
        if self._time_is_up:
            self.trainer.should_stop = True  # after a validation
        if stop or keep:
            self._keep()
        if stop:
            raise Stopped

    def on_validation_epoch_start(self) -> None:
        self.check_state, self.checked = None, Tally()

    def validation_step(self, batch: Any) -> None:
        loss = self._loss(batch, self.check_state)
        self.check_state = loss.state
        self.checked.add(loss.total.item(), loss.size)

    def on_validation_epoch_end(self) -> None:
        total, size = summed([self.checked.total, self.checked.size], self.device)
        self._check("loss", total)
        self.checked = Tally(total, int(size))

    def on_train_epoch_end(self) -> None:
        standing = self.standing
        done = standing.epoch + standing.window / len(self.work.training)  # less than an epoch where time is up
        standing.epoch, standing.window, standing.state = standing.epoch + 1, 0, None
        validation = self.work.measure.of(self.checked.total, self.checked.size) if self.work.validation else None
        row = standing.close_row(validation, done, self.learning_rate)
        if validation is None or standing.history.best == row:
            standing.best = weights_of(self.network)
            self.work.save(standing.best, standing.history)
        enough = self.work.watch(standing.history)
        if standing.epoch == self.work.settings.epochs:
            return
        if enough or standing.history.epochs_since_best >= self.work.settings.patience or self._time_is_up:
            self.trainer.should_stop = True
            return
        self._keep()
        if self.stop_asked:
            raise Stopped

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        own = {"state": self.standing.state, "random": random_state(self.device)}
        checkpoint[CONTENT] = {
            "facts": self.work.facts,
            "standing": self.standing.values(),
            "processes": gathered(own),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        content = checkpoint[CONTENT]
        own = content["processes"][share_of()[0]]
        self.standing = Standing.from_values(content["standing"], own["state"], self.device)
        self._random = own["random"]
        self._elapsed = self.standing.elapsed

    @property
    def _by_time(self) -> int:
        """Steps that would have been taken by now if all were to be taken in the time there is."""
        limit = self.work.settings.time_limit
        return 0 if limit is None else int(self.work.steps * self._elapsed / limit)

    @property
    def _time_is_up(self) -> bool:
        limit = self.work.settings.time_limit
        return limit is not None and self._elapsed >= limit

    @property
    def learning_rate(self) -> float:
        """The learning rate of the step that comes next."""
        return float(self.trainer.optimizers[0].param_groups[0]["lr"])

    def _loss(self, batch: Any, state: Any) -> Loss:
        """The loss over a batch; zero where a process has no row of it."""
        if batch is None:
            nothing = sum((p.sum() * 0 for p in self.network.parameters()), torch.zeros((), device=self.device))
            return Loss(torch.as_tensor(nothing), 0, 0, state)
        return self.network.loss(batch, state)  # type: ignore[operator, no-any-return]

    def _check(self, what: str, value: float) -> None:
        """Raise unless a sum over all processes is a number, in all of them at once."""
        if not math.isfinite(value):
            raise NumericsError(self._told(what, value))

    def _told(self, what: str, value: float) -> str:
        standing = self.standing
        when = "validation after step" if self.trainer.validating else "step"
        number = standing.step + (0 if self.trainer.validating else 1)
        return (
            f"the {what} became {value} at {when} {number:,} (epoch {standing.epoch + 1}): training stopped. "
            f"Try a smaller learning rate (now {self.learning_rate:.2g} at this step) or a smaller clip "
            f"({self.work.settings.clip:g})."
        )

    def _keep(self) -> None:
        """Write the side file; nothing is drawn and nothing changes, so when it happens does not matter."""
        if self.work.side_file is not None:
            self.trainer.save_checkpoint(self.work.side_file)
        self.saved_at = time.monotonic()


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """A copy of all weights, on the CPU."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in network.state_dict().items()}
