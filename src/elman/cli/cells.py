"""`elman cells`: the cells that elman has, and one of them in full."""

import inspect
import json
import re
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from elman.cells import cite, find_cell, known_cells, paper

from .show import make_cell

SIZE = 128
WIDE = 1000  # characters: one line a row, however narrow the terminal is


def cells(
    name: Annotated[str | None, typer.Argument(help="A cell, to see it in full.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the cells that elman has: equation, states, parameters for I = H = 128, source.

    With NAME one of them is printed in full: all its equations, its arguments, where it departs from its paper, and
    the paper as BibTeX.

    \b
        elman cells
        elman cells lem
        elman cells --json
    """
    if name is None:
        rows = [about(each) for each in sorted(known_cells(), key=str.lower)]
        typer.echo(_json(rows)) if as_json else Console(width=WIDE).print(_table(rows))
        return
    kind = find_cell(name)
    found = about(kind.__name__) | {
        "signature": _signature(kind),
        "text": inspect.getdoc(kind),
        "bibtex": cite(kind),
    }
    typer.echo(_json(found) if as_json else _in_full(found))


def about(name: str) -> dict[str, Any]:
    """A cell in one row: name, equation, states by name and size, parameters, source."""
    cell = make_cell(name, SIZE, SIZE, SIZE)
    return {
        "name": name,
        "equation": _equation(inspect.getdoc(find_cell(name)) or ""),
        "states": dict(zip(_states(cell), cell.state_size, strict=True)),
        "parameters": sum(parameter.numel() for parameter in cell.parameters()),
        "source": _source(cell.references),
    }


def _equation(text: str) -> str:
    """What becomes of the states and the output, in one line and without the remarks beside it."""
    formula = next(paragraph for paragraph in text.split("\n\n") if paragraph.startswith("    "))
    lines = [line.strip().split("   ")[0] for line in formula.splitlines()]
    return "; ".join(line for line in lines if re.match(r"\w+\(t\) = ", line))


def _states(cell: Any) -> list[str]:
    """What the step calls its states."""
    skip = 1 if cell.feedback_size is None else 2
    return list(inspect.signature(cell.step).parameters)[skip:]


def _source(references: tuple[str, ...]) -> str:
    """Authors and year of the first paper: "Cho et al. 2014"."""
    found = paper(references[0])
    surnames = [author.split(",")[0] for author in found["author"].split(" and ")]
    authors = " and ".join(surnames) if len(surnames) < 3 else f"{surnames[0]} et al."
    return f"{authors} {found['year']}"


def _signature(kind: type) -> str:
    """How a cell is made: `LSTM(input_size, hidden_size, bias=True)`."""
    made = inspect.signature(kind)
    plain = [p.replace(annotation=p.empty, default=_shown(p.default)) for p in made.parameters.values()]
    return f"{kind.__name__}{inspect.Signature(plain)}"


class _Named:
    """A function as a default, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


def _shown(default: Any) -> Any:
    return _Named(default.__name__) if callable(default) and default is not inspect.Parameter.empty else default


def _in_full(found: dict[str, Any]) -> str:
    states = ", ".join(f"{name} [B, {size}]" for name, size in found["states"].items()) or "none but what it gave out"
    sizes = f"For I = H = {SIZE}: {found['parameters']:,} parameters; states: {states}."
    return "\n\n".join([found["signature"], found["text"].rstrip(), sizes, found["bibtex"]])


def _json(found: Any) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False)


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for column in ("cell", "states", "parameters", "source", "equation"):
        table.add_column(column, justify="right" if column == "parameters" else "left")
    for row in rows:
        values = (row["name"], ", ".join(row["states"]), f"{row['parameters']:,}", row["source"], row["equation"])
        table.add_row(*map(escape, values))
    return table
