"""`elman text sample --interactive`: the user writes, the model goes on, in turn."""

import io
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from elman.errors import ArgumentError, ElmanError

if TYPE_CHECKING:
    from elman.tasks import TextModel

HELP = """Write a line, and the model goes on behind it; an empty line lets it go on where it is.
Each line begins a new line of the text; the model remembers all that was read and written.

  /reset             forget everything
  /temperature 0.7   above 1 bolder, below 1 safer
  /top-k 5           only the 5 likeliest symbols; /top-k off
  /top-p 0.9         only the likeliest, up to this sum; /top-p off
  /beam 5            the likeliest text that a beam finds; /beam off
  /length 200        symbols to write at a time
  /help              this
  /quit              leave; so does the end of the input
  //words            a line that begins with a slash"""


@dataclass
class Manner:
    """How the model writes.

    Attributes:
        length: symbols at a time.
        temperature, top_k, top_p, seed: as for `TextModel.choice`.
        beam: K, or None to draw.
    """

    length: int = 400
    temperature: float = 0.8
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None
    beam: int | None = None


def harmless(text: str) -> str:
    """Text without what would command a terminal; what a model has learnt may hold anything."""
    return "".join("\ufffd" if unicodedata.category(c) == "Cc" and c not in "\n\t" else c for c in text)


class Talk:
    """One text that a user and a model write in turn.

    Args:
        model: a trained one.
        manner: how it writes; commands change it.
        console: where to.
    """

    def __init__(self, model: "TextModel", manner: Manner, console: Console) -> None:
        self.model, self.manner, self.console = model, manner, console
        self.writer = model.writer(self._choice(manner))
        self.ended = True  # the text stands at the start of a line

    def run(self, prompt: str = "") -> None:
        """Read lines from standard input until it ends, or /quit."""
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")
        shown = sys.stdin.isatty()
        if shown:
            with suppress(ImportError):  # lines can be edited, and come back by the arrow keys, where it is there
                import readline  # noqa: F401
            self.console.print("/help says what can be done", style="bright_black")
        if prompt:
            self.answer(prompt)
        for line in _lines("> " if shown else ""):
            if line.strip() == "/quit":
                return
            try:
                self.take(line)
            except ElmanError as error:
                typer.secho(str(error), fg="red", err=True)

    def take(self, line: str) -> None:
        """A line of the user: a command, or text to go on behind.

        Raises:
            ArgumentError: no such command, or a number that means nothing.
        """
        if line.startswith("/") and not line.startswith("//"):
            self.command(*line[1:].split())
        else:
            self.answer(line.removeprefix("/") if line.startswith("//") else line)

    def command(self, name: str = "", *words: str) -> None:
        """Do what a command says."""
        if name == "help" and not words:
            self.console.print(HELP, markup=False)
        elif name == "reset" and not words:
            self.writer.reset()
            self.ended = True
        elif name in NUMBERS and len(words) == 1:
            self._set(name, words[0])
        else:
            raise ArgumentError(f"/{' '.join([name, *words])}: expected a command that /help lists.")

    def answer(self, line: str) -> None:
        """Read a line, and write on; Ctrl-C ends what is being written."""
        if line:
            self.writer.read(line if self.ended else "\n" + line)
            self.ended = False
        try:
            for piece in self._pieces():
                self.console.file.write(harmless(piece) if self.console.is_terminal else piece)
                self.console.file.flush()
                self.ended = piece.endswith("\n") if piece else self.ended
        except KeyboardInterrupt:
            if not sys.stdin.isatty():
                raise
        self.console.file.write("\n")
        self.console.file.flush()

    def _pieces(self) -> Iterator[str]:
        if self.manner.beam is None:
            return self.writer.write(self.manner.length)
        return iter([self.writer.search(self.manner.length, self.manner.beam)])

    def _set(self, name: str, word: str) -> None:
        """A new number in the manner, if the model can write so."""
        kind, optional = NUMBERS[name]
        try:
            value = None if optional and word == "off" else kind(word)
        except ValueError:
            raise ArgumentError(f"/{name} {word}: expected a number{' or off' * optional}.") from None
        if name in ("length", "beam") and value is not None and value < 1:
            raise ArgumentError(f"/{name} {word}: expected a number >= 1.")
        changed = Manner(**{**vars(self.manner), name.replace("-", "_"): value})
        self.writer.choice = self._choice(changed)
        self.manner = changed

    def _choice(self, manner: Manner) -> Any:
        return self.model.choice(manner.temperature, manner.top_k, manner.top_p, manner.seed)


NUMBERS: dict[str, tuple[Callable[[str], Any], bool]] = {
    "temperature": (float, False),
    "top-k": (int, True),
    "top-p": (float, True),
    "beam": (int, True),
    "length": (int, False),
}
"""The commands with a number: what it is, and whether it can be off."""


def _lines(prompt: str) -> Iterator[str]:
    while True:
        try:
            yield input(prompt)
        except EOFError:
            return
