"""Kernels where tensors are not what they seem: shared by rows, fake, negated, on no device, of too few rows."""

import functools
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

import elman
from c_kernels import SCHEDULE, in_c
from compiled import DTYPE, Written, assert_agrees, assert_same, outcome, random_tensor
from elman.compiler.runtime.backend import using
from elman.errors import ShapeError

T, B, H = 6, 5, 4
LENGTHS = torch.tensor([3, 6, 1, 0, 2])


def test_what_rows_share_at_a_step_is_there_for_packed_rows():
    def step(self, x, h):
        return torch.tanh(x + (h * torch.exp(self.p * torch.randn(H, dtype=DTYPE))) @ self.w)

    p, w = random_tensor(H, seed=1).detach(), random_tensor(H, H, seed=2).detach()
    layer, x = elman.Recurrent(Written(step, w=w, p=p)), random_tensor(T, B, H)
    with in_c(SCHEDULE):
        torch.manual_seed(0)
        got = outcome(layer, x, lengths=LENGTHS)
    with using(backend="reference"):
        torch.manual_seed(0)
        assert_same(got, outcome(layer, x, lengths=LENGTHS), 1e-12, 1e-12)


class OneState(elman.Elman):
    """Its initial state is that of one row."""

    def initial_state(self, batch_size):
        return (torch.zeros(1, H),)


@pytest.mark.parametrize("backend", ["c", "reference"])
def test_an_initial_state_of_too_few_rows_is_an_error(backend):
    with using(backend=backend), pytest.raises(ShapeError, match=r"for each of 5 rows, got \[1, 4\]"):
        elman.Recurrent(OneState(3, H))(torch.randn(T, B, 3))


DEFAULT_DEVICE = """
import torch, elman
from elman.compiler.runtime.backend import using
layer, x, state = elman.Recurrent(elman.GRU(3, 4)), torch.randn(7, 5, 3), torch.zeros(5, 4)
with torch.device("meta"), using(backend="c"):
    y = layer(x, state)[0]
print(torch.allclose(y, layer(x, state)[0]))
"""


@pytest.mark.slow
def test_a_default_device_is_none_of_the_kernels_business():
    done = subprocess.run([sys.executable, "-c", DEFAULT_DEVICE], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["True"], done.stderr


FAKE = """
import torch, elman
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
layer, x = elman.Recurrent(elman.GRU(3, 4)).requires_grad_(False), torch.randn(7, 5, 3)
y = layer(x)[0]
with FakeTensorMode(allow_non_fake_inputs=True) as mode:
    fake = mode.from_tensor(x)
    inside = layer(fake)[0]
print(type(inside) is FakeTensor, torch.equal(layer(x)[0], y))
layer(fake)
"""


@pytest.mark.slow
def test_fake_tensors_have_no_memory():
    done = subprocess.run([sys.executable, "-c", FAKE], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.split()) == (0, ["True", "True"]), done.stderr


def test_make_fx_sees_every_operation():
    layer = elman.Recurrent(elman.GRU(3, 4)).requires_grad_(False)
    graph, x = make_fx(lambda x: layer(x)[0])(torch.randn(4, B, 3)), torch.randn(4, B, 3)
    torch.testing.assert_close(graph(x), layer(x)[0])


def test_signs_that_stand_beside_the_numbers():
    layer = elman.Recurrent(Written(lambda s, x, h: torch.tanh(x * 0.5 + h * s.p), (1,), p=torch.ones(1, dtype=DTYPE)))
    numbers, found = torch.complex(random_tensor(T, B, 1).detach(), random_tensor(T, B, 1, seed=1).detach()), []
    for options in ({"backend": "c", "schedule": SCHEDULE}, {"backend": "reference"}):
        with using(**options):
            x = numbers.conj().imag.requires_grad_()
            y, _ = layer(x)
            loss = (torch.complex(torch.zeros_like(y), y).conj() * numbers).real.sum()
            found.append((y, *torch.autograd.grad(loss, [x, layer.cell.p])))
    torch.testing.assert_close(found[0], found[1])


def test_many_gradients_at_once_of_packed_rows():
    layer, x = elman.Recurrent(elman.GRU(3, H).double()), random_tensor(T, B, 3)
    with in_c(SCHEDULE):
        y = layer(x, lengths=LENGTHS)[0]
    some = random_tensor(7, *y.shape, seed=1, grad=False)
    together = torch.autograd.grad(y, x, some, retain_graph=True, is_grads_batched=True)[0]
    each = torch.stack([torch.autograd.grad(y, x, g, retain_graph=True)[0] for g in some])
    torch.testing.assert_close(together, each)


def test_torch_compile_without_rows():
    layer = elman.Recurrent(elman.GRU(3, H))
    y, _ = torch.compile(layer, backend="aot_eager")(torch.randn(3, 0, 3))
    y.sum().backward()
    assert y.shape == (3, 0, H)


class Rate:
    """What a step asks for a number."""

    def __init__(self, number):
        self.number = number

    def now(self):
        return self.number


def test_what_a_function_is_bound_to():
    layer = elman.Recurrent(Written(lambda s, x, h: s.act(x - h) * s.rate(), rate=Rate(0.5).now))
    for slope in (0.1, 0.9):
        layer.cell.act = functools.partial(nn.functional.leaky_relu, negative_slope=slope)
        assert_agrees(layer, random_tensor(T, B, H))
    layer.cell.rate.__self__.number = 0.9
    assert_agrees(layer, random_tensor(T, B, H))


class Chained(elman.Cell):
    """Products of products of x before the loop, and of parameters alone, which all steps read."""

    def __init__(self, size=64, rows=16):
        super().__init__()
        self.state_size = ((rows, size),)
        self.U, self.V = nn.Linear(size, 512), nn.Linear(512, size)
        self.P, self.Q = nn.Parameter(torch.randn(rows, size) * 0.1), nn.Parameter(torch.randn(size, size) * 0.1)

    def step(self, x, h):
        u = self.V(torch.tanh(self.U(x)))
        return torch.tanh(u[:, None, :] + h * nn.functional.linear(self.P, self.Q))


@pytest.mark.parametrize(("steps", "batch"), [(130, 64), (1026, 8), (40, 3)])
def test_what_all_steps_read_outlives_a_run_of_steps(steps, batch):
    torch.manual_seed(0)
    layer, x = elman.Recurrent(Chained()), torch.randn(batch, steps, 80)[..., :64].transpose(0, 1)
    with torch.no_grad():
        with elman.using(backend="c"):
            got = layer(x)[0]
        with elman.using(backend="reference"):
            torch.testing.assert_close(got, layer(x)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("lengths", [[5, 0, 3], [0, 0, 0]])
@pytest.mark.parametrize("reset", [False, True])
def test_a_row_without_steps_divides_by_nothing(lengths, reset):
    """Where rows are not packed, what stands in an empty row must still be something that a step can divide by."""
    cell = Written(
        lambda s, x, h: torch.tanh(x / x.norm(dim=-1, keepdim=True) @ s.A + h),
        (4,),
        A=nn.Parameter(random_tensor(4, 4).detach()),
    )
    layer, x = elman.Recurrent(cell), random_tensor(5, 3, 4).detach().clone()
    x[:, 1] = 0
    marks = {"reset": torch.zeros(5, 3, dtype=torch.bool)} if reset else {}
    y, _ = layer(x, lengths=torch.tensor(lengths), **marks)
    (g,) = torch.autograd.grad(y.square().sum(), [cell.A])
    assert torch.isfinite(y).all() and torch.isfinite(g).all()
