"""The command line: `elman <job> ...`; every body is a few lines over the public face."""

import io
import sys
import warnings
from typing import Annotated, TextIO

import typer

from elman.errors import ElmanError
from elman.version import __version__

from . import cells, classify, describe, doctor, forecast, info, music, show, tag, text, translate, tune

MANUAL = """
Recurrent networks: written as one step, read once, unfolded through time, trained, looked at.

Train a language model on text, have it write, measure it:

\b
    elman text fit book.txt --out book.elman
    elman text sample book.elman --prompt "Once upon" --length 400
    elman text score book.elman other.txt

Learn the label of a sequence, say it, measure how well:

\b
    elman classify fit names.csv --input name --label country --out languages.elman
    elman classify predict languages.elman --text "Müller"
    elman classify score languages.elman test.csv

Learn a label for every step of a sequence:

\b
    elman tag fit commands.jsonl --input tokens --tags slots --crf --out slots.elman
    elman tag predict slots.elman --text "fly me to Rome"

Learn to write one sequence from another:

\b
    elman translate fit words.csv --input word --output sound --out sounds.elman
    elman translate predict sounds.elman --text through

Learn to write a sentence for numbers, attributes or small images:

\b
    elman describe fit acts.jsonl --input attributes --output sentence --out acts.elman
    elman describe predict acts.elman new.jsonl

Forecast series, with intervals; measure forecasts beside simple ones:

\b
    elman forecast fit sales.csv --time date --y sales --id store --horizon 24
    elman forecast predict model.elman --plot fan.png

Learn music, or other vectors in time; make more of it:

\b
    elman music fit chorales/ --out chorales.elman
    elman music sample chorales.elman --out new.mid

Say what a model file is:

\b
    elman info book.elman

Look for a cell, and at its paper:

\b
    elman cells
    elman cells lem

Look at what becomes of a step, stage by stage:

\b
    elman show gru --stage hoist
    elman show gru --stage c
    elman show mycell.py:MyCell --input-size 8 --hidden-size 16

Search for a faster way to cut up the kernels of a step, on this machine:

\b
    elman tune lstm --hidden-size 256 --batch 32

Every command answers to --help. Whatever goes wrong is said in one message; the exit code is then 2,
and 130 after Ctrl-C.
"""

app = typer.Typer(
    help=MANUAL,
    rich_markup_mode=None,  # a manual page, not a box of boxes
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"elman {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options that stand before any command."""


app.command("cells")(cells.cells)
app.command("doctor")(doctor.doctor)
app.add_typer(forecast.app, name="forecast")
app.add_typer(music.app, name="music")
app.add_typer(text.app, name="text")
app.add_typer(classify.app, name="classify")
app.add_typer(tag.app, name="tag")
app.add_typer(translate.app, name="translate")
app.add_typer(describe.app, name="describe")
app.command("info")(info.info)
app.command("show")(show.show)
app.command("tune")(tune.tune_cell)


def main() -> None:
    """Run the command line: an error of elman is one message on stderr and exit code 2, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character shows a question mark
    warnings.showwarning = _warn
    try:
        app(prog_name="elman")
    except (ElmanError, OSError) as error:
        _leave(error)
    except KeyboardInterrupt:
        sys.exit(130)


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Say a warning to people, and to those who mend the program where it comes from."""
    where = "" if issubclass(category, UserWarning) else f" ({filename}:{lineno})"
    typer.secho("Warning: ", fg="yellow", bold=True, err=True, nl=False)
    typer.echo(f"{message}{where}", err=True)


def _leave(error: Exception) -> None:
    """Say what went wrong and leave with exit code 2."""
    typer.secho("Error: ", fg="red", bold=True, err=True, nl=False)
    typer.echo(str(error), err=True)
    sys.exit(2)
