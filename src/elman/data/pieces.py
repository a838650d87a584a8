"""Pieces: sequences of frames [T, I], one after the other in time, from MIDI files, arrays and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from elman.errors import DataError

from .midi import ENDINGS, Keyboard, read_midi
from .table import column, read_table

if TYPE_CHECKING:
    from polars import DataFrame, Series

ARRAYS = (".npy", ".npz")


@dataclass(frozen=True, eq=False)
class Pieces:
    """Sequences of frames.

    Attributes:
        rows: [T, I] each, float64.
        names: of the pieces.
        channels: names of the numbers of a frame.
        keyboard: what the channels mean, where they come from MIDI files or from lists of notes.
        tempo: beats a minute of the first MIDI file, or None.
        named: whether the channels are columns of a table, and so have names of their own.
        left_out: what was left out, in words.
    """

    rows: tuple[Tensor, ...]
    names: tuple[str, ...]
    channels: tuple[str, ...]
    keyboard: Keyboard | None = None
    tempo: float | None = None
    named: bool = False
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class PieceColumns:
    """Which columns of a table are read.

    Attributes:
        input: a column of lists of frames, or None to find it.
        channels: columns with one number a step, in place of `input`; none to find them.
        id: the column that says which piece a step belongs to, or None where all steps are one piece.
        notes: whether `input` holds, for each step, the numbers of the keys that sound (60 is middle C).
    """

    input: str | None = None
    channels: tuple[str, ...] = ()
    id: str | None = None
    notes: bool = False


def read_pieces(source: Any, keyboard: Keyboard, columns: PieceColumns | None = None) -> Pieces:
    """Pieces of whatever holds some.

    Args:
        source: a Path of a MIDI file, of a folder of them (and of folders in it), of a .npy file [T, I] or [N, T, I],
            of a .npz file of arrays [T, I]; several Paths; an array or tensor, or a list of them; or what
            `read_table` takes: a row for each piece with a column of lists of frames, or a row for each step with a
            column for each channel.
        keyboard: how notes are cut into frames.
        columns: which columns of a table are read.

    Raises:
        DataError: what is there cannot be read, is empty, or has numbers that are missing or infinite.
        ArgumentError: a source of another kind.
    """
    columns = columns or PieceColumns()
    if isinstance(source, list | tuple) and source and all(isinstance(each, Path) for each in source):
        found = [_of_path(path, keyboard, columns) for path in source]
        pieces = found[0] if len(found) == 1 else _together(found, source)
    elif isinstance(source, Path):
        pieces = _of_path(source, keyboard, columns)
    elif isinstance(source, np.ndarray | Tensor):
        pieces = _of_arrays({"data": source})
    elif isinstance(source, list | tuple) and source and not isinstance(source[0], Mapping):
        pieces = _of_arrays({str(number): each for number, each in enumerate(source)})
    else:
        pieces = _of_table(read_table(source), keyboard, columns)
    if not any(len(row) for row in pieces.rows):
        raise DataError(f"{_named(source)}: expected pieces with steps, got {len(pieces.rows)} empty ones.")
    return pieces


def paths_of(source: Any) -> list[Path]:
    """The files that `read_pieces` reads of a source."""
    paths = source if isinstance(source, list | tuple) else [source]
    return [file for path in paths if isinstance(path, Path) for file in (_midi_in(path) if path.is_dir() else [path])]


def _of_path(path: Path, keyboard: Keyboard, columns: PieceColumns) -> Pieces:
    if path.is_dir():
        files = _midi_in(path)
        if not files:
            raise DataError(f"{path}: expected a folder with MIDI files ({', '.join(ENDINGS)}), found none.")
        return _of_midi(files, keyboard)
    if path.suffix.lower() in ENDINGS:
        return _of_midi([path], keyboard)
    if path.suffix.lower() in ARRAYS:
        return _of_arrays(_arrays(path))
    return _of_table(read_table(path), keyboard, columns)


def _midi_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())


def _of_midi(files: Sequence[Path], keyboard: Keyboard) -> Pieces:
    found = [read_midi(file, keyboard) for file in files]
    outside, drums = sum(piece.outside for piece in found), sum(piece.drums for piece in found)
    told = {
        f"notes outside the keys {keyboard.lowest} to {keyboard.highest}": outside,
        "notes of drums": drums,
    }
    return Pieces(
        tuple(piece.frames.double() for piece in found),
        tuple(file.stem for file in files),
        keyboard.channels,
        keyboard,
        found[0].tempo,
        left_out=tuple(f"{count:,} {what}" for what, count in told.items() if count),
    )


def _arrays(path: Path) -> dict[str, Any]:
    """The arrays of a file, those that need pickle refused."""
    if not path.is_file():
        raise DataError(f"{path}: expected a file, found nothing.")
    try:
        found = np.load(path, allow_pickle=False)
        return {path.stem: found} if isinstance(found, np.ndarray) else {name: found[name] for name in found.files}
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: expected arrays of numbers, got a file that cannot be read: {error}.") from None


def _of_arrays(arrays: Mapping[str, Any]) -> Pieces:
    rows: list[Tensor] = []
    names: list[str] = []
    for name, array in arrays.items():
        try:
            values = torch.as_tensor(np.asarray(array), dtype=torch.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"the piece {name!r}: expected numbers [T, I]: {error}.") from None
        if values.dim() not in (2, 3):
            raise DataError(
                f"the piece {name!r}: expected frames [T, I] or pieces [N, T, I], got {list(values.shape)}."
            )
        parts = [values] if values.dim() == 2 else list(values)
        rows += parts
        names += [name] if values.dim() == 2 else [f"{name} {number}" for number in range(len(parts))]
    size = next((row.size(1) for row in rows if row.numel()), 0)
    return _checked(rows, names, tuple(str(number) for number in range(size)))


def _of_table(frame: "DataFrame", keyboard: Keyboard, columns: PieceColumns) -> Pieces:
    nested = [name for name in frame.columns if frame[name].dtype.is_nested()]
    if columns.input is None and (columns.channels or not nested):
        return _of_steps(frame, columns)
    if columns.input is None and len(nested) > 1:
        raise DataError(f"expected to be told which column is read (input): there are {', '.join(map(repr, nested))}.")
    values = column(frame, columns.input or nested[0], "the frames")
    names = _ids(frame, columns.id) if columns.id else [str(number) for number in range(len(values))]
    if columns.notes:
        return _of_notes(values, names, keyboard)
    rows = [_lists(value, values.name, number) for number, value in enumerate(values.to_list())]
    size = next((row.size(1) for row in rows if row.numel()), 0)
    return _checked(rows, names, tuple(str(number) for number in range(size)), f"the column {values.name!r}, ")


def _of_steps(frame: "DataFrame", columns: PieceColumns) -> Pieces:
    """A table with a row for each step."""
    import polars

    ids = _ids(frame, columns.id) if columns.id else ["all"] * frame.height
    numeric = [name for name in frame.columns if frame[name].dtype.is_numeric() or frame[name].dtype == polars.Boolean]
    names = columns.channels or tuple(name for name in numeric if name != columns.id)
    others = [name for name in frame.columns if name not in (*names, columns.id)]
    if not columns.channels and (others or not names):
        raise DataError(
            f"expected a column of lists of frames, or columns of numbers alone, got {', '.join(map(repr, others))}: "
            "name the channels, and the id of the pieces."
        )
    found = [column(frame, name, "a channel") for name in names]
    wrong = next((each for each in found if each.name not in numeric), None)
    if wrong is not None:
        raise DataError(f"the column {wrong.name!r}: expected numbers, got {wrong.dtype}, {wrong[0]!r} in row 0.")
    steps = torch.stack([torch.from_numpy(each.cast(polars.Float64).to_numpy().copy()) for each in found], 1)
    places: dict[str, list[int]] = {}
    for row, name in enumerate(ids):
        places.setdefault(name, []).append(row)
    return replace(_checked([steps[rows] for rows in places.values()], list(places), tuple(names)), named=True)


def _ids(frame: "DataFrame", name: str) -> list[str]:
    """Which piece each row belongs to."""
    ids = column(frame, name, "the pieces")
    if ids.null_count():
        raise DataError(f"the column {name!r}, row {ids.is_null().arg_max()}: expected an id, got nothing.")
    return [str(each) for each in ids]


def _lists(value: Any, name: str, number: int) -> Tensor:
    where = f"the column {name!r}, row {number}"
    try:
        row = torch.tensor([] if value is None else value, dtype=torch.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{where}: expected frames, each a list of as many numbers (or, with kind notes, of the keys that sound): "
            f"{error}."
        ) from None
    if not row.numel():
        return row.reshape(0, 0)
    if row.dim() > 2:
        raise DataError(f"{where}: expected frames [T, I], got axes {list(row.shape)}.")
    return row.unsqueeze(1) if row.dim() == 1 else row


def _of_notes(values: "Series", names: Sequence[str], keyboard: Keyboard) -> Pieces:
    """Rows of lists of the keys that sound at each step."""
    keyboard, rows, outside = replace(keyboard, attacks=False), [], 0
    for number, value in enumerate(values.to_list()):
        row = torch.zeros(len(value or ()), keyboard.keys, dtype=torch.float64)
        for step, keys in enumerate(value or ()):
            for key in keys if isinstance(keys, list) else [keys]:
                if not isinstance(key, int) or not 0 <= key <= 127:
                    raise DataError(
                        f"the column {values.name!r}, row {number}, step {step}: expected numbers of keys, 0 to 127, "
                        f"got {key!r}."
                    )
                if keyboard.lowest <= key <= keyboard.highest:
                    row[step, key - keyboard.lowest] = 1
                else:
                    outside += 1
        rows.append(row)
    told = (f"{outside:,} notes outside the keys {keyboard.lowest} to {keyboard.highest}",) if outside else ()
    return Pieces(tuple(rows), tuple(names), keyboard.channels, keyboard, left_out=told)


def _checked(rows: Sequence[Tensor], names: Sequence[str], channels: tuple[str, ...], where: str = "") -> Pieces:
    """Pieces whose frames have one size, all their numbers finite."""
    for name, row in zip(names, rows, strict=True):
        if row.numel() and row.size(1) != len(channels):
            raise DataError(f"{where}the piece {name!r}: expected {len(channels)} numbers a frame, got {row.size(1)}.")
        if not torch.isfinite(row).all():
            step, channel = (~torch.isfinite(row)).nonzero()[0].tolist()
            raise DataError(
                f"{where}the piece {name!r}, step {step}, channel {channels[channel]!r}: expected a number, got "
                f"{row[step, channel].item()}."
            )
    sized = [row if row.numel() else row.new_zeros(0, len(channels)) for row in rows]
    return Pieces(tuple(sized), tuple(names), channels)


def _together(found: Sequence[Pieces], sources: Sequence[Path]) -> Pieces:
    """All pieces of several files."""
    for pieces, source in zip(found, sources, strict=True):
        if pieces.channels != found[0].channels:
            raise DataError(
                f"{source}: expected the {len(found[0].channels)} channels of {sources[0]}, got {len(pieces.channels)}"
                f" ({', '.join(pieces.channels[:4])} ...)."
            )
    return replace(
        found[0],
        rows=tuple(row for pieces in found for row in pieces.rows),
        names=tuple(name for pieces in found for name in pieces.names),
        left_out=tuple(told for pieces in found for told in pieces.left_out),
    )


def _named(source: Any) -> str:
    return str(source) if isinstance(source, Path) else type(source).__name__
