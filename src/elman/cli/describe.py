"""`elman describe`: learn to write a sentence for numbers, attributes or small images, write, measure how well."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from . import job

FIT = """
Learn to write a sentence for what stands in a row: numbers, attributes with values, or a small image.

DATA is a table: CSV, TSV, JSON lines, JSON or Parquet (also with .gz behind it), or - for standard input. One column
is learned to be written; the others, or those that are named, are read. Without DATA the model learns the names of
949 colours.

\b
    elman describe fit                                                  the built-in example, about half a minute
    elman describe fit colours.csv --input r,g,b --output name --unit char
    elman describe fit homes.csv --input rooms,price,city --output advert
    elman describe fit acts.jsonl --input attributes --output sentence --out acts.elman
    elman describe fit acts.jsonl --input attributes --output sentence --out acts.elman --resume

\b
What is read may be
    numbers                 172, 0.5
    a vector or an image    a list of numbers, or of rows of numbers (JSON lines, Parquet)
    values                  text, or a list of texts
    attributes              {"name": "Red Lion", "food": ["thai", "sushi"]}, in JSON lines

Values that stand in the sentences as they are, such as names, become slots: the network learns where to write them,
and any other value does as well as those that it was trained on. Which ones, is told before the first epoch.

\b
What is written, beside each other: model.elman, model.csv (the figures of the training), model.png (the learning
curve), model.said.png (what is said of held-out colours or images), and model.elman.resume only while the training
runs. A share of the different inputs is kept for validation.
"""

PREDICT = """
Write for the rows of a table, or for a row given as JSON.

\b
    elman describe predict names.elman new.csv > written.csv
    elman describe predict names.elman --row '{"r": 172, "g": 194, "b": 217}'
    elman describe predict acts.elman --row '{"attributes": {"act": "inform", "name": "Blue Door"}}' --n-best 3
    elman describe predict names.elman new.csv --n-best 5 --temperature 0.7 --seed 1

Without --temperature the best sentences of the beam are written. With it they are drawn: the lower, the safer.
"""

SCORE = """
Measure a model on rows whose sentence is known. All sentences of rows with the same input count as right for it.

\b
    elman describe score acts.elman test.jsonl
    elman describe score acts.elman test.jsonl --json

Told are exact sentences, BLEU (both with 95 % intervals) and chrF (sacrebleu), slot errors (values missing, repeated or
of another row, by the values there are), and the same of two that need no network: the sentence of the nearest row of
the training, with the values of the row where it has slots, and the most frequent sentence.
"""

app = typer.Typer(
    help="Learn to write a sentence for numbers, attributes or small images, write, measure how well.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@job.training(app, "describe", FIT, "acts.jsonl --input attributes --output sentence")
def fit(
    data: job.Table_ = None,
    out: job.Out = Path("model.elman"),
    input: Annotated[
        list[str] | None,
        typer.Option(help="The columns that are read, with commas between.", show_default="all but the output"),
    ] = None,
    output: Annotated[str, typer.Option(help="The column that is written.")] = "output",
    attribute: Annotated[
        list[str] | None,
        typer.Option(help="A column whose numbers are names, not amounts; again for another.", show_default="none"),
    ] = None,
    slots: Annotated[
        bool, typer.Option("--slots/--no-slots", help="Whether values that stand in the sentences become slots.")
    ] = True,
    unit: Annotated[str, typer.Option(help="What is written at a step: char, word or bpe.")] = "word",
    vocabulary: job.Pieces = 2_000,
    minimum_count: Annotated[int, typer.Option(help="What occurs less often has no symbol of its own.")] = 1,
    feed: Annotated[
        str,
        typer.Option(help="How the network is told: every (step), first (step), state (the initial one)."),
    ] = "every",
    beam: Annotated[int, typer.Option(help="Beginnings of a sentence that go on side by side.")] = 10,
    length_penalty: Annotated[float, typer.Option(help="The more, the longer the sentences; 0 for none.")] = 0.8,
    slot_weight: Annotated[float, typer.Option(help="What a slot error costs a sentence of the beam, in nats.")] = 5.0,
    smoothing: Annotated[float, typer.Option(help="Share of the probability wanted for all symbols.")] = 0.1,
    cell: job.Cell = "gru",
    layers: job.Layers = 1,
    hidden_size: Annotated[int, typer.Option(help="Units of each layer.")] = 128,
    embedding: job.Embedding = 64,
    dropout: job.Dropout = 0.3,
    batch_size: job.BatchSize = 16,
    epochs: job.Epochs = 15,
    learning_rate: job.LearningRate = 3e-3,
    clip: job.Clip = 1.0,
    patience: job.Patience = 5,
    validation: Annotated[float, typer.Option(help="Share of the different inputs kept for validation.")] = 0.1,
    seed: job.Seed = 0,
    *,
    run: job.Run,
) -> None:
    """Learn to write; see FIT."""
    from elman.tasks import DescribeModel

    columns = tuple(name.strip() for some in input or () for name in some.split(",") if name.strip())
    model = run.made(DescribeModel, input=columns, attributes=tuple(attribute or ()))

    def facts() -> list[tuple[str, str]]:
        told = model.about
        read = [str(part) for part in (model.inputs.parts if model.inputs else ())]
        more = [("", f"and {len(read) - 20} more")] if len(read) > 20 else []
        return [
            *(("read" if number == 0 else "", part) for number, part in enumerate(read[:20])), *more,
            ("written", f"{model.output}: {len(model.symbols or ()):,} symbols ({model.unit})"),
            ("", f"{told['rows']:,} rows, and {told['rows for validation']:,} to check with"),
        ]  # fmt: skip

    job.fit_job(model, data, out, facts, run)


@app.command(help=PREDICT)
def predict(
    model: job.Model,
    data: job.Table_ = None,
    row: Annotated[
        list[str] | None, typer.Option(help="A row as JSON, in place of a table.", show_default=False)
    ] = None,
    n_best: Annotated[int, typer.Option(help="Sentences for each row; more than one come as JSON lines.")] = 1,
    temperature: Annotated[
        float | None, typer.Option(help="Draw sentences at this temperature.", show_default="none are drawn")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of what is drawn.")] = 0,
    as_json: job.Json = False,
    device: job.Device = "auto",
) -> None:
    """Write; see PREDICT."""
    from elman.errors import ArgumentError
    from elman.tasks import DescribeModel

    if (data is None) == (row is None):
        raise ArgumentError("expected a table or --row, one of them.")
    rows = data if row is None else [_row(text) for text in row]
    found = DescribeModel.load(model, device).predict(rows, n_best=n_best, temperature=temperature, seed=seed)
    typer.echo(found.write_ndjson() if as_json or n_best > 1 else found.write_csv(), nl=False)


@app.command(help=SCORE)
def score(
    model: job.Model,
    data: Annotated[Path, typer.Argument(help="A table, or - for standard input.")],
    as_json: job.Json = False,
    device: job.Device = "auto",
) -> None:
    """Measure a model; see SCORE."""
    from elman.tasks import DescribeModel

    job.print_figures(DescribeModel.load(model, device).score(data).figures(), as_json)


def _row(text: str) -> dict[str, Any]:
    """A row given as JSON."""
    from elman.errors import ArgumentError

    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ArgumentError(f"expected --row as JSON, such as '{{\"r\": 172}}', got {text!r}: {error}.") from None
    if not isinstance(found, dict):
        raise ArgumentError(f"expected --row as a JSON object, such as '{{\"r\": 172}}', got {text!r}.")
    return found
