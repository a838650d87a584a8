"""jax.lax.scan under jit, the input's product before it, weights as arguments.

Option "best": the scan unrolled or not, W laid out as [in, out] or [out, in], whatever is quickest for the job.
"""

import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np

from bench.numbers import draw


def rnn(a, w, states):
    (h,) = states
    return (jnp.tanh(a + w(h)),)


def gru(a, w, states):
    (h,) = states
    (a_r, a_z, a_n), (w_r, w_z, w_n) = jnp.split(a, 3, -1), jnp.split(w(h), 3, -1)
    z = jax.nn.sigmoid(a_z + w_z)
    n = jnp.tanh(a_n + jax.nn.sigmoid(a_r + w_r) * w_n)
    return (n + z * (h - n),)


def lstm(a, w, states):
    h, c = states
    i, f, g, o = jnp.split(a + w(h), 4, -1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


SMALL = 3e9  # operations up to which forms are tried
STEPS = {"rnn": rnn, "gru": gru, "lstm": lstm}


def layer_of(job, unroll, transposed):
    """(x, parameters) -> y."""
    step = STEPS[job.cell]

    def layer(x, U, W, *biases):
        def w(h):
            z = h @ (W.T if transposed else W)
            return z + biases[1] if job.cell == "gru" else z

        def body(states, a):
            states = step(a, w, states)
            return states, states[0]

        zero = jnp.zeros(x.shape[1:], x.dtype)
        start = (zero, zero) if job.cell == "lstm" else (zero,)
        return jax.lax.scan(body, start, x @ U + biases[0], unroll=unroll)[1]

    return layer


def measured(layer, job, x, g, weights):
    """A call: y, or y and the gradients of x and of all parameters."""

    def both(g, *inputs):
        y, pull = jax.vjp(layer, *inputs)
        return y, *pull(g)

    function = jax.jit(both if job.kind == "training" else layer)
    arguments = [jax.device_put(a) for a in ([g] if job.kind == "training" else []) + [x, *weights]]

    def run():
        results = jax.block_until_ready(function(*arguments))
        return results if job.kind == "training" else (results,)

    return run


def prepare(job, option, threads):
    """The jitted function and what calls it."""
    n = draw(job)
    biases = [n["bias_ih"], n["bias_hh"]] if job.cell == "gru" else [n["bias_ih"] + n["bias_hh"]]
    forms = []
    for unroll, transposed in itertools.product((1, 4), (False, True)) if job.operations < SMALL else [(1, False)]:
        W = n["weight_hh"] if transposed else np.ascontiguousarray(n["weight_hh"].T)
        weights = [np.ascontiguousarray(n["weight_ih"].T), W, *biases]
        forms.append(measured(layer_of(job, unroll, transposed), job, n["x"], n["g"], weights))
        forms[-1].note = f"unroll {unroll}, W {'[out, in]' if transposed else '[in, out]'}"
    return min(forms, key=seconds) if len(forms) > 1 else forms[0]


def seconds(run):
    """The quickest of some calls."""
    times = []
    for _ in range(8):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times[1:])
