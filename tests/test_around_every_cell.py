"""What goes around cells goes around every cell that elman has, on its compiled path."""

import pytest
import torch

import elman
from compiled import assert_same, compiled_only, outcome, step_by_step
from elman import around, init
from elman.compiler import using
from elman.errors import ArgumentError
from every_cell import CELLS, make_cell, make_input

T, B, I, H = 4, 3, 4, 5
LENGTHS = torch.tensor([4, 0, 2])
NO_STATES = {name for name in CELLS if not make_cell(name, I, H).state_size}
WITHOUT_MATRIX = {"BRC", "LRU", "Autonomous", "IndRNN", "MinGRU", "MinLSTM", "UnICORNN"}  # from state to state
MADE_IN_STEP = {"AntisymmetricRNN", "GatedAntisymmetricRNN", "LeakyRate"}  # of the matrix that is a parameter
QUICK = {"BRC", "LSTM", "MUT2", "RHN", "Jordan", "AntisymmetricRNN"}
each = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in CELLS]
)


def call(name, wrap, **options):
    cell = make_cell(name, I, H, torch.float64)
    x, more = make_input(cell, T, B, I, torch.float64)
    return elman.Recurrent(wrap(cell).double()), x, {**more, **options}


DETERMINED = {
    "zoneout": lambda cell: around.Zoneout(cell, 0.2).eval(),
    "learned start": lambda cell: around.LearnedStart(cell, std=0.3),
    "clamped": lambda cell: around.Clamped(cell, slice(0, 1)),
}
DRAWN = {
    "zoneout": lambda cell: around.Zoneout(cell, 0.2),
    "random start": lambda cell: around.RandomStart(cell, 0.2),
}


@each
@pytest.mark.parametrize("kind", DETERMINED)
def test_values_and_gradients_are_those_of_the_loop(name, kind):
    if name in NO_STATES:
        with pytest.raises(ArgumentError, match="carries no state"):
            call(name, DETERMINED[kind])
        return
    layer, x, options = call(name, DETERMINED[kind], lengths=LENGTHS)
    check_as_loop(layer, x, options, ["reference"] if name in QUICK - {"LSTM"} else ["reference", "c"])


def check_as_loop(layer, x, options, backends):
    with step_by_step():
        expected = outcome(layer, x, None, **options)
    for backend in backends:
        with using(backend=backend), compiled_only():
            assert_same(outcome(layer, x, None, **options), expected, 1e-9, 1e-11)


@each
def test_units_that_are_given_at_every_step(name):
    def wrap(cell):
        return around.Driven(cell, [0] if name == "Neuron" else [0, 2])

    if name in NO_STATES or len(make_cell(name, I, H).initial_state(1)[0][0].shape) > 1:
        with pytest.raises(ArgumentError, match=r"carries no state|expected a state \[B, H\]"):
            call(name, wrap)
        return
    layer, x, options = call(name, wrap, lengths=LENGTHS)
    values = torch.randn(T, B, layer.cell.places.shape[0], dtype=torch.float64)
    options.pop("steps", None)
    x = (values if x is None else torch.cat([x.detach(), values], -1)).requires_grad_()
    check_as_loop(layer, x, options, ["reference"] if name in QUICK - {"LSTM"} else ["reference", "c"])
    first = around.Readout(layer.cell, 0)
    given = elman.Recurrent(first)(x, **options)[0][..., layer.cell.mask]
    torch.testing.assert_close(given[:, 0], values[:, 0], rtol=0, atol=0)
    assert not given[:, 1].any()  # a row without steps


@each
@pytest.mark.parametrize("kind", DRAWN)
def test_what_is_drawn_is_the_same_under_the_same_seed(name, kind):
    if name in NO_STATES:
        return
    layer, x, options = call(name, DRAWN[kind], lengths=LENGTHS)
    with using(backend="reference"), compiled_only():
        y, again, other = (layer(x, generator=torch.Generator().manual_seed(s), **options)[0] for s in (1, 1, 2))
    assert torch.equal(y, again) and not torch.equal(y, other)


@each
def test_masks_on_what_recurrent_products_read(name):
    def wrap(cell):
        return around.VariationalDropout(cell, 0.5)

    if name in WITHOUT_MATRIX or name in NO_STATES:
        with pytest.raises(ArgumentError, match=r"has no recurrent weight|carries no state"):
            call(name, wrap)
        return
    layer, x, options = call(name, wrap)
    with using(backend="reference"), compiled_only():
        if name in MADE_IN_STEP:
            with pytest.raises(ArgumentError, match="otherwise than by a linear layer"):
                layer(x, **options)
            return
        y, again, other = (layer(x, generator=torch.Generator().manual_seed(s), **options)[0] for s in (1, 1, 2))
    assert torch.equal(y, again) and not torch.equal(y, other)


@each
def test_weight_drop_and_initial_weights(name):
    cell = make_cell(name, I, H, torch.float64)
    plain = {key: value.shape for key, value in cell.state_dict().items()}
    if name in WITHOUT_MATRIX:
        for function in (init.orthogonal_, lambda cell: around.weight_drop(cell, 0.5)):
            with pytest.raises(ArgumentError, match="has no recurrent weight"):
                function(cell)
        return
    assert set(init.orthogonal_(cell)) == set(around.weight_drop(cell, 0.5))
    layer = elman.Recurrent(cell)
    x, options = make_input(cell, T, B, I, torch.float64)
    with using(backend="reference"), compiled_only():
        first, second = layer(x, **options)[0], layer(x, **options)[0]
        assert not torch.equal(first, second)
        assert torch.equal(layer.eval()(x, **options)[0], layer(x, **options)[0])
    assert {key: value.shape for key, value in cell.state_dict().items()} == plain
