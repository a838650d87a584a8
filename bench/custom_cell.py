"""A cell nobody ships a kernel for: one training step, against the Python loops that people write."""

import argparse

import torch
from torch import nn

import elman

from .harness import interleaved, show, table


class PeepholeLSTM(elman.Cell):
    """LSTM whose gates see the cell state (Gers and Schmidhuber, 2000)."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.state_size = (hidden_size, hidden_size)
        self.U = nn.Linear(input_size, 4 * hidden_size)
        self.W = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.p_i, self.p_f, self.p_o = (nn.Parameter(0.1 * torch.randn(hidden_size)) for _ in range(3))

    def step(self, x, h, c):
        i, f, g, o = (self.U(x) + self.W(h)).chunk(4, dim=-1)
        i, f = torch.sigmoid(i + self.p_i * c), torch.sigmoid(f + self.p_f * c)
        c = f * c + i * torch.tanh(g)
        return torch.sigmoid(o + self.p_o * c) * torch.tanh(c), c


def unbind_loop(cell, x):
    """The loop over x.unbind(0)."""
    h, c = cell.initial_state(x.size(1))
    outputs = []
    for x_t in x.unbind(0):
        h, c = cell.step(x_t, h, c)
        outputs.append(h)
    return torch.stack(outputs)


def index_loop(cell, x):
    """The loop that reads x[t]; the gradient of each reading is as long as x."""
    h, c = cell.initial_state(x.size(1))
    outputs = []
    for t in range(x.size(0)):
        h, c = cell.step(x[t], h, c)
        outputs.append(h)
    return torch.stack(outputs)


def main(arguments=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=784)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    a = parser.parse_args(arguments)
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    cell = PeepholeLSTM(a.hidden, a.hidden)
    layer = elman.Recurrent(cell)
    x = torch.randn(a.steps, a.batch, a.hidden, requires_grad=True)

    def training_step(forward):
        def run():
            cell.zero_grad()
            x.grad = None
            forward(x).square().mean().backward()

        return run

    def on_torch(x):
        with elman.using(backend="reference"):
            return layer(x)[0]

    times = interleaved(
        {
            "elman, reference": training_step(on_torch),
            "loop over x.unbind(0)": training_step(lambda x: unbind_loop(cell, x)),
            "loop over x[t]": training_step(lambda x: index_loop(cell, x)),
            f"elman, {layer.plan(x).backend}": training_step(lambda x: layer(x)[0]),
        },
        a.rounds,
    )
    title = (
        f"peephole LSTM, forward and backward, T, B, H = {a.steps}, {a.batch}, {a.hidden}, "
        f"{a.threads} threads; ratios to the reference backend"
    )
    show(table(title, "elman, reference", times, {"loop over x.unbind(0)": 1.3, "loop over x[t]": 3.0}))


if __name__ == "__main__":
    main()
