"""All steps at once against the loop: values, gradients, lengths, and what does not converge."""

import pytest
import torch
from torch import nn

import elman
from compiled import Written
from elman.errors import ArgumentError
from elman.layers.parallel import ConvergenceWarning

T, B = 37, 3
CELLS = {
    "elman": lambda: elman.Elman(3, 5),
    "lstm": lambda: elman.LSTM(3, 4),
    "gru": lambda: elman.GRU(3, 4),
    "fed its output": lambda: elman.Jordan(3, 4, 2),
    "linear": lambda: elman.LRU(3, 4),
    "two states": lambda: elman.LEM(3, 4),
}


def outcome(layer, x, **options):
    x = x.clone().requires_grad_()
    first = started(layer, x)
    y, ends = layer(x, first, **options)
    ends = ends if isinstance(ends, tuple) else (ends,)
    loss = y.sin().sum() + sum((end**2).sum() for end in ends)
    return (y, *ends), torch.autograd.grad(loss, (x, *first, *layer.parameters()), allow_unused=True)


def started(layer, x):
    loop = layer.loop if isinstance(layer, elman.Parallel) else layer
    draw = torch.Generator().manual_seed(2)
    made = [torch.randn(s.shape, dtype=s.dtype, generator=draw) for s in loop._states(None, x.size(1), x)]
    return tuple(0.5 * s.requires_grad_() for s in made)


@pytest.mark.parametrize("lengths", [None, torch.tensor([37, 0, 11])])
@pytest.mark.parametrize("name", CELLS)
def test_all_steps_at_once_are_the_loop(name, lengths):
    torch.manual_seed(1)
    cell = CELLS[name]().double()
    x = torch.randn(T, B, 3, dtype=torch.float64)
    if lengths is not None:
        x[12:, 2] = float("nan")
    layer = elman.Parallel(cell)
    got, expected = outcome(layer, x, lengths=lengths), outcome(elman.Recurrent(cell), x, lengths=lengths)
    assert 1 <= layer.used <= (1 if name == "linear" else 20)
    for one, other in zip((*got[0], *got[1]), (*expected[0], *expected[1]), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


class Chaotic(elman.Cell):
    """The logistic map: no state far ahead is known from a linear guess."""

    state_size = (1,)

    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(3.99))

    def step(self, x, s):
        return self.rate * s * (1 - s) + 0 * x


def test_what_does_not_converge_is_said_and_runs_as_a_loop():
    layer, x, start = elman.Parallel(Chaotic(), iterations=5), torch.zeros(60, 2, 1), torch.full((2, 1), 0.3)
    with pytest.warns(ConvergenceWarning, match="Chaotic"):
        y, _ = layer(x, start)
    assert torch.equal(y, elman.Recurrent(layer.cell)(x, start)[0])
    assert layer.used == 0


def test_what_it_does_not_take_is_refused():
    layer, x = elman.Parallel(elman.GRU(3, 4)), torch.randn(5, 2, 3)
    with pytest.raises(ArgumentError, match="reset"):
        layer(x, reset=torch.zeros(5, 2, dtype=torch.bool))
    with pytest.raises(ArgumentError, match="tolerance"):
        elman.Parallel(elman.GRU(3, 4), tolerance=0.0)
    with pytest.raises(ArgumentError, match="T = 0"):
        layer(x[:0])


@pytest.mark.parametrize("kind", [elman.Parallel, elman.RTRL])
def test_what_belongs_to_a_whole_call_is_refused(kind):
    dropped = elman.GRU(3, 4)
    elman.around.weight_drop(dropped, 0.5)
    for cell in (elman.around.VariationalDropout(elman.GRU(3, 4), 0.5), dropped):
        with pytest.raises(ArgumentError, match="as it is"):
            kind(cell)


def test_an_ended_row_divides_by_nothing():
    """Padding of zeros, in a step that divides by x: nothing of it reaches the shared weights."""
    cell = Written(
        lambda s, x, h: torch.tanh(x / x.norm(dim=-1, keepdim=True) @ s.A + h), (3,), A=nn.Parameter(torch.eye(3))
    )
    x = torch.randn(T, B, 3)
    x[12:, 2] = 0
    y, _ = elman.Parallel(cell.float())(x, lengths=torch.tensor([37, 20, 12]))
    (g,) = torch.autograd.grad(y.square().sum(), [cell.A])
    assert torch.isfinite(g).all()
