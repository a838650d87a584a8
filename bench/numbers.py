"""The same numbers for every contender: inputs, cotangents and weights, in torch's layout."""

import numpy as np

from .cases import GATES


def draw(job):
    """x [T, B, I], the cotangent g [T, B, H], lengths [B], and the parameters as torch.nn names them."""
    c, rows = job.case, GATES[job.cell] * job.case.hidden
    parameters = {
        "weight_ih": (rows, c.hidden), "weight_hh": (rows, c.hidden), "bias_ih": (rows,), "bias_hh": (rows,),
    }  # fmt: skip
    return sequences(job) | weights(job, parameters)


def sequences(job):
    """x, g and lengths (uniform between 1 and T)."""
    rng, c = np.random.default_rng(job.seed), job.case
    shape = (c.steps, c.batch, c.hidden)
    x, g = (rng.standard_normal(shape, dtype=np.float32) for _ in range(2))
    lengths = rng.integers(1, c.steps, endpoint=True, size=c.batch)
    if job.uneven:
        g[np.arange(c.steps)[:, None] >= lengths] = 0  # padding has no gradient
    return {"x": x, "g": g, "lengths": lengths}


def weights(job, shapes):
    """Uniform in ±1/√H, as torch draws them."""
    rng, bound = np.random.default_rng(job.seed + 1), job.case.hidden**-0.5
    return {name: rng.uniform(-bound, bound, shape).astype(np.float32) for name, shape in shapes.items()}
