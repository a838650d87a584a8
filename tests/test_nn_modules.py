"""elman.nn as modules: names, initialisation, loading, copying, torch.func, and torch's own lists of inputs."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

import elman
from elman import nn as elman_nn
from tolerances import assert_all_close, assert_close

pytest.importorskip("expecttest")
mutable = torch.backends.__allow_nonbracketed_mutation_flag
from torch.testing._internal.common_modules import ModuleErrorEnum, module_db  # noqa: E402

# The import above forbids to set flags like torch.backends.mkldnn.enabled for the whole process.
torch.backends.__allow_nonbracketed_mutation_flag = mutable

T, B, INPUT, HIDDEN = 4, 2, 3, 4
LAYERS = ["RNN", "GRU", "LSTM"]
CELLS = ["RNNCell", "GRUCell", "LSTMCell"]
ARGUMENTS = {
    "RNN": [{}, {"nonlinearity": "relu", "num_layers": 2}, {"bias": False}],
    "GRU": [{}, {"num_layers": 2, "bidirectional": True, "batch_first": True}, {"bias": False}],
    "LSTM": [{}, {"num_layers": 2, "bidirectional": True, "proj_size": 2}, {"bias": False}],
    "RNNCell": [{}, {"bias": False, "nonlinearity": "relu"}],
    "GRUCell": [{}, {"bias": False}],
    "LSTMCell": [{}, {"bias": False}],
}
ALL = [(name, arguments) for name, lists in ARGUMENTS.items() for arguments in lists]
DATABASE = {m.module_cls.__name__: m for m in module_db if m.module_cls.__name__ in ARGUMENTS}


def make(library, name, **arguments):
    torch.manual_seed(1)
    return getattr(library, name)(INPUT, HIDDEN, **arguments)


def read(name):
    """An input that the module of this name reads."""
    torch.manual_seed(2)
    return torch.randn(B, INPUT) if name in CELLS else torch.randn(T, B, INPUT)


@pytest.mark.parametrize(("name", "arguments"), ALL)
def test_parameters_have_the_same_names_shapes_and_numbers(name, arguments):
    ours, theirs = (make(library, name, **arguments) for library in (elman_nn, nn))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], value)
    assert isinstance(ours, getattr(nn, name))
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize(("name", "arguments"), ALL)
def test_weights_load_both_ways(name, arguments):
    x = read(name)
    ours, theirs = (make(library, name, **arguments) for library in (elman_nn, nn))
    with torch.no_grad():
        for p in theirs.parameters():
            p.mul_(2)
    expected = theirs(x)
    ours.load_state_dict(theirs.state_dict())
    assert_close(ours(x), expected)
    fresh = make(nn, name, **arguments)
    fresh.load_state_dict(ours.state_dict())
    assert_close(fresh(x), expected)


@pytest.mark.parametrize(("name", "arguments"), ALL)
def test_copies_give_the_same(name, arguments):
    x, ours = read(name), make(elman_nn, name, **arguments)
    expected = ours(x)
    stored = io.BytesIO()
    torch.save(ours, stored)
    stored.seek(0)
    copies = (
        copy.deepcopy(ours),
        pickle.loads(pickle.dumps(ours)),  # noqa: S301
        torch.load(stored, weights_only=False),
    )
    for twin in copies:
        assert torch.equal(flat(twin(x)), flat(expected))
        with torch.no_grad():
            next(twin.parameters()).zero_()
        assert not torch.equal(flat(twin(x)), flat(expected))
        assert torch.equal(flat(ours(x)), flat(expected))


@pytest.mark.parametrize(("name", "arguments"), ALL)
def test_functional_call_reads_the_given_weights(name, arguments):
    x = read(name)
    ours, theirs = (make(library, name, **arguments) for library in (elman_nn, nn))
    weights = {key: 2 * value.detach() for key, value in ours.named_parameters()}
    before = flat(ours(x))
    got = torch.func.functional_call(ours, weights, (x,))
    assert_close(got, torch.func.functional_call(theirs, weights, (x,)))
    assert torch.equal(flat(ours(x)), before)


@pytest.mark.parametrize("name", LAYERS)
def test_torch_func_differentiates(name):
    x, ours = read(name), make(elman_nn, name)
    weights = dict(ours.named_parameters())

    def loss(weights):
        return torch.func.functional_call(ours, weights, (x,))[0].sum()

    expected = torch.autograd.grad(loss(weights), list(weights.values()))
    got = torch.func.grad(loss)({key: value.detach() for key, value in weights.items()})
    assert_all_close(got.items(), zip(weights, expected, strict=True))
    copy.deepcopy(ours)(x)


@pytest.mark.parametrize("name", LAYERS)
def test_weights_changed_in_place_or_replaced_are_seen(name):
    x = read(name)
    ours, theirs = (make(library, name) for library in (elman_nn, nn))
    for module in (ours, theirs):
        module(x)
        module.weight_hh_l0.data.mul_(0.5)
        module.weight_ih_l0 = nn.Parameter(module.weight_ih_l0.detach() + 1)
    assert_close(ours(x), theirs(x))
    assert_close(ours.double()(x.double()), theirs.double()(x.double()))
    nn.utils.parametrizations.weight_norm(ours, "weight_hh_l0")
    assert_close(ours(x.double()), theirs(x.double()))


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_one_size_do_not_disturb_each_other(name):
    torch.manual_seed(1)
    one, other = getattr(elman_nn, name)(INPUT, HIDDEN), getattr(elman_nn, name)(INPUT, HIDDEN)
    x = read(name)
    expected = flat(one(x)), flat(other(x))
    loss = (one(x)[0] * other(x)[0]).sum()
    loss.backward()
    assert not torch.equal(one.weight_hh_l0.grad, other.weight_hh_l0.grad)
    assert torch.equal(flat(one(x)), expected[0])
    assert torch.equal(flat(other(x)), expected[1])
    assert len(list(one.modules())) == 1


def test_flatten_parameters_stays_callable():
    for name in LAYERS:
        make(elman_nn, name).flatten_parameters()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_cells_go_into_recurrent(name, bias):
    theirs = make(nn, name.removesuffix("Cell"), bias=bias)
    cell = make(elman_nn, name, bias=bias)
    for key, value in cell.named_parameters():
        value.data = getattr(theirs, f"{key}_l0").data
    x = read("layer")
    y, state = elman.Recurrent(cell)(x)
    expected, end = theirs(x)
    assert_close(y, expected)
    assert_close(state, tuple(s.squeeze(0) for s in end) if isinstance(end, tuple) else end.squeeze(0))


@pytest.mark.parametrize("name", CELLS)
def test_one_step_is_the_step(name):
    cell, x = make(elman_nn, name), read(name)
    states = cell.initial_state(B)
    assert_close(cell.step(x, *states), cell(x, states if len(states) == 2 else states[0]))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ARGUMENTS)
def test_inputs_of_torch(name, training, dtype):
    info = DATABASE[name]
    for sample in info.module_inputs_func(info, "cpu", dtype, requires_grad=False, training=training):
        forward, built = sample.forward_input, sample.constructor_input
        outcomes = []
        for library in (elman_nn, nn):
            torch.manual_seed(1)
            module = getattr(library, name)(*built.args, dtype=dtype, **built.kwargs).train(training)
            outcomes.append(module(*forward.args, **forward.kwargs))
        got, expected = outcomes
        if isinstance(expected[0], nn.utils.rnn.PackedSequence):
            got, expected = (got[0].data, got[1]), (expected[0].data, expected[1])
        assert_close(got, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ARGUMENTS)
def test_errors_of_torch(name, dtype):
    info = DATABASE[name]
    for sample in info.module_error_inputs_func(info, "cpu", dtype, requires_grad=False, training=True):
        wrong = sample.module_error_input
        built, forward = wrong.constructor_input, wrong.forward_input
        if sample.error_on == ModuleErrorEnum.CONSTRUCTION_ERROR:
            with pytest.raises(sample.error_type, match=sample.error_regex):
                getattr(elman_nn, name)(*built.args, **built.kwargs)
            continue
        module = getattr(elman_nn, name)(*built.args, **built.kwargs)
        with pytest.raises(sample.error_type, match=sample.error_regex):
            module(*forward.args, **forward.kwargs)


def wrong_calls(name):
    """Calls that torch.nn refuses, beyond its own list."""
    layers, pairs = 2, name == "LSTM"

    def hx(*shape):
        return (torch.zeros(shape), torch.zeros(shape)) if pairs else torch.zeros(shape)

    packed = nn.utils.rnn.pack_padded_sequence(torch.zeros(T, B, INPUT), [4, 2])
    yield "an input with one axis", (torch.zeros(INPUT),)
    yield "an input with four axes", (torch.zeros(1, T, B, INPUT),)
    yield "another input size", (torch.zeros(T, B, INPUT + 1),)
    yield "no steps", (torch.zeros(0, B, INPUT),)
    yield "another dtype", (torch.zeros(T, B, INPUT, dtype=torch.float64),)
    yield "integers", (torch.zeros(T, B, INPUT, dtype=torch.int64),)
    yield "a state for another batch", (torch.zeros(T, B, INPUT), hx(layers, B + 1, HIDDEN))
    yield "a state for other levels", (torch.zeros(T, B, INPUT), hx(layers + 1, B, HIDDEN))
    yield "a state of another size", (torch.zeros(T, B, INPUT), hx(layers, B, HIDDEN + 1))
    yield "a state without a batch", (torch.zeros(T, B, INPUT), hx(layers, HIDDEN))
    yield "a state with a batch", (torch.zeros(T, INPUT), hx(layers, B, HIDDEN))
    yield "packed, a state for another batch", (packed, hx(layers, B + 1, HIDDEN))
    yield "packed, another input size", (packed._replace(data=torch.zeros(6, INPUT + 1)),)
    yield "not a tensor", ([1.0, 2.0],)


@pytest.mark.parametrize("name", LAYERS)
def test_more_errors_are_of_the_types_of_torch(name):
    ours, theirs = (make(library, name, num_layers=2) for library in (elman_nn, nn))
    for what, arguments in wrong_calls(name):
        with pytest.raises(Exception) as expected:
            theirs(*arguments)
        with pytest.raises(Exception) as got:
            ours(*arguments)
        assert isinstance(got.value, expected.type), f"{what}: {got.value!r} instead of {expected.value!r}"


@pytest.mark.parametrize("name", LAYERS)
def test_what_elman_adds_is_checked(name):
    ours = make(elman_nn, name)
    x = read(name)
    packed = nn.utils.rnn.pack_padded_sequence(x, [4, 2])
    wrong = [
        ({"lengths": [4, 5]}, elman.errors.ArgumentError, "between 0 and T = 4, got 5"),
        ({"lengths": [-1, 4]}, elman.errors.ArgumentError, "got -1 in row 0"),
        ({"lengths": [4]}, elman.errors.ShapeError, r"\[B\] = \[2\], got \[1\]"),
        ({"lengths": torch.ones(2)}, elman.errors.ArgumentError, "integer dtype, got torch.float32"),
        ({"reset": torch.zeros(T, B)}, elman.errors.ArgumentError, "torch.bool, got torch.float32"),
        ({"reset": torch.zeros(B, T, dtype=torch.bool)}, elman.errors.ShapeError, r"\[4, 2\], got \[2, 4\]"),
    ]
    for arguments, error, message in wrong:
        with pytest.raises(error, match=message):
            ours(x, **arguments)
    with pytest.raises(elman.errors.ArgumentError, match="drop `lengths`"):
        ours(packed, lengths=[4, 2])


def flat(outcome):
    """All numbers of an outcome in one tensor."""
    if isinstance(outcome, tuple):
        return torch.cat([flat(part) for part in outcome])
    return outcome.detach().reshape(-1)
