"""Pieces: sequences of frames [T, I], one after the other in time, from MIDI files, arrays and tables."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from elman.errors import DataError

from .midi import ENDINGS, Keyboard, read_midi
from .spool import Ragged
from .table import Column, Table, column, open_table, values_of

if TYPE_CHECKING:
    from polars import DataFrame, Series

ARRAYS = (".npy", ".npz")


@dataclass(frozen=True, eq=False)
class Pieces:
    """Sequences of frames.

    Attributes:
        rows: [T, I] each, float64; they need not fit into memory.
        names: of the pieces.
        channels: names of the numbers of a frame.
        keyboard: what the channels mean, where they come from MIDI files or from lists of notes.
        tempo: beats a minute of the first MIDI file, or None.
        named: whether the channels are columns of a table, and so have names of their own.
        left_out: what was left out, in words.
    """

    rows: Sequence[Tensor]
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
        pieces = _of_paths(source, keyboard, columns)
    elif isinstance(source, Path):
        pieces = _of_paths([source], keyboard, columns)
    elif isinstance(source, np.ndarray | Tensor):
        pieces = _of_arrays({"data": source})
    elif isinstance(source, list | tuple) and source and not isinstance(source[0], Mapping):
        pieces = _of_arrays({str(number): each for number, each in enumerate(source)})
    else:
        pieces = _of_table(open_table(source), keyboard, columns)
    if not any(len(row) for row in pieces.rows):
        raise DataError(f"{_named(source)}: expected pieces with steps, got {len(pieces.rows)} empty ones.")
    return pieces


def paths_of(source: Any) -> list[Path]:
    """The files that `read_pieces` reads of a source."""
    paths = source if isinstance(source, list | tuple) else [source]
    return [file for path in paths if isinstance(path, Path) for file in _midi_in(path)]


def _of_paths(paths: Sequence[Path], keyboard: Keyboard, columns: PieceColumns) -> Pieces:
    if all(path.is_dir() or path.suffix.lower() in ENDINGS for path in paths):
        return _of_midi(paths, keyboard)
    found = [_of_path(path, keyboard, columns) for path in paths]
    return found[0] if len(found) == 1 else _together(found, paths)


def _of_path(path: Path, keyboard: Keyboard, columns: PieceColumns) -> Pieces:
    if path.is_dir() or path.suffix.lower() in ENDINGS:
        return _of_midi([path], keyboard)
    if path.suffix.lower() in ARRAYS:
        return _of_arrays(_arrays(path))
    return _of_table(open_table(path), keyboard, columns)


def _midi_in(path: Path) -> list[Path]:
    """The MIDI files of a folder, and of those in it; a file itself."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file())
    if not files:
        raise DataError(f"{path}: expected a folder with MIDI files ({', '.join(ENDINGS)}), found none.")
    return files


def _of_midi(paths: Sequence[Path], keyboard: Keyboard) -> Pieces:
    """The pieces of files and folders; of a folder those files are left out that cannot be read."""
    names, tempos, damaged = list[str](), list[float | None](), list[DataError]()
    told = {f"notes outside the keys {keyboard.lowest} to {keyboard.highest}": 0, "notes of drums": 0}

    def frames() -> Iterator[Tensor]:
        for file, inside in [(file, path.is_dir()) for path in paths for file in _midi_in(path)]:
            try:
                piece = read_midi(file, keyboard)
            except DataError as error:
                if not inside:
                    raise
                damaged.append(error)
                continue
            names.append(file.stem)
            tempos.append(piece.tempo)
            for what, count in zip(told, (piece.outside, piece.drums), strict=True):
                told[what] += count
            yield piece.frames

    rows = Ragged(frames(), torch.uint8, torch.float64)
    if not names:
        raise damaged[0]
    left_out = [f"{count:,} {what}" for what, count in told.items() if count]
    if damaged:
        left_out.append(f"{len(damaged):,} file{'s'[: len(damaged) > 1]} that cannot be read (first: {damaged[0]})")
    return Pieces(rows, tuple(names), keyboard.channels, keyboard, tempos[0], left_out=tuple(left_out))


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
    return _checked(rows, names)


def _of_table(table: Table, keyboard: Keyboard, columns: PieceColumns) -> Pieces:
    nested = [name for name, dtype in table.schema.items() if dtype.is_nested()]
    if columns.input is None and (columns.channels or not nested):
        return _of_steps(table.frame(), columns)
    if columns.input is None and len(nested) > 1:
        raise DataError(f"expected to be told which column is read (input): there are {', '.join(map(repr, nested))}.")
    values = table.column(columns.input or nested[0], "the frames")
    names = _ids(table.column(columns.id, "the pieces")) if columns.id else []
    if columns.notes:
        pieces = _of_notes(values, names, keyboard)
    else:
        rows = (_lists(value, values.name, number) for number, value in enumerate(values_of(values)))
        pieces = _checked(rows, names, where=f"the column {values.name!r}, ")
    return pieces if names else replace(pieces, names=tuple(str(number) for number in range(len(pieces.rows))))


def _of_steps(frame: "DataFrame", columns: PieceColumns) -> Pieces:
    """A table with a row for each step."""
    import polars

    ids = _ids(column(frame, columns.id, "the pieces")) if columns.id else ["all"] * frame.height
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
    found_rows = (steps[rows] for rows in places.values())
    return replace(_checked(found_rows, list(places), tuple(names)), named=True)


def _ids(values: "Column | Series") -> list[str]:
    """Which piece each row belongs to."""
    found: list[str] = []
    for value in values_of(values):
        if value is None:
            raise DataError(f"the column {values.name!r}, row {len(found)}: expected an id, got nothing.")
        found.append(sys.intern(str(value)))
    return found


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


def _of_notes(values: Column, names: Sequence[str], keyboard: Keyboard) -> Pieces:
    """Rows of lists of the keys that sound at each step."""
    keyboard, outside = replace(keyboard, attacks=False), 0

    def frames() -> Iterator[Tensor]:
        nonlocal outside
        for number, value in enumerate(values_of(values)):
            row = torch.zeros(len(value or ()), keyboard.keys)
            for step, keys in enumerate(value or ()):
                for key in keys if isinstance(keys, list) else [keys]:
                    if not isinstance(key, int) or not 0 <= key <= 127:
                        raise DataError(
                            f"the column {values.name!r}, row {number}, step {step}: expected numbers of keys, 0 to "
                            f"127, got {key!r}."
                        )
                    if keyboard.lowest <= key <= keyboard.highest:
                        row[step, key - keyboard.lowest] = 1
                    else:
                        outside += 1
            yield row

    rows = Ragged(frames(), torch.uint8, torch.float64)
    told = (f"{outside:,} notes outside the keys {keyboard.lowest} to {keyboard.highest}",) if outside else ()
    return Pieces(rows, tuple(names), keyboard.channels, keyboard, left_out=told)


def _checked(
    rows: Iterable[Tensor], names: Sequence[str] = (), channels: tuple[str, ...] = (), where: str = ""
) -> Pieces:
    """Pieces whose frames have one size, all their numbers finite; without names for pieces or channels, numbers."""

    def checked() -> Iterator[Tensor]:
        nonlocal channels
        for number, row in enumerate(rows):
            name = names[number] if names else str(number)
            if row.numel() and not channels:
                channels = tuple(str(channel) for channel in range(row.size(1)))
            if row.numel() and row.size(1) != len(channels):
                raise DataError(
                    f"{where}the piece {name!r}: expected {len(channels)} numbers a frame, got {row.size(1)}."
                )
            if not torch.isfinite(row).all():
                step, channel = (~torch.isfinite(row)).nonzero()[0].tolist()
                raise DataError(
                    f"{where}the piece {name!r}, step {step}, channel {channels[channel]!r}: expected a number, got "
                    f"{row[step, channel].item()}."
                )
            yield row if row.numel() else row.new_zeros(0, len(channels))

    found = Ragged(checked(), torch.float64)
    return Pieces(found, tuple(names), channels)


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
