"""What the tests around cells share: cells, backends, and a plain Python loop with everything written out."""

import itertools

import pytest
import torch
from torch import nn

import elman
from compiled import flat, random_tensor

T, B, I, H = 5, 4, 3, 6
DTYPE = torch.float64


class Two(elman.Cell):
    """A cell of one's own: a fast and a slow state of different sizes, and a readout."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.gates = {"U": ("f", "n"), "W": ("f", "n")}
        self.state_size = (hidden_size, hidden_size + 1)
        self.U = nn.Linear(input_size, 2 * hidden_size)
        self.W = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        self.W_s = nn.Linear(hidden_size, hidden_size + 1)
        self.V = nn.Linear(hidden_size + 1, 2)

    def step(self, x, h, s):
        f, n = (self.U(x) + self.W(h)).chunk(2, dim=-1)
        h = torch.sigmoid(f) * h + (1 - torch.sigmoid(f)) * torch.tanh(n)
        return h, 0.8 * s + 0.2 * torch.tanh(self.W_s(h))

    def output(self, h, s):
        return self.V(s) + h[:, :2]


STATEFUL = {
    "elman": elman.Elman,
    "lstm": elman.LSTM,
    "gru": elman.GRU,
    "reset after": elman.GRUResetAfter,
    "two": Two,
    "nn.lstm": lambda i, h: elman.nn.LSTMCell(i, h),
}
CELLS = STATEFUL | {"jordan": lambda i, h: elman.Jordan(i, h, 2)}
each = pytest.mark.parametrize("name", CELLS)
stateful = pytest.mark.parametrize("name", STATEFUL)
MARKS = {
    "plain": {},
    "lengths": {"lengths": torch.tensor([5, 2, 0, 3])},
    "reset": {"reset": torch.arange(T * B).reshape(T, B) % 5 == 3},
    "both": {"lengths": torch.tensor([4, 5, 1, 5]), "reset": torch.arange(T * B).reshape(T, B) % 7 == 2},
}
BUILT = {"lstm": True, "jordan": False}  # kernels that the quick tests build, and in which direction


def grid(cells, reverse=(False, True), marks=tuple(MARKS)):
    """A test over cells, backends, marks and directions; what is not needed at every change is slow."""
    cases = []
    for name, backend, mark, back in itertools.product(cells, ("reference", "c"), marks, reverse):
        direction = len(reverse) > 1 and BUILT.get(name, False)
        quick = mark == marks[-1] and (name in BUILT and back == direction if backend == "c" else not back)
        id = f"{name}-{backend}-{mark}-{'back' if back else 'ahead'}"
        cases.append(pytest.param(name, backend, MARKS[mark], back, id=id, marks=[] if quick else [pytest.mark.slow]))
    return pytest.mark.parametrize(("name", "backend", "marks", "reverse"), cases)


def make(name, seed=0):
    torch.manual_seed(seed)
    return CELLS[name](I, H).double()


def start_of(cell, grad=True):
    """Some initial state: a tuple, what is fed first last."""
    sizes = list(cell.state_size) + ([cell.feedback_size] if cell.feedback_size else [])
    return tuple(random_tensor(B, size, seed=40 + n, grad=grad) for n, size in enumerate(sizes))


def loop(step, output, x, states, lengths=None, reset=None, reverse=False, fed=False):
    """y [T, B, O] and the last states, step by step: `step(t, x, *states)`.

    Where `fed`, the last of the states is what was given out last, and the step takes it first.
    """
    first, ys = states, [None] * len(x)
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        entering = states
        if reset is not None:
            entering = [torch.where(reset[t][:, None], old, new) for old, new in zip(first, states, strict=True)]
        args = (entering[-1], *entering[:-1]) if fed else entering
        after = step(t, x[t], *args)
        after = after if isinstance(after, tuple) else (after,)
        y = output(*after)
        leaving = (*after[: len(states) - 1], y) if fed else after
        if lengths is not None:
            live = (t < lengths)[:, None]
            leaving = [torch.where(live, new, old) for new, old in zip(leaving, states, strict=True)]
            y = torch.where(live, y, torch.zeros_like(y))
        states, ys[t] = leaving, y
    return torch.stack(ys), tuple(states)


def gradients(results, leaves):
    """Of a fixed mixture of the results by each leaf."""
    generator = torch.Generator().manual_seed(7)
    total = sum((torch.randn(r.shape, generator=generator, dtype=DTYPE) * r).sum() for r in flat(results))
    found = torch.autograd.grad(total, leaves, allow_unused=True, retain_graph=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(leaves, found, strict=True)]


def assert_is(got, expected, leaves):
    """The same values and gradients, to the rounding of a few steps in float64."""
    for one, other in zip(flat(got), flat(expected), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)
    for one, other in zip(gradients(got, leaves), gradients(expected, leaves), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-11)


def runs_on(layer, *args, **kwargs):
    """The backend of a layer's plan."""
    (part,) = layer.plan(*args, **kwargs).layers
    return part.backend


def flat_leaves(module, *tensors):
    """What there is a gradient by."""
    return [t for t in (*flat(list(tensors)), *module.parameters()) if t.requires_grad]
