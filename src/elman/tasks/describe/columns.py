"""What is described, read from the columns of a table: numbers and vectors of them, and values with a name."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from elman.data import column, read_table
from elman.errors import DataError

if TYPE_CHECKING:
    from polars import DataFrame, Series

Values = list[list[str]]
Read = Tensor | Values
"""A column: numbers [N, ...] in float64, NaN where there is none, or the values of each row, none, one or several."""

_NUMERAL = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf)", re.ASCII)
_TYPED = {".jsonl", ".ndjson", ".json", ".parquet"}  # files that tell numbers from text
_NEARLY_ALL = 0.9  # numbers among the texts of a column above which the others are taken for mistakes


class Rows(NamedTuple):
    """A table, and whether all of it is text (CSV, TSV): then numbers are known by how they are written."""

    frame: "DataFrame"
    is_text: bool = False


class Numerals(list[list[str]]):
    """Values of a column of text that are numbers, as they are written: 12.50; one in a row, or none."""


def read_rows(data: Any) -> Rows:
    """A table of what `data.read_table` takes; in plain Python an attribute may be a value here and a list there."""
    import polars

    if isinstance(data, list) and all(isinstance(row, Mapping) for row in data):
        found = [(name, part) for row in data for name, part in row.items() if isinstance(part, Mapping)]
        several = {(name, key) for name, part in found for key, value in part.items() if isinstance(value, list)}

        def alike(name: str, part: Any) -> Any:
            if not isinstance(part, Mapping):
                return part
            return {k: [v] if (name, k) in several and not isinstance(v, list) else v for k, v in part.items()}

        data = [{name: alike(name, part) for name, part in row.items()} for row in data]
    frame = read_table(data, as_text=True)
    plain = isinstance(data, Path) and not _TYPED.intersection(data.suffixes)
    return Rows(frame, plain and set(frame.dtypes) == {polars.String})


def read_columns(rows: Rows, names: Sequence[str], attributes: Sequence[str]) -> dict[str, Read]:
    """The columns that are read, by name; those within a column of attributes by the names of the attributes.

    Args:
        rows: the table.
        names: of the columns.
        attributes: columns whose numbers are names of something.

    Raises:
        DataError: a column is not there, or holds what is neither numbers nor values; a row holds nothing at all.
    """
    frame, found = rows.frame, dict[str, Read]()
    for name in names:
        values = column(frame, name, "what is read")
        parts = _fields(values)
        for part in parts:
            if part.name in found:
                raise DataError(f"expected each name once among what is read, got {part.name!r} twice: rename one.")
            as_values = part.name in attributes
            numerals = _numerals(part) if rows.is_text and not as_values else None
            found[part.name] = numerals or _read(part, as_values, whole=part is values)
    if not found:
        raise DataError(f"expected attributes in {', '.join(map(repr, names))}, got {frame.height} rows without any.")
    for row in range(frame.height):
        if not any(_is_there(read, row) for read in found.values()):
            raise DataError(f"row {row}: expected something to describe, got nothing in {', '.join(map(repr, names))}.")
    return found


def key_of(read: dict[str, Read], row: int) -> tuple[Any, ...]:
    """By which rows with the same input are known."""
    return tuple(
        each[row].numpy().tobytes() if isinstance(each, Tensor) else tuple(each[row]) for each in read.values()
    )


def numbers_of(read: Read) -> Tensor | None:
    """The numbers of a column [N, ...], also of one of text, NaN where there is none; None if some are no numbers."""
    if isinstance(read, Tensor):
        return read
    if any(not is_numeral(row) for row in read):
        return None
    return torch.tensor([float(row[0]) if row else float("nan") for row in read], dtype=torch.float64)


def is_numeral(values: Sequence[str]) -> bool:
    """Whether the values of a row are one number as text, or none."""
    return not values or (len(values) == 1 and _NUMERAL.fullmatch(values[0]) is not None)


def spelled(read: Read, row: int, plain: bool) -> list[str]:
    """The number of a row as it is written, or in a `plain` way; nothing where there is none."""
    if not isinstance(read, Tensor):
        return [written(float(text)) for text in read[row]] if plain else read[row]
    number = float(read[row])
    return [written(number)] if number == number else []


def written(number: float) -> str:
    """A number as it would be written in a sentence: 25, 0.5."""
    return f"{number:.15g}"


def _fields(values: "Series") -> list["Series"]:
    """The column itself, or what a column of attributes holds."""
    import polars

    if values.dtype != polars.Struct:
        return [values]
    frame = values.struct.unnest()
    return [frame[name] for name in frame.columns if frame[name].dtype != polars.Null]


def _is_there(read: Read, row: int) -> bool:
    return not bool(read[row].isnan().all()) if isinstance(read, Tensor) else bool(read[row])


def _read(values: "Series", as_values: bool, whole: bool) -> Read:
    """One column; `whole` if it is a column of the table and no field of one."""
    import polars

    kind: Any = values.dtype
    if kind in (polars.List, polars.Array):
        inner = kind
        while inner in (polars.List, polars.Array):
            inner = inner.inner
        if inner.is_numeric() and not as_values:
            return _vectors(values)
        if kind.inner in (polars.List, polars.Array, polars.Struct, polars.Binary):
            raise DataError(
                f"the column {values.name!r}: expected numbers, lists of them, or values, got {values.dtype}."
            )
        return [[text for text in map(_text, row or ()) if text] for row in values.to_list()]
    if kind in (polars.Struct, polars.Binary, polars.Object):
        raise DataError(f"the column {values.name!r}: expected numbers or values, got {values.dtype}.")
    if kind.is_numeric() and not as_values:
        numbers = torch.tensor(values.cast(polars.Float64).fill_null(float("nan")).to_list(), dtype=torch.float64)
        return _finite(values, numbers)
    if whole and kind == polars.String and not as_values:
        _check_mixed(values)
    return [_listed(_text(value)) for value in values.to_list()]


def _numerals(values: "Series") -> Numerals | None:
    """A column of text as numbers that know how they are written; None if there are others, or none at all."""
    found = Numerals([text] if text not in ("", "NaN") else [] for text in map(_text, values.to_list()))
    numbers = numbers_of(found) if any(found) else None
    if numbers is None:
        return None
    _finite(values, numbers)
    return found


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return written(value) if isinstance(value, int | float) else str(value).strip()


def _listed(text: str) -> list[str]:
    """One value, or those of a list that polars has left as JSON where only some rows have lists."""
    if text.startswith('["') and text.endswith('"]'):
        try:
            return [str(part) for part in json.loads(text)]
        except json.JSONDecodeError:
            return [text]
    return [text] if text else []


def _vectors(values: "Series") -> Tensor:
    """Rows [I], [H, W] or [H, W, C] of one size."""
    rows = values.to_list()
    found = []
    for number, row in enumerate(rows):
        try:
            found.append(torch.tensor(row, dtype=torch.float64))
        except (TypeError, ValueError, RuntimeError):
            raise DataError(
                f"the column {values.name!r}, row {number}: expected a vector, or an image as a list of rows, without "
                f"gaps, got {str(row)[:60]}."
            ) from None
        if found[-1].shape != found[0].shape or not found[0].numel():
            raise DataError(
                f"the column {values.name!r}, row {number}: expected numbers {list(found[0].shape)} as in row 0, "
                f"got {list(found[-1].shape)}."
            )
    if found[0].dim() > 3:
        raise DataError(f"the column {values.name!r}: expected vectors or images, got axes {list(found[0].shape)}.")
    return _finite(values, torch.stack(found), gaps=False)


def _finite(values: "Series", numbers: Tensor, gaps: bool = True) -> Tensor:
    """The numbers, if each of them is one; NaN stands for one that is missing where there may be gaps."""
    bad = numbers.isinf() if gaps else ~numbers.isfinite()
    if bad.any():
        row = int(bad.flatten(1).any(1).nonzero()[0]) if numbers.dim() > 1 else int(bad.nonzero()[0])
        raise DataError(f"the column {values.name!r}, row {row}: expected finite numbers, got {str(values[row])[:60]}.")
    return numbers


def _check_mixed(values: "Series") -> None:
    """Raise where nearly all texts are numbers: the others are likelier mistakes than names."""
    import polars

    there = values.fill_null("").str.strip_chars() != ""
    numbers = values.str.strip_chars().cast(polars.Float64, strict=False).is_not_null()
    odd = (there & ~numbers).arg_true()
    if len(odd) and len(odd) <= (1 - _NEARLY_ALL) * int(there.sum()):
        raise DataError(
            f"the column {values.name!r}, row {odd[0]}: expected a number as in nearly all rows, got "
            f"{values[odd[0]]!r}: mend it, or name the column in attributes (--attribute) if its numbers are names."
        )
