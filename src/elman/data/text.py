"""Text from files, folders and standard input: UTF-8 only, and an error that names the file and the byte."""

import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from elman.errors import ArgumentError, DataError, SetupError

BYTE_ORDER_MARK = "\ufeff"
STANDARD_INPUT = Path("-")
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

    text: str
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
        text = read_file(file)
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
        paths: files, which must be UTF-8 text; folders, of which hidden and binary files are left out; - for standard
            input.

    Raises:
        DataError: a file is missing, empty or not UTF-8 text, or a folder holds no text.
    """
    texts, files, skipped = [], [], []
    for path in paths:
        found, left = _files_of(path)
        skipped += left
        for file, text in found:
            files.append(file)
            texts.append(text)
    ended = [text if text.endswith("\n") else text + "\n" for text in texts[:-1]]
    return Reading("".join(ended + texts[-1:]), tuple(files), tuple(skipped))


def read_file(path: Path) -> str:
    """One UTF-8 file, without its byte order mark, every line ending (CRLF, CR) made a newline.

    Raises:
        DataError: the file is missing, empty, binary, or not UTF-8.
    """
    data = _bytes_of(path)
    if not data:
        raise DataError(f"{path}: expected text, got an empty file.")
    zero = data.find(b"\0")
    if zero >= 0:
        raise DataError(f"{path}: expected text, got a binary file (a zero byte at offset {zero:,}).")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: expected UTF-8, got byte 0x{data[error.start]:02x} at offset {error.start:,} ({error.reason}): "
            "convert the file first, for example with `iconv -f latin1 -t utf-8`."
        ) from None
    return text.removeprefix(BYTE_ORDER_MARK).replace("\r\n", "\n").replace("\r", "\n")


def _bytes_of(path: Path) -> bytes:
    if path == STANDARD_INPUT:
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected a file that can be read: {error.strerror}.") from None


def _files_of(path: Path) -> tuple[list[tuple[Path, str]], list[Path]]:
    """The text files at or below a path, and the files below it that hold no text."""
    if not path.is_dir():
        return [(path, read_file(path))], []
    found, skipped = [], []
    for file in sorted(path.rglob("*")):
        if not file.is_file() or any(part.startswith(".") for part in file.relative_to(path).parts):
            continue
        try:
            found.append((file, read_file(file)))
        except DataError:
            skipped.append(file)
    if not found:
        raise DataError(
            f"{path}: expected a folder with UTF-8 text files, found none "
            f"({len(skipped)} files that are empty, binary or not UTF-8)."
        )
    return found, skipped
