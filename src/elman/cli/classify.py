"""`elman classify`: learn labels of sequences, say them, measure how well."""

import json
from pathlib import Path
from typing import Annotated

import typer

from . import job

FIT = """
Learn the label of a sequence: the language of a name, the speaker of an utterance, the stars of a review.

DATA is a table: CSV, TSV, JSON lines, JSON or Parquet (also with .gz behind it), or - for standard input. One column
is read, one is learned. What is read is text; or, in JSON lines and Parquet, lists of steps, each a number or a list
of numbers. Without DATA the model learns the language of 14,000 terms that come with Babel.

\b
    elman classify fit                                                   the built-in example, about a minute
    elman classify fit names.csv --input name --label country --out languages.elman
    elman classify fit reviews.jsonl --input text --label stars --unit word
    elman classify fit tags.csv --label tags --target labels             several labels a row: "a;b"
    elman classify fit houses.csv --input text --label price --target number
    elman classify fit names.csv --label country --ensemble 5            five networks, averaged: a little better
    elman classify fit utterances.jsonl --label word --group speaker     check with speakers never heard
    elman classify fit names.csv --out languages.elman --resume          go on after a crash or Ctrl-C

\b
What is written, beside each other:
    model.elman          the model with the best validation so far, one file that runs on any device
    model.csv            the figures of the training
    model.png            the learning curve
    model.html           a report: all of these on one page
    model.labels.png     which labels are taken for which, on the rows kept for validation
    model.elman.resume   only while the training runs, or after Ctrl-C: all that --resume needs.

A tenth of the rows, label by label (or by whole groups), is kept for validation; the probabilities of labels are
calibrated on it, where a row has one.
"""

PREDICT = """
Say the label of each row of a table, or of texts.

\b
    elman classify predict languages.elman new.csv > labels.csv
    elman classify predict languages.elman --text "Müller" --text "Rossi"
    elman classify predict languages.elman new.csv --every       the probability of every label
    elman classify predict languages.elman --text "Müller" --explain
"""

SCORE = """
Measure a model on rows whose label is known.

\b
    elman classify score languages.elman test.csv
    elman classify score languages.elman test.csv --json

The accuracy stands with its 95 % interval, and beside what one gets by always saying the most frequent label.
"""

app = typer.Typer(
    help="Learn the label of a sequence, say it, measure how well.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@job.training(app, "classify", FIT)
def fit(
    data: job.Table_ = None,
    out: job.Out = Path("model.elman"),
    input: Annotated[str | None, typer.Option(help="The column that is read.", show_default="found")] = None,
    label: Annotated[str | None, typer.Option(help="The column that is learned.", show_default="found")] = None,
    target: Annotated[str, typer.Option(help="label, labels (several a row) or number.")] = "label",
    unit: Annotated[str, typer.Option(help="What a step of a text is: char, word or bpe.")] = "char",
    vocabulary: job.Pieces = 10_000,
    minimum_count: Annotated[int, typer.Option(help="What occurs less often has no symbol of its own.")] = 1,
    balanced: Annotated[bool, typer.Option("--balanced", help="Rare labels count as much as frequent ones.")] = False,
    group: job.Group = None,
    ensemble: job.Ensemble = 1,
    cell: job.Cell = "gru",
    layers: job.Layers = 1,
    hidden_size: job.HiddenSize = 128,
    embedding: job.Embedding = 64,
    dropout: job.Dropout = 0.3,
    batch_size: job.BatchSize = 32,
    epochs: job.Epochs = 30,
    learning_rate: job.LearningRate = 2e-3,
    clip: job.Clip = 1.0,
    patience: job.Patience = 6,
    validation: job.Validation = 0.1,
    seed: job.Seed = 0,
    *,
    run: job.Run,
) -> None:
    """Learn labels; see FIT."""
    from elman.tasks import ClassifyModel

    model = run.made(ClassifyModel)

    def facts() -> list[tuple[str, str]]:
        rows = f"{model.about['rows']:,} rows, and {model.about['rows for validation']:,} to check with"
        return [
            ("read", f"{model.input}: {model.inputs_told}"),
            ("learned", f"{model.label}: {model.labels_told}"),
            ("", rows),
        ]

    job.fit_job(model, data, out, facts, run)


@app.command(help=PREDICT)
def predict(
    model: job.Model,
    data: job.Table_ = None,
    text: Annotated[list[str] | None, typer.Option(help="A text, in place of a table.", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--every", help="The probability of every label.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="How much each step weighs (--text).")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON lines in place of CSV.")] = False,
    device: job.Device = "auto",
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
    explained = [loaded.explain(one) for one in text or ()] if explain else []
    if as_json and explained:
        weighed = [
            [[unit, weight] for unit, weight in zip(e.units, e.weights.tolist(), strict=True)] for e in explained
        ]
        rows = [{**row, "steps": steps} for row, steps in zip(found.to_dicts(), weighed, strict=True)]
        typer.echo("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
        return
    typer.echo(found.write_ndjson() if as_json else found.write_csv(), nl=False)
    for units, weights, _ in explained:
        typer.echo(" ".join(f"{unit}:{weight:.2f}" for unit, weight in zip(units, weights.tolist(), strict=True)))


@app.command(help=SCORE)
def score(
    model: job.Model,
    data: Annotated[Path, typer.Argument(help="A table, or - for standard input.")],
    as_json: job.Json = False,
    device: job.Device = "auto",
) -> None:
    """Measure a model; see SCORE."""
    from elman.tasks import ClassifyModel

    job.print_figures(ClassifyModel.load(model, device).score(data).figures(), as_json)
