"""`elman JOB tune`: the command `fit` of a job, tried with one set of options after the other."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from elman.tasks import Job

    from .job import Run

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


def search_job(model: "Job", data: Any, out: Path, run: "Run", trials: int, more: dict[str, Any]) -> None:
    """Search for the options of a model, and show what comes of it.

    Args:
        model: of any job.
        data: as for its `fit`.
        out: the model file of the best trial.
        run: how each trial is trained.
        trials: how many.
        more: further arguments of the job's own `fit`.
    """
    from elman.tasks.search import Search, Span, Trial

    console = Console(quiet=run.quiet or run.as_json, highlight=False, soft_wrap=True)
    search = Search(model=model, out=out, seed=model.seed)
    table = Table.grid(padding=(0, 2))
    for name, span in search.space.items():
        table.add_row(
            name.replace("_", " "), escape(str(span) if isinstance(span, Span) else " or ".join(map(str, span)))
        )
    console.print(table)
    console.print(f"\n[bright_black]{_heads(search.space, model.MEASURE.short)}[/]")

    def told(trial: Trial) -> None:
        console.print(_line(trial))

    try:
        search.run(data, trials=trials, told=told, **run.for_fit(), **more)
    except KeyboardInterrupt:
        console.print("stopped before the end; the same command with --resume goes on from here")
        raise typer.Exit(130) from None
    if run.as_json:
        typer.echo(json.dumps([asdict(trial) for trial in search.trials], indent=2))
    if search.best is not None:
        console.print(f"\nthe best was trial {search.best.number}: {escape(str(out))}")


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
