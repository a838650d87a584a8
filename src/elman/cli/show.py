"""`elman show`: every stage between a step and what runs, and the drawings of a cell."""

import importlib.util
import inspect
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cells import find_cell
from elman.compiler import STAGES as NAMES
from elman.errors import ArgumentError, DataError

STAGES = f"{', '.join(NAMES[:-1])} or {NAMES[-1]}"


def show(
    cell: Annotated[str, typer.Argument(help="A cell that elman has (lstm, gru, ...) or your own: FILE.py:CLASS.")],
    stage: Annotated[str | None, typer.Option(help=f"A stage of the compiler: {STAGES}.")] = None,
    unfold: Annotated[int | None, typer.Option(help="Draw the graph unfolded for so many steps.", min=1)] = None,
    format: Annotated[str, typer.Option(help="text, mermaid or svg.")] = "text",
    input_size: Annotated[int, typer.Option(help="I, the size of x; 0 for a system without input.", min=0)] = 8,
    hidden_size: Annotated[int, typer.Option(help="H, the number of units.", min=1)] = 16,
    output_size: Annotated[int, typer.Option(help="O, for cells that have an output of their own.", min=1)] = 4,
    lengths: Annotated[bool, typer.Option("--lengths", help="Rows may end before T.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Rows may start anew.")] = False,
    targets: Annotated[bool, typer.Option("--targets", help="Feed the targets (teacher forcing).")] = False,
    out: Annotated[Path | None, typer.Option(help="Write into this file instead of the terminal.")] = None,
) -> None:
    """Show what becomes of a step, or draw it.

    Without --stage it is drawn: rolled up with its loop, or with --unfold N steps side by side. With --stage it is
    printed as the compiler sees it:

    \b
        trace      the step as a graph of operations, each with its line
        unfold     the loop over t = 1, ..., T
        gradient   the loop of its gradient, t = T, ..., 1
        hoist      both loops in three parts: before, inside, after
        schedule   how the kernels are cut up, and what each choice means
        c          the kernels themselves: training forward and its gradient; text needs no C compiler

    \b
        elman show lstm
        elman show jordan --unfold 3 --format svg --out jordan.svg
        elman show jordan --stage hoist --targets
        elman show gru --stage c
        elman show mycell.py:MyCell --input-size 8 --hidden-size 16 --stage trace
    """
    if stage is not None and unfold is not None:
        raise ArgumentError("--unfold draws the cell, --stage prints a stage of it: give one of them.")
    if format not in ("text", "mermaid", "svg"):
        raise ArgumentError(f"expected the format text, mermaid or svg, got {format!r}.")
    plan = _plan(make_cell(cell, input_size, hidden_size, output_size), input_size, lengths, reset, targets)
    drawing = _drawing(plan, unfold, format) if stage is None else _stage(plan, stage, format)
    if out is None:
        typer.echo(drawing)
    else:
        try:
            out.write_text(drawing + "\n", encoding="utf-8")
        except OSError as error:
            raise DataError(f"{out} cannot be written: {error.strerror}.") from error
        typer.echo(str(out))


def _find(cell: str) -> type:
    """The class of a cell, by its name or by its file."""
    file, colon, name = cell.rpartition(":")
    return _pick(name, _load(Path(file)), file) if colon else find_cell(cell)


def _load(file: Path) -> dict[str, Any]:
    """The names that a Python file defines."""
    spec = importlib.util.spec_from_file_location(f"elman_show_{file.stem}", file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise ArgumentError(f"expected a Python file, got {str(file)!r}, which is not there or is none.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ArgumentError(f"{file} cannot be read as Python: {type(error).__name__}: {error}") from error
    return vars(module)


def _pick(name: str, names: dict[str, Any], file: str) -> type:
    """A cell among the names of a file."""
    from elman import Cell

    cells = {n: v for n, v in names.items() if isinstance(v, type) and issubclass(v, Cell) and v is not Cell}
    if name not in cells:
        raise ArgumentError(f"{file}: expected a subclass of elman.Cell named {name!r}; cells there: {sorted(cells)}.")
    return cells[name]


def make_cell(cell: str, input_size: int, hidden_size: int, output_size: int) -> Any:
    """A cell by its name or its file, of these sizes so far as its constructor asks for them."""
    kind = _find(cell)
    sizes = {"input_size": input_size, "hidden_size": hidden_size, "output_size": output_size}
    wanted = inspect.signature(kind).parameters.values()
    missing = [p.name for p in wanted if p.default is p.empty and p.name not in sizes and p.kind is not p.VAR_KEYWORD]
    if missing:
        raise ArgumentError(
            f"{kind.__name__} needs {', '.join(missing)}: what is given is input_size, hidden_size and output_size; "
            "give the others a default, or name a subclass that sets them."
        )
    return kind(**{p.name: sizes[p.name] for p in wanted if p.name in sizes})


def takes_no_input(cell: Any) -> bool:
    """Whether the step says that its x is always None."""
    return next(iter(inspect.signature(cell.step).parameters.values())).annotation in (None, "None")


def _plan(cell: Any, input_size: int, lengths: bool, reset: bool, targets: bool) -> Any:
    """What a layer of this cell runs, on two steps and two rows."""
    import torch

    from elman import Recurrent

    if targets and cell.feedback_size is None:
        raise ArgumentError(f"{type(cell).__name__} is fed nothing of its output: drop --targets.")
    input_size = 0 if takes_no_input(cell) else input_size
    fed = cell.feedback_size if isinstance(cell.feedback_size, tuple) else (cell.feedback_size,)
    plan = Recurrent(cell).plan(
        torch.zeros(2, 2, input_size) if input_size else None,
        steps=None if input_size else 2,
        lengths=torch.tensor([2, 1]) if lengths else None,
        reset=torch.zeros(2, 2, dtype=torch.bool) if reset else None,
        targets=torch.zeros(2, 2, *fed) if targets else None,
    )
    return plan.layers[0]


def _stage(plan: Any, stage: str, format: str) -> str:
    """A stage as text or as a picture."""
    if format == "text":
        return str(plan.show(stage))
    from elman.inspection import GraphNode, draw_graph

    boxes, arrows = plan.boxes(stage)
    groups = list(dict.fromkeys(box[3] for box in boxes if box[3]))
    title = f"{plan.cell}, {stage}"
    return draw_graph([GraphNode(*box) for box in boxes], arrows, groups, title=title, format=format)


def _drawing(plan: Any, unfold: int | None, format: str) -> str:
    """The cell as a graph of its quantities."""
    from elman.inspection import Structure, draw

    edges = plan.wiring()
    named = list(dict.fromkeys(name for edge in edges for name in edge[:2]))
    fed = any(source == "y" for source, _, _ in edges)
    structure = Structure(
        name=plan.cell,
        inputs=tuple(name for name in named if name == "x"),
        states=tuple(name for name in named if name not in ("x", "y")),
        output="y" if "y" in named else None,
        feedback=fed,
        edges=edges,
    )
    return draw(structure, unfold, format)
