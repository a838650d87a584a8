"""Cells that nobody ships a kernel for, by jax.lax.scan under jit; what does not wait for the state before it."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np

from bench.numbers import sequences
from bench.recipes import CONSTANT, numbers, recipe

from .jax_scan import measured


class Functions:
    """What a recipe calls `m`; matrices are [in, out]."""

    tanh, exp, maximum, sigmoid, softplus = jnp.tanh, jnp.exp, jnp.maximum, jax.nn.sigmoid, jax.nn.softplus

    @staticmethod
    def linear(x, W):
        return x @ W

    @staticmethod
    def chunk(z, n):
        return jnp.split(z, n, -1)

    @staticmethod
    def rows(W):
        return jnp.split(W, 2, -1)

    @staticmethod
    def layer_norm(z, gain, shift):
        mean = z.mean(-1, keepdims=True)
        variance = jnp.square(z - mean).mean(-1, keepdims=True)
        return (z - mean) * jax.lax.rsqrt(variance + 1e-5) * gain + shift


def prepare(job, option, threads):
    """The jitted function and what calls it."""
    made, both = recipe(job.cell), sequences(job)
    given = {n: np.ascontiguousarray(a.T) if a.ndim == 2 else a for n, a in numbers(job).items()}
    constant = {name: given.pop(name) for name in CONSTANT if name in given}

    def layer(x, *weights):
        p = made.once(Functions, SimpleNamespace(**constant, **dict(zip(given, weights, strict=True))))

        def body(states, a):
            states = tuple(made.step(Functions, p, a, *states))
            return states, states[0]

        start = (jnp.zeros(x.shape[1:], x.dtype),) * made.states
        return jax.lax.scan(body, start, made.before(Functions, p, x))[1]

    return measured(layer, job, both["x"], both["g"], list(given.values()))
