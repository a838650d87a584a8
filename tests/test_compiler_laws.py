"""Laws of differentiation through layers, and where the parts of a step end up."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jvp, vmap

import elman
from compiled import (
    DTYPE,
    Written,
    assert_agrees,
    assert_verified,
    compiled_of,
    compiled_only,
    flat,
    ops_of,
    outcome,
    random_tensor,
    stages_of,
    step_by_step,
)
from every_cell import OTHERS

T, B, I, H = 4, 2, 3, 3


class Attention(elman.Cell):
    """A state of two heads, and a memory that is written by an outer product."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.state_size = ((2, hidden_size), (hidden_size, hidden_size))
        self.U = nn.Linear(input_size, 3 * hidden_size)
        self.heads = nn.Parameter(torch.randn(2, hidden_size, hidden_size) * 0.5)

    def step(self, x, h, memory):
        q, k, v = self.U(x).chunk(3, dim=-1)
        memory = 0.9 * memory + k.unsqueeze(2) * torch.tanh(v).unsqueeze(1)
        read = torch.matmul(memory, q.unsqueeze(-1)).squeeze(-1)
        return torch.tanh(torch.einsum("bmi,mij->bmj", h, self.heads) + read.unsqueeze(1)), torch.tanh(memory)

    def output(self, h, memory):
        return nn.functional.softmax(h, -1).flatten(1)


class Normed(elman.LSTM):
    """An LSTM whose gates are normalised, with a readout."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.norm = nn.LayerNorm(4 * hidden_size)
        self.V = nn.Linear(hidden_size, 2)

    def step(self, x, h, c):
        i, f, g, o = self.norm(self.U(x) + self.W(h)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def output(self, h, c):
        return self.V(h)


class Shared(elman.Cell):
    """One weight for x and for h, of which a part is masked."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.state_size = (hidden_size,)
        self.W = nn.Parameter(torch.randn(hidden_size, input_size) * 0.5)
        self.register_buffer("mask", torch.ones(hidden_size, input_size).tril())

    def step(self, x, h):
        return torch.tanh(nn.functional.linear(x, self.W * self.mask) + h @ self.W[:, :1] + nn.functional.gelu(h))


CELLS = {
    "elman": elman.Elman,
    "lstm": elman.LSTM,
    "gru": elman.GRU,
    "reset after": elman.GRUResetAfter,
    "jordan": lambda i, h: elman.Jordan(i, h, 2),
    "attention": Attention,
    "normed": Normed,
    "shared": Shared,
}
each = pytest.mark.parametrize("name", [*CELLS, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])


def make(name, input_size=I):
    torch.manual_seed(1)
    return elman.Recurrent((CELLS | OTHERS)[name](input_size, H).double())


def make_state(layer, grad=True):
    sizes = [(B, *(s if isinstance(s, tuple) else (s,))) for s in layer.cell.state_size]
    sizes += [(B, layer.cell.feedback_size)] if layer.cell.feedback_size else []
    tensors = tuple(random_tensor(*size, seed=5 + n, grad=grad) for n, size in enumerate(sizes))
    return tensors if len(tensors) > 1 else tensors[0]


def as_function(layer, **options):
    """The layer as a function of x, the states and all parameters, its results, and a point."""
    names = [name for name, _ in layer.named_parameters()]
    state = flat(make_state(layer))
    count = len(state)

    def function(x, *rest):
        given, parameters = rest[:count], dict(zip(names, rest[count:], strict=True))
        start = given if count > 1 else given[0]
        y, ends = functional_call(layer, parameters, (x, start), options)
        return (y, *flat(ends))

    point = (random_tensor(T, B, I, seed=2), *state, *(p.detach().requires_grad_() for p in layer.parameters()))
    return function, point


OPTIONS = {
    "plain": {},
    "lengths and reset": {"lengths": torch.tensor([4, 2]), "reset": torch.arange(T * B).reshape(T, B) % 3 == 2},
}
over_options = pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))


@each
@over_options
def test_gradcheck(name, options):
    with compiled_only():
        assert torch.autograd.gradcheck(*as_function(make(name), **options), fast_mode=True)


@each
@over_options
def test_gradgradcheck(name, options):
    with compiled_only():
        assert torch.autograd.gradgradcheck(*as_function(make(name), **options), fast_mode=True, atol=1e-4)


@each
@over_options
def test_values_and_gradients_are_those_of_the_loop_at_each_stage(name, options):
    layer = make(name)
    assert_agrees(layer, random_tensor(T, B, I), make_state(layer), **options)
    assert_verified(compiled_of(layer, random_tensor(T, B, I), make_state(layer), **options))


@each
def test_the_dot_test(name):
    function, point = as_function(make(name))
    tangents = tuple(random_tensor(*t.shape, seed=20 + n, grad=False) for n, t in enumerate(point))
    values, pushed = jvp(function, tuple(t.detach() for t in point), tangents)
    weights = [random_tensor(*v.shape, seed=60 + n, grad=False) for n, v in enumerate(values)]
    with compiled_only():
        pulled = torch.autograd.grad(function(*point), point, weights)
    left = sum((a * b).sum() for a, b in zip(pushed, weights, strict=True))
    right = sum((a * b).sum() for a, b in zip(tangents, pulled, strict=True))
    torch.testing.assert_close(left, right, rtol=1e-11, atol=1e-12)


@each
def test_the_taylor_remainder_falls_with_slope_2(name):
    function, point = as_function(make(name))
    direction = [random_tensor(*t.shape, seed=20 + n, grad=False) for n, t in enumerate(point)]

    def loss(size):
        moved = [t + size * d for t, d in zip(point, direction, strict=True)]
        return sum((r * r).sum() for r in function(*moved))

    base = loss(0.0)
    slope = sum((g * d).sum() for g, d in zip(torch.autograd.grad(base, point), direction, strict=True))
    with torch.no_grad():
        remainders = torch.stack([(loss(size) - base - size * slope).abs() for size in (1e-4, 1e-5)])
    assert 1.9 < torch.log10(remainders[0] / remainders[1]) < 2.1


@each
def test_the_same_call_gives_the_same_bits(name):
    layer = make(name)
    first, second = (outcome(layer, random_tensor(T, B, I), make_state(layer)) for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


def penalty(layer, x):
    """A loss with the norm of a gradient in it, and its gradient."""
    y = layer(x)[0]
    (g,) = torch.autograd.grad((y * y).sum(), x, create_graph=True)
    return torch.autograd.grad((g * g).sum() + y.sum(), list(layer.parameters()), allow_unused=True)


@pytest.mark.parametrize("kind", ["shared by two layers", "x from the parameters", "output of one alone"])
def test_the_gradient_of_a_gradient(kind):
    torch.manual_seed(0)
    cell = elman.GRU(H, H).double()
    layer = elman.Stack(elman.Recurrent(cell), elman.Recurrent(cell))
    layer = elman.Recurrent(cell) if kind == "output of one alone" else layer

    def make_x():
        x = random_tensor(T, B, H)
        return x * cell.U.weight.sum() + cell.W.weight[:1, :1] if kind == "x from the parameters" else x

    with compiled_only():
        got = penalty(layer, make_x())
    with step_by_step():
        expected = penalty(layer, make_x())
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


@each
def test_the_transforms_of_torch_func(name):
    layer = make(name)
    x, parameters = random_tensor(T, B, I, grad=False), dict(layer.named_parameters())

    def loss(parameters, x):
        return functional_call(layer, parameters, (x,))[0].square().sum()

    got = grad(loss)({key: p.detach() for key, p in parameters.items()}, x)
    loss(parameters, x).backward()
    for key, p in parameters.items():
        torch.testing.assert_close(got[key], torch.zeros_like(p) if p.grad is None else p.grad, rtol=1e-10, atol=1e-12)
    many = torch.stack([x, 2 * x])
    each_row = vmap(lambda x: functional_call(layer, parameters, (x,))[0])(many)
    torch.testing.assert_close(each_row, torch.stack([layer(x)[0] for x in many]))


@each
def test_functional_call_takes_other_parameters(name):
    layer = make(name)
    others = {key: p + 0.1 for key, p in layer.named_parameters()}
    got = functional_call(layer, others, (random_tensor(T, B, I),))[0]
    with torch.no_grad():
        for p in layer.parameters():
            p += 0.1
    torch.testing.assert_close(got, layer(random_tensor(T, B, I))[0])


@each
@pytest.mark.parametrize("part", ["y", "state", "x without gradient", "one step", "first output"])
def test_only_a_part_is_used(name, part):
    layer = make(name)
    x = random_tensor(T, B, I, grad=part != "x without gradient")

    def gradients():
        y, state = layer(x, make_state(layer))
        used = {"y": y, "one step": y[1], "first output": y[..., 0]}.get(part, flat(state)[-1])
        return torch.autograd.grad(used.square().sum(), list(layer.parameters()), allow_unused=True)

    with compiled_only():
        got = gradients()
    with step_by_step():
        expected = gradients()
    for p, one, other in zip(layer.parameters(), got, expected, strict=True):
        one, other = (torch.zeros_like(p) if g is None else g for g in (one, other))
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


# where the parts of a step end up


def test_a_network_that_is_fed_its_targets_has_nothing_inside():
    layer = make("jordan")
    compiled = compiled_of(layer, random_tensor(T, B, I), targets=random_tensor(T, B, 2))
    assert compiled.stages.inside is None
    assert compiled.training_stages.inside is None
    assert compiled.gradient_stages.inside is None
    assert compiled_of(layer, random_tensor(T, B, I)).stages.inside is not None


def test_products_with_x_stand_before_and_the_readout_after():
    stages = stages_of(compiled_of(make("normed"), random_tensor(T, B, I)))
    assert ops_of(stages["before"]) >= {"einsum"}
    assert ops_of(stages["after"]) >= {"einsum"}
    products = [node for node in stages["inside"].nodes if node.op == "einsum"]
    assert [node.shape for node in products] == [("B", 4 * H)]


@each
def test_no_gradient_of_a_weight_is_summed_inside(name):
    """Every product of the gradient's loop has the batch among its axes: the sums over rows and steps come after."""
    stages = stages_of(compiled_of(make(name), random_tensor(T, B, I)))
    if "gradient inside" in stages:
        products = [node for node in stages["gradient inside"].nodes if node.op == "einsum"]
        assert all("B" in node.shape for node in products)


# unusual cells

UNUSUAL = {
    "no parameters": lambda: Written(lambda s, x, h: torch.tanh(x + h)),
    "the state as it was": lambda: Written(lambda s, x, h: h),
    "a state of zeros": lambda: Written(lambda s, x, h: torch.zeros_like(h)),
    "a constant output": lambda: Written(
        lambda s, x, h: torch.tanh(x + h), output=lambda s, h: s.p.expand(h.shape[0], 4), p=torch.ones(4, dtype=DTYPE)
    ),
    "an output of ones": lambda: Written(lambda s, x, h: torch.tanh(x + h), output=lambda s, h: torch.ones_like(h)),
    "a constant state": lambda: Written(
        lambda s, x, h, c: (torch.tanh(x + h), s.p.expand(h.shape[0], 4)), (4, 4), p=torch.ones(4, dtype=DTYPE)
    ),
    "a constant state that is read": lambda: Written(
        lambda s, x, h, c: (torch.tanh(x + h + c), s.p.expand(h.shape[0], 4)), (4, 4), p=torch.ones(4, dtype=DTYPE)
    ),
    "x as the output": lambda: Written(lambda s, x, h, c: (x, torch.tanh(x + h + c)), (4, 4)),
    "the same state twice": lambda: Written(lambda s, x, h, c: (torch.tanh(x + h + c),) * 2, (4, 4)),
    "states that change places": lambda: Written(lambda s, x, h, c: (torch.tanh(x + c), h), (4, 4)),
    "nothing carried": lambda: Written(lambda s, x, h, c: (torch.tanh(x), torch.sin(x)), (4, 4)),
    "one number an output": lambda: Written(lambda s, x, h: torch.tanh(x + h), output=lambda s, h: h.sum(-1)),
    "a state without axes": lambda: Written(lambda s, x, h: torch.tanh(x.mean(-1) + h), ((),)),
    "detached": lambda: Written(lambda s, x, h: torch.tanh(x + h.detach())),
}


@pytest.mark.parametrize("name", UNUSUAL)
@pytest.mark.parametrize("options", [{}, {"lengths": torch.tensor([4, 0])}, {"reset": torch.rand(T, B) < 0.4}])
def test_unusual_cells(name, options):
    layer = elman.Recurrent(UNUSUAL[name]())
    assert_agrees(layer, random_tensor(T, B, 4), make_state(layer), **options)


def test_systems_without_input():
    W = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=DTYPE)
    fed = Written(lambda s, x, fed: torch.tanh(fed @ s.W), (), 4, output=lambda s, h: 2 * h, W=W)
    assert_agrees(Written(lambda s, x, h: torch.tanh(h @ s.W), W=W), None, random_tensor(B, 4), steps=T)
    assert_agrees(fed, None, random_tensor(B, 4), steps=T)
    assert_agrees(fed, None, random_tensor(B, 4), targets=random_tensor(T, B, 4, seed=1))


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_states_that_are_no_floats(dtype):
    class Counting(Written):
        def initial_state(self, batch_size):
            return (*super().initial_state(batch_size)[:1], torch.zeros(batch_size, 4, dtype=dtype))

    count = Counting(
        lambda s, x, h, n: (torch.tanh(x + 0.1 * n * h), (n + 1).to(dtype) if dtype != torch.bool else ~n), (4, 4)
    )
    assert_agrees(count, random_tensor(T, B, 4))


# names


@pytest.mark.parametrize(
    "name", ["x", "fed", "h", "y", "live", "reset", "A1", "C1", "S1", "h_", "random0", "captured0", "sum0", "d x", "h'"]
)
def test_names_of_parameters_do_not_collide(name):
    class Named(elman.Cell):
        state_size = (4,)

        def __init__(self):
            super().__init__()
            self.register_parameter(name, nn.Parameter(torch.full((4,), 0.4, dtype=DTYPE)))
            self.register_parameter("q", nn.Parameter(torch.full((4,), 0.3, dtype=DTYPE)))

        def step(self, x, h):
            return torch.tanh(torch.sin(x) + torch.exp(self.q) * getattr(self, name) * h * table)

        def output(self, h):
            return h * getattr(self, name)

    table = torch.tensor([1.0, 0.5, 0.2, 1.0], dtype=DTYPE)
    marks = {"lengths": torch.tensor([3, 1]), "reset": torch.rand(T, B) < 0.4}
    assert_agrees(elman.Recurrent(Named()), random_tensor(T, B, 4), random_tensor(B, 4, seed=3), **marks)


def renamed(names):
    space = {"torch": torch}
    text = f"def step(self, x, {names}):\n    return tuple(torch.tanh(x * self.p + 0.5 * s) for s in ({names},))"
    exec(text, space)
    return space["step"]


@pytest.mark.parametrize("names", ["live, reset", "y, A1", "p, fed", "T, B", "S1, C1", "sum0, random0", "device, v1"])
def test_names_of_states_do_not_collide(names):
    cell = type("Named", (Written,), {"step": renamed(names)})(None, (4, 4), p=torch.full((4,), 0.4, dtype=DTYPE))
    marks = {"lengths": torch.tensor([3, 1]), "reset": torch.rand(T, B) < 0.4}
    assert_agrees(cell, random_tensor(T, B, 4), (random_tensor(B, 4), random_tensor(B, 4, seed=1)), **marks)


def with_options(self, x, *states, scale=0.5):
    return tuple(torch.tanh(x + scale * state) for state in states)


def with_defaults(self, x, h, c, scale=0.5, *, shift=0.1):
    return torch.tanh(x + scale * h), torch.tanh(c + shift)


@pytest.mark.parametrize("step", [with_options, with_defaults])
def test_signatures(step):
    cell = type("Signed", (Written,), {"step": step})(None, (4, 4))
    assert_agrees(cell, random_tensor(T, B, 4), (random_tensor(B, 4), random_tensor(B, 4, seed=1)))
