"""What a training shows on the terminal: one line per epoch, and below them a bar that moves."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from .history import History, Row

ACCENT, FAINT = "cyan", "bright_black"
FIGURES = 36  # columns that the figures of an epoch take


class TrainingDisplay(Callback):
    """A progress bar over the whole training with the figure of the last windows, and a line for each epoch.

    Args:
        console: where to; on anything but a terminal only the lines of the epochs are written.
        comment: makes a few words at the end of each epoch, what the network writes by now, say.
    """

    def __init__(self, console: Console, comment: Callable[[], str] | None = None) -> None:
        self.console = console
        self.comment = comment
        self.pace = _Pace()
        self.bar = Progress(
            TextColumn("[bold]{task.fields[epoch]}[/]"),
            # not the whole width: the ^C that a terminal echoes must not begin a new line
            BarColumn(bar_width=max(8, min(60, console.width - 66)), complete_style=ACCENT, finished_style=ACCENT),
            TextColumn("{task.fields[figure]}"),
            TextColumn("[bright_black]{task.fields[pace]}[/]"),
            _Left(),
            console=console,
            transient=True,
            refresh_per_second=8,
            disable=not console.is_terminal,
        )
        self.task: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        learner: Any = pl_module
        self.task = self.bar.add_task(
            "", total=learner.work.steps, completed=learner.standing.step, epoch="", figure="", pace=""
        )
        self.pace.start(learner.standing.size)
        self.console.print(_heads(learner.work.measure.short, learner.work.validation is not None))
        if learner.standing.epoch:
            self.console.print(f"   [{FAINT}]goes on in epoch {learner.standing.epoch + 1}[/]")
        self.bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        learner: Any = pl_module
        measure, standing = learner.work.measure, learner.standing
        figure = self.pace.figure(measure.scale, standing.tally.total, standing.tally.size, standing.history.rows)
        self.bar.update(
            self.task,
            # this hook comes before the learner's own, which counts the step
            completed=standing.step + 1,
            epoch=f"epoch {standing.epoch + 1}/{learner.work.settings.epochs}",
            figure=f"{figure:.3f} {measure.short}",
            pace=f"{_short(self.pace.per_second(standing.size))} {measure.things}/s",
        )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning calls this before the learner's own hook, which adds the row; so the line is written later.
        self._wants_line = True

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._say_epoch(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._say_epoch(pl_module)
        self.bar.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._say_epoch(pl_module)
        self.bar.stop()

    _wants_line = False

    def _say_epoch(self, pl_module: LightningModule) -> None:
        if not self._wants_line:
            return
        self._wants_line = False
        learner: Any = pl_module
        history: History = learner.standing.history
        comment = _one_line(self.comment()) if self.comment else ""
        self.console.print(epoch_line(history, learner.standing.epoch, comment, self.console.width))


class _Pace:
    """Size per second of late, and the figure of the last windows."""

    def __init__(self) -> None:
        self.since, self.size = time.monotonic(), 0

    def start(self, size: int) -> None:
        self.since, self.size = time.monotonic(), size

    def per_second(self, size: int) -> float:
        return (size - self.size) / max(1e-9, time.monotonic() - self.since)

    def figure(self, scale: float, total: float, size: int, rows: Sequence[Row]) -> float:
        """The figure since the last row; that row's own, where nothing came after it."""
        if size:
            return scale * total / size
        return rows[-1].training if rows else math.nan


class _Left(ProgressColumn):
    """The time that is left, as Rich estimates it."""

    def __init__(self) -> None:
        super().__init__()
        self.estimate = TimeRemainingColumn(compact=True)

    def render(self, task: Task) -> Text:
        left = self.estimate.render(task)
        return Text(f"{left.plain} left", style=FAINT)


def _heads(unit: str, validated: bool) -> Table:
    heads = _grid()
    heads.add_row("epoch", "training", "validation" if validated else "", style="bold")
    heads.add_row("", unit, unit if validated else "", style=FAINT)
    return heads


def epoch_line(history: History, epoch: int, comment: str, width: int) -> Table:
    """The line of an epoch: its figures, a mark where it is the best so far, and the comment, cut to the width."""
    rows = [row for row in history.rows if epoch - 1 < row.epoch <= epoch]
    last = rows[-1]
    training = sum(row.training for row in rows) / len(rows)
    best = history.best is not None and history.best.step == last.step
    validation = "" if last.validation is None else f"{last.validation:.3f}"
    said = Text(comment, style=FAINT)
    said.truncate(max(1, width - FIGURES), overflow="ellipsis")
    line = _grid()
    line.add_row(
        str(epoch),
        f"{training:.3f}",
        f"[bold]{validation}[/]" if best else validation,
        f"[{ACCENT}]●[/]" if best else "",
        said,
    )
    return line


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", width=6)
    grid.add_column(justify="right", width=9)
    grid.add_column(justify="right", width=10)
    grid.add_column(width=1)
    grid.add_column(no_wrap=True)
    return grid


def _one_line(text: str) -> str:
    """Text on one line, each run of white space made one space, nothing in it that would command a terminal."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def _short(number: float) -> str:
    """A number as people say it: 47k."""
    return f"{number / 1000:.0f}k" if number >= 10_000 else f"{number:,.0f}"
