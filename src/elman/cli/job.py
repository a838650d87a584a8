"""What the commands of all jobs share: options, what `fit` shows, what `score` prints."""

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .search import TUNE, search_job

if TYPE_CHECKING:
    from elman.tasks import Job

Made = TypeVar("Made", bound="Job")
Command = Callable[..., None]
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


@dataclass(frozen=True)
class Run:
    """How `fit` and `tune` train, of every job: all but the last two are options of the commands.

    Attributes:
        trials: how many trainings `tune` makes; None for the one of `fit`.
        options: what else the command was given.
    """

    device: Device = "auto"
    threads: Threads = None
    devices: Devices = 1
    nodes: Nodes = 1
    time_limit: TimeLimit = None
    resume: Resume = False
    fresh: Fresh = False
    as_json: Json = False
    quiet: Quiet = False
    trials: int | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def made(self, kind: type[Made], **changed: Any) -> Made:
        """A model of the options that are its own by name; `changed` are those that the command says otherwise."""
        names = {option.name for option in fields(kind) if option.init}
        return kind(**{**{name: value for name, value in self.options.items() if name in names}, **changed})

    def for_fit(self) -> dict[str, Any]:
        """The arguments of `Job.fit`."""
        names = ("device", "threads", "devices", "nodes", "time_limit", "resume", "fresh")
        return {name: getattr(self, name) for name in names}


OF_RUN = [each for each in fields(Run) if each.default is not MISSING and each.name != "trials"]
POSITIONAL = ("ctx", "data", "files")


def training(app: typer.Typer, name: str, manual: str, data: str = "data.csv") -> Callable[[Command], Command]:
    """Make of a function with the options of a job, and `run` behind them, the commands `fit` and `tune`.

    Args:
        app: the commands of the job.
        name: of the job.
        manual: the help of `fit`.
        data: the name of a file, for the manual of `tune`.
    """

    def register(function: Command) -> Command:
        own = [each for each in inspect.signature(function).parameters.values() if each.name != "run"]
        runs = {each.name: _parameter(each.name, each.type, each.default) for each in OF_RUN}
        counted = _parameter("trials", Annotated[int, Option(help="Trainings in all.")], 20)
        places = [each for each in own if each.name in POSITIONAL]
        rest = [each for each in own if each.name not in POSITIONAL]

        def command(**given: Any) -> None:
            how = {name: given.pop(name) for name in (*runs, "trials") if name in given}
            function(**given, run=Run(**how, options=given))

        tune = _with_signature(command, [*places, counted, *rest, *runs.values()])
        app.command("tune", help=TUNE.format(job=name, data=data))(tune)
        fit = _with_signature(command, [*places, *rest, *runs.values()])
        app.command("fit", help=manual)(fit)
        return fit

    return register


def _parameter(name: str, kind: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)


def _with_signature(function: Command, parameters: Sequence[inspect.Parameter]) -> Command:
    """The same function for Typer, which reads options from signatures."""

    def told(**given: Any) -> None:
        function(**given)

    told.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return told


def fit_job(
    model: "Job",
    data: Any,
    out: Path,
    facts: Callable[[], Sequence[tuple[str, str]]],
    run: Run,
    *,
    comment: Callable[[], str] | None = None,
    show: Callable[[Console], None] | None = None,
    figures: Callable[[], dict[str, Any]] | None = None,
    **more: Any,
) -> None:
    """Train a model, and show how it goes; or search for its options, where the command is `tune`.

    Args:
        model: of any job.
        data: as for its `fit`.
        out: the model file.
        facts: what to say before the first epoch, two words a line, once there is a network.
        run: how.
        comment: makes a few words at the end of each epoch.
        show: prints the figures at the end, where a line for each will not do.
        figures: gives them for JSON, where they are not `model.checked`.
        more: further arguments of the job's own `fit`.
    """
    if run.trials is not None:
        search_job(model, data, out, run, run.trials, more)
        return
    from elman.training.files import beside
    from elman.training.processes import is_first

    first = is_first(run.devices * run.nodes)
    console = Console(quiet=run.quiet or run.as_json or not first, highlight=False, soft_wrap=True)

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
        model.fit(data, out=out, callbacks=None if console.quiet else looks_on, **run.for_fit(), **more)
    except KeyboardInterrupt:
        raise stopped(console, out) from None
    if run.as_json and first:
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
