"""Whole layers against their peers, in one run: training steps and inference.

    python -m bench.grid --kind training --cell lstm --threads 2 --cases 100,32,128 35,20,200

Without --kind, --cell and --cases everything is measured; see `bench/turns.py` for how.
"""

import argparse
import os
from dataclasses import dataclass

from .cases import GATES, GRID, KINDS, Case, Job
from .report import show
from .rows import OWN, PRODUCTS, Measured, means_table, peers_table, ratios_tables
from .turns import Company

OURS = {OWN: ("ours", "nn"), "elman.Recurrent": ("ours", "recurrent")}
PEERS = {
    "torch.nn": ("torch_nn", "plain"),
    "torch.nn, denormals flushed": ("torch_nn", "flush"),
    "JAX scan": ("jax_scan", "best"),
    "ONNX Runtime": ("onnx_runtime", ""),
    "eager loop": ("loop", "eager"),
    "torch.compile": ("loop", "compile"),
}
BARE = {PRODUCTS: ("products", "layer")}
RATES = {"torch": ("products", "torch"), "numpy": ("products", "numpy")}
SHORT = 35  # steps that torch.compile writes out in bearable time
LARGE = 3e11  # operations from which on only one face of elman runs, and no Python loop


@dataclass(frozen=True)
class Options:
    """What a run measures."""

    kinds: tuple = KINDS
    cells: tuple = tuple(GATES)
    cases: tuple = GRID
    compile: bool = False
    everything: bool = False


def contenders(job, options):
    """Those who take part in a job."""
    names = dict(OURS | PEERS | BARE)
    if job.kind == "training":
        del names["ONNX Runtime"]
    if not options.compile or job.case.steps > SHORT:
        del names["torch.compile"]
    if job.operations > LARGE and not options.everything:
        del names["eager loop"], names["elman.Recurrent"]
    return names


def machine_rate(company):
    """Operations a second: the best of a few square products, in torch and in numpy."""
    best = 0.0
    for size in (512, 1024, 2048):
        times = company.measure(Job("inference", "rnn", Case(1, 1, size)), RATES)
        best = max(best, *(2 * size**3 / min(t.seconds) for t in times.values()))
    return best


def measure(company, options, say=print):
    """All jobs, one after the other."""
    rate, done = machine_rate(company), []
    for kind in options.kinds:
        for cell in options.cells:
            for case in options.cases:
                job = Job(kind, cell, case)
                times = company.measure(job, contenders(job, options))
                if OWN in times and PRODUCTS in times:  # else the company has said what happened
                    done.append(Measured(job, times, rate))
                    say(done[-1])
    return done


def backend():
    """What elman runs on now."""
    import torch

    import elman

    return elman.Recurrent(elman.LSTM(8, 8)).plan(torch.randn(2, 2, 8)).backend


def parser(text):
    """The arguments that all benches share."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    made.add_argument("--rounds", type=int, help="by default between 3 and 15, as many as fit into some seconds")
    made.add_argument("--cases", nargs="+", type=Case.read, help="T,B,H ...")
    return made


def main(arguments=None):
    """Print the tables."""
    made = parser(__doc__)
    made.add_argument("--kind", choices=KINDS, nargs="+", default=KINDS)
    made.add_argument("--cell", choices=list(GATES), nargs="+", default=list(GATES))
    made.add_argument("--compile", action="store_true", help=f"torch.compile too, where T is {SHORT} at most")
    made.add_argument("--everything", action="store_true", help="all contenders also where they take long")
    a = made.parse_args(arguments)
    options = Options(tuple(a.kind), tuple(a.cell), tuple(a.cases or GRID), a.compile, a.everything)
    with Company(a.threads, a.rounds) as company:
        done = measure(company, options)
    for table in (*ratios_tables(done), means_table(done), peers_table(done)):
        show(table)


if __name__ == "__main__":
    main()
