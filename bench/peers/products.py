"""Bare matrix products. Options: layer (all those of a layer, over T B rows at once), torch or numpy (the rate)."""

import time
from functools import partial

import numpy as np
import torch
from torch.nn.functional import linear

from bench.cases import GATES


def prepare(job, option, threads):
    """A layer's products in torch's best form; or one square product, of the size `hidden`."""
    torch.set_num_threads(threads)
    size = job.case.hidden
    if option == "layer":
        products = layer(job)
    elif option == "torch":
        products = [best_form(size, size, size)]
    else:
        a, b, out = (np.ones((size, size), np.float32) for _ in range(3))
        products = [partial(np.matmul, a, b, out=out)]

    def run():
        for product in products:
            product()

    return run


def layer(job):
    """x Uᵀ and h Wᵀ; in training dz U, dz W, dzᵀ x and dzᵀ h as well."""
    rows, size = job.case.steps * job.case.batch, job.case.hidden
    wide = GATES[job.cell] * size
    shapes = [(rows, size, wide)]
    if job.kind == "training":
        shapes += [(rows, wide, size), (wide, rows, size)]
    return [best_form(*shape) for shape in shapes for _ in range(2)]


def best_form(m, k, n):
    """A product of [m, k] and [k, n]: by torch.mm, laid out by rows or by columns, or by oneDNN in its own layout."""
    forms = [
        partial(torch.mm, a, b, out=torch.empty(m, n))
        for a in (torch.randn(m, k), torch.randn(k, m).t())
        for b in (torch.randn(k, n), torch.randn(n, k).t())
    ]
    if torch.backends.mkldnn.is_available():
        forms.append(partial(linear, torch.randn(m, k).to_mkldnn(), torch.randn(n, k).to_mkldnn()))
    return min(forms, key=lambda form: seconds(form, 2 * m * k * n))


def seconds(form, work):
    """The quickest of some calls."""
    best = float("inf")
    for _ in range(2 if work > 1e10 else 7):
        start = time.perf_counter()
        form()
        best = min(best, time.perf_counter() - start)
    return best
