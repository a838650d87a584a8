"""Tables from wherever they come: files, standard input, frames of polars and pandas, plain Python."""

import io
import json
import sys
import zlib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elman.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from polars import DataFrame, Series

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".json": "json",
    ".parquet": "parquet",
}
KINDS = "a file (.csv, .tsv, .jsonl, .json, .parquet; .gz of these), - for standard input, or a frame"


def read_table(source: Any, as_text: bool = False) -> "DataFrame":
    """A table of whatever holds one.

    Args:
        source: a Path of a .csv, .tsv, .jsonl, .json or .parquet file (also with .gz behind it), Path("-") for CSV, TSV
            or JSON lines on standard input, a frame of polars or pandas, a dict of columns, or a list of dicts.
        as_text: leave the fields of CSV and TSV as they are written, 007 and 1.50, in place of making numbers of them.

    Raises:
        DataError: the file is missing, empty, of another kind, or damaged; what is wrong is told with the line where
            the reader knows it.
        ArgumentError: a source of another kind.
    """
    import polars

    if isinstance(source, polars.DataFrame):
        frame = source
    elif isinstance(source, polars.LazyFrame):
        frame = source.collect()
    elif isinstance(source, Path):
        frame = _read(source, as_text)
    elif hasattr(source, "to_dict") and hasattr(source, "columns"):  # pandas, which elman does not need
        frame = polars.DataFrame({str(name): source[name].to_list() for name in source.columns}, strict=False)
    elif isinstance(source, Mapping) or (isinstance(source, list) and source and isinstance(source[0], Mapping)):
        frame = _of_python(source)
    else:
        hint = f"; to read a file, give Path({source!r})" if isinstance(source, str) else ""
        raise ArgumentError(f"expected {KINDS}, got {type(source).__name__}{hint}.")
    if not frame.width or not frame.height:
        raise DataError(f"{_named(source)}: expected a table with a header and rows, got {frame.height} rows.")
    return frame


def column(frame: "DataFrame", name: str, what: str) -> "Series":
    """A column by name.

    Args:
        frame: the table.
        name: of the column.
        what: what it is for, for the message: "the label".

    Raises:
        DataError: there is none; the nearest name is told.
    """
    if name in frame.columns:
        return frame[name]
    close = get_close_matches(name.lower(), {each.lower(): each for each in frame.columns}, n=1, cutoff=0.5)
    meant = next((each for each in frame.columns if close and each.lower() == close[0]), None)
    hint = f"did you mean {meant!r}?" if meant else f"there are {', '.join(map(repr, frame.columns[:12]))}."
    raise DataError(f"expected a column {name!r} for {what}: {hint}")


def _read(path: Path, as_text: bool) -> "DataFrame":
    import polars

    name, data = str(path), b""
    if name == "-":
        data, kind = sys.stdin.buffer.read(), None
    else:
        if not path.is_file():
            raise DataError(f"{path}: expected a file, found {'a folder' if path.is_dir() else 'nothing'}.")
        inner = path.with_suffix("") if path.suffix == ".gz" else path
        kind = FORMATS.get(inner.suffix.lower())
        if kind is None:
            raise DataError(f"{path}: expected {', '.join(FORMATS)}, got {inner.suffix or 'no ending'}.")
        data = _unpacked(path)
    if not data.strip():
        raise DataError(f"{name}: expected a table, got an empty file.")
    kind = _guessed(data) if kind is None else kind
    if kind != "parquet":
        _check_text(name, data)
    try:
        match kind:
            case "csv" | "tsv":
                tab = "\t" if kind == "tsv" else ","
                return polars.read_csv(
                    io.BytesIO(data), separator=tab, infer_schema=not as_text, infer_schema_length=None
                )
            case "lines" | "json":
                read = polars.read_ndjson if kind == "lines" else polars.read_json
                frame = read(io.BytesIO(data), infer_schema_length=None)
                _check_kinds(name, frame, data, kind)
                return frame
        return polars.read_parquet(io.BytesIO(data))
    except (polars.exceptions.PolarsError, ValueError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise DataError(f"{name}: expected a whole {kind} table, got one that cannot be read: {first}") from None


def _check_kinds(name: str, frame: "DataFrame", data: bytes, kind: str) -> None:
    """Raise where a column holds both texts and lists, of which polars makes texts that look like JSON."""
    import polars

    written = [each for each in frame.columns if frame[each].dtype == polars.String]
    doubtful = [each for each in written if frame[each].str.contains(r"^\s*[\[{]").any()]
    if not doubtful:
        return
    rows = [json.loads(line) for line in data.splitlines() if line.strip()] if kind == "lines" else json.loads(data)
    for number, row in enumerate(rows):
        for each in doubtful:
            if isinstance(row.get(each), list | dict):
                raise DataError(
                    f"{name}: the column {each!r} holds texts, but row {number} has {row[each]!r}: one kind."
                )


def _unpacked(path: Path) -> bytes:
    import gzip

    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}.") from None


def _check_text(name: str, data: bytes) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{name}: expected UTF-8, got another encoding: byte {data[error.start]:#04x} in line {line}. "
            "Convert it, for example by iconv -f latin1 -t utf-8."
        ) from None


def _guessed(data: bytes) -> str:
    """The kind of what comes without a name."""
    start = data.lstrip()[:1]
    if start == b"{":
        return "lines"
    if start == b"[":
        return "json"
    first = data.split(b"\n", 1)[0]
    return "tsv" if first.count(b"\t") > first.count(b",") else "csv"


def _of_python(source: Any) -> "DataFrame":
    import polars

    if isinstance(source, dict):  # polars takes the kind of the first entry, and 55.5 for no whole number
        source = {name: _as_floats(values) for name, values in source.items()}
    try:
        return polars.DataFrame(source, infer_schema_length=None)
    except (polars.exceptions.PolarsError, TypeError, ValueError) as error:
        raise DataError(f"expected columns of one length and one kind each: {str(error).splitlines()[0]}") from None


def _as_floats(values: Any) -> Any:
    """A list of whole and broken numbers as broken ones; all else as it is."""
    kinds = {type(value) for value in values} if isinstance(values, list | tuple) else set()
    mixed = {int, float} <= kinds <= {int, float, type(None)}
    return [None if value is None else float(value) for value in values] if mixed else values


def _named(source: Any) -> str:
    return str(source) if isinstance(source, Path) else type(source).__name__


def texts(values: "Series") -> Sequence[str]:
    """A column as text: what is no text as polars writes it, an empty text where there is nothing.

    Raises:
        DataError: the column holds lists, or bytes.
    """
    import polars

    if values.dtype.is_nested() or values.dtype == polars.Binary:
        raise DataError(f"the column {values.name!r}: expected single values, got {values.dtype}.")
    return values.cast(polars.String, strict=False).fill_null("").to_list()
