"""Real-time recurrent learning against BPTT, and what it refuses."""

import pytest
import torch
from torch import nn

import elman
from elman.errors import ArgumentError, ShapeError

T, B = 9, 3


class Learned(elman.GRU):
    """A cell whose initial state is learned."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.first = nn.Parameter(torch.randn(hidden_size))

    def initial_state(self, batch_size):
        return (self.first.expand(batch_size, -1),)


CELLS = {
    "elman": lambda: elman.Elman(3, 5),
    "lstm": lambda: elman.LSTM(3, 4),
    "gru": lambda: elman.GRU(3, 4),
    "fed its output": lambda: elman.Jordan(3, 4, 2),
    "learned start": lambda: Learned(3, 4),
    "lem": lambda: elman.LEM(3, 4),
}


def cell_of(name):
    torch.manual_seed(5)
    return CELLS[name]().double()


@pytest.mark.parametrize("name", CELLS)
def test_the_sum_over_the_steps_is_what_bptt_finds(name):
    cell, x = cell_of(name), torch.randn(T, B, 3, dtype=torch.float64)
    y, _ = elman.Recurrent(cell)(x)
    weights = torch.randn_like(y)
    (weights * y).sum().backward()
    expected = {n: p.grad.clone() for n, p in cell.named_parameters()}
    cell.zero_grad()
    online = elman.RTRL(cell, B)
    for t in range(T):
        now = online(x[t])
        torch.testing.assert_close(now, y[t], rtol=1e-12, atol=1e-12)
        (weights[t] * now).sum().backward()
    for n, p in cell.named_parameters():
        torch.testing.assert_close(p.grad, expected[n], rtol=1e-10, atol=1e-12)
    online.begin()
    torch.testing.assert_close(online(x[0]), y[0], rtol=1e-12, atol=1e-12)


def test_each_step_knows_its_whole_past():
    """The gradient of the last output alone, with no backward pass at the steps before it."""
    cell, x = cell_of("lstm"), torch.randn(T, B, 3, dtype=torch.float64)
    expected = torch.autograd.grad(elman.Recurrent(cell)(x)[0][-1].square().sum(), list(cell.parameters()))
    online = elman.RTRL(cell, B)
    for t in range(T):
        y = online(x[t])
    for one, other in zip(torch.autograd.grad(y.square().sum(), list(cell.parameters())), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.slow
def test_it_learns_a_delay_from_a_stream():
    torch.manual_seed(0)
    cell, readout = elman.Elman(1, 8), nn.Linear(8, 1)
    online, losses = elman.RTRL(cell, 4), []
    optimizer = torch.optim.Adam([*cell.parameters(), *readout.parameters()], lr=0.01)
    stream = torch.randint(0, 2, (700, 4, 1)).float()
    for t in range(2, len(stream)):
        loss = (readout(online(stream[t])) - stream[t - 2]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-50:]) < 0.25 * sum(losses[:50])


def test_what_it_cannot_do_is_said():
    online = elman.RTRL(cell_of("gru"), B)
    with pytest.raises(ShapeError, match="B = 3"):
        online(torch.randn(2, 3, dtype=torch.float64))
    with pytest.raises(ArgumentError, match="detach"):
        online(torch.randn(B, 3, dtype=torch.float64, requires_grad=True))
    with pytest.raises(ArgumentError, match="at least one row"):
        elman.RTRL(cell_of("gru"), 0)
