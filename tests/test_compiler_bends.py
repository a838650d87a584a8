"""Where a function bends or has a tie, values and gradients are torch's."""

import pytest
import torch
from torch.nn import functional as F

from compiled import DTYPE, Written, assert_agrees, random_tensor

# Each function with the points at which it bends.
BENDS = {
    "relu": (torch.relu, [0.0]),
    "relu6": (F.relu6, [0.0, 6.0]),
    "abs": (torch.abs, [0.0]),
    "sign": (torch.sign, [0.0]),
    "clamp": (lambda x: x.clamp(-0.5, 0.25), [-0.5, 0.25]),
    "clamp min": (lambda x: x.clamp(min=0.25), [0.25]),
    "clamp max": (lambda x: torch.clamp_max(x, 0.25), [0.25]),
    "hardtanh": (F.hardtanh, [-1.0, 1.0]),
    "hardswish": (F.hardswish, [-3.0, 3.0]),
    "leaky_relu": (F.leaky_relu, [0.0]),
    "elu": (lambda x: F.elu(x, 0.7), [0.0]),
    "selu": (F.selu, [0.0]),
    "celu": (F.celu, [0.0]),
    "softplus": (lambda x: F.softplus(x, 1.0, 1.5), [1.5, 1.5 + 2e-16]),
    "logsigmoid": (F.logsigmoid, [0.0]),
    "gelu": (F.gelu, [0.0]),
    "maximum": (lambda x: torch.maximum(x, torch.full_like(x, 0.5)), [0.5]),
    "minimum": (lambda x: torch.minimum(x, torch.full_like(x, 0.5)), [0.5]),
    "maximum of itself": (lambda x: torch.maximum(x, x * 1.0), [0.5]),
    "minimum of its negative": (lambda x: torch.minimum(x, -x), [0.0]),
    "norm": (lambda x: x.norm(dim=-1, keepdim=True), [0.0]),
    "std": (lambda x: (x * 0.0).std(-1, keepdim=True), [1.0]),
    "std of equals": (lambda x: x.std(-1, keepdim=True), [1.0]),
    "amax": (lambda x: x.amax(-1, keepdim=True), [1.0]),
    "amin": (lambda x: x.amin(-1, keepdim=True), [1.0]),
    "softmax": (lambda x: F.softmax(x, -1), [1.0]),
    "logsumexp": (lambda x: torch.logsumexp(x, -1, keepdim=True), [1.0]),
    "power 0": (lambda x: x**0, [0.0]),
    "power 1": (lambda x: x**1.0, [0.0]),
    "power 2": (lambda x: x**2, [0.0]),
    "power 1.5": (lambda x: x**1.5, [0.0]),
    "square root": (torch.sqrt, [0.0]),
    "power with tensors": (lambda x: x ** (x + 2), [0.0]),
    "power tensor 0": (lambda x: (x - 1) ** (x - 1), [1.0]),
    "power of a negative": (lambda x: x ** torch.full_like(x, 2.0), [-1.0, 0.0]),
    "number to a power": (lambda x: 2.0**x, [0.0, -1.0]),
    "0 to a power": (lambda x: 0.0 ** x.abs(), [0.0, 1.0]),
    "floor": (torch.floor, [0.0, 1.0]),
    "where": (lambda x: torch.where(x > 0, x, 2 * x), [0.0]),
    "where ge": (lambda x: torch.where(x >= 0, x, 2 * x), [0.0]),
    "xlogx": (lambda x: torch.where(x > 0, x * torch.log(x), 0.0), [0.0]),
    "normalize": (lambda x: F.normalize(x, dim=-1), [0.0]),
}


@pytest.mark.parametrize("name", BENDS)
def test_values_and_gradients_at_the_bend_are_torchs(name):
    function, points = BENDS[name]
    for point in points:
        x = torch.full((3, 2, 4), point, dtype=DTYPE, requires_grad=True)
        cell = Written(lambda self, x, h: function(x) + 0.5 * h)
        assert_agrees(cell, x, random_tensor(2, 4))


@pytest.mark.parametrize("name", BENDS)
def test_the_same_inside_of_the_loop(name):
    function, points = BENDS[name]
    for point in points:
        state = torch.full((2, 4), point, dtype=DTYPE, requires_grad=True)
        assert_agrees(Written(lambda self, x, h: function(h) + 0.5 * x), random_tensor(1, 2, 4), state)


# torch's own derivatives of these two hold a constant in float32, so that they err by 1e-8 in float64.
@pytest.mark.parametrize("function", [F.hardsigmoid, lambda x: F.celu(x, 0.8)])
@pytest.mark.parametrize("point", [-3.0, 0.0, 3.0, 0.7])
def test_where_torch_itself_computes_with_a_constant_in_float32(function, point):
    x = torch.full((3, 2, 4), point, dtype=DTYPE, requires_grad=True)
    assert_agrees(Written(lambda self, x, h: function(x) + 0.5 * h), x, random_tensor(2, 4), relative=1e-7)


@pytest.mark.parametrize(
    "other", [torch.arange(4) - 2, torch.tensor([True, False, True, False]), torch.ones(4).float()]
)
def test_comparisons_of_different_dtypes(other):
    def step(self, x, h):
        return torch.where(x > other, x, 0.5 * h) + torch.where(h <= other, 0.1, 0.2)

    assert_agrees(Written(step), random_tensor(3, 2, 4), random_tensor(2, 4, seed=1))
