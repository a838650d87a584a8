"""Text from files, folders and standard input: UTF-8 only, and an error that names the file and the byte."""

import codecs
import io
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from elman.errors import ArgumentError, DataError, SetupError

from .passages import LongText
from .table import blocks

BYTE_ORDER_MARK = "\ufeff"
EXAMPLES = {
    "manual": "the reference manual that comes with Python",
    "python": "source files of Python's standard library",
}
"""The texts that are there without a file."""

SOURCES = 1_000_000  # characters of the example "python"


@dataclass(frozen=True)
class Reading:
    """What was read.

    Attributes:
        text: all files, one after the other, each begun on a new line.
        files: the files it came from, in this order.
        skipped: files of a folder that hold no UTF-8 text.
    """

    text: LongText
    files: tuple[Path, ...] = ()
    skipped: tuple[Path, ...] = ()


def builtin_text(name: str = "manual") -> str:
    """A text that is there without a file.

    Args:
        name: "manual": the topics of Python's reference manual, in alphabetical order; "python": the public modules of
            its standard library, in alphabetical order, as many as a million characters hold.

    Raises:
        ArgumentError: there is no such text.
        SetupError: this Python comes without its sources.
    """
    if name not in EXAMPLES:
        raise ArgumentError(f"expected the example to be {' or '.join(EXAMPLES)}, got {name!r}.")
    if name == "python":
        return _standard_library()
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


def _standard_library() -> str:
    folder = Path(sysconfig.get_path("stdlib"))
    found = ""
    for file in sorted(folder.glob("[a-z]*.py")):
        text = "".join(read_file(file))
        if len(found) + len(text) > SOURCES:
            break
        found += text
    if not found:
        raise SetupError(
            f"expected Python's own sources in {folder}/, found none: give a file or a folder of your own."
        )
    return found


def read_text(paths: Iterable[Path]) -> Reading:
    """Read files, and all text files below folders in the order of their names.

    Args:
        paths: files, which must be UTF-8 text (also with .gz behind it); folders, of which hidden and binary files are
            left out; - for standard input.

    Raises:
        DataError: a file is missing, empty or not UTF-8 text, or a folder holds no text.
    """
    files: list[Path] = []
    skipped: list[Path] = []
    for path in paths:
        found, left = _files_of(path)
        files += found
        skipped += left
    return Reading(LongText(_one_after_the_other(files)), tuple(files), tuple(skipped))


def read_file(path: Path) -> Iterator[str]:
    """One UTF-8 file part by part, without its byte order mark, every line ending (CRLF, CR) made a newline.

    Raises:
        DataError: the file is missing, empty, binary, or not UTF-8.
    """
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")(), translate=True)
    seen, mark = 0, BYTE_ORDER_MARK
    for data in chain(blocks(path), [b""]):
        zero = data.find(b"\0")
        if zero >= 0:
            raise DataError(f"{path}: expected text, got a binary file (a zero byte at offset {seen + zero:,}).")
        seen += len(data)
        try:
            text = decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            offset = seen - len(error.object) + error.start
            raise DataError(
                f"{path}: expected UTF-8, got byte 0x{error.object[error.start]:02x} at offset {offset:,} "
                f"({error.reason}): convert the file first, for example with `iconv -f latin1 -t utf-8`."
            ) from None
        if text:
            text, mark = text.removeprefix(mark), ""
        if text:
            yield text
    if not seen:
        raise DataError(f"{path}: expected text, got an empty file.")


def _one_after_the_other(files: Sequence[Path]) -> Iterator[str]:
    """The text of all files, each begun on a new line."""
    for number, file in enumerate(files, 1):
        end = "\n"
        for text in read_file(file):
            yield text
            end = text[-1]
        if end != "\n" and number < len(files):
            yield "\n"


def _files_of(path: Path) -> tuple[list[Path], list[Path]]:
    """The text files at or below a path, and the files below it that hold no text."""
    if not path.is_dir():
        return [path], []
    found: list[Path] = []
    skipped: list[Path] = []
    for file in sorted(path.rglob("*")):
        if not file.is_file() or any(part.startswith(".") for part in file.relative_to(path).parts):
            continue
        (found if _is_text(file) else skipped).append(file)
    if not found:
        raise DataError(
            f"{path}: expected a folder with UTF-8 text files, found none "
            f"({len(skipped)} files that are empty, binary or not UTF-8)."
        )
    return found, skipped


def _is_text(file: Path) -> bool:
    try:
        for _ in read_file(file):
            pass
    except DataError:
        return False
    return True
