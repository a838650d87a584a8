"""Bare matrix products. Options: layer (all those of a layer, over T B rows at once), torch or numpy (the rate)."""

import time

import numpy as np
import torch

from bench.cases import GATES


def prepare(job, option, threads):
    """A layer's products in torch's best form; or one square product, of the size `hidden`."""
    torch.set_num_threads(threads)
    if option == "layer":
        return layer(job)
    a, b, c = (np.ones((job.case.hidden,) * 2, np.float32) for _ in range(3))
    multiply = np.matmul if option == "numpy" else torch.mm
    a, b, c = (a, b, c) if option == "numpy" else map(torch.from_numpy, (a, b, c))

    def run():
        multiply(a, b, out=c)

    return run


def layer(job):
    """x Uᵀ and h Wᵀ; in training dz U, dz W, dzᵀ x and dzᵀ h as well."""
    rows, size = job.case.steps * job.case.batch, job.case.hidden
    wide = GATES[job.cell] * size
    shapes = [(rows, size, wide)]
    if job.kind == "training":
        shapes += [(rows, wide, size), (wide, rows, size)]
    products = [best_form(*shape) for shape in shapes for _ in range(2)]

    def run():
        for a, b, out in products:
            torch.mm(a, b, out=out)

    return run


def best_form(m, k, n):
    """a [m, k], b [k, n] and their product, laid out by rows or by columns, whatever is fastest."""
    forms = [
        (a, b, torch.empty(m, n))
        for a in (torch.randn(m, k), torch.randn(k, m).t())
        for b in (torch.randn(k, n), torch.randn(n, k).t())
    ]
    return min(forms, key=lambda form: seconds(*form))


def seconds(a, b, out):
    """The quickest of some calls."""
    work, best = 2 * a.size(0) * a.size(1) * b.size(1), float("inf")
    for _ in range(2 if work > 1e10 else 7):
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        best = min(best, time.perf_counter() - start)
    return best
