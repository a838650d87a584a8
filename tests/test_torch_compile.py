"""torch.compile around a model sees one operator, whose values and gradients are those of the layer itself."""

import copy

import pytest
import torch

import elman


@pytest.fixture(autouse=True)
def _forgets():
    """Every test starts with nothing compiled, far from torch's limit of versions per function."""
    torch._dynamo.reset()


def both_directions(input_size):
    ahead, back = elman.Elman(input_size, 4), elman.Elman(input_size, 4)
    return elman.Bidirectional(elman.Recurrent(ahead), elman.Recurrent(back, reverse=True))


LAYERS = {
    "elman": lambda: elman.Recurrent(elman.Elman(3, 5)),
    "lstm": lambda: elman.Recurrent(elman.LSTM(3, 5)),
    "jordan": lambda: elman.Recurrent(elman.Jordan(3, 5, 2)),
    "stack": lambda: elman.Stack(elman.Recurrent(elman.GRU(3, 5)), both_directions(5)),
}


def tensors_in(state):
    return [state] if isinstance(state, torch.Tensor) else [t for part in state for t in tensors_in(part)]


def outcome(call, layer, x, **kwargs):
    """Everything that a call gives out, and every gradient."""
    x = x.clone().requires_grad_()
    layer.zero_grad()
    y, state = call(x, **kwargs)
    ends = tensors_in(state)
    (y.square().sum() + sum((end**3).sum() for end in ends)).backward()
    return [y, *ends, x.grad, *(p.grad for p in layer.parameters())]


def same(first, second):
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("lengths", [None, [7, 0, 3, 5]])
def test_one_graph_for_all_lengths_and_batches(name, lengths):
    torch.manual_seed(0)
    layer = LAYERS[name]().double()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for steps, batch in ((7, 4), (9, 4), (8, 5)):
        x = torch.randn(steps, batch, 3, dtype=torch.float64)
        kwargs = {} if lengths is None else {"lengths": torch.tensor([*lengths, 1][:batch])}
        same(outcome(layer, layer, x, **kwargs), outcome(compiled, layer, x, **kwargs))


@pytest.mark.slow
def test_drop_in_layers_are_compiled_around():
    torch.manual_seed(0)
    layer = elman.nn.LSTM(3, 5, 2, bidirectional=True).double()
    compiled = torch.compile(layer, backend="aot_eager")
    x = torch.randn(7, 4, 3, dtype=torch.float64)
    same(outcome(layer, layer, x), outcome(compiled, layer, x))


@pytest.mark.slow
def test_a_model_trains_under_inductor():
    torch.manual_seed(0)
    layer = elman.Recurrent(elman.GRU(3, 5))
    model = torch.compile(copy.deepcopy(layer))
    x = torch.randn(6, 2, 3)
    for module in (layer, model):
        optimiser = torch.optim.SGD(module.parameters(), 0.1)
        for _ in range(3):
            optimiser.zero_grad()
            module(x)[0].square().mean().backward()
            optimiser.step()
    for a, b in zip(layer.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(a, b)


class Sums(elman.Cell):
    """A step outside the table of operations."""

    state_size = (3,)

    def step(self, x, h):
        return torch.cumsum(x + h, -1)


@pytest.mark.slow
def test_what_cannot_be_compiled_says_so():
    compiled = torch.compile(elman.Recurrent(Sums()), backend="aot_eager")
    with pytest.raises(Exception, match=r"TraceError.*torch.compiler.disable.*cumsum"):
        compiled(torch.zeros(2, 2, 3))


@pytest.mark.slow
def test_lengths_are_checked_in_the_graph():
    compiled = torch.compile(elman.Recurrent(elman.LSTM(3, 5)), backend="aot_eager")
    with pytest.raises(RuntimeError, match="expected lengths between 0 and T"):
        compiled(torch.zeros(4, 2, 3), lengths=torch.tensor([9, 1]))


@pytest.mark.slow
def test_the_gradient_of_the_gradient_is_refused():
    compiled = torch.compile(elman.Recurrent(elman.GRU(3, 5)), backend="aot_eager")
    x = torch.randn(4, 2, 3, requires_grad=True)
    y, _ = compiled(x)
    with pytest.raises(RuntimeError, match=r"create_graph|double backward"):
        (torch.autograd.grad(y.square().sum(), x, create_graph=True)[0]).sum().backward()


@pytest.mark.parametrize("reverse", [False, True])
def test_the_operator_checks_itself(reverse):
    layer = elman.Recurrent(elman.LSTM(3, 5)).double()
    h = torch.zeros(2, 5, dtype=torch.float64)
    x = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    given = (layer.cell.handle, 4, 2, reverse, True, x, None, None, None, [h, h.clone()], list(layer.cell.parameters()))
    torch.library.opcheck(torch.ops.elman.unroll.default, given)


def test_a_copy_is_compiled_as_itself():
    layer = elman.Recurrent(elman.Elman(3, 5))
    assert copy.deepcopy(layer).cell.handle != layer.cell.handle


@pytest.mark.slow
def test_another_gradient_is_refused():
    layer = elman.Recurrent(elman.Elman(3, 5))
    compiled = torch.compile(layer, backend="aot_eager")
    with elman.using(gradient=elman.Truncated(2, 4)), pytest.raises(elman.errors.ArgumentError, match="full gradient"):
        compiled(torch.randn(6, 2, 3))
