"""Tables from wherever they come: files, standard input, frames of polars and pandas, plain Python."""

import codecs
import glob
import gzip
import json
import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from elman.errors import ArgumentError, DataError

from .spool import Texts, temporary, writing

if TYPE_CHECKING:
    from polars import DataFrame, LazyFrame, Series

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".json": "json",
    ".parquet": "parquet",
}
STANDARD_INPUT = Path("-")
BLOCK = 1 << 20  # bytes that are read at once
ROWS = 10_000  # of a part
KINDS = "a file (.csv, .tsv, .jsonl, .json, .parquet; .gz of these), - for standard input, or a frame"


@dataclass(frozen=True, eq=False)
class Table:
    """A table that is read part by part, as often as it is asked, and need not fit into memory.

    Attributes:
        name: of the file, for messages.
        lazy: what polars will read.
        copy: the temporary file that is read, if it is one; it lives as long as the table.
    """

    name: str
    lazy: "LazyFrame"
    copy: "IO[bytes] | None" = None

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The kind of each column."""
        with _told(self.name):
            return dict(self.lazy.collect_schema())

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.schema)

    def column(self, name: str, what: str) -> "Column":
        """A column by name; see `column`."""
        return Column(name_of(self.columns, name, what), self)

    def parts(self, *names: str) -> "Iterator[DataFrame]":
        """Frames of some rows each, in order, with the columns of these names; with all if none is named.

        Raises:
            DataError: the file is damaged.
        """
        with _told(self.name):
            yield from (self.lazy.select(names) if names else self.lazy).collect_batches(chunk_size=ROWS)

    def row(self, number: int) -> dict[str, Any]:
        """One row, by the names of the columns."""
        with _told(self.name):
            return self.lazy.slice(number, 1).collect().row(0, named=True)

    def frame(self) -> "DataFrame":
        """The whole table."""
        with _told(self.name):
            return self.lazy.collect()


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a table.

    Attributes:
        name: of the column.
        table: whose it is.
    """

    name: str
    table: Table

    @property
    def dtype(self) -> Any:
        """The kind of its values."""
        return self.table.schema[self.name]

    def parts(self) -> "Iterator[Series]":
        """The values, some rows after the other."""
        return (part[self.name] for part in self.table.parts(self.name))


def open_table(source: Any, as_text: bool = False) -> Table:
    """A table of whatever holds one, to be read part by part.

    A .json file and pandas are read whole; CSV, TSV, JSON lines, Parquet, a lazy frame of polars and standard input
    need not fit into memory.

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

    if isinstance(source, Table):
        return source
    if isinstance(source, polars.DataFrame):
        table = Table(_named(source), source.lazy())
    elif isinstance(source, polars.LazyFrame):
        table = _settled(source)
    elif isinstance(source, Path):
        table = _opened(source, as_text)
    elif hasattr(source, "to_dict") and hasattr(source, "columns"):  # pandas, which elman does not need
        frame = polars.DataFrame({str(name): source[name].to_list() for name in source.columns}, strict=False)
        table = Table(_named(source), frame.lazy())
    elif isinstance(source, Mapping) or (isinstance(source, list) and source and isinstance(source[0], Mapping)):
        table = Table(_named(source), _of_python(source).lazy())
    else:
        hint = f"; to read a file, give Path({source!r})" if isinstance(source, str) else ""
        raise ArgumentError(f"expected {KINDS}, got {type(source).__name__}{hint}.")
    with _told(table.name):
        if not table.schema or not table.lazy.head(1).collect().height:
            table.frame()  # where it is damaged, polars says so
            raise DataError(f"{table.name}: expected a table with a header and rows, got 0 rows.")
    return table


def read_table(source: Any, as_text: bool = False) -> "DataFrame":
    """The whole of a table, as a frame of polars; see `open_table`."""
    return open_table(source, as_text).frame()


def column(frame: "DataFrame", name: str, what: str) -> "Series":
    """A column by name.

    Args:
        frame: the table.
        name: of the column.
        what: what it is for, for the message: "the label".

    Raises:
        DataError: there is none; the nearest name is told.
    """
    return frame[name_of(frame.columns, name, what)]


def name_of(columns: Sequence[str], name: str, what: str) -> str:
    """The name, if there is a column of it; else DataError with the nearest one."""
    if name in columns:
        return name
    close = get_close_matches(name.lower(), {each.lower(): each for each in columns}, n=1, cutoff=0.5)
    meant = next((each for each in columns if close and each.lower() == close[0]), None)
    hint = f"did you mean {meant!r}?" if meant else f"there are {', '.join(map(repr, columns[:12]))}."
    raise DataError(f"expected a column {name!r} for {what}: {hint}")


@contextmanager
def _told(name: str) -> Iterator[None]:
    """What polars says of a damaged file, as DataError."""
    import polars

    try:
        yield
    except (polars.exceptions.PolarsError, ValueError, OSError) as error:
        if isinstance(error, DataError):
            raise
        first = str(error).strip().splitlines()[0]
        raise DataError(f"{name}: expected a whole table, got one that cannot be read: {first}") from None


def _settled(lazy: "LazyFrame") -> Table:
    """What a lazy frame gives, kept: asked again it may give the rows in another order, or other rows."""
    import polars

    file, path = temporary()
    with _told("LazyFrame"):
        lazy.sink_parquet(path)
        return Table("LazyFrame", polars.scan_parquet(path, glob=False), file)


def _opened(path: Path, as_text: bool) -> Table:
    """The table of a file; what is text in it has been looked through."""
    import polars

    name, kind = str(path), None
    if path != STANDARD_INPUT:
        if not path.is_file():
            raise DataError(f"{path}: expected a file, found {'a folder' if path.is_dir() else 'nothing'}.")
        inner = path.with_suffix("") if path.suffix == ".gz" else path
        kind = FORMATS.get(inner.suffix.lower())
        if kind is None:
            raise DataError(f"{path}: expected {', '.join(FORMATS)}, got {inner.suffix or 'no ending'}.")
    copy, plain = None, path
    if path == STANDARD_INPUT or path.suffix == ".gz":
        copy, plain = copied(path)
    if kind is None:
        with plain.open("rb") as file:
            kind = _guessed(file.read(BLOCK))
    if kind != "parquet":
        _check_text(name, plain)
    with _told(name):
        match kind:
            case "csv" | "tsv":
                tab = "\t" if kind == "tsv" else ","
                lazy = polars.scan_csv(
                    plain, separator=tab, infer_schema=not as_text, infer_schema_length=None, glob=False
                )
            case "lines":
                literal = glob.escape(str(plain))  # polars takes [1] in a name for a pattern, and has no option here
                lazy = polars.scan_ndjson(literal, infer_schema_length=None)
                lazy = polars.scan_ndjson(literal, schema=lazy.collect_schema())
            case "json":
                lazy = polars.read_json(plain, infer_schema_length=None).lazy()
            case _:
                lazy = polars.scan_parquet(plain, glob=False)
    table = Table(name, lazy, copy)
    if kind in ("lines", "json"):
        _check_kinds(table, plain, kind)
    return table


def copied(path: Path) -> tuple["IO[bytes]", Path]:
    """A temporary file with what comes from standard input, or is packed in a .gz file, and a path to open it by.

    Raises:
        DataError: the file is damaged, or the disk is full.
    """
    file, plain = temporary()
    for block in blocks(path):
        with writing():
            file.write(block)
    with writing():
        file.flush()
    return file, plain


def blocks(path: Path) -> Iterator[bytes]:
    """The bytes of a file or of standard input, unpacked if they are gzip's, some after the other.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with _opened_bytes(path) as file:
            while block := file.read(BLOCK):
                yield block
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: expected a file that can be read: {why}.") from None


def _opened_bytes(path: Path) -> Any:
    if path == STANDARD_INPUT:
        return nullcontext(sys.stdin.buffer)
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _check_kinds(table: Table, plain: Path, kind: str) -> None:
    """Raise where a column holds both texts and lists, of which polars makes texts that look like JSON."""
    import polars

    written = [name for name, dtype in table.schema.items() if dtype == polars.String]
    doubtful = set[str]()
    for part in table.parts(*written) if written else ():
        doubtful |= {name for name in written if part[name].str.contains(r"^\s*[\[{]").any()}
    if not doubtful:
        return
    with plain.open("rb") as file:
        rows = json.load(file) if kind == "json" else (json.loads(line) for line in file if line.strip())
        for number, row in enumerate(rows):
            for each in written:
                if each in doubtful and isinstance(row.get(each), list | dict):
                    raise DataError(
                        f"{table.name}: the column {each!r} holds texts, but row {number} has {row[each]!r}: one kind."
                    )


def _check_text(name: str, plain: Path) -> None:
    """Raise unless a file holds text, all of it UTF-8."""
    decoder, line, empty = codecs.getincrementaldecoder("utf-8")(), 1, True
    for block in chain(blocks(plain), [b""]):
        try:
            decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            line += error.object[: error.start].count(b"\n")
            raise DataError(
                f"{name}: expected UTF-8, got another encoding: byte {error.object[error.start]:#04x} in line {line}. "
                "Convert it, for example by iconv -f latin1 -t utf-8."
            ) from None
        line += block.count(b"\n")
        empty = empty and not block.strip()
    if empty:
        raise DataError(f"{name}: expected a table, got an empty file.")


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


@dataclass(frozen=True, eq=False)
class Coded:
    """A column as text, of which each different one stands once.

    Attributes:
        different: the texts, in the order in which they first come.
        rows: where each of them first comes.
        codes: the place of each row's text among them [n], int32.
    """

    different: "Series"
    rows: Sequence[int]
    codes: np.ndarray


def coded(values: Column) -> Coded:
    """A column by its different values, as text.

    Raises:
        DataError: it holds lists.
    """
    import polars

    if values.dtype.is_nested():
        raise DataError(f"the column {values.name!r}: expected single values, got {values.dtype}.")
    places: dict[str | None, int] = {}
    rows, codes = array("q"), array("i")
    for part in values.parts():
        before = len(places)
        found = [places.setdefault(text, len(places)) for text in part.cast(polars.String, strict=False).to_list()]
        first = {code: row for row, code in reversed(list(enumerate(found))) if code >= before}
        rows.extend(len(codes) + first[code] for code in range(before, len(places)))
        codes.extend(found)
    return Coded(polars.Series(values.name, list(places), polars.String), rows, np.frombuffer(codes, dtype=np.int32))


def parts_of(values: "Column | Series") -> "Iterable[Series]":
    """A column part by part."""
    return values.parts() if isinstance(values, Column) else [values]


def values_of(values: "Column | Series") -> Iterator[Any]:
    """A column value by value, in plain Python."""
    return (value for part in parts_of(values) for value in part.to_list())


def texts(values: "Column | Series") -> Texts:
    """A column as text: what is no text as polars writes it, an empty text where there is nothing.

    Raises:
        DataError: the column holds lists, or bytes.
    """
    import polars

    if values.dtype.is_nested() or values.dtype == polars.Binary:
        raise DataError(f"the column {values.name!r}: expected single values, got {values.dtype}.")
    as_text = (part.cast(polars.String, strict=False).fill_null("") for part in parts_of(values))
    return Texts(text for part in as_text for text in part.to_list())
