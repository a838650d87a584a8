"""A network that is fed its output, under teacher forcing: one training step, against one without time.

The same products on T B rows, in torch: V tanh(U x + R y + b) + c, and with U and R as one layer.
"""

import argparse

import torch
from torch import nn

import elman

from .harness import interleaved, show, table

SIZES = ((50, 8, 16, 32), (100, 16, 32, 64), (100, 32, 64, 128), (200, 64, 128, 256))


def contenders(steps, batch, inputs, hidden):
    """A training step of each network, all of the same sizes."""
    torch.manual_seed(0)
    x, targets, g = (torch.randn(steps, batch, inputs) for _ in range(3))
    rows, fed = x.flatten(0, 1), torch.cat([torch.zeros(1, batch, inputs), targets[:-1]]).flatten(0, 1)
    both = torch.cat([rows, fed], 1)
    jordan = elman.Recurrent(elman.Jordan(inputs, hidden, inputs))
    assert "inside: nothing" in str(jordan.plan(x, targets=targets))
    of_x, of_y, out = nn.Linear(inputs, hidden), nn.Linear(inputs, hidden, bias=False), nn.Linear(hidden, inputs)
    joined = nn.Sequential(nn.Linear(2 * inputs, hidden), nn.Tanh(), nn.Linear(hidden, inputs))

    def step(parameters, forward):
        def run():
            for parameter in parameters:
                parameter.grad = None
            y = forward()
            y.backward(g.view_as(y))

        return run

    apart = [*of_x.parameters(), *of_y.parameters(), *out.parameters()]
    return {
        "elman": step([*jordan.parameters()], lambda: jordan(x, targets=targets)[0]),
        "the same layers": step(apart, lambda: out(torch.tanh(of_x(rows) + of_y(fed)))),
        "one layer less": step([*joined.parameters()], lambda: joined(both)),
    }


def main(arguments=None):
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    a = parser.parse_args(arguments)
    torch.set_num_threads(a.threads)
    for sizes in SIZES:
        title = f"fed its output, teacher forced, T, B, I, H = {', '.join(map(str, sizes))}, {a.threads} threads"
        times = interleaved(contenders(*sizes), a.rounds)
        show(table(title, "elman", times, {"the same layers": 0.83}))  # at most 1.2 times its time


if __name__ == "__main__":
    main()
