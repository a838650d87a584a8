"""`elman JOB tune`: the command `fit` of a job, tried with one set of options after the other."""

import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from elman.tasks import Job

TUNE = """
Search for sizes, dropout, batch and learning rate with which `elman {job} fit` validates best.

All options of `fit` are understood. The first trial has them as they are; the later ones have others where the
search tries them, proposed by Optuna from the trials before, and a trial that is behind the median is ended early.

\b
    elman {job} tune {data} --trials 30 --out best.elman
    elman {job} tune {data} --time-limit 2h --out best.elman
    elman {job} tune {data} --trials 60 --out best.elman --resume       go on after a stop, or for longer

\b
What is written, beside each other: best.elman (the model of the best trial, with all that `fit` leaves beside it),
best.trials.csv and best.trials.png (what was tried, and what it was worth), best.elman.search (by which --resume
goes on).
"""

asked_search: ContextVar[Callable[..., None] | None] = ContextVar("asked_search", default=None)
"""What `fit` is to do in place of one training, while `tune` runs."""


def add_tune(app: typer.Typer, fit: Callable[..., None], name: str, data: str = "data.csv") -> None:
    """Give a job the command `tune`, which has all options of its `fit` and trains as that does, again and again.

    Args:
        app: the commands of the job.
        fit: its command `fit`, which ends in `fit_job`.
        name: of the job.
        data: the name of a file, for the manual.
    """

    def tune(trials: int, **options: Any) -> None:
        with _searching(trials, options):
            fit(**options)

    counted = Annotated[int, typer.Option(help="Trainings in all.")]
    given = inspect.signature(fit).parameters.values()
    first = [each for each in given if each.name in ("ctx", "data", "files")]
    rest = [each for each in given if each.name not in ("ctx", "data", "files")]
    trials = inspect.Parameter("trials", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=20, annotation=counted)
    tune.__signature__ = inspect.Signature([*first, trials, *rest])  # type: ignore[attr-defined]
    app.command("tune", help=TUNE.format(job=name, data=data))(tune)


@contextmanager
def _searching(trials: int, options: dict[str, Any]) -> Iterator[None]:
    """What `fit_job` does is to search."""

    def search(model: "Job", data: Any, out: Path, quiet: bool, as_json: bool, run: dict[str, Any]) -> None:
        from elman.tasks.search import Search, Span, Trial

        console = Console(quiet=quiet or as_json, highlight=False, soft_wrap=True)
        wanted = Search(model=model, out=out, seed=model.seed)
        table = Table.grid(padding=(0, 2))
        for name, span in wanted.space.items():
            told_of = span if isinstance(span, Span) else " or ".join(map(str, span))
            table.add_row(name.replace("_", " "), escape(str(told_of)))
        console.print(table)
        console.print(f"\n[bright_black]{_heads(wanted.space, model.MEASURE.short)}[/]")

        def told(trial: Trial) -> None:
            console.print(_line(trial))

        try:
            wanted.run(data, trials=trials, told=told, **run)
        except KeyboardInterrupt:
            console.print("stopped before the end; the same command with --resume goes on from here")
            raise typer.Exit(130) from None
        if as_json:
            typer.echo(json.dumps([asdict(trial) for trial in wanted.trials], indent=2))
        if wanted.best is not None:
            console.print(f"\nthe best was trial {wanted.best.number}: {escape(str(out))}")

    token = asked_search.set(search)
    try:
        yield
    finally:
        asked_search.reset(token)


def _heads(space: Any, unit: str) -> str:
    """What stands above the trials."""
    options = "".join(f"{name.replace('_', ' '):>{_width(name)}}" for name in space)
    return f"trial{unit:>11}{'epochs':>8}{'seconds':>9}{options}"


def _line(trial: Any) -> str:
    """A trial in a line."""
    figure = "failed" if trial.validation is None else f"{trial.validation:.4f}"
    options = "".join(f"{_short(value):>{_width(name)}}" for name, value in trial.options.items())
    mark = "  [cyan]● best so far[/]" if trial.best else f"  [bright_black]{escape(trial.said[:60])}[/]"
    return f"{trial.number:5}{figure:>11}{trial.epochs:8}{trial.seconds:9.0f}{options}{mark}"


def _width(name: str) -> int:
    return max(len(name), 7) + 3


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
