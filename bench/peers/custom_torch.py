"""Cells that nobody ships a kernel for, on torch. Options: elman; step (a loop over the step); loop (its best form)."""

import torch
import torch.nn.functional as F

import elman
from bench.numbers import sequences
from bench.recipes import CONSTANT, numbers, recipe

from .in_torch import measured, tensors


class Functions:
    """What a recipe calls `m`."""

    tanh, sigmoid, exp, maximum = torch.tanh, torch.sigmoid, torch.exp, torch.maximum
    softplus, linear = F.softplus, F.linear

    @staticmethod
    def chunk(z, n):
        return z.chunk(n, -1)

    @staticmethod
    def rows(W):
        return W.chunk(2, 0)

    @staticmethod
    def layer_norm(z, gain, shift):
        return F.layer_norm(z, z.shape[-1:], gain, shift)


class One(elman.Cell):
    """A recipe as a cell with one state."""

    def __init__(self, made, given):
        super().__init__()
        self.made, size = made, given["U"].size(1)
        self.state_size = (size,) * made.states
        for name, tensor in given.items():
            if name in CONSTANT:
                self.register_buffer(name, tensor)
            else:
                setattr(self, name, torch.nn.Parameter(tensor))

    def _step(self, x, *states):
        p = self.made.once(Functions, self)
        return self.made.step(Functions, p, self.made.before(Functions, p, x), *states)

    def step(self, x, h):
        return self._step(x, h)[0]


class Two(One):
    """A recipe as a cell with two states."""

    def step(self, x, h, c):
        return self._step(x, h, c)


def prepare(job, option, threads):
    """The layer or the loop, and what calls it."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(option != "elman")
    made, given, both = recipe(job.cell), tensors(numbers(job)), tensors(sequences(job))
    cell = (One, Two)[made.states - 1](made, given)
    layer = elman.Recurrent(cell)
    forward = {"elman": lambda x: layer(x)[0], "step": lambda x: step_loop(cell, x), "loop": lambda x: loop(cell, x)}
    run = measured(forward[option], job, both["x"], both["g"], list(cell.parameters()))
    if option == "elman":
        run.note = f"{layer.plan(both['x'][:2]).backend} backend"
    return run


def step_loop(cell, x):
    """What people write."""
    states, outputs = cell.initial_state(x.size(1)), []
    for x_t in x.unbind(0):
        states = cell.step(x_t, *states)
        states = states if isinstance(states, tuple) else (states,)
        outputs.append(states[0])
    return torch.stack(outputs)


def loop(cell, x):
    """Whatever does not wait for the state stands before the loop."""
    p = cell.made.once(Functions, cell)
    states, outputs = cell.initial_state(x.size(1)), []
    for a in cell.made.before(Functions, p, x).unbind(0):
        states = cell.made.step(Functions, p, a, *states)
        outputs.append(states[0])
    return torch.stack(outputs)
