"""`elman music`: learn piano rolls and other vectors in time, make new ones, measure how well they are foreseen."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from . import job

FIT = """
Learn music, or other vectors in time: how likely each frame is, given all before it.

DATA is one of these; several files of one kind may be given:

\b
    piece.mid, folder/      MIDI files; a folder is searched with all folders in it
    rolls.npz, rolls.npy    arrays [T, I] of steps and channels, each a piece; [N, T, I] for several
    table.jsonl             a row for each piece, a column of lists of frames (also .json and .parquet)
    table.csv               a row for each step, a column of numbers for each channel; --id names the pieces

\b
Without DATA the model learns 44 tunes that everybody may sing, with chords, in about two minutes.
    elman music fit                                            the tunes
    elman music fit chorales/ --out chorales.elman             a folder of MIDI files
    elman music fit song.mid --resolution 12                   triplets and sixteenths of a beat
    elman music fit jsb.json --input train --kind notes        for each step the keys that sound
    elman music fit sensors.csv --id machine                   real channels
    elman music fit chorales/ --out chorales.elman --resume    go on after a crash or Ctrl-C

\b
Channels that hold nothing but 0 and 1 are binary, all others real (--kind says otherwise).
    binary   each channel is on or off, given the past and the channels before it in its frame, so that chords are
             drawn note by note; --frame independent leaves out the latter
    real     a mixture of Gaussians (--components), in the data's own units

\b
What a MIDI file loses: loudness, pedals, changes of tempo, who plays what, and what is shorter than a step. Drums are
left out. Repeated notes are told from held ones by channels of their own (--no-attacks leaves them out).

\b
What is written, beside each other:
    model.elman          the model, one file that runs on any device
    model.csv            the figures of the training
    model.png            the learning curve
    model.html           a report: all of these on one page
    model.roll.png       a piece kept for validation, and one that the model made
    model.elman.resume   only while the training runs, or after Ctrl-C: all that --resume needs

The figure is nats per step: -log of the probability of a frame, summed over its channels, the mean over all steps.
Whole pieces are kept for validation; of a single one, its end.
"""

SAMPLE = """
Make a new piece, or go on with one.

\b
    elman music sample model.elman --out new.mid --seed 1
    elman music sample model.elman --out new.mid --steps 512 --temperature 0.8      safer
    elman music sample model.elman --out more.mid --prompt begun.mid --prompt-steps 32
    elman music sample sensors.elman --steps 100 > drawn.csv                        a column for each channel
    elman music sample model.elman --out new.mid --picture new.png

The file holds the prompt, and what follows it. Its ending says what it is: .mid, .csv or .npy.
"""

SCORE = """
Measure how well a model foresees pieces, each frame from all before it, beside what is simple.

\b
    elman music score model.elman test/
    elman music score model.elman test.npz --json

\b
    by each channel's frequency              each channel as often on as in training (real ones: mean and deviation)
    by the last step                         each channel stays as it is, or changes, as often as in training
    saved against the better of these        what the model is worth
"from" and "to" are the ends of 95 % intervals, pieces taken as drawn; there are none of a single piece.
"""

app = typer.Typer(
    help="Learn music and other vectors in time, make more of it, measure how well it is foreseen.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Data = Annotated[
    list[Path] | None,
    typer.Argument(help="MIDI files, folders of them, arrays or a table.", show_default=False, metavar="[DATA]..."),
]


@job.training(app, "music", FIT, "chorales/")
def fit(
    data: Data = None,
    out: job.Out = Path("model.elman"),
    kind: Annotated[str, typer.Option(help="binary, real, notes (lists of keys) or auto.")] = "auto",
    frame: Annotated[str, typer.Option(help="Binary channels: chained or independent.")] = "chained",
    components: Annotated[int, typer.Option(help="Real channels: Gaussians in the mixture.")] = 4,
    resolution: Annotated[int, typer.Option(help="Steps of a beat (a quarter note).")] = 4,
    lowest: Annotated[int, typer.Option(help="The lowest key; 60 is middle C.")] = 21,
    highest: Annotated[int, typer.Option(help="The highest key.")] = 108,
    attacks: Annotated[bool, typer.Option(help="MIDI: tell notes that are struck anew.")] = True,
    transpose: Annotated[
        int | None, typer.Option(help="Keys up and down, drawn in training.", show_default="5 for MIDI, else 0")
    ] = None,
    input: Annotated[str | None, typer.Option(help="The column of lists of frames.", show_default="found")] = None,
    channel: Annotated[
        list[str] | None, typer.Option(help="A column of numbers; again for each.", show_default="all")
    ] = None,
    id: Annotated[str | None, typer.Option(help="The column that names the pieces.", show_default="none")] = None,
    cell: job.Cell = "gru",
    layers: job.Layers = 1,
    hidden_size: Annotated[int, typer.Option(help="Units of each layer.")] = 128,
    dropout: Annotated[float, typer.Option(help="Share of the states' entries dropped in training.")] = 0.3,
    window: Annotated[int, typer.Option(help="Steps of a part, at most, in training.")] = 512,
    updates: Annotated[int, typer.Option(help="Least steps of the optimiser in an epoch.")] = 50,
    batch_size: Annotated[int, typer.Option(help="Parts of pieces side by side.")] = 16,
    epochs: Annotated[int, typer.Option(help="Most epochs.")] = 60,
    learning_rate: job.LearningRate = 5e-3,
    clip: job.Clip = 1.0,
    patience: job.Patience = 10,
    validation: Annotated[float, typer.Option(help="Share of the pieces kept for validation.")] = 0.1,
    validation_data: Annotated[
        list[Path] | None, typer.Option(help="Pieces to check with, in place of a share.", show_default="none")
    ] = None,
    seed: job.Seed = 0,
    *,
    run: job.Run,
) -> None:
    """Learn pieces; see FIT."""
    from elman.tasks import MusicModel

    model = run.made(MusicModel, channels=tuple(channel or ()))

    def facts() -> list[tuple[str, str]]:
        told = model.about
        named = ", ".join(map(str, data)) if data else "44 tunes with chords"
        return [
            ("data", named),
            ("", f"{told['pieces']:,} pieces, and {told['pieces for validation']:,} to check with"),
            ("frames", f"{told['steps']:,} of {told['channels']:,} {told['kind']} channels: {told['named']}"),
            *([("left out", told["left out"])] if "left out" in told else []),
        ]

    def show(console: Console) -> None:
        console.print("\n".join(job.figures_as_text(model.checked)))
        if model.found is not None and model.found.warning:
            console.print(f"Warning: {model.found.warning}", style="yellow")

    job.fit_job(
        model, data or None, out, facts, run, show=show, validation_data=validation_data or None,
        figures=lambda: {} if model.found is None else model.found.to_json(),
    )  # fmt: skip


@app.command(help=SAMPLE)
def sample(
    model: job.Model,
    out: Annotated[
        Path | None, typer.Option(help="A .mid, .csv or .npy file.", show_default="CSV on standard output")
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps to draw.")] = 256,
    temperature: Annotated[float, typer.Option(help="Above 1 bolder, below 1 safer.")] = 1.0,
    seed: Annotated[int | None, typer.Option(help="The same seed, the same piece.", show_default="any")] = None,
    prompt: Annotated[Path | None, typer.Option(help="What to go on from: its first piece.")] = None,
    prompt_steps: Annotated[int | None, typer.Option(help="Its first steps alone.", min=0, show_default="all")] = None,
    tempo: Annotated[float | None, typer.Option(help="Beats a minute.", show_default="as learned")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw it as well, .png.")] = None,
    device: job.Device = "auto",
) -> None:
    """Make a piece; see SAMPLE."""
    import torch

    from elman.tasks import MusicModel

    loaded = MusicModel.load(model, device)
    begun = None if prompt is None or prompt_steps == 0 else loaded.begun(prompt)[:prompt_steps]
    made = loaded.sample(steps, prompt=begun, temperature=temperature, seed=seed)
    whole = made if begun is None else torch.cat([begun, made])
    if out is None:
        typer.echo(loaded.as_csv(whole), nl=False)
    else:
        loaded.write(whole, out, tempo)
    if picture is not None:
        loaded.draw({str(model): whole}, picture, None if begun is None else len(begun))


@app.command(help=SCORE)
def score(
    model: job.Model,
    data: Annotated[list[Path], typer.Argument(help="As for `fit`.", metavar="DATA...")],
    as_json: job.Json = False,
    device: job.Device = "auto",
) -> None:
    """Measure a model; see SCORE."""
    from elman.tasks import MusicModel

    found = MusicModel.load(model, device).score(data)
    job.print_figures(found.to_json() if as_json else found.figures(), as_json)
    if found.warning and not as_json:
        typer.echo(f"Warning: {found.warning}")
