"""Cells that nobody ships a kernel for, each written once and run by torch and by JAX.

`m` holds the functions (tanh, linear, ...), `p` the parameters. `once` is what neither x nor the state enters, `before`
what waits for x alone, `step` the rest: the eager loop and JAX's scan get all three apart, which is their best form.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace


def as_it_is(m, p):
    """The parameters."""
    return p


def product(m, p, x):
    """U x + b."""
    return m.linear(x, p.U) + p.b


@dataclass(frozen=True)
class Recipe:
    """A cell: the built-in one that it is nearest to, its gates, its states, the shapes of what else it has."""

    nearest: str
    gates: int
    states: int
    more: Callable[[int], dict[str, tuple[int, ...]]]
    step: Callable
    before: Callable = product
    once: Callable = as_it_is
    text: str = ""

    def shapes(self, hidden):
        """The parameters by name."""
        rows = self.gates * hidden
        return {"U": (rows, hidden), "W": (rows, hidden), "b": (rows,)} | self.more(hidden)


def layer_norm_lstm(m, p, a, h, c):
    """Ba, Kiros, Hinton, Layer Normalization, 2016: both products and the cell state are normalised."""
    i, f, g, o = m.chunk(a + m.layer_norm(m.linear(h, p.W), p.n_w, p.d), 4)
    c = m.sigmoid(f) * c + m.sigmoid(i) * m.tanh(g)
    return m.sigmoid(o) * m.tanh(m.layer_norm(c, p.n_c, p.d_c)), c


def normed_product(m, p, x):
    """The input's half of the layer-norm LSTM."""
    return m.layer_norm(m.linear(x, p.U), p.n_u, p.b)


def peephole_lstm(m, p, a, h, c):
    """Gers and Schmidhuber, 2000: the gates see the cell state."""
    i, f, g, o = m.chunk(a + m.linear(h, p.W), 4)
    c, before = m.sigmoid(f + p.p_f * c) * c, c
    c = c + m.sigmoid(i + p.p_i * before) * m.tanh(g)
    return m.sigmoid(o + p.p_o * c) * m.tanh(c), c


def minimal_gated(m, p, a, h):
    """Zhou et al., Minimal Gated Unit, 2016: the forget gate stands inside the second product."""
    a_f, a_n = m.chunk(a, 2)
    W_f, W_n = m.rows(p.W)
    f = m.sigmoid(a_f + m.linear(h, W_f))
    return ((1 - f) * h + f * m.tanh(a_n + m.linear(f * h, W_n)),)


def leaky_tanh(m, p, a, h):
    """A leaky unit whose connections are masked, as in models of the cortex."""
    return (0.8 * h + 0.2 * m.tanh(a + m.linear(h, p.W)),)


def masked(m, p):
    """W with the mask over it."""
    return SimpleNamespace(U=p.U, b=p.b, W=p.W * p.mask)


ONE = ("m.tanh({a})", "m.sigmoid({a})", "m.softplus({a})", "m.tanh({a}) * m.sigmoid({a})", "{a} / (1 + {a} * {a})",
       "m.exp(-{a} * {a})", "m.maximum({a}, 0.1 * {a})")  # fmt: skip
TWO = ("{a} + {b}", "{a} * {b}", "{a} - {b}", "m.maximum({a}, {b})", "m.sigmoid({a}) * {b}",
       "m.tanh({a}) + m.sigmoid({b}) * {a}")  # fmt: skip


def drawn(seed):
    """A cell drawn at random: two to four gates, one or two states, some operations on them."""
    rng = random.Random(seed)
    gates, states = rng.randint(2, 4), rng.randint(1, 2)
    names = [f"a{n}" for n in range(gates)]
    held = [f"h{n}" for n in range(states)]
    lines = [f"{', '.join(names)} = m.chunk(a + m.linear(h0, p.W), {gates})"]
    used = names + held
    for n in range(rng.randint(4, 8)):
        table = rng.choice((ONE, TWO))
        lines.append(f"v{n} = " + rng.choice(table).format(a=rng.choice(used[-6:]), b=rng.choice(used)))
        used.append(f"v{n}")
    new = []
    for n, h in enumerate(held):
        gate, fresh = names[n % gates], used[-1 - n]
        lines += [f"z{n} = m.sigmoid({gate})", f"n{n} = (1 - z{n}) * {h} + z{n} * m.tanh({fresh} + {names[-1]})"]
        new.append(f"n{n}")
    head = f"def step(m, p, a, {', '.join(held)}):"
    text = "\n".join([head, *(f"    {line}" for line in lines), f"    return {', '.join(new)},"])
    space = {}
    exec(text, space)
    return Recipe("lstm" if states == 2 else "gru", gates, states, lambda hidden: {}, space["step"], text=text)


FIXED = {
    "layer-norm LSTM": Recipe(
        "lstm", 4, 2, lambda n: dict.fromkeys(("n_u", "n_w", "d"), (4 * n,)) | {"n_c": (n,), "d_c": (n,)},
        layer_norm_lstm, normed_product,
    ),
    "peephole LSTM": Recipe("lstm", 4, 2, lambda n: dict.fromkeys(("p_i", "p_f", "p_o"), (n,)), peephole_lstm),
    "minimal gated unit": Recipe("gru", 2, 1, lambda n: {}, minimal_gated),
    "leaky tanh, masked": Recipe("rnn", 1, 1, lambda n: {"mask": (n, n)}, leaky_tanh, once=masked),
}  # fmt: skip
CONSTANT = ("mask",)


def recipe(name):
    """By name; "drawn 7" is the one that seed 7 draws."""
    return FIXED[name] if name in FIXED else drawn(int(name.split()[1]))


def numbers(job):
    """The parameters' values; a mask is of zeros and ones."""
    from .numbers import weights

    shapes = recipe(job.cell).shapes(job.case.hidden)
    made = weights(job, shapes)
    return {name: (array > 0).astype("float32") if name in CONSTANT else array for name, array in made.items()}
