"""What recurrent networks learn: known problems, the figures asked of them, and what came out.

    python -m bench.tables [ROW ...] [--jobs] [--data FOLDER] [--seeds 0 1 2] [--write]

Every row trains its networks from nothing, on one thread if not told otherwise. The exit status is 1 unless all that
was asked of the rows that were named is met.
"""

import argparse
import importlib
import pkgutil
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from . import problems
from .problems import Asked, Measured, Settings
from .report import Table, head, markdown, show

DOCS = Path(__file__).parents[1] / "docs"
HEADER = ("row", "seed", "figure", "asked", "measured", "", "time", "note")
INTRODUCTION = """# What is learned

Written by `python -m bench.tables --write`, row by row; of another machine than the last ones, maybe: {head}

Each figure comes from one training from nothing with the seed beside it. What had to be chosen in a training (the best
step or epoch) was chosen on validation data; test data were used once, for the figure, but where [log.md](log.md) says
otherwise.
"""


@dataclass(frozen=True)
class Line:
    """A figure of one seed; `measured` and `verdict` say in words where there is no number."""

    row: str
    seed: str
    asked: Asked
    measured: str
    verdict: str
    seconds: float
    note: str = ""
    value: float | None = None

    @property
    def cells(self):
        """The line as text."""
        seconds = f"{self.seconds:.0f} s" if self.seconds else ""
        return (
            self.row, self.seed, self.asked.what, str(self.asked), self.measured, self.verdict, seconds, self.note,
        )  # fmt: skip


def rows():
    """The modules of bench/problems that are rows, by name."""
    names = [module.name for module in pkgutil.iter_modules(problems.__path__)]
    modules = {name: importlib.import_module(f"{problems.__name__}.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "ASKED")}


def missing(module, settings):
    """Why the row cannot run: data that are not there; None if it can."""
    try:
        for pattern in module.DATA:
            settings.file(pattern)
    except FileNotFoundError as error:
        return str(error)
    return None


def measure(name, module, settings):
    """The lines of one row and seed, as they are done."""
    start = time.perf_counter()
    left = list(module.ASKED)
    for measured in module.run(settings):
        left.remove(measured.asked)
        now = time.perf_counter()
        verdict = "quick" if settings.quick else "met" if measured.met else "MISSED"
        yield Line(
            name,
            str(settings.seed),
            measured.asked,
            f"{measured.value:.4g}",
            verdict,
            now - start,
            measured.note,
            measured.value,
        )
        start = now
    for asked in left:
        yield Line(name, str(settings.seed), asked, "nothing came", "MISSED", 0.0)


def run(chosen, seeds, data, quick):
    """All lines of the chosen rows; what goes on is printed with its time."""
    for name, module in chosen.items():
        why = missing(module, Settings(data=data))
        if why:
            print(f"{name}: not run: {why}", flush=True)
            yield from (Line(name, "", asked, "not run", "NOT RUN", 0.0, why) for asked in module.ASKED)
            continue
        for seed in seeds:
            print(f"{name} ({module.TITLE}), seed {seed}", flush=True)
            start = time.perf_counter()

            def say(text, label=f"{name}, seed {seed}", start=start):
                print(f"  {label}, {time.perf_counter() - start:4.0f} s: {text}", flush=True)

            for line in measure(name, module, Settings(seed, data, say, quick)):
                say(f"{line.asked.what}: {line.measured}, asked {line.asked}: {line.verdict} ({line.note})")
                yield line


def means(lines):
    """A line with mean and spread for each figure that several seeds have."""
    figures = {}
    for line in lines:
        figures.setdefault((line.row, line.asked), []).append(line)
    for (row, asked), each in figures.items():
        if len(each) > 1 and all(line.value is not None for line in each):
            mean = statistics.mean(line.value for line in each)
            spread = statistics.stdev(line.value for line in each)
            seconds = statistics.mean(line.seconds for line in each)
            verdict = "quick" if each[0].verdict == "quick" else "met" if Measured(asked, mean).met else "MISSED"
            yield Line(row, "mean", asked, f"{mean:.4g} ± {spread:.2g}", verdict, seconds, f"of {len(each)} seeds")


def written(table, path):
    """A table of the file, with the rows of this run in place of those of the same name."""
    names = {cells[0] for cells in table.rows}
    before = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    cells = [tuple(part.strip() for part in line.strip("|").split("|")) for line in before if line.startswith("| ")]
    kept = [row for row in cells[2:] if len(row) == len(table.header) and row[0] not in names]
    return Table(table.title, table.header, tuple(sorted((*kept, *table.rows), key=lambda row: row[0])))


def main(arguments=None):
    """Run, print, write if asked."""
    found = rows()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"any of {', '.join(found)}; all without")
    parser.add_argument("--jobs", action="store_true", help="the rows of the jobs: classify, forecast, translate ...")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="where the data sets are")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a few small steps, to see that it runs")
    parser.add_argument("--write", action="store_true", help="put what came out into docs/tables.md")
    a = parser.parse_args(arguments)
    unknown = [name for name in a.rows if name not in found]
    if unknown:
        parser.error(f"unknown row {', '.join(unknown)}: expected any of {', '.join(found)}")
    if a.quick and a.write:
        parser.error("--quick measures nothing that could be written")
    if a.data is not None and not a.data.is_dir():
        parser.error(f"--data {a.data}: expected a folder")
    if a.threads < 1:
        parser.error(f"--threads {a.threads}: expected at least 1")
    torch.set_num_threads(a.threads)
    named = a.rows or [name for name, module in found.items() if hasattr(module, "JOB") or not a.jobs]
    chosen = {name: found[name] for name in named}
    lines = list(run(chosen, a.seeds, a.data, a.quick))
    ended = all(line.verdict in ("met", "quick") for line in lines)
    lines += means(lines)
    table = Table("Asked and measured", HEADER, tuple(line.cells for line in lines))
    show(Table(table.title, HEADER[:-1], tuple(cells[:-1] for cells in table.rows)))  # the notes have been printed
    if a.write:
        text = "\n".join([INTRODUCTION.format(head=head()), markdown(written(table, DOCS / "tables.md"))])
        (DOCS / "tables.md").write_text(text, encoding="utf-8")
        print(f"written: {DOCS / 'tables.md'}")
    return 0 if ended else 1


if __name__ == "__main__":
    sys.exit(main())
