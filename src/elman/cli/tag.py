"""`elman tag`: learn a label for every step of a sequence, say them, measure how well."""

from pathlib import Path
from typing import Annotated

import typer

from . import job

FIT = """
Learn a label for every step of a sequence: slots of a command, parts of speech, points where a word may be divided.

DATA is a table: CSV, TSV, JSON lines, JSON or Parquet (also with .gz behind it), or - for standard input. One column
is read, one holds as many tags: lists (JSON lines, Parquet), or text that is cut at white space (--unit word) or into
characters (--unit char). Without DATA the model learns where English words may be divided.

\b
    elman tag fit                                                    the built-in example, about 20 seconds
    elman tag fit commands.jsonl --input tokens --tags slots --crf   tags chosen together
    elman tag fit words.csv --input word --tags points --unit char
    elman tag fit commands.jsonl --ensemble 3 --group user           three networks; check with users never seen
    elman tag fit commands.jsonl --out slots.elman --resume          go on after a crash or Ctrl-C

\b
What is written, beside each other: model.elman, model.csv (the figures of the training), model.png (the learning
curve), model.html (a report on one page), and model.elman.resume only while the training runs. A tenth of the rows is
kept for validation.
"""

PREDICT = """
Tag the rows of a table, or texts.

\b
    elman tag predict slots.elman new.jsonl > tagged.jsonl
    elman tag predict slots.elman --text "fly me to Rome on Monday"
"""

SCORE = """
Measure a model on rows whose tags are known.

\b
    elman tag score slots.elman test.jsonl
    elman tag score slots.elman test.jsonl --json

Beside the network stands what one gets by each token's most frequent tag. Where the tags mark spans (B-x, I-x, O) the
F1 of whole spans is told.
"""

app = typer.Typer(
    help="Learn a label for every step of a sequence, say them, measure how well.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@job.training(app, "tag", FIT)
def fit(
    data: job.Table_ = None,
    out: job.Out = Path("model.elman"),
    input: Annotated[str, typer.Option(help="The column that is read.")] = "tokens",
    tags: Annotated[str, typer.Option(help="The column with the tags.")] = "tags",
    unit: Annotated[str, typer.Option(help="What a step of a text is: word or char.")] = "word",
    spelled: Annotated[bool, typer.Option(help="Read how each word is spelled.")] = True,
    minimum_count: Annotated[int, typer.Option(help="Rarer words have their spelling alone.")] = 2,
    crf: Annotated[bool, typer.Option("--crf", help="Choose the tags of a row together.")] = False,
    group: job.Group = None,
    ensemble: job.Ensemble = 1,
    cell: job.Cell = "gru",
    layers: job.Layers = 1,
    hidden_size: job.HiddenSize = 128,
    embedding: job.Embedding = 64,
    dropout: job.Dropout = 0.3,
    batch_size: job.BatchSize = 32,
    epochs: job.Epochs = 30,
    learning_rate: job.LearningRate = 3e-3,
    clip: job.Clip = 1.0,
    patience: job.Patience = 5,
    validation: job.Validation = 0.1,
    seed: job.Seed = 0,
    *,
    run: job.Run,
) -> None:
    """Learn tags; see FIT."""
    from elman.tasks import TagModel

    model = run.made(TagModel)

    def facts() -> list[tuple[str, str]]:
        told = model.about
        rows = (
            f"{told['rows']:,} rows, {told['tokens']:,} tokens, and {told['rows for validation']:,} rows to check with"
        )
        some = ", ".join(model.labels[:6]) + (", ..." if len(model.labels) > 6 else "")
        return [("read", model.input), ("tags", f"{model.tags}: {len(model.labels)}: {some}"), ("", rows)]

    job.fit_job(model, data, out, facts, run)


@app.command(help=PREDICT)
def predict(
    model: job.Model,
    data: job.Table_ = None,
    text: Annotated[list[str] | None, typer.Option(help="A text, in place of a table.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON lines, also of --text.")] = False,
    device: job.Device = "auto",
) -> None:
    """Say tags; see PREDICT."""
    from elman.errors import ArgumentError
    from elman.tasks import TagModel

    if (data is None) == (text is None):
        raise ArgumentError("expected a table or --text, one of them.")
    loaded = TagModel.load(model, device)
    found = loaded.predict(data if text is None else {loaded.input: text})
    if text is None or as_json:
        typer.echo(found.write_ndjson(), nl=False)
        return
    for tokens, tags in found.iter_rows():
        width = [max(len(a), len(b)) for a, b in zip(tokens, tags, strict=True)]
        for row in (tokens, tags):
            typer.echo(" ".join(part.ljust(w) for part, w in zip(row, width, strict=True)).rstrip())


@app.command(help=SCORE)
def score(
    model: job.Model,
    data: Annotated[Path, typer.Argument(help="A table, or - for standard input.")],
    as_json: job.Json = False,
    device: job.Device = "auto",
) -> None:
    """Measure a model; see SCORE."""
    from elman.tasks import TagModel

    job.print_figures(TagModel.load(model, device).score(data).figures(), as_json)
