"""What the commands of all jobs share: options, what `fit` shows, what `score` prints."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .search import asked_search

if TYPE_CHECKING:
    from elman.tasks import Job

Option = typer.Option
Table_ = Annotated[Path | None, typer.Argument(help="A table, or - for standard input.", show_default=False)]
Model = Annotated[Path, typer.Argument(help="A model file, written by `fit`.", metavar="MODEL")]
Out = Annotated[Path, Option(help="The model file to write.", metavar="MODEL")]
Device = Annotated[str, Option(help="auto, cpu, cuda or cuda:N.")]
Json = Annotated[bool, Option("--json", help="As JSON.")]

Pieces = Annotated[int, Option("--vocabulary", help="Most words, or pieces of words (unit bpe), that are symbols.")]
Cell = Annotated[str, Option(help="gru, lstm or elman.")]
Layers = Annotated[int, Option(help="Recurrent layers.")]
HiddenSize = Annotated[int, Option(help="Units of each direction.")]
Embedding = Annotated[int, Option(help="Size of a symbol's embedding.")]
Ensemble = Annotated[int, Option(help="Networks that are trained side by side, and averaged.")]
Group = Annotated[str | None, Option(help="A column: rows of one group stay together.", show_default="none")]
Dropout = Annotated[float, Option(help="Share of entries dropped in training.")]
BatchSize = Annotated[int, Option(help="Rows side by side.")]
Epochs = Annotated[int, Option(help="Most passes over the rows.")]
LearningRate = Annotated[float, Option(help="The largest one; it rises first and then falls.")]
Clip = Annotated[float, Option(help="Largest norm of the gradient.")]
Patience = Annotated[int, Option(help="Epochs without a better validation before it stops.")]
Validation = Annotated[float, Option(help="Share of the rows kept for validation.")]
Seed = Annotated[int, Option(help="The same seed gives the same model.")]
Threads = Annotated[int | None, Option(help="Threads of the CPU.", show_default="all")]
Devices = Annotated[int, Option(help="Processes, each with a GPU of its own or a share of the cores.")]
Nodes = Annotated[int, Option(help="Machines; start the same command on each, with torchrun, say.")]
TimeLimit = Annotated[str | None, Option(help="End after so long: 90s, 10m, 1.5h.", show_default="none")]
Resume = Annotated[bool, Option("--resume", help="Go on with a training that was stopped.")]
Fresh = Annotated[bool, Option("--fresh", help="Throw away what is left of one.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="Say nothing but errors.")]


def fit_job(
    model: "Job",
    data: Any,
    out: Path,
    facts: Callable[[], Sequence[tuple[str, str]]],
    *,
    quiet: bool,
    as_json: bool = False,
    comment: Callable[[], str] | None = None,
    show: Callable[[Console], None] | None = None,
    figures: Callable[[], dict[str, Any]] | None = None,
    **run: Any,
) -> None:
    """Train a model, and show how it goes.

    Args:
        model: of any job.
        data: as for its `fit`.
        out: the model file.
        facts: what to say before the first epoch, two words a line, once there is a network.
        quiet: say nothing.
        as_json: say nothing but the figures at the end, as JSON.
        comment: makes a few words at the end of each epoch.
        show: prints the figures at the end, where a line for each will not do.
        figures: gives them for JSON, where they are not `model.checked`.
        run: further arguments of `fit`.
    """
    if (search := asked_search.get()) is not None:
        search(model, data, out, quiet, as_json, run)
        return
    from elman.training.files import beside, check_output
    from elman.training.processes import is_first

    first = is_first(run.get("devices", 1) * run.get("nodes", 1))
    if first:
        check_output(out, model.PICTURES)
    console = Console(quiet=quiet or as_json or not first, highlight=False, soft_wrap=True)

    def looks_on(model: "Job") -> list[Any]:
        from elman.training.display import TrainingDisplay

        table = Table.grid(padding=(0, 2))
        table.add_column(style="bright_black")
        for name, said in (*facts(), ("network", model.summary), ("output", str(out))):
            table.add_row(name, escape(said))
        console.print(table)
        console.print()
        return [TrainingDisplay(console, comment)]

    try:
        model.fit(data, out=out, callbacks=None if console.quiet else looks_on, **run)
    except KeyboardInterrupt:
        raise stopped(console, out) from None
    if as_json and first:
        typer.echo(json.dumps(figures() if figures else model.checked, indent=2))
    elif show is not None and not console.quiet:
        show(console)
    else:
        console.print("\n".join(figures_as_text(model.checked)))
    endings = (".html", ".png", *model.PICTURES, ".csv")
    files = (path for path in (out, *(beside(out, end) for end in endings)) if path.is_file())
    console.print(f"\n{', '.join(escape(str(path)) for path in files)}")


def stopped(console: Console, out: Path) -> typer.Exit:
    """How a command leaves after Ctrl-C: whether it can go on is said first."""
    if out.with_name(out.name + ".resume").is_file():
        console.print("stopped before the end; the same command with --resume goes on from here")
    return typer.Exit(130)


def print_figures(figures: dict[str, float], as_json: bool) -> None:
    """Print figures, one a line, or as JSON."""
    typer.echo(json.dumps(figures, indent=2) if as_json else "\n".join(figures_as_text(figures)))


def figures_as_text(figures: dict[str, float]) -> list[str]:
    """Figures with their names behind, one a line."""
    return [f"{f:12,.4f}  {name}" if isinstance(f, float) else f"{f:12,}  {name}" for name, f in figures.items()]
