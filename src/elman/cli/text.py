"""`elman text`: train a language model on text, have it write, measure it."""

import io
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from elman.errors import ArgumentError

from . import job
from .text_talk import Manner, Talk, harmless

if TYPE_CHECKING:
    from elman.data import LongText, Reading
    from elman.tasks import TextModel
    from elman.tasks.text.score import Score

FIT = """
Train a language model on text.

FILES are UTF-8 text files, and folders of them, or - for standard input; without any, the model learns the English
text that comes with Python, the 465,000 characters of its reference manual.

\b
    elman text fit                                      the built-in text, in about two minutes
    elman text fit --example python                     source files of Python's standard library
    elman text fit book.txt --out book.elman            your own
    elman text fit src/ --unit word --epochs 30         words; a rare one is spelled in characters
    elman text fit book.txt --unit bpe                  frequent pieces of words, down to single bytes
    elman text fit book.txt --out book.elman --resume   go on after a crash or Ctrl-C
    elman text fit poems.txt --from book.elman --out poems.elman --epochs 4 --learning-rate 0.001
                                                        go on with the weights of a model, on another text

\b
What is written, beside each other:
    model.elman          the model with the best validation so far, one file that runs on any device
    model.csv            the figures of the training
    model.png            the learning curve
    model.html           a report: all of these on one page
    model.elman.resume   only while the training runs, or after Ctrl-C: all that --resume needs.
                         A resumed training ends in the same numbers as one that was never stopped.

The figure is bits per character, for words and pieces too, so that all models of a text can be compared: 8 is a plain
byte, 2 is good, and the fewer the better. The last tenth of the text is kept for validation. At the end the figure
stands beside that of an n-gram of the same text, with intervals of 95 %.

With --from, the new model begins with the weights of another one. Symbols that are new in the text are added, with the
mean of the old weights. Whatever option is not given is as in that file; --cell, --layers, --hidden-size, --embedding
and --unit cannot change.

\b
The defaults suit texts of 100,000 to 5 million characters and a few minutes. With half an hour:
    elman text fit book.txt --out book.elman --time-limit 30m \\
        --hidden-size 512 --dropout 0.5 --batch-size 32 --window 100 --learning-rate 0.003 --epochs 20

The text must fit into memory, at 3 to 6 bytes a character, twice as much for a moment at the start. The model file
holds the sequences of a few symbols that the n-gram has counted: do not hand it out where the text is secret.
"""

SAMPLE = """
Have a trained model write.

\b
    elman text sample model.elman --prompt "The " --length 400
    elman text sample model.elman --temperature 0.5 --seed 1      safer, and the same text each time
    elman text sample model.elman --top-p 0.9                     nothing that is very unlikely
    elman text sample model.elman --top-k 5                       one of the five likeliest symbols, always
    elman text sample model.elman --beam 5                        the likeliest text that a beam of 5 finds
    elman text sample model.elman --interactive                   you write, it goes on, in turn

On a terminal the text appears as it is written, after the prompt in colour; elsewhere it is plain text.

--interactive reads lines until they end, from a terminal or a pipe: the model goes on behind each, and remembers all
before. /reset, /temperature 0.7, /top-k 5, /top-p 0.9, /beam 5, /length 200 and /quit are commands; /help lists them.
"""

SCORE = """
Measure how well a trained model foresees a text.

\b
    elman text score model.elman other.txt
    elman text score model.elman other.txt --json
    elman text score model.elman other.txt --picture bits.png
    elman text score model.elman other.txt --states states.npz

Bits per character is the length of the text in the shortest code that the model could make of it. A character
that the model does not know is charged for the surprise and for saying which one of Unicode it is. Beside it stands
what an n-gram of the training text needs (interpolated Kneser-Ney, its order chosen on the training text), with
intervals of 95 % from blocks of the text.

--picture draws the beginning of the text, the darker the more bits a symbol costs.

--states also writes what each layer gives out behind each symbol, for NumPy: layer1, layer2, ... [T, H], and symbols
[T]. Such a file takes 4 bytes for each symbol and unit.
"""

app = typer.Typer(
    help="Train a language model on text, have it write, measure it.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Model = Annotated[Path, typer.Argument(help="A model file, written by `elman text fit`.", metavar="MODEL")]
DRAWN = 3_600  # characters of a text that a picture may hold


@job.training(app, "text", FIT, "book.txt")
def fit(
    ctx: typer.Context,
    files: Annotated[list[Path] | None, typer.Argument(help="Text files and folders.", show_default=False)] = None,
    out: job.Out = Path("model.elman"),
    example: Annotated[str | None, typer.Option(help="Without FILES: manual or python.", show_default="manual")] = None,
    start: Annotated[
        Path | None, typer.Option("--from", help="A model to go on with.", metavar="MODEL", show_default=False)
    ] = None,
    unit: Annotated[str, typer.Option(help="What is foreseen: char, word or bpe.")] = "char",
    cell: job.Cell = "gru",
    layers: job.Layers = 2,
    hidden_size: Annotated[int, typer.Option(help="Units of each layer.")] = 256,
    embedding: Annotated[int, typer.Option(help="Size of a symbol's embedding; 0 for one-hot.")] = 64,
    dropout: Annotated[float, typer.Option(help="Share of entries dropped between layers.")] = 0.2,
    vocabulary: Annotated[
        int | None, typer.Option(help="Most words with a symbol of their own; pieces.", show_default="10000; 1000")
    ] = None,
    minimum_count: Annotated[int, typer.Option(help="What occurs less often has no symbol of its own.")] = 2,
    window: Annotated[int, typer.Option(help="Steps through which the gradient goes back.")] = 64,
    batch_size: Annotated[int, typer.Option(help="Streams of text side by side.")] = 16,
    epochs: Annotated[int, typer.Option(help="Most passes over the text.")] = 8,
    learning_rate: job.LearningRate = 3e-3,
    clip: job.Clip = 1.0,
    patience: job.Patience = 3,
    validation: Annotated[float, typer.Option(help="Share of the text kept for validation.")] = 0.1,
    seed: job.Seed = 0,
    *,
    run: job.Run,
) -> None:
    """Train a language model; see FIT."""
    from elman.training.files import check_apart
    from elman.training.processes import check_processes

    if files and example is not None:
        raise ArgumentError("expected FILES or --example, one of them.")
    model = _model(start, ctx, run)
    check_processes(run.devices * run.nodes, Path("-") if files and Path("-") in files else None)
    check_apart(out, [*(files or []), *([] if start is None else [start])])
    reading = _read(files, example)

    def comment() -> str:
        return model.sample(length=100, temperature=0.6, seed=1)

    def show(console: Console) -> None:
        if model.kept is not None:
            console.print("\n" + "\n".join(_told(model.kept, model.unit)), markup=False)

    job.fit_job(model, reading.text, out, lambda: _facts(model, reading, example), run, comment=comment, show=show)


@app.command(help=SAMPLE)
def sample(
    ctx: typer.Context,
    model: Model,
    prompt: Annotated[str, typer.Option(help="Text to go on from.")] = "",
    length: Annotated[int, typer.Option(help="Characters (or words) to write.")] = 400,
    temperature: Annotated[float, typer.Option(help="Above 1 bolder, below 1 safer.")] = 0.8,
    top_k: Annotated[int | None, typer.Option(help="Only the k likeliest symbols.", show_default="all")] = None,
    top_p: Annotated[float | None, typer.Option(help="Only the likeliest, up to this sum.", show_default="all")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed, the same text.", show_default="any")] = None,
    beam: Annotated[
        int | None, typer.Option(help="Search with so many beginnings side by side.", show_default="draw")
    ] = None,
    interactive: Annotated[bool, typer.Option("--interactive", "-i", help="Write in turn with the model.")] = False,
    device: job.Device = "auto",
) -> None:
    """Have a model write; see SAMPLE."""
    from elman.tasks import TextModel

    given = _given(ctx)
    if beam is not None and (drawn := given & {"temperature", "top_k", "top_p", "seed"}):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(drawn))
        raise ArgumentError(f"--beam searches for the likeliest text and draws nothing: leave out {names}.")
    console = Console(highlight=False, soft_wrap=True)
    loaded = TextModel.load(model, device)
    if interactive:
        Talk(loaded, Manner(length, temperature, top_k, top_p, seed, beam), console).run(prompt)
        return
    if beam is None:
        written = loaded.stream(prompt, length, temperature, top_k, top_p, seed)
    else:
        written = iter([loaded.search(prompt, length, beam)])
    console.print(Text(harmless(prompt) if console.is_terminal else prompt, style="bold cyan"), end="")
    for piece in written:
        console.file.write(harmless(piece) if console.is_terminal else piece)
        if console.is_terminal:
            console.file.flush()
    console.file.write("\n")


@app.command(help=SCORE)
def score(
    model: Model,
    files: Annotated[list[Path], typer.Argument(help="Text files and folders.", show_default=False)],
    states: Annotated[Path | None, typer.Option(help="Write hidden states.", metavar="NPZ", show_default=False)] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw what surprised it.", metavar="PNG", show_default=False)
    ] = None,
    as_json: job.Json = False,
    device: job.Device = "auto",
) -> None:
    """Measure a model on a text; see SCORE."""
    from elman.data import read_text
    from elman.tasks import TextModel
    from elman.tasks.text.model import NAMED

    for path, ending in ((states, ".npz"), (picture, ".png")):
        if path is not None and path.suffix != ending:
            raise ArgumentError(f"{path}: expected a name that ends in {ending}.")
    loaded = TextModel.load(model, device)
    text = read_text(files).text
    found = loaded.score(text)
    if as_json:
        job.print_figures(found.figures(NAMED[loaded.unit]), as_json)
    else:
        typer.echo("\n".join(_told(found, loaded.unit)))
    if states is not None:
        _write_states(loaded, text, states)
    if picture is not None:
        from elman.tasks.text.picture import draw_surprise

        symbols, bits = loaded.bits(text[:DRAWN])
        draw_surprise(symbols, bits.tolist(), picture)


def _given(ctx: typer.Context) -> set[str]:
    """The options that stand on the command line."""
    return {name for name in ctx.params if str(ctx.get_parameter_source(name)).endswith("COMMANDLINE")}


def _model(start: Path | None, ctx: typer.Context, run: job.Run) -> "TextModel":
    """The model of the options: all of them, or of a model to go on with those that were given."""
    from elman.tasks import TextModel

    if start is None:
        return run.made(TextModel, start=None)
    options = {option.name for option in fields(TextModel) if option.init} - {"start"}
    return TextModel.continued(start, **{name: ctx.params[name] for name in options & _given(ctx)})


def _write_states(model: "TextModel", text: "LongText", path: Path) -> None:
    """Hidden states and their symbols, as a file of NumPy."""
    import numpy as np

    from elman.training.files import write_atomically

    assert model.symbols is not None
    layers = {f"layer{number}": layer.numpy() for number, layer in enumerate(model.states(text), 1)}
    symbols = np.array([model.symbols.symbols[number] for number in model.symbols.encode_long(text).tolist()])
    file = io.BytesIO()
    np.savez(file, symbols=symbols, **layers)  # type: ignore[arg-type]
    write_atomically(path, file.getvalue())


def _read(files: list[Path] | None, example: str | None) -> "Reading":
    from elman.data import LongText, Reading, builtin_text, read_text

    return read_text(files) if files else Reading(LongText(builtin_text(example or "manual")))


def _facts(model: "TextModel", reading: "Reading", example: str | None) -> list[tuple[str, str]]:
    """What `fit` says before the first epoch."""
    from elman.data import EXAMPLES

    count = len(reading.files)
    source = f"{count} file{'s'[: count > 1]}" if count else EXAMPLES[example or "manual"]
    facts = [("text", f"{len(reading.text):,} characters: {source}")]
    if reading.skipped:
        facts.append(("", f"{len(reading.skipped)} files left out that are empty, binary or not UTF-8"))
    learned, kept = (model.about[name] for name in ("characters", "characters for validation"))
    facts.append(("", f"{learned:,} to learn from, {kept:,} to check with"))
    if model.start is not None:
        facts.append(("begins with", model.start))
    return [*facts, ("symbols", f"{len(model.symbols or ()):,}")]


def _told(score: "Score", unit: str) -> list[str]:
    """The figures one a line, with their intervals of 95 %, and what must be said of them."""
    from elman.tasks.text.model import NAMED

    name_of_unit = NAMED[unit]

    def line(figure: float, name: str, interval: tuple[float, float] | None = None) -> str:
        return f"{figure:12.4f}  {name}" + (f", {interval[0]:.4f} to {interval[1]:.4f}" if interval else "")

    lines = [
        line(score.bits_per_character, "bits per character", score.interval),
        line(score.baseline, f"by an n-gram of order {score.order} in its place"),
        line(score.gain, "saved by the model", score.gain_interval),
        line(score.perplexity, f"perplexity per {name_of_unit}"),
        f"{score.units:12,}  {name_of_unit}s foreseen",
        *([] if unit == "char" else [f"{score.characters:12,}  characters in them"]),
        f"{score.unknown:12,}  characters that the model does not know",
    ]
    return lines if score.warning is None else [*lines, score.warning]
