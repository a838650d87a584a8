"""`elman text`: train a language model on text, have it write, measure it."""

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from . import job

if TYPE_CHECKING:
    from elman.data import Reading
    from elman.tasks import TextModel

FIT = """
Train a language model on text.

FILES are UTF-8 text files, and folders of them; without any, the model learns the English text that comes
with Python, the 465,000 characters of its reference manual.

\b
    elman text fit                                      the built-in text, in about two minutes
    elman text fit book.txt --out book.elman            your own
    elman text fit src/ --unit word --epochs 30         words; a rare one is spelled in characters
    elman text fit book.txt --out book.elman --resume   go on after a crash or Ctrl-C

\b
What is written, beside each other:
    model.elman          the model with the best validation so far, one file that runs on any device
    model.csv            the figures of the training
    model.png            the learning curve
    model.elman.resume   only while the training runs, or after Ctrl-C: all that --resume needs.
                         A resumed training ends in the same numbers as one that was never stopped.

The figure is bits per character, for words too, so that all models of a text can be compared: 8 is a plain byte,
2 is good, and the fewer the better. The last tenth of the text is kept for validation.

\b
The defaults suit half a million characters and two minutes. With more of both:
    elman text fit book.txt --out book.elman --hidden-size 512 --dropout 0.2 --batch-size 32 --window 100 \\
        --learning-rate 0.002 --epochs 30
"""

SAMPLE = """
Have a trained model write.

\b
    elman text sample model.elman --prompt "The " --length 400
    elman text sample model.elman --temperature 0.5 --seed 1      safer, and the same text each time
    elman text sample model.elman --top-p 0.9                     nothing that is very unlikely
    elman text sample model.elman --top-k 5                       one of the five likeliest symbols, always

On a terminal the text appears as it is written, after the prompt in colour; elsewhere it is plain text.
"""

SCORE = """
Measure how well a trained model foresees a text.

\b
    elman text score model.elman other.txt

Bits per character is the length of the text in the shortest code that the model could make of it. A character
that the model does not know is charged for the surprise and for saying which one of Unicode it is.
"""

app = typer.Typer(
    help="Train a language model on text, have it write, measure it.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Model = Annotated[Path, typer.Argument(help="A model file, written by `elman text fit`.", metavar="MODEL")]


@app.command(help=FIT)
def fit(
    files: Annotated[list[Path] | None, typer.Argument(help="Text files and folders.", show_default=False)] = None,
    out: job.Out = Path("model.elman"),
    unit: Annotated[str, typer.Option(help="What is foreseen: char or word.")] = "char",
    cell: job.Cell = "gru",
    layers: job.Layers = 2,
    hidden_size: Annotated[int, typer.Option(help="Units of each layer.")] = 128,
    embedding: Annotated[int, typer.Option(help="Size of a symbol's embedding; 0 for one-hot.")] = 64,
    dropout: Annotated[float, typer.Option(help="Share of entries dropped between layers.")] = 0.0,
    vocabulary: Annotated[int, typer.Option(help="Most words with a symbol of their own (--unit word).")] = 10_000,
    minimum_count: Annotated[int, typer.Option(help="What occurs less often has no symbol of its own.")] = 2,
    window: Annotated[int, typer.Option(help="Steps through which the gradient goes back.")] = 64,
    batch_size: Annotated[int, typer.Option(help="Streams of text side by side.")] = 16,
    epochs: Annotated[int, typer.Option(help="Most passes over the text.")] = 8,
    learning_rate: job.LearningRate = 5e-3,
    clip: job.Clip = 1.0,
    patience: job.Patience = 3,
    validation: Annotated[float, typer.Option(help="Share of the text kept for validation.")] = 0.1,
    seed: job.Seed = 0,
    device: job.Device = "auto",
    threads: job.Threads = None,
    time_limit: job.TimeLimit = None,
    resume: job.Resume = False,
    fresh: job.Fresh = False,
    quiet: job.Quiet = False,
) -> None:
    """Train a language model; see FIT."""
    from elman.tasks import TextModel
    from elman.training.files import check_apart, check_output

    model = TextModel(
        cell=cell,
        layers=layers,
        hidden_size=hidden_size,
        embedding=embedding,
        dropout=dropout,
        unit=unit,
        vocabulary=vocabulary,
        minimum_count=minimum_count,
        window=window,
        batch_size=batch_size,
        epochs=epochs,
        learning_rate=learning_rate,
        clip=clip,
        patience=patience,
        validation=validation,
        seed=seed,
    )
    check_output(out)
    check_apart(out, files or [])
    console = Console(quiet=quiet, highlight=False)
    reading = _read(files)
    looks_on = None if quiet else _show(console, reading, out, bool(files))
    try:
        model.fit(
            reading.text,
            out=out,
            resume=resume,
            fresh=fresh,
            device=device,
            threads=threads,
            callbacks=looks_on,
            time_limit=time_limit,
        )
    except KeyboardInterrupt:
        _show_end(console, model, out)
        raise job.stopped(console, out) from None
    _show_end(console, model, out)


@app.command(help=SAMPLE)
def sample(
    model: Model,
    prompt: Annotated[str, typer.Option(help="Text to go on from.")] = "",
    length: Annotated[int, typer.Option(help="Characters (or words) to write.")] = 400,
    temperature: Annotated[float, typer.Option(help="Above 1 bolder, below 1 safer.")] = 0.8,
    top_k: Annotated[int | None, typer.Option(help="Only the k likeliest symbols.", show_default="all")] = None,
    top_p: Annotated[float | None, typer.Option(help="Only the likeliest, up to this sum.", show_default="all")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed, the same text.", show_default="any")] = None,
    device: job.Device = "auto",
) -> None:
    """Have a model write; see SAMPLE."""
    from elman.tasks import TextModel

    console = Console(highlight=False, soft_wrap=True)
    written = TextModel.load(model, device).stream(prompt, length, temperature, top_k, top_p, seed)
    console.print(Text(_harmless(prompt) if console.is_terminal else prompt, style="bold cyan"), end="")
    for piece in written:
        console.file.write(_harmless(piece) if console.is_terminal else piece)
        if console.is_terminal:
            console.file.flush()
    console.file.write("\n")


@app.command(help=SCORE)
def score(
    model: Model,
    files: Annotated[list[Path], typer.Argument(help="Text files and folders.", show_default=False)],
    device: job.Device = "auto",
) -> None:
    """Measure a model on a text; see SCORE."""
    from elman.data import read_text
    from elman.tasks import TextModel

    loaded = TextModel.load(model, device)
    found = loaded.score(read_text(files).text)
    unit = "character" if loaded.unit == "char" else loaded.unit
    typer.echo(f"{found.bits_per_character:12.4f}  bits per character")
    typer.echo(f"{found.perplexity:12.4f}  perplexity per {unit}")
    typer.echo(
        f"{found.units:12,}  {unit}s foreseen" + (f", {found.characters:,} characters" if unit == "word" else "")
    )
    typer.echo(f"{found.unknown:12,}  characters that the model does not know")


def _harmless(text: str) -> str:
    """Text without what would command a terminal; what a model has learnt may hold anything."""
    return "".join("\ufffd" if unicodedata.category(c) == "Cc" and c not in "\n\t" else c for c in text)


def _read(files: list[Path] | None) -> "Reading":
    from elman.data import Reading, builtin_text, read_text

    return read_text(files) if files else Reading(builtin_text())


def _show(console: Console, reading: "Reading", out: Path, own: bool) -> Callable[["TextModel"], list[Any]]:
    """What `fit` shows: makes the callbacks that look on, once there is a network to say something about."""

    def callbacks(model: "TextModel") -> list[Any]:
        from elman.training.display import TrainingDisplay

        source = (
            f"{len(reading.files)} file{'s'[: len(reading.files) > 1]}" if own else "the manual that comes with Python"
        )
        kept = round(len(reading.text) * model.validation)
        facts = Table.grid(padding=(0, 2))
        facts.add_column(style="bright_black")
        facts.add_row("text", f"{len(reading.text):,} characters: {source}")
        if reading.skipped:
            facts.add_row("", f"{len(reading.skipped)} files left out that are empty, binary or not UTF-8")
        facts.add_row("", f"{len(reading.text) - kept:,} to learn from, {kept:,} to check with")
        facts.add_row("network", f"{model.summary}, {len(model.symbols or ()):,} symbols")
        facts.add_row("output", escape(str(out)))
        console.print(facts)
        console.print()
        return [TrainingDisplay(console, lambda: model.sample(length=100, temperature=0.6, seed=1))]

    return callbacks


def _show_end(console: Console, model: "TextModel", out: Path) -> None:
    best = model.history.best
    figure = "" if best is None else f"[bold]{best.validation:.3f}[/] bits per character in epoch {best.epoch:g}\n"
    from elman.training.files import beside

    files = (path for path in (out, beside(out, ".png"), beside(out, ".csv")) if path.is_file())
    names = ", ".join(escape(str(path)) for path in files)
    console.print(f"\n{figure}{names}")
