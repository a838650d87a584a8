"""`make bench`: everything that is measured, printed as it comes, and written to docs/bench.md and docs/bench.png.

python -m bench [--short]

bench.char_rnn takes minutes and is run by name.
"""

import argparse
import os
import time
from pathlib import Path

from . import build, custom_cell, custom_grid, grid, picture, teacher_forced, uneven
from .cases import GRID, Case
from .report import head, markdown, show
from .rows import means_table, peers_table, ratios_tables
from .turns import Company

DOCS = Path(__file__).parents[1] / "docs"
SEED = 1
TINY = (Case(20, 2, 16), Case(10, 4, 32))
ONE_THREAD = tuple(case for case in GRID if case.steps * case.batch * case.hidden**2 < 3e8)


def sections(threads, short):
    """(heading, tables, picture's rows) of each part, as they are done."""
    cases, small = (TINY, TINY[:1]) if short else (GRID, None)
    rounds = 3 if short else None
    with Company(threads, rounds) as company:
        done = grid.measure(company, grid.Options(cases=cases))
    yield f"{threads} threads", [*ratios_tables(done), means_table(done), peers_table(done)], company, done
    with Company(threads, rounds) as company:
        custom = custom_grid.measure(company, small or custom_grid.CASES, SEED)
        rows = uneven.measure(company, tuple(grid.GATES), small or uneven.CASES)
    tables = [custom_grid.custom_table(custom, SEED), uneven.uneven_table(rows)]
    yield f"Cells of one's own and unequal lengths, {threads} threads", tables, company, ()
    with Company(1, rounds, 1.5) as company:
        done = grid.measure(company, grid.Options(cases=small or ONE_THREAD))
    yield "One thread", [*ratios_tables(done), means_table(done), peers_table(done)], company, ()
    yield "Build", [build.build_table(build.measure(1 if short else 3))], None, ()


def text_of(heading, tables, company):
    """A part as Markdown."""
    notes = {} if company is None else company.notes
    forms = [f"{name} ({', '.join(f'{note}: {n}' for note, n in counts.items())})" for name, counts in notes.items()]
    remarks = [f"- {text}" for text in ([] if company is None else company.remarks)]
    if forms:
        remarks.insert(0, f"- what ran, and in how many jobs: {'; '.join(forms)}")
    after = ["Remarks of the harness:", "", *remarks, ""] if remarks else []
    return "\n".join([f"## {heading}", "", *map(markdown, tables), *after])


INTRODUCTION = """# What was measured

Written by `make bench`. {head} elman runs on its {backend} backend here.

All contenders take turns in one run, each in a process of its own; what counts is ratios within a round, their median
over the rounds, never milliseconds across runs. "spread" is half the distance between the quartiles. "of rate" is
the part of the machine's matrix-product rate (the best square product of torch and NumPy in this run), "of products"
that of the rate of the layer's own products, taken over all T·B rows at once in torch's best form (torch.mm with the
matrices laid out by rows or by columns, or oneDNN with its own layout, whose making is not counted). "room" is 0.9 x
the best peer's time / the products' time; the floor of a case is the smaller of what was asked and that.
Losing cases come first. The numbers that all contenders compute are compared before anything is timed.

![the ratios, case by case](bench.png)
"""


def main(arguments=None):
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="tiny cases, to see that it runs")
    parser.add_argument("--out", type=Path, default=DOCS, help="where bench.md and bench.png go")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    a = parser.parse_args(arguments)
    start = time.perf_counter()
    parts = [INTRODUCTION.format(head=head(), backend=grid.backend())]
    for heading, tables, company, pictured in sections(a.threads, a.short):
        for table in tables:
            show(table)
        parts.append(text_of(heading, tables, company))
        if pictured:
            picture.draw(pictured, a.out / "bench.png")
        (a.out / "bench.md").write_text("\n".join(parts), encoding="utf-8")
        print(f"{heading}: {time.perf_counter() - start:.0f} s so far")
    for number in () if a.short else ("1", "2"):
        custom_cell.main(["--threads", number])
        teacher_forced.main(["--threads", number])


if __name__ == "__main__":
    main()
