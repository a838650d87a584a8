"""Initial states that are learned, drawn or made; units that are held; states that are read: against a plain loop."""

import pytest
import torch
from torch import nn

import elman
from around import (
    STATEFUL,
    B,
    H,
    I,
    T,
    assert_is,
    flat_leaves,
    gradients,
    grid,
    loop,
    make,
    runs_on,
    start_of,
    stateful,
)
from compiled import compiled_only, flat, random_tensor
from elman.around import Clamped, LearnedStart, RandomStart, Readout, StartFromVector, VariationalDropout, with_units
from elman.compiler import using
from elman.errors import ArgumentError, ShapeError


def plain_step(cell):
    return lambda t, x, *states: cell.step(x, *states)


def call(layer, x, state, backend, **options):
    with using(backend=backend):
        assert runs_on(layer, x, state, **options) == backend
        y, end = layer(x, state, **options)
    return y, tuple(flat(end))


@grid(STATEFUL)
def test_a_learned_start(name, backend, marks, reverse):
    """Its gradient is that at t = 0, and at each step where a row starts anew."""
    cell = LearnedStart(make(name), std=0.7)
    x = random_tensor(T, B, I)
    states = [start.expand(B, *start.shape) for start in cell.starts]
    expected = loop(plain_step(cell.cell), cell.output, x, states, reverse=reverse, **marks)
    layer = elman.Recurrent(cell, reverse=reverse)
    got = call(layer, x, None, backend, **marks)
    assert_is(got, expected, flat_leaves(cell, x))
    assert all(g.abs().sum() > 0 for g in gradients(got, list(cell.starts)))


@stateful
def test_the_gradient_of_a_learned_start_by_differences(name):
    cell = LearnedStart(make(name), std=0.7)
    layer, x = elman.Recurrent(cell), random_tensor(T, B, I, grad=False)
    names = [name for name, _ in layer.named_parameters() if "starts" in name]
    starts = tuple(p.detach().requires_grad_() for p in cell.starts)

    def function(*starts):
        with nn.utils.stateless._reparametrize_module(layer, dict(zip(names, starts, strict=True))):
            return layer(x, lengths=torch.tensor([5, 0, 2, 3]))[0]

    with compiled_only():
        assert torch.autograd.gradcheck(function, starts, fast_mode=True)


def test_a_learned_start_learns():
    """Without input, a start is all that a system can learn: two units find the start from which they reach 0.5."""
    torch.manual_seed(0)
    cell = LearnedStart(make("elman"))
    for p in cell.cell.parameters():
        p.requires_grad_(False)
    layer, x = elman.Recurrent(cell), torch.zeros(2, 1, I, dtype=torch.float64)
    goal = layer(x, torch.full((1, H), 0.3, dtype=torch.float64))[1].detach()
    optimiser = torch.optim.Adam(cell.starts.parameters(), lr=0.05)
    for _ in range(300):
        loss = (layer(x)[1] - goal).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 1e-3 * goal.square().sum()


@stateful
def test_some_states_learned_the_others_as_they_were(name):
    cell = LearnedStart(make(name), states=(0,), std=0.5)
    assert len(cell.starts) == 1
    first = cell.initial_state(B)
    assert torch.equal(first[0], cell.starts[0].expand(B, H))
    assert all(not other.any() for other in first[1:])


@grid(STATEFUL, (False,), ("plain",))
def test_some_units_given_and_the_others_learned(name, backend, marks, reverse):
    cell = LearnedStart(make(name), std=0.5)
    layer, x, given = elman.Recurrent(cell), random_tensor(T, B, I), random_tensor(B, 2, seed=9)
    h, *rest = cell.initial_state(B)
    start = (with_units(h, [1, 4], given), *rest)
    states = [torch.cat([h[:, :1], given[:, :1], h[:, 2:4], given[:, 1:], h[:, 5:]], dim=1), *rest]
    expected = loop(plain_step(cell.cell), cell.output, x, states)
    assert_is(call(layer, x, start, backend), expected, flat_leaves(cell, x, given))
    assert not gradients(layer(x, start), list(cell.starts))[0][[1, 4]].any()


@grid(STATEFUL, (False,), ("plain",))
def test_a_start_that_is_drawn(name, backend, marks, reverse):
    cell = make(name)
    layer, x = elman.Recurrent(RandomStart(cell, 0.3)), random_tensor(T, B, I)
    generator = torch.Generator().manual_seed(4)
    states = [0.3 * torch.empty(B, s, dtype=torch.float64).normal_(generator=generator) for s in cell.state_size]
    expected = loop(plain_step(cell), cell.output, x, states)
    with using(backend=backend):
        got = layer(x, generator=torch.Generator().manual_seed(4))
        assert_is(got, expected, flat_leaves(cell, x))
    torch.manual_seed(4)
    assert_is(call(layer, x, None, backend), expected, flat_leaves(cell, x))
    wide = RandomStart(elman.LSTM(I, 200), 0.3).initial_state(200)[1]
    assert abs(wide.std().item() - 0.3) < 0.01 and abs(wide.mean().item()) < 0.01


@grid(STATEFUL, (False,), ("plain",))
def test_a_start_made_from_a_vector(name, backend, marks, reverse):
    cell, v = make(name), random_tensor(B, 5, seed=8)
    made, x = StartFromVector(cell, 5), random_tensor(T, B, I)
    states = [torch.tanh(v @ V.weight.t() + V.bias) for V in made.V]
    expected = loop(plain_step(cell), cell.output, x, states)
    assert_is(
        call(elman.Recurrent(cell), x, made(v), backend), expected, [*made.parameters(), *flat_leaves(cell, x, v)]
    )


def test_a_start_made_from_a_vector_goes_out_from_the_own_one():
    cell = elman.SLSTM(I, H).double()
    made, v = StartFromVector(cell, 5), torch.zeros(B, 5, dtype=torch.float64)
    with torch.no_grad():
        for V in made.V:
            V.bias.zero_()
    for start, own in zip(made(v), cell.initial_state(B), strict=True):
        assert torch.equal(start, own)
    assert [name for name, _ in made.named_parameters()] == [f"V.{n}.{w}" for n in range(4) for w in ("weight", "bias")]
    y, _ = elman.Recurrent(cell)(torch.randn(3, B, I, dtype=torch.float64), StartFromVector(cell, 5)(v + 1))
    assert torch.isfinite(y).all()


@grid(STATEFUL)
def test_units_that_are_held(name, backend, marks, reverse):
    cell = make(name)
    x, state = random_tensor(T, B, I), start_of(cell)
    held = torch.tensor([False, True, False, False, True, True])

    def step(t, x, *states):
        h, *rest = flat(cell.step(x, *states))
        return (torch.where(held, states[0], h), *rest)

    layer = elman.Recurrent(Clamped(cell, [1, 4, 5]), reverse=reverse)
    expected = loop(step, cell.output, x, state, reverse=reverse, **marks)
    got = call(layer, x, state, backend, **marks)
    assert_is(got, expected, flat_leaves(cell, x, state))
    assert torch.equal(flat(got[1])[0][:, held], state[0][:, held])


def test_units_that_are_held_at_values_of_their_own():
    cell = Clamped(make("lstm"), slice(0, 2), state=1, values=[0.5, -1.0])
    _, (_, c) = elman.Recurrent(cell)(random_tensor(T, B, I))
    assert torch.equal(c[:, :2], torch.tensor([[0.5, -1.0]], dtype=torch.float64).expand(B, 2))
    assert c[:, 2:].any()
    learned = LearnedStart(cell, std=1.0)
    every = elman.Recurrent(Readout(learned, 1))(random_tensor(T, B, I))[0]
    assert torch.equal(every[..., :2], learned.starts[1][:2].expand(T, B, 2))


@grid(STATEFUL)
def test_every_state_at_every_step(name, backend, marks, reverse):
    cell = make(name)
    x, state = random_tensor(T, B, I), start_of(cell)
    reading = Readout(cell)
    expected = loop(plain_step(cell), lambda *s: torch.cat(s, 1), x, state, reverse=reverse, **marks)
    got = call(elman.Recurrent(reading, reverse=reverse), x, state, backend, **marks)
    assert_is(got, expected, flat_leaves(cell, x, state))
    parts = reading.split(got[0])
    assert [p.shape for p in parts] == [(T, B, size) for size in cell.state_size]


def test_chosen_states_beside_the_output():
    cell = make("two")
    x, state = random_tensor(T, B, I), start_of(cell)
    y, s = (reading := Readout(VariationalDropout(cell, 0.0), "y", 1)).split(elman.Recurrent(reading)(x, state)[0])
    assert torch.equal(y, elman.Recurrent(cell)(x, state)[0])
    assert torch.equal(s[-1], elman.Recurrent(cell)(x, state)[1][1])


def test_states_of_several_axes():
    class Memory(elman.Cell):
        def __init__(self):
            super().__init__()
            self.state_size = (4, (2, 3))
            self.U = nn.Linear(I, 4)

        def step(self, x, h, M):
            return torch.tanh(self.U(x) + h), 0.5 * M + h[:, :2, None] * h[:, None, :3]

    reading = Readout(LearnedStart(Clamped(Memory(), (0, slice(None)), state=1, values=0.25)))
    y = elman.Recurrent(reading)(torch.randn(T, B, I))[0]
    h, M = reading.split(y)
    assert h.shape == (T, B, 4) and M.shape == (T, B, 2, 3)
    assert (M[:, :, 0] == 0.25).all() and not (M[:, :, 1] == 0.25).any()


def test_errors():
    with pytest.raises(ArgumentError, match="carries no state but what it gave out"):
        LearnedStart(make("jordan"))
    with pytest.raises(ArgumentError, match="is fed what it gives out"):
        Readout(make("jordan"))
    with pytest.raises(ArgumentError, match="expected states 0 to 1 of LSTM, got 5"):
        Readout(make("lstm"), 0, 5)
    with pytest.raises(ShapeError, match=r"a state of \[6\] units has no units 6"):
        Clamped(make("gru"), 6)
    with pytest.raises(ShapeError, match=r"expected values \[4, 2\] for the units, got \[3\]"):
        with_units(torch.zeros(4, 6), [0, 1], [1.0, 2.0, 3.0])
