"""The loop over x.unbind(0) in torch, the input's product before it. Options: eager, compile."""

import torch
import torch.nn.functional as F

from bench.numbers import draw

from .in_torch import measured, tensors


def rnn(a, w, states):
    (h,) = states
    return (torch.tanh(a + w(h)),)


def gru(a, w, states):
    (h,) = states
    (a_r, a_z, a_n), (w_r, w_z, w_n) = a.chunk(3, 1), w(h).chunk(3, 1)
    n = torch.tanh(a_n + torch.sigmoid(a_r + w_r) * w_n)
    return (torch.lerp(n, h, torch.sigmoid(a_z + w_z)),)


def lstm(a, w, states):
    h, c = states
    i, f, g, o = (a + w(h)).chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


STEPS = {"rnn": rnn, "gru": gru, "lstm": lstm}


def prepare(job, option, threads):
    """The loop and what calls it."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    numbers, step = tensors(draw(job)), STEPS[job.cell]
    U, W, b, d = weights = [
        torch.nn.Parameter(numbers[n]) for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]  # fmt: skip
    zero = torch.zeros(job.case.batch, job.case.hidden)

    def forward(x):
        states, outputs = (zero, zero) if job.cell == "lstm" else (zero,), []
        for a in F.linear(x, U, b).unbind(0):
            states = step(a, lambda h: F.linear(h, W, d), states)
            outputs.append(states[0])
        return torch.stack(outputs)

    run = torch.compile(forward) if option == "compile" else forward
    return measured(run, job, numbers["x"], numbers["g"], weights)
