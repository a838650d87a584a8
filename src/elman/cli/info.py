"""`elman info`: what a model file is."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table


def info(
    model: Annotated[Path, typer.Argument(help="A model file of any job.", metavar="MODEL")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say what a model file is: its job, network and size, what it was trained on and when, and how well it does.

    \b
        elman info model.elman
        elman info model.elman --json
    """
    found = about(model)
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bright_black")
    for name, value in found.items():
        if isinstance(value, dict):
            for part, figure in value.items():
                table.add_row(f"{name}: {part}", _shown(figure))
        else:
            table.add_row(name, _shown(value))
    Console(highlight=False, markup=False).print(table)


def about(path: Path) -> dict[str, Any]:
    """What is told of a model file, as plain values."""
    from elman.tasks import JOBS
    from elman.tasks.archive import load_archive

    _, content = load_archive(path, *JOBS)
    model = JOBS[content["job"]].load(path, "cpu")
    found: dict[str, Any] = {
        "job": content["job"],
        "network": model.summary,
        "file": f"{path.stat().st_size:,} bytes",
        "written": content.get("written", "unknown"),
        "by elman": content["elman"],
        "trained on": model.about,
    }
    history, best = model.history, model.history.best
    if history.rows:
        found["training"] = {"epochs": history.rows[-1].epoch, "seconds": round(history.rows[-1].seconds, 1)}
    if best is not None:
        found["validation"] = {history.measure.name: best.validation}
    found["options"] = model.configuration()
    return found


def _shown(value: Any) -> str:
    return f"{value:,.5g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
