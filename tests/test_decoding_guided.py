"""Layers with feedback under a policy: against a loop by hand, in values and in gradients, compiled and not."""

import copy
import pickle
import warnings

import pytest
import torch
from torch import nn

import elman
from compiled import compiled_only, flat
from elman.compiler import StepByStepWarning
from elman.decoding import FreeFor, FreeRunning, Guided, PerSequence, PerToken, TeacherForcing, greedy, sampling
from elman.errors import ArgumentError, DtypeError, ShapeError
from speakers import cases
from tolerances import assert_close

T, B, INPUT, HIDDEN, OUT = 6, 4, 3, 5, 2
DTYPE = torch.float64
LENGTHS = torch.tensor([6, 2, 0, 4])


class Speaker(elman.Cell):
    """States of its own, feedback, and another way to begin than zeros."""

    feedback_size = OUT

    def __init__(self):
        super().__init__()
        self.state_size = (HIDDEN,)
        self.U = nn.Linear(INPUT, HIDDEN)
        self.W = nn.Linear(HIDDEN, HIDDEN)
        self.R = nn.Linear(OUT, HIDDEN)
        self.V = nn.Linear(HIDDEN, OUT)
        self.first = nn.Parameter(torch.randn(OUT))

    def start(self, batch_size):
        return self.first.expand(batch_size, -1)

    def step(self, x, fed, h):
        return torch.tanh(self.U(x) + self.W(h) + self.R(fed))

    def output(self, h):
        return self.V(h)


class Alone(Speaker):
    """The same, without input."""

    def step(self, x, fed, h):
        return torch.tanh(self.W(h) + self.R(fed))


class Grid(elman.Cell):
    """Feeds back a matrix, and reads another one."""

    state_size = ()
    feedback_size = (2, 3)

    def __init__(self):
        super().__init__()
        self.W = nn.Linear(3, 3)

    def step(self, x, fed):
        return torch.tanh(self.W(fed) + x.transpose(1, 2))


CELLS = {
    "jordan": lambda: elman.Jordan(INPUT, HIDDEN, OUT),
    "speaker": Speaker,
    "alone": Alone,
    "grid": Grid,
}
POLICIES = {
    "teacher": TeacherForcing,
    "free": FreeRunning,
    "token": lambda: PerToken(0.5, torch.Generator().manual_seed(0)),
    "sequence": lambda: PerSequence(0.5, torch.Generator().manual_seed(5)),
    "free for": lambda: FreeFor(1),
}
WAYS = {
    "ahead": {},
    "lengths": {"lengths": LENGTHS},
    "reset": {"reset": torch.rand(T, B, generator=torch.Generator().manual_seed(1)) < 0.3},
}


def numbers(*sizes, seed=0):
    return torch.randn(sizes, generator=torch.Generator().manual_seed(seed), dtype=DTYPE)


def make(name, **options):
    torch.manual_seed(0)
    layer = elman.Recurrent(CELLS[name](), **options).double()
    x = None if name == "alone" else numbers(T, B, *((3, 2) if name == "grid" else (INPUT,)))
    size = layer.cell.feedback_size
    return layer, x, numbers(T, B, *(size if isinstance(size, tuple) else (size,)), seed=1)


@pytest.fixture(autouse=True)
def on_torch():
    """No kernel is built for these small sizes."""
    with elman.using(backend="reference"):
        yield


def by_hand(layer, x, targets, forced, *, choice=None, lengths=None, reset=None):
    """Each row for itself, in the order of the layer: y, with zeros where rows have ended, and the last states."""
    cell, y, ends = layer.cell, torch.zeros_like(targets), []
    for row in range(B):
        fed, states, length = cell.start(B)[row:][:1], [s[row:][:1] for s in cell.initial_state(B)], T
        first = (fed, states)
        length = T if lengths is None else int(lengths[row])
        for t in reversed(range(length)) if layer.reverse else range(length):
            if reset is not None and reset[t, row]:
                fed, states = first
            values = cell.step(None if x is None else x[t, row:][:1], fed, *states)
            values = values if isinstance(values, tuple) else (values,)
            states, out = values if cell.state_size else (), cell.output(*values)
            y = y.index_put((torch.tensor(t), torch.tensor(row)), out[0])
            own = out if choice is None else nn.functional.one_hot(choice(out.detach()), OUT).to(out)
            fed = targets[t, row:][:1] if forced[t, row] else own
        ends.append([*states, fed])
    return y, [torch.cat(parts) for parts in zip(*ends, strict=True)]


def fickle(logits):
    """A choice that changes with the smallest change of the logits: the likeliest would often be the same."""
    return (100 * logits[:, 0]).floor().long() % OUT


def assert_same(layer, got, expected, inputs=()):
    y, ends = got[0], flat(got[1])
    assert_close(y, expected[0], 1e-10, "y")
    assert_close(tuple(ends), tuple(expected[1]), 1e-10, "states")
    leaves = [*layer.parameters(), *inputs]
    gradients = []
    for tensors in ([y, *ends], [expected[0], *expected[1]]):
        loss = sum((numbers(*t.shape, seed=3) * t).sum() for t in tensors)
        found = torch.autograd.grad(loss, leaves, allow_unused=True)
        gradients.append([torch.zeros_like(p) if g is None else g for g, p in zip(found, leaves, strict=True)])
    assert_close(*gradients, 1e-9, "gradients")


def often(name, policy, way, reverse=False):
    """What is looked at in each run: every cell, every policy and every way, but not with each other."""
    return policy == "token" if name == "speaker" else (way, reverse) == ("lengths", name == "jordan")


@pytest.mark.parametrize(("name", "policy", "way", "reverse"), cases(CELLS, POLICIES, WAYS, [False, True], quick=often))
def test_it_is_the_loop_and_is_compiled(name, policy, way, reverse):
    layer, x, targets = make(name, reverse=reverse)
    inputs = [each.requires_grad_() for each in (x, targets) if each is not None]
    with compiled_only():
        got = Guided(layer)(x, **WAYS[way], targets=targets, policy=POLICIES[policy]())
    expected = by_hand(layer, x, targets, POLICIES[policy]().forced(T, B), **WAYS[way])
    assert_same(layer, got, expected, inputs)


@pytest.mark.filterwarnings("ignore::elman.compiler.StepByStepWarning")
@pytest.mark.parametrize(
    ("name", "policy", "way"), cases(["jordan", "speaker"], POLICIES, [*WAYS, "reverse"], quick=often)
)
def test_a_choice_is_fed_as_one_hot_and_no_gradient_goes_through_it(name, policy, way):
    layer, x, targets = make(name, reverse=way == "reverse")
    targets = nn.functional.one_hot(targets.argmax(-1), OUT).double().requires_grad_()
    options = WAYS.get(way, {})
    got = Guided(layer, fickle)(x, **options, targets=targets, policy=POLICIES[policy]())
    expected = by_hand(layer, x, targets, POLICIES[policy]().forced(T, B), choice=fickle, **options)
    assert_same(layer, got, expected, [targets])


def test_the_kernels_agree_and_the_plan_tells():
    layer, x, targets = make("jordan")
    guided = Guided(layer)
    for policy in ("sequence", "token", "free for"):
        expected = guided(x, targets=targets, policy=POLICIES[policy]())
        with elman.using(backend="c"):
            got = guided(x, targets=targets, policy=POLICIES[policy]())
            plan = guided.plan(x, targets=targets, policy=POLICIES[policy]())
        assert_same(layer, got, (expected[0], flat(expected[1])))
        assert plan.backend == "c"
    plan = guided.plan(x, targets=targets, policy=TeacherForcing())
    assert str(plan).count("inside: nothing") == 2
    with pytest.warns(StepByStepWarning, match="emit"):
        plan = Guided(layer, sampling(torch.Generator())).plan(x, targets=targets, policy=FreeFor(1))
    assert [each.backend for each in plan.layers] == ["step by step", "reference"]
    assert "inside: nothing" in str(plan)


class Moody(elman.Jordan):
    """Does in training what it does not do otherwise, itself and through a module."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.drop = nn.Dropout(1.0)

    def output(self, h):
        return self.drop(self.V(h)) + (1.0 if self.training else 2.0)


def test_it_follows_train_and_eval():
    torch.manual_seed(0)
    guided = Guided(elman.Recurrent(Moody(INPUT, HIDDEN, OUT)).double())
    options = {"targets": numbers(T, B, OUT), "policy": FreeFor(1)}
    trained = guided(numbers(T, B, INPUT), **options)[0]
    assert torch.equal(trained, torch.ones_like(trained))
    plain = guided.eval()(numbers(T, B, INPUT), **options)[0]
    assert plain.std() > 0
    assert torch.equal(guided.train()(numbers(T, B, INPUT), **options)[0], trained)


def test_it_goes_on_from_its_state():
    for name in ("jordan", "speaker"):
        layer, x, targets = make(name)
        guided, policy = Guided(layer), PerToken(0.5, torch.Generator().manual_seed(0))
        mask = policy.forced(T, B)

        class Part:
            def __init__(self, part):
                self.part = part

            def forced(self, steps, batch):
                return self.part

        whole, end = guided(x, targets=targets, policy=Part(mask))
        y, state = guided(x[:2], targets=targets[:2], policy=Part(mask[:2]))
        rest, last = guided(x[2:], state, targets=targets[2:], policy=Part(mask[2:]))
        assert_close(torch.cat([y, rest]), whole, 1e-12)
        assert_close(last, end, 1e-12)


def test_batch_first_and_what_is_padding():
    layer, x, targets = make("speaker")
    other, _, _ = make("speaker", batch_first=True)
    other.load_state_dict(layer.state_dict())
    options = {"policy": FreeFor(1), "lengths": LENGTHS}
    y, end = Guided(layer)(x, targets=targets, **options)
    turned, last = Guided(other)(x.transpose(0, 1), targets=targets.transpose(0, 1), **options)
    assert_close(turned.transpose(0, 1), y, 1e-12)
    assert_close(last, end, 1e-12)
    for each in (x, targets):
        each[torch.arange(T).unsqueeze(1) >= LENGTHS] = torch.nan
    again, after = Guided(layer)(x, targets=targets, **options)
    assert_close(again, y, 1e-12)
    assert_close(after, end, 1e-12)
    with pytest.warns(StepByStepWarning, match="emit"):
        hot = Guided(layer, greedy)(x, targets=targets, **options)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        turned = Guided(layer, greedy)(x, targets=targets, **options)[0]
    assert torch.equal(hot, turned)


class Reader(elman.Cell):
    """Reads numbers, not vectors."""

    state_size = ()
    feedback_size = OUT

    def __init__(self):
        super().__init__()
        self.E = nn.Embedding(4, OUT)

    def step(self, x, fed):
        return torch.tanh(self.E(x[:, 0]) + 0.5 * fed)


@pytest.mark.filterwarnings("ignore::elman.compiler.StepByStepWarning")
def test_input_that_is_no_vector_runs_step_by_step_with_its_gradient():
    layer = elman.Recurrent(Reader()).double()
    x, targets = torch.randint(4, (T, B, 1)), numbers(T, B, OUT)
    got = Guided(layer)(x, targets=targets, policy=FreeFor(2))
    assert_same(layer, got, by_hand(layer, x, targets, FreeFor(2).forced(T, B)))


def test_it_holds_the_parameters_once_and_can_be_copied():
    layer, x, targets = make("jordan")
    guided = Guided(layer)
    options = {"targets": targets, "policy": FreeFor(1)}
    before = guided(x, **options)[0]
    assert list(guided.state_dict()) == [f"layer.{name}" for name in layer.state_dict()]
    for other in (copy.deepcopy(guided), pickle.loads(pickle.dumps(guided))):  # noqa: S301
        assert torch.equal(other(x, **options)[0], before)
        with torch.no_grad():
            other.layer.cell.V.bias.add_(1)
        assert not torch.equal(other(x, **options)[0], before)
    assert torch.equal(guided(x, **options)[0], before)
    layer.float()
    assert guided(x.float(), targets=targets.float(), policy=FreeFor(1))[0].dtype == torch.float32


LAYER, X, TARGETS = make("jordan")
SILLY = {
    "targets": ({"targets": TARGETS[..., :1]}, ShapeError, r"targets \[T, B, 2\], got \[6, 4, 1\]"),
    "steps": ({"targets": TARGETS[:2]}, ShapeError, r"targets \[T, B\] = \[6, 4\] as x, got \[2, 4\]"),
    "dtype": ({"targets": TARGETS.float()}, DtypeError, "dtype of x, torch.float64, got torch.float32"),
    "packed": ({"x": nn.utils.rnn.pack_padded_sequence(X, torch.tensor([6, 5, 4, 4]))}, ArgumentError, "unpack it"),
    "lengths": ({"lengths": LENGTHS[:2]}, ShapeError, r"lengths \[B\] = \[4\], got \[2\]"),
    "state": ({"state": numbers(B, 7)}, ShapeError, r"what is fed first|state 0: expected \[4, 2\], got \[4, 7\]"),
}


@pytest.mark.parametrize("name", SILLY)
def test_silly_arguments(name):
    change, error, message = SILLY[name]
    with pytest.raises(error, match=message):
        Guided(LAYER)(**{"x": X, "targets": TARGETS, "policy": FreeFor(1), **change})


def test_a_cell_that_is_fed_nothing_cannot_be_guided():
    with pytest.raises(ArgumentError, match=r"cell with feedback_size, got LSTM: .*`teach`"):
        Guided(elman.Recurrent(elman.LSTM(2, 3)))
    with pytest.raises(ArgumentError, match="got Stack"):
        Guided(elman.Stack(elman.Recurrent(elman.LSTM(2, 3))))
