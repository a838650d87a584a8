"""Steps that cannot be read: one warning that names the reason and the line, and the results of the Python loop."""

import re
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import elman
from compiled import DTYPE, Written, assert_same, outcome, random_tensor, step_by_step
from elman.compiler.pipeline import StepByStepWarning
from elman.errors import DtypeError, ShapeError

T, B = 3, 2


class Doubled(torch.autograd.Function):
    """A derivative of its own: three times the true one."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, g):
        return 6 * g


def depends_on_data(self, x, h):
    return torch.tanh(x + h) if h.sum() > 0 else torch.tanh(x - h)


def reads_a_number(self, x, h):
    return torch.tanh(x + h * h.abs().max().item())


def in_place_on_the_state(self, x, h):
    h = h * 1.0 if self.own else h
    h.mul_(0.5)
    return torch.tanh(x + h)


def in_place_on_x(self, x, h):
    return torch.tanh(x.add_(0.0) + h)


def in_place_on_a_buffer(self, x, h):
    self.count.add_(1)
    return torch.tanh(x + h)


def in_place_on_a_tensor_from_outside(self, x, h):
    self.kept[0].mul_(1.0)
    return torch.tanh(x + h * self.kept[0])


def part_of_a_new_tensor(self, x, h):
    scale = torch.zeros(4, dtype=DTYPE)
    scale[1:3] = self.p[1:3]
    return torch.tanh(x + scale * h)


def heads_in_the_batch(self, x, h):
    return torch.tanh(x + (h.reshape(-1, 2) @ self.W).reshape(h.shape))


# What the warning says of each.
STEPS = {
    "if": (depends_on_data, "over the batch"),
    "item": (reads_a_number, "`max`"),
    "cumsum": (lambda s, x, h: torch.tanh(x + h.cumsum(-1)), "`cumsum`"),
    "topk": (lambda s, x, h: torch.tanh(x + h.topk(1, -1).values), "`topk`"),
    "max of an axis": (lambda s, x, h: torch.tanh(x + h.max(-1, keepdim=True).values), "`max`"),
    "index": (lambda s, x, h: torch.tanh(x + h[:, [3, 1, 2, 0]]), "`index`"),
    "step of a slice": (lambda s, x, h: torch.tanh(x + h[:, ::2].repeat(1, 2)), "slice"),
    "argmax": (lambda s, x, h: torch.tanh(x + F.one_hot(h.argmax(-1), 4)), "`argmax`"),
    "places of the largest": (lambda s, x, h: torch.tanh(x + h.max(-1, keepdim=True).indices), "."),
    "function of its own": (lambda s, x, h: torch.tanh(x + 0.2 * Doubled.apply(h)), "derivative of its own"),
    "size of the batch": (lambda s, x, h: torch.tanh(x + h / x.shape[0]), "size of the batch"),
    "mean over the batch": (lambda s, x, h: torch.tanh(x + h - h.mean(0)), "batch"),
    "sum of all": (lambda s, x, h: torch.tanh(x + h.sum()), "batch"),
    "a row of the batch": (lambda s, x, h: torch.tanh(x + h[0]), "batch"),
    "batch turned round": (lambda s, x, h: torch.tanh(x + h.roll(1, 0)), "batch"),
    "heads in the batch": (heads_in_the_batch, "reshape"),
    "state in place": (in_place_on_the_state, "in place"),
    "x in place": (in_place_on_x, "`x` is changed in place"),
    "buffer in place": (in_place_on_a_buffer, "`count` is changed in place"),
    "tensor from outside in place": (in_place_on_a_tensor_from_outside, "in place"),
    "part in place": (part_of_a_new_tensor, "in place"),
    "batch norm": (lambda s, x, h: torch.tanh(s.norm(x) + h), "`native_batch_norm`|in place"),
    "number of a part": (lambda s, x, h: torch.tanh(x + h[:, 0].tolist()[0]), "tolist|numbers|batch"),
    "number of a weight": (lambda s, x, h: torch.tanh(x + h * s.p[0].item()), "number"),
    "function of its own on a weight": (
        lambda s, x, h: torch.tanh(x + Doubled.apply(s.p) * h),
        "derivative of its own",
    ),
    "hermite": (lambda s, x, h: torch.tanh(x + torch.special.i0(h)), "i0"),
}


def make(name):
    torch.manual_seed(0)
    cell = Written(STEPS[name][0], own=False, W=torch.randn(2, 2, dtype=DTYPE), p=torch.randn(4, dtype=DTYPE))
    cell.register_buffer("count", torch.zeros((), dtype=DTYPE))
    cell.norm = nn.BatchNorm1d(4).double()
    cell.kept = [torch.rand(4, dtype=DTYPE)]
    return elman.Recurrent(cell)


def call(layer):
    """No gradient by x and the state where a step changes them in place: torch refuses it."""
    return outcome(layer, random_tensor(T, B, 4, grad=False), random_tensor(B, 4, seed=1, grad=False))


@pytest.mark.parametrize("name", STEPS)
def test_one_warning_and_the_results_of_the_loop(name):
    layer, other = make(name), make(name)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        got, again = call(layer), call(layer)
    with step_by_step():
        expected, expected_again = call(other), call(other)
    assert_same(got, expected, 0.0)
    assert_same(again, expected_again, 0.0)
    assert_same(dict(layer.named_buffers()), dict(other.named_buffers()), 0.0)
    (message,) = [str(warning.message) for warning in said if warning.category is StepByStepWarning]
    assert re.search(STEPS[name][1], message), message


@pytest.mark.parametrize(
    "name", ["cumsum", "if", "item", "mean over the batch", "buffer in place", "function of its own"]
)
def test_the_warning_names_the_line(name):
    with pytest.warns(StepByStepWarning) as said:
        call(make(name))
    code = STEPS[name][0].__code__
    ((file, line),) = re.findall(r"(\S+\.py):(\d+)", str(said[0].message))
    assert file == code.co_filename
    last = max(number for _, _, number in code.co_lines() if number)
    assert code.co_firstlineno <= int(line) <= last


def test_each_cell_is_warned_of_once():
    layer = elman.Stack(make("cumsum"), make("cumsum"))
    with pytest.warns(StepByStepWarning) as said:
        [layer(random_tensor(steps, 2, 4), lengths=torch.tensor([2, 1])) for steps in (2, 3, 2)]
    assert len([warning for warning in said if warning.category is StepByStepWarning]) == 2


RANDOM = {
    "randint": lambda s, x, h: x + torch.randint(0, 5, (4,)),
    "randperm": lambda s, x, h: x + torch.randperm(4),
    "normal": lambda s, x, h: x + torch.normal(0.0, 1.0, (4,), dtype=DTYPE),
    "exponential": lambda s, x, h: x + torch.empty_like(h).exponential_(),
    "gumbel": lambda s, x, h: x + F.gumbel_softmax(h),
}


@pytest.mark.filterwarnings("ignore::elman.compiler.pipeline.StepByStepWarning")
@pytest.mark.parametrize("name", RANDOM)
def test_what_is_drawn_in_another_way_is_drawn_at_each_step(name):
    layer = elman.Recurrent(Written(RANDOM[name]))
    x = torch.zeros(20, B, 4, dtype=DTYPE)
    y, again = layer(x)[0], layer(x)[0]
    assert not torch.equal(y, again)
    assert not torch.equal(y[0].expand_as(y), y)


# Mean and standard deviation of what is drawn.
DRAWN = {
    "rand": (lambda s, x, h: torch.rand(4, dtype=DTYPE) + x, 0.5, 12**-0.5),
    "rand_like": (lambda s, x, h: torch.rand_like(h), 0.5, 12**-0.5),
    "randn": (lambda s, x, h: torch.randn(h.shape, dtype=DTYPE), 0.0, 1.0),
    "randn_like": (lambda s, x, h: torch.randn_like(h), 0.0, 1.0),
    "dropout": (lambda s, x, h: F.dropout(torch.ones_like(h), 0.2), 1.0, 0.5),
    "dropout in place": (lambda s, x, h: F.dropout(x + 1, 0.2, inplace=True), 1.0, 0.5),
    "bernoulli": (lambda s, x, h: torch.bernoulli(torch.full_like(h, 0.2)), 0.2, 0.4),
    "bernoulli_": (lambda s, x, h: (x + 1).bernoulli_(0.2), 0.2, 0.4),
    "bernoulli_ of one half": (lambda s, x, h: (x + 1).bernoulli_(), 0.5, 0.5),
    "uniform_": (lambda s, x, h: (x + 1).uniform_(2, 4), 3.0, 3**-0.5),
    "normal_": (lambda s, x, h: (x + 1).normal_(2, 0.5), 2.0, 0.5),
}


@pytest.mark.filterwarnings("error::elman.compiler.pipeline.StepByStepWarning")
@pytest.mark.parametrize("name", DRAWN)
def test_what_is_drawn_in_a_step_has_its_distribution(name):
    step, mean, deviation = DRAWN[name]
    torch.manual_seed(0)
    layer, x = elman.Recurrent(Written(step)), torch.zeros(200, 20, 4, dtype=DTYPE)
    y = layer(x)[0]
    few = 200 * 4 if name == "rand" else y.numel()  # the rows share what is drawn without a batch
    assert abs(y.mean().item() - mean) < 5 * deviation / few**0.5
    assert abs(y.std().item() - deviation) < 5 * deviation / few**0.5
    assert not torch.equal(y[0], y[1])
    assert not torch.equal(y, layer(x)[0])
    numbers = [layer(x, generator=torch.Generator().manual_seed(3))[0] for _ in range(2)]
    assert torch.equal(*numbers)


def test_dropout_in_a_step_is_obeyed_in_training_alone():
    cell = Written(lambda s, x, h: s.drop(x + 1))
    cell.drop = nn.Dropout(0.5)
    layer, x = elman.Recurrent(cell), torch.zeros(20, B, 4, dtype=DTYPE)
    assert set(layer(x)[0].unique().tolist()) == {0.0, 2.0}
    assert set(layer.eval()(x)[0].unique().tolist()) == {1.0}
    assert set(layer.train()(x)[0].unique().tolist()) == {0.0, 2.0}


# errors

WRONG = {
    "state grows": (lambda s, x, h: torch.cat([x, h], -1), ShapeError, r"\[B, 4\], got \[B, 8\]"),
    "state loses an axis": (lambda s, x, h: (x + h).sum(-1), ShapeError, r"\[B, 4\]"),
    "too many states": (lambda s, x, h: (x, h), ShapeError, "1 states .* got 2"),
    "linear": (lambda s, x, h: F.linear(h, s.W), ShapeError, r"linear\(.*\[B, 4\] and W \[2, 2\]"),
    "matmul": (lambda s, x, h: h @ s.W, ShapeError, r"matmul.*\[B, 4\] and W \[2, 2\]"),
    "einsum": (lambda s, x, h: torch.einsum("bi,ij->bj", h, s.W), ShapeError, r"\[B, 4\] and W \[2, 2\]"),
    "add": (lambda s, x, h: x + h[:, :3], ShapeError, r"\[B, 4\] and .*\[B, 3\]"),
    "cat": (lambda s, x, h: torch.cat([x, h.unsqueeze(1)], -1), ShapeError, r"\[B, 4\]"),
    "dtype of linear": (lambda s, x, h: F.linear(h, s.V.float()), DtypeError, "float32"),
    "dtype of a product": (lambda s, x, h: h.float() @ s.V, DtypeError, "float32.*float64"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_say_what_where(name):
    step, kind, said = WRONG[name]
    weights = {"W": torch.ones(2, 2, dtype=DTYPE), "V": torch.ones(4, 4, dtype=DTYPE)}
    with pytest.raises(kind) as raised:
        elman.Recurrent(Written(step, **weights))(random_tensor(T, B, 4))
    assert re.search(said, str(raised.value), re.DOTALL), raised.value
    assert re.search(r"in the step of Written, \S+\.py:\d+", str(raised.value)), raised.value


def test_input_of_another_dtype_is_an_error_with_the_line():
    with pytest.raises(DtypeError, match=r"x float64.*\n.*elman.py:\d+"):
        elman.Recurrent(elman.Elman(4, 4))(random_tensor(T, B, 4))
