"""Nothing of a step is ever stale: whatever changed since it was read is obeyed at the next call."""

import copy
import pickle
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import elman
from compiled import DTYPE, Written, assert_agrees, compiled_only, outcome, random_tensor, step_by_step
from elman.compiler.trace import step as reading

X = random_tensor(3, 2, 4, grad=False)
ROW = torch.tensor([0.2, -0.4, 0.6, 0.9], dtype=DTYPE)


def plain(cell, name, tensor):
    """A tensor as a plain attribute, neither parameter nor buffer."""
    object.__setattr__(cell, name, tensor)
    return cell


def with_module(function, module):
    cell = Written(function)
    cell.part = module.double()
    return cell


def through_part(self, x, h):
    return torch.tanh(x + self.part(h))


def helped(self, x, h):
    return torch.tanh(x + self.double_of(h))


class Helped(Written):
    def double_of(self, h):
        return 0.2 * h


class Rated(Written):
    rate = 0.5

    @property
    def twice(self):
        return 2 * self.rate


def by(name):
    """A step that multiplies h by an attribute."""
    return lambda self, x, h: torch.tanh(x + getattr(self, name) * h)


# How the cell is made, and what changes.
CHANGES = {
    "number": (lambda: Written(by("a"), a=0.5), lambda c: setattr(c, "a", 0.3)),
    "private number": (lambda: Written(by("_a"), _a=0.5), lambda c: setattr(c, "_a", 0.3)),
    "numbers of an object": (
        lambda: Written(lambda s, x, h: torch.tanh(x + s.config.a * h), config=SimpleNamespace(a=0.5)),
        lambda c: setattr(c.config, "a", 0.3),
    ),
    "entry of a list": (
        lambda: Written(lambda s, x, h: torch.tanh(x + s.all[1] * h), all=[1, 0.5]),
        lambda c: c.all.__setitem__(1, 0.3),
    ),
    "entry of a dictionary": (
        lambda: Written(lambda s, x, h: torch.tanh(x + s.all["a"] * h), all={"a": 0.5}),
        lambda c: c.all.update(a=0.3),
    ),
    "entry of an array": (
        lambda: Written(lambda s, x, h: torch.tanh(x + float(s.all[0]) * h), all=np.array([0.5])),
        lambda c: c.all.fill(0.3),
    ),
    "number of the class": (lambda: Rated(by("twice")), lambda c: setattr(c, "rate", 0.1)),
    "function": (
        lambda: Written(lambda s, x, h: s.act(x + h), act=torch.tanh),
        lambda c: setattr(c, "act", torch.sin),
    ),
    "method": (lambda: Helped(helped), lambda c: setattr(c, "double_of", lambda h: h)),
    "tensor replaced": (lambda: plain(Written(by("t")), "t", ROW), lambda c: plain(c, "t", 2 * ROW)),
    "tensor in place": (lambda: plain(Written(by("t")), "t", ROW.clone()), lambda c: c.t.mul_(2)),
    "tensor computed with": (
        lambda: plain(Written(lambda s, x, h: torch.tanh(x + (s.t * 2).tanh() * h)), "t", ROW.clone()),
        lambda c: c.t.mul_(2),
    ),
    "tensor without axes": (
        lambda: plain(Written(by("t")), "t", torch.tensor(0.5, dtype=DTYPE)),
        lambda c: c.t.mul_(2),
    ),
    "number of a tensor": (
        lambda: plain(Written(lambda s, x, h: torch.tanh(x + float(s.t) * h)), "t", torch.tensor(0.5)),
        lambda c: c.t.fill_(0.3),
    ),
    "eps": (
        lambda: with_module(lambda s, x, h: torch.tanh(s.part(x) + 0.5 * h), nn.LayerNorm(4)),
        lambda c: setattr(c.part, "eps", 0.7),
    ),
    "data of a parameter": (lambda: with_module(through_part, nn.Linear(4, 4)), lambda c: c.part.bias.data.add_(1)),
    "load_state_dict": (
        lambda: with_module(through_part, nn.Linear(4, 4)),
        lambda c: c.load_state_dict({name: t + 0.5 for name, t in c.state_dict().items()}),
    ),
    "parameter replaced": (
        lambda: with_module(through_part, nn.Linear(4, 4)),
        lambda c: setattr(c.part, "bias", nn.Parameter(ROW.clone())),
    ),
    "parameter taken away": (
        lambda: with_module(through_part, nn.Linear(4, 4)),
        lambda c: setattr(c.part, "bias", None),
    ),
    "module replaced": (lambda: with_module(through_part, nn.Sigmoid()), lambda c: setattr(c, "part", nn.Softplus())),
    "module of a list replaced": (
        lambda: with_module(lambda s, x, h: torch.tanh(x + s.part[0](h)), nn.ModuleList([nn.Sigmoid()])),
        lambda c: c.part.__setitem__(0, nn.Softplus()),
    ),
    "module appended": (
        lambda: with_module(through_part, nn.Sequential(nn.Sigmoid())),
        lambda c: c.part.append(nn.Softplus()),
    ),
    "hook": (
        lambda: with_module(through_part, nn.Sigmoid()),
        lambda c: c.part.register_forward_hook(lambda module, given, result: 2 * result),
    ),
    "dropout of 1 in evaluation": (
        lambda: with_module(through_part, nn.Dropout(1.0)),
        lambda c: c.eval(),
    ),
    "dropout module alone in evaluation": (
        lambda: with_module(through_part, nn.Dropout(1.0)),
        lambda c: c.part.eval(),
    ),
    "buffer": (
        lambda: with_module(lambda s, x, h: s.part(x + h), nn.BatchNorm1d(4).eval()),
        lambda c: c.part.running_mean.add_(1),
    ),
}


@pytest.mark.filterwarnings("ignore::elman.compiler.pipeline.StepByStepWarning")
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_obeyed_at_the_next_call(name):
    make, change = CHANGES[name]
    torch.manual_seed(0)
    layer = elman.Recurrent(make())
    before = layer(X)[0].detach().clone()
    change(layer.cell)
    after = layer(X)[0]
    with step_by_step():
        expected = layer(X)[0]
    torch.testing.assert_close(after, expected)
    assert not torch.allclose(before, expected)


def traces(layer, calls):
    """How often a step is run to read it, during some calls."""
    with mock.patch.object(reading, "_trace", wraps=reading._trace) as counted:
        calls(layer)
    return counted.call_count


def test_one_reading_serves_all_sizes():
    layer = elman.Recurrent(elman.GRU(4, 4).double())

    def calls(layer):
        for steps in (1, 2, 5):
            for batch in (1, 2, 7):
                layer(random_tensor(steps, batch, 4))[0].sum().backward()
                with torch.no_grad():
                    layer(random_tensor(steps, batch, 4), lengths=torch.arange(batch) % (steps + 1))

    assert traces(layer, calls) == 2  # a reading is two runs that must agree


@pytest.mark.parametrize(
    "make", [lambda: elman.Recurrent(elman.LSTM(4, 4)), lambda: elman.Recurrent(elman.Elman(4, 4))]
)
def test_double_is_read_anew_and_right(make):
    layer = make()
    layer(X.float())
    assert_agrees(layer.double(), X.clone().requires_grad_())


def normed(norm):
    return lambda: with_module(through_part, norm(nn.Linear(4, 4).double()))


@pytest.mark.parametrize(
    "make", [normed(parametrizations.weight_norm), normed(lambda m: parametrizations.weight_norm(m, dim=1))]
)
def test_a_parametrization_is_read_once(make):
    torch.manual_seed(0)
    layer = elman.Recurrent(make())
    assert traces(layer, lambda layer: [layer(X) for _ in range(3)]) == 2
    assert_agrees(layer, X.clone().requires_grad_())


@pytest.mark.filterwarnings("ignore::elman.compiler.pipeline.StepByStepWarning")
def test_an_orthogonal_parametrization_equals_the_loop():
    torch.manual_seed(0)
    layer = elman.Recurrent(normed(parametrizations.orthogonal)())
    got = outcome(layer, X.clone().requires_grad_())
    with step_by_step():
        expected = outcome(layer, X.clone().requires_grad_())
    torch.testing.assert_close(got, expected)


def tied_inside():
    cell = elman.Elman(4, 4).double()
    cell.W.weight = cell.U.weight
    return elman.Recurrent(cell)


def tied_between():
    below, above = elman.LSTM(4, 4).double(), elman.LSTM(4, 4).double()
    above.U.weight = above.W.weight = below.W.weight
    return elman.Stack(elman.Recurrent(below), elman.Recurrent(above), elman.Recurrent(below))


@pytest.mark.parametrize("make", [tied_inside, tied_between])
def test_shared_weights_get_the_sum_of_their_gradients(make):
    torch.manual_seed(0)
    layer = make()
    assert_agrees(layer, X.clone().requires_grad_())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])  # noqa: S301
@pytest.mark.parametrize("used", [False, True])
def test_a_copy_is_equal_and_on_its_own(copied, used):
    layer = elman.Stack(elman.Recurrent(elman.LSTM(4, 4)), elman.Recurrent(elman.Elman(4, 4))).double()
    if used:
        layer(X)[0].sum().backward()
    other = copied(layer)
    assert torch.equal(layer(X)[0], other(X)[0])
    other.get_parameter("layers.0.cell.U.weight").data.zero_()
    assert not torch.equal(layer(X)[0], other(X)[0])


@pytest.mark.parametrize("frozen", ["U.weight", "U.bias", "W.weight"])
def test_frozen_parameters_get_no_gradient_and_the_others_theirs(frozen):
    cell = elman.GRU(4, 4).double()
    cell.get_parameter(frozen).requires_grad_(False)
    got = assert_agrees(cell, X)
    assert f"gradient of cell.{frozen}" not in got
    elman.Recurrent(cell)(X)[0].sum().backward()
    assert cell.get_parameter(frozen).grad is None


def test_a_captured_tensor_with_a_gradient_gets_it_each_time():
    free = [torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=DTYPE, requires_grad=True)]
    layer = elman.Recurrent(Written(lambda self, x, h: torch.tanh(x + free[0].exp() * h)))
    for _ in range(3):
        with compiled_only():
            (got,) = torch.autograd.grad(layer(X)[0].sum(), free)
        with step_by_step():
            (expected,) = torch.autograd.grad(layer(X)[0].sum(), free)
        torch.testing.assert_close(got, expected)


def test_a_refused_cell_and_its_inputs_can_go():
    """Why a step is refused is remembered in words, not with all that it had seen."""
    import gc
    import warnings
    import weakref

    layer, x = elman.Recurrent(Summed()), torch.randn(3, 2, 4)
    seen = [weakref.ref(x), weakref.ref(layer.cell)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer(x), layer(x)
    del layer, x
    gc.collect()
    assert [reference() for reference in seen] == [None, None]


class Summed(elman.Cell):
    state_size = (4,)

    def step(self, x, h):
        return torch.cumsum(x + h, -1)


class Counts(elman.Cell):
    state_size = (4,)
    t = 0

    def step(self, x, h):
        self.t += 1
        return h + x * self.t


class Logs(Counts):
    def __init__(self):
        super().__init__()
        self.log = []

    def step(self, x, h):
        self.log.append(1)
        return h + x


@pytest.mark.parametrize("kind", [Counts, Logs])
def test_a_step_that_changes_its_cell_runs_step_by_step(kind):
    layer = elman.Recurrent(kind())
    with pytest.warns(elman.compiler.StepByStepWarning, match="changes"):
        y, _ = layer(torch.ones(3, 2, 4))
    assert y[:, 0, 0].tolist() == ([1, 3, 6] if kind is Counts else [1, 2, 3])


class Passes(elman.Cell):
    state_size = (4,)

    def step(self, x, h):
        return x


class Reads(elman.Cell):
    def __init__(self):
        super().__init__()
        self.state_size = (4,)
        self.V = torch.nn.Linear(4, 4)

    def step(self, x, h):
        return torch.tanh(x + self.V(h))

    def output(self, h):
        return torch.tanh(self.V(h))


@pytest.mark.parametrize("kind", [Passes, Reads, lambda: elman.LSTM(4, 4)])
@pytest.mark.parametrize("train", [False, True])
def test_what_is_given_out_may_be_changed_in_place(kind, train):
    torch.manual_seed(0)
    layer, x = elman.Recurrent(kind()), torch.randn(3, 2, 4, requires_grad=train)
    before, (expected, state) = x.detach().clone(), layer(x)
    kept = [t.detach().clone() for t in (state if isinstance(state, tuple) else (state,))]
    slope = torch.autograd.grad(2 * expected.sum(), x)[0] if train else None
    y, state = layer(x)
    y.mul_(2)
    assert torch.equal(x.detach(), before)
    for end, old in zip(state if isinstance(state, tuple) else (state,), kept, strict=True):
        assert torch.equal(end.detach(), old)
    if slope is not None:
        torch.testing.assert_close(torch.autograd.grad(y.sum(), x)[0], slope)


def test_no_rows_at_all():
    layer, x = elman.Recurrent(elman.LSTM(4, 3)), torch.randn(5, 0, 4, requires_grad=True)
    layer(x)[0].sum().backward()
    assert x.grad.shape == x.shape
    assert all(p.grad is not None and not p.grad.any() for p in layer.parameters())


def test_autocast_leaves_a_layer_in_the_dtype_of_its_parameters():
    layer = elman.Stack(elman.Recurrent(elman.GRU(4, 3)), elman.Recurrent(elman.LSTM(3, 3)))
    model, x = torch.nn.Linear(4, 4), torch.randn(5, 2, 4)
    with torch.autocast("cpu", torch.bfloat16):
        y, _ = layer(model(x))
        y.sum().backward()
    assert y.dtype == torch.float32
    assert all(p.grad is not None for p in layer.parameters())


def test_a_plan_draws_nothing():
    layer, x = (
        elman.Stack(elman.Recurrent(elman.GRU(4, 3)), elman.Recurrent(elman.GRU(3, 3)), dropout=0.5),
        torch.ones(3, 2, 4),
    )
    torch.manual_seed(0)
    layer.plan(x)
    drawn = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(3))


class Slots(elman.Cell):
    """A linear map of a state with two feature axes, whose result is itself the next state."""

    def __init__(self):
        super().__init__()
        self.state_size = ((3, 4),)
        self.w = torch.nn.Linear(4, 4)

    def step(self, x, m):
        return self.w(m)


@pytest.mark.parametrize("outer", [lambda z: z, torch.sin])
def test_products_on_states_with_several_axes(outer):
    cell = Slots().double()
    cell.step = lambda x, m: outer(cell.w(m))
    m = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    y, _ = elman.Recurrent(cell)(torch.zeros(3, 2, 1, dtype=torch.float64), m)
    expected = [outer(cell.w(m))]
    for _ in range(2):
        expected.append(outer(cell.w(expected[-1])))
    torch.testing.assert_close(y, torch.stack(expected))
    wanted = torch.autograd.grad(torch.stack(expected).sum(), [m, *cell.parameters()])
    torch.testing.assert_close(torch.autograd.grad(y.sum(), [m, *cell.parameters()]), wanted)


def test_checkpoint_and_many_gradients_at_once():
    layer, x = elman.nn.LSTM(4, 3), torch.randn(5, 2, 4, requires_grad=True)
    slope = torch.autograd.grad(layer(x)[0].sum(), x)[0]
    y = torch.utils.checkpoint.checkpoint(lambda z: layer(z)[0], x, use_reentrant=False)
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x)[0], slope)
    y = layer(x)[0]
    rows = torch.randn(3, *y.shape)
    together = torch.autograd.grad(y, x, rows, is_grads_batched=True, retain_graph=True)[0]
    alone = torch.stack([torch.autograd.grad(y, x, row, retain_graph=True)[0] for row in rows])
    torch.testing.assert_close(together, alone)


RATE = 1.0


def test_globals_and_what_a_function_closes_over_are_never_stale():
    global RATE
    scale = [1.0]

    class Scaled(elman.Cell):
        state_size = (4,)

        def step(self, x, h):
            return torch.tanh(RATE * x + h)

    for layer in (
        elman.Recurrent(Scaled()),
        elman.Recurrent(elman.Elman(4, 4, activation=lambda z: torch.tanh(scale[0] * z))),
    ):
        RATE, scale[0] = 1.0, 1.0
        before = layer(X.float())[0].clone()
        RATE, scale[0] = 3.0, 3.0
        assert not torch.equal(layer(X.float())[0], before)
    RATE = 1.0


class Stamps(elman.Cell):
    state_size = (4,)

    def __init__(self):
        super().__init__()
        self.register_buffer("n", torch.zeros(()))

    def step(self, x, h):
        self.n = self.n + 1
        return x * self.n


def test_a_buffer_that_a_step_sets_is_set_at_every_step():
    layer = elman.Recurrent(Stamps())
    with pytest.warns(elman.compiler.StepByStepWarning, match="changes self.n"):
        y, _ = layer(torch.ones(3, 2, 4))
    assert y[:, 0, 0].tolist() == [1, 2, 3]


def test_a_forward_hook_sees_every_step():
    layer, seen = elman.Recurrent(elman.Elman(4, 4)), []
    layer.cell.U.register_forward_hook(lambda module, given, out: seen.append(out.shape))
    with pytest.warns(elman.compiler.StepByStepWarning, match="hook"):
        layer(torch.ones(3, 2, 4))
    assert seen == [(2, 4)] * 3


def test_jit_trace_and_generators_are_refused_where_they_would_mislead():
    with pytest.raises(elman.errors.ArgumentError, match=r"torch.compile"):
        torch.jit.trace(elman.nn.LSTM(4, 3), torch.zeros(5, 2, 4))
    with pytest.warns(elman.compiler.StepByStepWarning), pytest.raises(elman.errors.ArgumentError, match="generator"):
        elman.Recurrent(Summed())(torch.zeros(3, 2, 4), generator=torch.Generator())


class Wraps(elman.Cell):
    """torch's own cell, and an activation that learns, in a step."""

    def __init__(self):
        super().__init__()
        self.state_size = (4, 4)
        self.inner, self.bend = torch.nn.LSTMCell(4, 4), torch.nn.PReLU(4)

    def step(self, x, h, c):
        h, c = self.inner(self.bend(x), (h, c))
        return self.bend(h), c


def test_torchs_own_cells_are_read():
    layer = elman.Recurrent(Wraps().double())
    with compiled_only():
        got = outcome(layer, X.clone().requires_grad_())
    with step_by_step():
        expected = outcome(layer, X.clone().requires_grad_())
    for key, value in expected.items():
        torch.testing.assert_close(got[key], value)
