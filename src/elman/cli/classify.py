"""`elman classify`: learn labels of sequences, say them, measure how well."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from elman.tasks import ClassifyModel

FIT = """
Learn the label of a sequence: the language of a name, the speaker of an utterance, the stars of a review.

DATA is a table: CSV, TSV, JSON lines, JSON or Parquet (also with .gz behind it), or - for standard input. One column
is read, one is learned. What is read is text; or, in JSON lines and Parquet, lists of steps, each a number or a list
of numbers. Without DATA the model learns the language of 14,000 terms that come with Babel.

\b
    elman classify fit                                                   the built-in example, about a minute
    elman classify fit names.csv --input name --label country --out names.elman
    elman classify fit reviews.jsonl --input text --label stars --unit word
    elman classify fit tags.csv --label tags --target labels             several labels a row: "a;b"
    elman classify fit houses.csv --input text --label price --target number
    elman classify fit names.csv --out names.elman --resume              go on after a crash or Ctrl-C

\b
What is written, beside each other:
    model.elman          the model with the best validation so far, one file that runs on any device
    model.csv            the figures of the training
    model.png            the learning curve
    model.labels.png     which labels are taken for which, on the rows kept for validation
    model.elman.resume   only while the training runs, or after Ctrl-C: all that --resume needs.

A tenth of the rows, label by label, is kept for validation; probabilities are calibrated on it.
"""

PREDICT = """
Say the label of each row of a table, or of texts.

\b
    elman classify predict names.elman new.csv > labels.csv
    elman classify predict names.elman --text "Müller" --text "Rossi"
    elman classify predict names.elman new.csv --every       the probability of every label
    elman classify predict names.elman --text "Müller" --explain
"""

SCORE = """
Measure a model on rows whose label is known.

\b
    elman classify score names.elman test.csv
    elman classify score names.elman test.csv --json

The accuracy stands with its 95 % interval, and beside what one gets by always saying the most frequent label.
"""

app = typer.Typer(
    help="Learn the label of a sequence, say it, measure how well.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Model = Annotated[Path, typer.Argument(help="A model file, written by `elman classify fit`.", metavar="MODEL")]


@app.command(help=FIT)
def fit(
    data: Annotated[Path | None, typer.Argument(help="A table, or - for standard input.", show_default=False)] = None,
    out: Annotated[Path, typer.Option(help="The model file to write.", metavar="MODEL")] = Path("model.elman"),
    input: Annotated[str | None, typer.Option(help="The column that is read.", show_default="found")] = None,
    label: Annotated[str | None, typer.Option(help="The column that is learned.", show_default="found")] = None,
    target: Annotated[str, typer.Option(help="label, labels (several a row) or number.")] = "label",
    unit: Annotated[str, typer.Option(help="What a step of a text is: char or word.")] = "char",
    minimum_count: Annotated[int, typer.Option(help="What occurs less often has no symbol of its own.")] = 1,
    cell: Annotated[str, typer.Option(help="gru, lstm or elman.")] = "gru",
    layers: Annotated[int, typer.Option(help="Recurrent layers.")] = 1,
    hidden_size: Annotated[int, typer.Option(help="Units of each direction.")] = 128,
    embedding: Annotated[int, typer.Option(help="Size of a symbol's embedding.")] = 64,
    dropout: Annotated[float, typer.Option(help="Share of entries dropped in training.")] = 0.3,
    balanced: Annotated[bool, typer.Option("--balanced", help="Rare labels count as much as frequent ones.")] = False,
    batch_size: Annotated[int, typer.Option(help="Rows side by side.")] = 32,
    epochs: Annotated[int, typer.Option(help="Most passes over the rows.")] = 30,
    learning_rate: Annotated[float, typer.Option(help="The largest one; it rises first and then falls.")] = 2e-3,
    clip: Annotated[float, typer.Option(help="Largest norm of the gradient.")] = 1.0,
    patience: Annotated[int, typer.Option(help="Epochs without a better validation before it stops.")] = 6,
    validation: Annotated[float, typer.Option(help="Share of the rows kept for validation.")] = 0.1,
    seed: Annotated[int, typer.Option(help="The same seed gives the same model.")] = 0,
    device: Device = "auto",
    threads: Annotated[int | None, typer.Option(help="Threads of the CPU.", show_default="all")] = None,
    time_limit: Annotated[
        str | None, typer.Option(help="End after so long: 90s, 10m, 1.5h.", show_default="none")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a training that was stopped.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw away what is left of one.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Learn labels; see FIT."""
    from elman.tasks import ClassifyModel
    from elman.training.files import check_output

    model = ClassifyModel(
        input=input, label=label, target=target, unit=unit, minimum_count=minimum_count, cell=cell, layers=layers,
        hidden_size=hidden_size, embedding=embedding, dropout=dropout, balanced=balanced, batch_size=batch_size,
        epochs=epochs, learning_rate=learning_rate, clip=clip, patience=patience, validation=validation, seed=seed,
    )  # fmt: skip
    check_output(out)
    console = Console(quiet=quiet, highlight=False)
    looks_on = None if quiet else _show(console, out)
    try:
        model.fit(
            data,
            out=out,
            resume=resume,
            fresh=fresh,
            device=device,
            threads=threads,
            callbacks=looks_on,
            time_limit=time_limit,
        )
    except KeyboardInterrupt:
        if out.with_name(out.name + ".resume").is_file():
            console.print("stopped before the end; the same command with --resume goes on from here")
        raise typer.Exit(130) from None
    _show_end(console, model, out)


@app.command(help=PREDICT)
def predict(
    model: Model,
    data: Annotated[Path | None, typer.Argument(help="A table, or - for standard input.", show_default=False)] = None,
    text: Annotated[list[str] | None, typer.Option(help="A text, in place of a table.", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--every", help="The probability of every label.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="How much each step weighs (--text).")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON lines in place of CSV.")] = False,
    device: Device = "auto",
) -> None:
    """Say labels; see PREDICT."""
    from elman.errors import ArgumentError
    from elman.tasks import ClassifyModel

    if (data is None) == (text is None) or (explain and text is None):
        raise ArgumentError("expected a table or --text, one of them; --explain goes with --text.")
    loaded = ClassifyModel.load(model, device)
    given = data if text is None else {str(loaded.input): text}
    found = loaded.predict(given, every=every)
    nested = any(kind.is_nested() for kind in found.dtypes)
    if not as_json and nested:
        import polars

        joined = [
            polars.col(n).list.eval(polars.element().cast(polars.String)).list.join(";") for n in found.columns[:2]
        ]
        found = found.with_columns(joined)
    typer.echo(found.write_ndjson() if as_json else found.write_csv(), nl=False)
    for one in text or () if explain else ():
        units, weights, _ = loaded.explain(one)
        typer.echo(" ".join(f"{unit}:{weight:.2f}" for unit, weight in zip(units, weights.tolist(), strict=True)))


@app.command(help=SCORE)
def score(
    model: Model,
    data: Annotated[Path, typer.Argument(help="A table, or - for standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    device: Device = "auto",
) -> None:
    """Measure a model; see SCORE."""
    from elman.tasks import ClassifyModel

    figures = ClassifyModel.load(model, device).score(data).figures()
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
        return
    for name, figure in figures.items():
        typer.echo(f"{figure:12,.4f}  {name}" if isinstance(figure, float) else f"{figure:12,}  {name}")


def _show(console: Console, out: Path) -> Callable[["ClassifyModel"], list[Any]]:
    """What `fit` shows: makes the callbacks that look on."""

    def callbacks(model: "ClassifyModel") -> list[Any]:
        from elman.training.display import TrainingDisplay

        facts = Table.grid(padding=(0, 2))
        facts.add_column(style="bright_black")
        facts.add_row("read", f"{escape(str(model.input))}: {model.inputs_told}")
        facts.add_row("learned", f"{escape(str(model.label))}: {model.labels_told}")
        facts.add_row("", f"{model.about['rows']:,} rows, and {model.about['rows for validation']:,} to check with")
        facts.add_row("network", model.summary)
        facts.add_row("output", escape(str(out)))
        console.print(facts)
        console.print()
        return [TrainingDisplay(console)]

    return callbacks


def _show_end(console: Console, model: "ClassifyModel", out: Path) -> None:
    from elman.training.files import beside

    for name, figure in model.checked.items():
        shown = f"{figure:.4f}" if isinstance(figure, float) else f"{figure:,}"
        console.print(f"{shown:>12}  {name}")
    files = (path for path in (out, *(beside(out, end) for end in (".png", ".labels.png", ".csv"))) if path.is_file())
    console.print(f"\n{', '.join(escape(str(path)) for path in files)}")
    sys.stdout.flush()
