"""The tables of the compiler: a row for each operation, and each row says the same as torch."""

import itertools

import pytest
import torch

import elman
from compiled import DTYPE, Written, assert_verified, compiled_of, random_tensor
from elman.compiler.graph import OPS, Builder, Graph, verify
from elman.compiler.runtime.python import build, render
from elman.compiler.runtime.torch_ops import TORCH
from elman.compiler.unfold.batch import Lift
from elman.compiler.unfold.gradient import VJP, backward

B, T = 2, 3
NEAR = {"rtol": 1e-12, "atol": 1e-13}

# Shapes of the inputs and the value, for each operation that is not pointwise.
FORMS = {
    "einsum": [
        ([("B", 3), (4, 3)], "bi,hi->bh"),
        ([("B", 3), (3, 4)], "bi,ih->bh"),
        ([("B", 3), ("B", 4)], "bi,bj->bij"),
        ([("B", 3), ("B", 3)], "bi,bi->b"),
        ([("B", 2, 3), ("B", 3)], "bij,bj->bi"),
        ([("B", 2, 3), (2, 3, 4)], "bmn,mnk->bmk"),
        ([("B", 2, 3), (4, 3)], "bmi,hi->bmh"),
        ([("B", 3), ("B", 4)], "bi,bj->ij"),
        ([("B", 3), ("B", 4)], "bi,bj->b"),
        ([(4, 3), ("B", 3)], "hi,bi->bh"),
        ([(3,), (4, 3)], "i,hi->h"),
    ],
    "sum": [([("B", 2, 3)], (1,)), ([("B", 2, 3)], (1, 2)), ([("B", 3)], (0,)), ([(3,)], (0,))],
    "amax": [([("B", 2, 3)], (1,)), ([("B", 2, 3)], (1, 2)), ([(3,)], (0,))],
    "reshape": [([("B", 2, 3)], ("B", 6)), ([("B", 3)], ("B", 1, 3, 1)), ([(6,)], (2, 3))],
    "permute": [([("B", 2, 3)], (0, 2, 1)), ([("B", 2, 3)], (2, 0, 1)), ([(2, 3)], (1, 0))],
    "expand": [([("B", 1, 3)], ("B", 2, 3)), ([(3,)], ("B", 2, 3)), ([("B", 1)], ("B", 3)), ([()], ("B", 3))],
    "slice": [([("B", 4)], (1, 1, 3)), ([(4, 3)], (0, 0, 2)), ([("B", 2, 4)], (2, 3, 4))],
    "pad": [([("B", 4)], (1, 1, 3)), ([(4, 3)], (0, 0, 2)), ([("B", 2, 4)], (1, 2, 0))],
    "concat": [([("B", 2), ("B", 3)], 1), ([(2,), (2,), (1,)], 0), ([("B", 2, 1), ("B", 2, 3)], 2)],
}
# What comes back has the shape of the result.
FORMS |= {op: [([("B", 3), ("B", 3)], None), ([(3,), (3,)], None)] for op in ("tanh_grad", "sigmoid_grad")}
BROADCAST = [[("B", 3), ("B", 3)], [("B", 3), (3,)], [(3,), ("B", 3)], [("B", 2, 1), (3,)], [("B", 1), (2, 1, 3)]]
BROADCAST += [[(), ("B", 3)], [("B", 3), ()]]
POSITIVE = {"log", "log1p", "sqrt", "pow"}
LEAVES = {"input", "const"}
LOGICAL = {"and", "or", "not"}


def forms_of(op):
    """The shapes of inputs, and the value, with which an operation is tried."""
    if op in FORMS:
        return FORMS[op]
    row = OPS[op]
    if row.arity == 1:
        return [([("B", 3)], None), ([(3,)], None), ([("B", 2, 3)], None)]
    if row.arity == 2:
        return [(shapes, None) for shapes in BROADCAST]
    return [([(3,), ("B", 3), (3,)], None), ([("B", 1), (3,), ("B", 3)], None), ([("B", 3), (), ("B", 1)], None)]


CASES = [
    pytest.param(op, shapes, value, id=f"{op} {number}")
    for op in OPS
    if op not in LEAVES | {"cast"}  # which has a test of its own
    for number, (shapes, value) in enumerate(forms_of(op))
]
over_operations = pytest.mark.parametrize(("op", "shapes", "value"), CASES)


def dtype_of(op, place):
    """The dtype of an input of an operation."""
    return "bool" if op in LOGICAL or (op == "where" and place == 0) else "float64"


def node_of(op, shapes, value):
    """The builder, the inputs and the node."""
    made = Builder()
    inputs = [made.input(f"i{n}", shape, dtype_of(op, n)) for n, shape in enumerate(shapes)]
    dtype = "bool" if OPS[op].boolean else "float64"
    return made, inputs, made.make(op, *inputs, value=value, dtype=dtype)


def tensor_of(op, node, seed, time=()):
    """Numbers for an input; no ties, and positive where the operation asks for it."""
    shape = [B if size == "B" else size for size in node.shape]
    numbers = random_tensor(*time, *shape, seed=seed, grad=False)
    if node.dtype == "bool":
        return numbers > 0
    return numbers.abs() + 0.3 if op in POSITIVE else numbers


def run(name, graph, tensors):
    return build(name, render(name, verify(graph)))(T, B, torch.device("cpu"), *tensors)


def test_each_table_has_a_row_for_each_operation():
    assert set(VJP) == set(OPS)
    assert set(TORCH) == set(OPS) - LEAVES


@over_operations
def test_the_derivative_of_each_operation_is_autograds(op, shapes, value):
    made, inputs, node = node_of(op, shapes, value)
    tensors = [tensor_of(op, i, seed) for seed, i in enumerate(inputs)]
    (y,) = run("forward", Graph(tuple(inputs), {"y": node}), tensors)
    assert y.shape == tuple(B if size == "B" else size for size in node.shape)
    g = made.input("g", node.shape, "float64")
    floats = [i for i in inputs if i.dtype == "float64"]
    back = backward(made, {node: [g]}, floats) if node.dtype == "float64" else {}
    for t, i in zip(tensors, inputs, strict=True):
        t.requires_grad_(i in floats)
    (y,) = run("forward", Graph(tuple(inputs), {"y": node}), tensors)
    leaves = [t for t in tensors if t.requires_grad]
    weight = random_tensor(*y.shape, seed=9, grad=False)
    expected = torch.autograd.grad(y, leaves, weight, allow_unused=True) if y.requires_grad else [None] * len(leaves)
    for i, t, e in zip(floats, leaves, expected, strict=True):
        e = torch.zeros_like(t) if e is None else e
        got = torch.zeros_like(t)
        if i in back:
            (got,) = run("backward", Graph((*inputs, g), {"d": back[i]}), [*(t.detach() for t in tensors), weight])
        torch.testing.assert_close(got, e, **NEAR)


@over_operations
def test_all_steps_at_once_are_the_steps_one_by_one(op, shapes, value):
    _, inputs, node = node_of(op, shapes, value)
    for timed in itertools.product([False, True], repeat=len(inputs)):
        lift = Lift(Builder())
        given = [lift.given(i, str(i.value), t) for i, t in zip(inputs, timed, strict=True)]
        lifted = lift.lift(node)
        outputs = {"each": lifted} | ({"total": lift.total(node)} if any(timed) and node.dtype != "bool" else {})
        tensors = [tensor_of(op, i, s, (T,) if t else ()) for s, (i, t) in enumerate(zip(inputs, timed, strict=True))]
        got = run("lifted", Graph(tuple(given), outputs), tensors)
        one_by_one = [
            run(
                "one",
                Graph(tuple(inputs), {"y": node}),
                [x[t] if its else x for x, its in zip(tensors, timed, strict=True)],
            )[0]
            for t in range(T)
        ]
        expected = torch.stack(one_by_one) if any(timed) else one_by_one[0]
        torch.testing.assert_close(got[0], expected, **NEAR)
        if len(got) > 1:
            torch.testing.assert_close(got[1], expected.sum(0), **NEAR)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bool", "int64"])
def test_a_cast_and_its_derivative(dtype):
    made = Builder()
    x = made.input("x", ("B", 3), "float64")
    node = made.make("cast", x, dtype=dtype)
    (y,) = run("forward", Graph((x,), {"y": node}), [torch.ones(B, 3, dtype=DTYPE)])
    assert y.dtype == getattr(torch, dtype)
    if "float" in dtype:
        assert backward(made, {node: [made.input("g", ("B", 3), dtype)]}, [x])[x].dtype == "float64"


def test_whatever_is_lowered_uses_operations_of_the_table():
    def step(self, x, h):
        return torch.tanh(x @ self.W + h) * torch.softmax(h, -1)

    cell = Written(step, W=torch.randn(4, 4, dtype=DTYPE))
    x = random_tensor(T, B, 4)
    lengths, reset = torch.tensor([1, 3]), torch.rand(T, B) < 0.5
    for options in ({}, {"lengths": lengths}, {"reset": reset}, {"lengths": lengths, "reset": reset}):
        assert_verified(compiled_of(elman.Recurrent(cell), x, **options))


@pytest.mark.parametrize("op", ["tanh", "sigmoid"])
def test_a_number_comes_back_to_an_activation(op):
    made = Builder()
    x = made.input("x", ("B", 3), "float64")
    node = made.make(op, x)
    back = backward(made, {node: [made.const(1.0, "float64")]}, [x])[x]
    numbers = random_tensor(B, 3)
    (got,) = run("backward", Graph((x,), {"d": back}), [numbers.detach()])
    (expected,) = torch.autograd.grad(getattr(torch, op)(numbers).sum(), numbers)
    torch.testing.assert_close(got, expected, **NEAR)
