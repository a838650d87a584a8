"""The cells that others have published too against their numbers: same weights, same input, same states."""

import pytest
import torch
import torchrecurrent

import elman
from compiled import DTYPE, flat, random_tensor
from elman.cells import known_cells
from elman.compiler import using
from every_cell import CELLS
from published import COPIES, CORRECTED, LEFT, as_published
from tolerances import assert_close

T, B, I, H = 7, 3, 4, 5

# Those that need other options than elsewhere: a β that is not the default of both, and as many factors and slow units
# as there are others.
OWN = {
    "JANET": lambda i, h: elman.JANET(i, h, 0.7),
    "MultiplicativeRNN": elman.MultiplicativeRNN,
    "SCRN": lambda i, h: elman.SCRN(i, h, h, 0.8),
}


def drawn(name, input_size):
    """Our cell with all its parameters drawn, an input, and states to begin with."""
    cell = (CELLS | OWN)[name](input_size, H).to(DTYPE)
    with torch.no_grad():
        for number, parameter in enumerate(cell.parameters()):
            parameter.copy_(0.5 * random_tensor(*parameter.shape, seed=100 + number, grad=False))
    states = tuple(random_tensor(B, size, seed=5 + number, grad=False) for number, size in enumerate(cell.state_size))
    return cell, random_tensor(T, B, input_size, grad=False), states


@torch.no_grad()
def ours(cell, x, states):
    """The first state at each step [T, B, H], and all states after the last."""
    with using(backend="reference"):
        y, ends = elman.Recurrent(cell)(x, states if len(states) > 1 else states[0])
    return [y[..., :H], *flat([ends])]  # SCRN gives out its slow units too


@torch.no_grad()
def looped(step, x, states):
    """The same of a step that is called in a loop."""
    firsts = []
    for x_t in x:
        states = step(x_t, *states)
        firsts.append(states[0])
    return [torch.stack(firsts), *states]


@pytest.mark.parametrize("input_size", [I, H])
@pytest.mark.parametrize("name", COPIES)
def test_the_numbers_of_a_published_implementation(name, input_size):
    cell, x, states = drawn(name, input_size)
    step = CORRECTED.get(name, as_published)(COPIES[name](cell))
    assert_close(ours(cell, x, states), looped(step, x, states), what=name)


@pytest.mark.parametrize("name", CORRECTED)
def test_where_torchrecurrent_departs(name):
    """As it stands, theirs is another cell: what is corrected is no more than what must be."""
    cell, x, states = drawn(name, I)
    as_it_stands = looped(as_published(COPIES[name](cell)), x, states)
    with pytest.raises(AssertionError, match="off by"):
        assert_close(as_it_stands, ours(cell, x, states), 1e-3)


def test_every_cell_is_compared_or_left_with_a_reason():
    assert COPIES.keys() | LEFT.keys() == known_cells().keys()
    assert not COPIES.keys() & LEFT.keys()
    assert COPIES.keys() >= CORRECTED.keys()


def test_torchrecurrent_has_none_of_those_that_are_left():
    there = {name.removesuffix("Cell").lower() for name in torchrecurrent.__all__}
    assert "janet" in there
    assert there.isdisjoint(name.lower() for name in LEFT)
