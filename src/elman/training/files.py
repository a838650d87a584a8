"""Files that are never half written: tensors with a JSON header in one safetensors file, replaced in one step."""

import io
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from elman.errors import ArgumentError, DataError

HEADER = "elman"
BESIDE = (".csv", ".png", ".html")  # what every training leaves beside its model file


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file beside its place and move it there, so that at any moment the old or the new one stands there.

    Raises:
        DataError: the file cannot be written.
    """
    part = part_of(path)
    with _said_of(path):
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except OSError:
            part.unlink(missing_ok=True)
            raise


def write_picture(figure: Any, path: Path) -> None:
    """Write a figure of matplotlib as a PNG file.

    Raises:
        DataError: the file cannot be written.
    """
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_atomically(path, picture.getvalue())


def write_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write tensors, and a header of plain values, as one safetensors file.

    Raises:
        DataError: the file cannot be written.
    """
    plain = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    write_atomically(path, safetensors.torch.save(plain, {HEADER: json.dumps(header, ensure_ascii=False)}))


def read_tensors(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the header of a file of ours.

    Args:
        path: the file.
        kind: what the header must call itself in `format`, for example "elman model".

    Raises:
        DataError: the file is missing, truncated, or not one of ours.
    """
    if not path.is_file():
        raise DataError(f"{path}: expected an {kind} file, found {'a folder' if path.is_dir() else 'no file'}.")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(HEADER, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"{path}: expected an {kind} file, got {_what_it_is(path)} ({error}).") from None
    if not isinstance(header, dict) or header.get("format") != kind:
        other = header.get("format") if isinstance(header, dict) else None
        raise DataError(f"{path}: expected an {kind} file, got {other or 'a safetensors file of another program'}.")
    return tensors, header


def part_of(path: Path) -> Path:
    """Where a file is written before it is moved to its place."""
    return path.with_name(f".{path.name}.part")


def beside(model: Path, ending: str) -> Path:
    """The file of another kind that belongs to a model file: model.csv beside model.elman."""
    return model.with_suffix(ending) if model.suffix == ".elman" else model.with_name(model.name + ending)


def check_output(path: Path, endings: Iterable[str] = ()) -> None:
    """Raise unless a model file can be written at `path`, and beside it what every training leaves, and `endings`.

    What an interrupted write left there is removed.

    Raises:
        DataError: the folder is missing, is no folder, or cannot be written.
        ArgumentError: one of the names is that of something else than a file, or `path` has the ending of another one.
    """
    if path.suffix in BESIDE:
        raise ArgumentError(f"{path}: expected the name of a model file, for example model.elman.")
    for name in (path, *(beside(path, ending) for ending in (*BESIDE, *endings))):
        if name.exists() and not name.is_file():
            raise ArgumentError(f"{name}: expected a name to write a file at, got a folder or a device.")
    folder = path.parent
    if not folder.is_dir():
        got = "a file" if folder.exists() else "nothing there"
        raise DataError(f"{path}: expected the folder {folder}/ to exist, got {got}: create it first.")
    part = part_of(path)
    with _said_of(path):
        part.write_bytes(b"")
        part.unlink(missing_ok=True)


def check_apart(model: Path, sources: Iterable[Path], endings: Iterable[str] = ()) -> None:
    """Raise ArgumentError where training would write over, or into, what it reads."""
    written = {beside(model, ending).resolve() for ending in (*BESIDE, *endings)} | {model.resolve()}
    for source in sources:
        if source.resolve() in written:
            raise ArgumentError(
                f"{source} is read and would be written over by {model.name} or what comes beside it: give the model "
                "another name."
            )
        if source.is_dir() and model.resolve().is_relative_to(source.resolve()):
            raise ArgumentError(
                f"{source}/ is read, so {model} cannot stand in it: its history would be read next time."
            )


@contextmanager
def _said_of(path: Path) -> Iterator[None]:
    """A failure of the operating system as a DataError that names the file."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}.") from None


def _what_it_is(path: Path) -> str:
    """What a file that is not ours looks like from its first bytes."""
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(b"PK"):
        return "a zip archive (a pickle of torch.save, perhaps: elman never reads pickles)"
    if start.startswith(b"\x80"):
        return "a pickle (which elman never reads)"
    if not start:
        return "an empty file"
    if start[8:9] == b"{":
        return "a truncated or damaged one"
    return "a file of another kind"
