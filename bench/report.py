"""Tables, for the terminal and for docs/bench.md."""

import os
import platform
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import rich.table
from rich.console import Console
from rich.markup import escape

PACKAGES = ("elman", "torch", "jax", "jaxlib", "onnxruntime", "numpy")


@dataclass(frozen=True)
class Table:
    """Text in rows."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def show(table):
    """Print a table."""
    console = Console()
    shown = rich.table.Table(*map(escape, table.header), title=escape(table.title), title_justify="left")
    for row in table.rows:
        shown.add_row(*map(escape, row))
    console.print(shown)
    if table.note:
        console.print(escape(table.note))


def markdown(table):
    """A table as Markdown under a heading."""
    lines = [table.header, tuple("---" for _ in table.header), *table.rows]
    rows = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    return f"### {table.title}\n\n{rows}\n" + (f"\n{table.note}\n" if table.note else "")


def machine():
    """The processor and how many cores of it."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next((s.split(":")[1].strip() for s in info.read_text().splitlines() if "model name" in s), model)
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {platform.system()}"


def versions():
    """What was measured, as installed."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"no {package}")
    return ", ".join(found)


def head():
    """Where and when."""
    return f"{date.today().isoformat()}; {machine()}; {versions()}."
