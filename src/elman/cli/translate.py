"""`elman translate`: learn to write one sequence from another, write, measure how well."""

from pathlib import Path
from typing import Annotated

import typer

from . import job

FIT = """
Learn to write one sequence from another: the sound of a word, a date as ISO 8601, a sentence in another language.

DATA is a table: CSV, TSV, JSON lines, JSON or Parquet (also with .gz behind it), or - for standard input. One column
is read, one is learned to be written. Without DATA the model learns dates in twenty languages.

A word is what stands between white space: give a sound as "θ ɹ uː", and learn it with --output-unit word.

\b
    elman translate fit                                                 the built-in example, about two minutes
    elman translate fit --example numbers                               "fr 71" to "soixante et onze", three minutes
    elman translate fit words.csv --input word --output sound --output-unit word
    elman translate fit words.csv --input word --output sound --ensemble 3   better, takes three times as long
    elman translate fit forms.csv --input form --output lemma --group lemma   check with lemmas never seen
    elman translate fit sentences.tsv --input de --output en --unit word --minimum-count 2
    elman translate fit words.csv --out sounds.elman --resume           go on after a crash or Ctrl-C

\b
What is written, beside each other:
    model.elman           the model with the best validation so far, one file that runs on any device
    model.csv             the figures of the training
    model.png             the learning curve
    model.attention.png   what each symbol that is written looked at, in a row kept for validation
    model.elman.resume    only while the training runs, or after Ctrl-C: all that --resume needs.

A share of the rows is kept for validation.
"""

PREDICT = """
Write for the rows of a table, or for texts.

\b
    elman translate predict dates.elman new.csv > written.csv
    elman translate predict dates.elman --text "4 juillet 1976" --text "den 4 juli 1976"
    elman translate predict dates.elman --text "4 juillet 1976" --picture attention.png

The picture shows which symbols of the (first) text each written symbol looked at.
"""

SCORE = """
Measure a model on rows whose translation is known.

\b
    elman translate score sounds.elman test.csv
    elman translate score sounds.elman test.csv --json

Told are the share of rows with any mistake, with its 95 % interval; the word and the character error rate: words, or
characters, to insert, to drop or to change, by those of the right rows (a word is what stands between white space: of
sounds written as "θ ɹ uː" it is the phoneme error rate, and rows with a mistake are what others call the word error
rate); BLEU and chrF (sacrebleu); and what one gets by copying what was read.
"""

app = typer.Typer(
    help="Learn to write one sequence from another, write, measure how well.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@job.training(app, "translate", FIT, "words.csv --input word --output sound")
def fit(
    data: job.Table_ = None,
    out: job.Out = Path("model.elman"),
    example: Annotated[
        str | None, typer.Option(help="Learned without DATA: dates or numbers.", show_default="dates")
    ] = None,
    input: Annotated[str, typer.Option(help="The column that is read.")] = "input",
    output: Annotated[str, typer.Option(help="The column that is written.")] = "output",
    unit: Annotated[str, typer.Option(help="What a step of the source is: char, word or bpe.")] = "char",
    output_unit: Annotated[
        str | None, typer.Option(help="The same of what is written.", show_default="as unit")
    ] = None,
    vocabulary: job.Pieces = 2_000,
    minimum_count: Annotated[int, typer.Option(help="What occurs less often has no symbol of its own.")] = 1,
    beam: Annotated[int, typer.Option(help="Beginnings of a translation that go on side by side.")] = 5,
    smoothing: Annotated[float, typer.Option(help="Share of the probability wanted for all symbols.")] = 0.1,
    group: job.Group = None,
    ensemble: job.Ensemble = 1,
    cell: job.Cell = "gru",
    layers: job.Layers = 1,
    hidden_size: job.HiddenSize = 192,
    embedding: job.Embedding = 96,
    dropout: job.Dropout = 0.3,
    batch_size: job.BatchSize = 32,
    epochs: job.Epochs = 30,
    learning_rate: job.LearningRate = 2e-3,
    clip: job.Clip = 1.0,
    patience: job.Patience = 6,
    validation: job.Validation = 0.05,
    seed: job.Seed = 0,
    *,
    run: job.Run,
) -> None:
    """Learn to write; see FIT."""
    from elman.errors import ArgumentError
    from elman.tasks import TranslateModel

    if data is not None and example is not None:
        raise ArgumentError(f"expected a table or --example, got both: {data} and {example}.")
    model = run.made(TranslateModel, example=example or "dates")

    def facts() -> list[tuple[str, str]]:
        told = model.about
        return [
            ("read", f"{model.input}: {len(model.sources or ()):,} symbols ({model.unit})"),
            ("written", f"{model.output}: {len(model.targets or ()):,} symbols ({model.output_unit or model.unit})"),
            ("", f"{told['rows']:,} rows, and {told['rows for validation']:,} to check with"),
        ]

    job.fit_job(model, data, out, facts, run)


@app.command(help=PREDICT)
def predict(
    model: job.Model,
    data: job.Table_ = None,
    text: Annotated[list[str] | None, typer.Option(help="A text, in place of a table.", show_default=False)] = None,
    n_best: Annotated[int, typer.Option(help="Translations of each row; more than one come as JSON lines.")] = 1,
    picture: Annotated[Path | None, typer.Option(help="Draw what the first text's symbols looked at.")] = None,
    as_json: job.Json = False,
    device: job.Device = "auto",
) -> None:
    """Write; see PREDICT."""
    from elman.errors import ArgumentError
    from elman.tasks import TranslateModel
    from elman.tasks.translate.picture import draw_attention

    if (data is None) == (text is None) or (picture is not None and text is None):
        raise ArgumentError("expected a table or --text, one of them; --picture goes with --text.")
    loaded = TranslateModel.load(model, device)
    found = loaded.predict(data if text is None else {loaded.input: text}, n_best=n_best)
    typer.echo(found.write_ndjson() if as_json or n_best > 1 else found.write_csv(), nl=False)
    if picture is not None and text is not None:
        draw_attention(loaded.attend(text[0]), picture)


@app.command(help=SCORE)
def score(
    model: job.Model,
    data: Annotated[Path, typer.Argument(help="A table, or - for standard input.")],
    as_json: job.Json = False,
    device: job.Device = "auto",
) -> None:
    """Measure a model; see SCORE."""
    from elman.tasks import TranslateModel

    job.print_figures(TranslateModel.load(model, device).score(data).figures(), as_json)
