"""The table of operations: how many inputs each reads, and the shape and dtype of what it computes.

One table per question; this one answers "what comes out?". The derivative stands in unfold/gradient.py,
how the leading time axis is added in unfold/batch.py, torch in runtime/torch_ops.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from elman.axes import Shape, show_shape
from elman.errors import ShapeError

Shapes = Sequence[Shape]


@dataclass(frozen=True)
class Op:
    """A row of the table.

    Attributes:
        arity: how many inputs; None for any number from one on.
        shape: from the shapes of the inputs and the value to the shape of the result.
        pointwise: each entry of the result depends on the entries of the inputs at the same place.
        boolean: the result is bool whatever the inputs are.
    """

    arity: int | None
    shape: Callable[[Shapes, Any], Shape]
    pointwise: bool = False
    boolean: bool = False


def broadcast(shapes: Shapes, value: Any = None) -> Shape:
    """The common shape by NumPy's rules; B and T fit only themselves and 1."""
    rank = max(len(shape) for shape in shapes)
    result: list[int | str] = []
    for axis in range(-rank, 0):
        sizes = {shape[axis] for shape in shapes if len(shape) >= -axis} - {1}
        if len(sizes) > 1:
            raise ShapeError(f"expected shapes that broadcast, got {' and '.join(show_shape(s) for s in shapes)}.")
        result.append(sizes.pop() if sizes else 1)
    return tuple(result)


def einsum_shape(shapes: Shapes, formula: str) -> Shape:
    """The shape of a product written as a formula, one letter an axis: "bi,hi->bh"."""
    operands, result = formula.split("->")
    sizes: dict[str, int | str] = {}
    for letters, shape in zip(operands.split(","), shapes, strict=True):
        if len(letters) != len(shape):
            raise ShapeError(f"einsum {formula}: expected {len(letters)} axes for {letters}, got {show_shape(shape)}.")
        for letter, size in zip(letters, shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise ShapeError(f"einsum {formula}: {letter} is {sizes[letter]} and {size}.")
    return tuple(sizes[letter] for letter in result)


def reduced(shapes: Shapes, axes: tuple[int, ...]) -> Shape:
    """The shape without `axes`."""
    return tuple(size for axis, size in enumerate(shapes[0]) if axis not in axes)


def sliced(shapes: Shapes, value: tuple[int, int, int]) -> Shape:
    """The shape with entries start..stop of one axis."""
    axis, start, stop = value
    (shape,) = shapes
    size = shape[axis]
    if isinstance(size, str) or not 0 <= start < stop <= size:
        raise ShapeError(f"slice {start}:{stop} of axis {axis} does not fit {show_shape(shape)}.")
    return (*shape[:axis], stop - start, *shape[axis + 1 :])


def padded(shapes: Shapes, value: tuple[int, int, int]) -> Shape:
    """The shape with zeros before and after on one axis."""
    axis, before, after = value
    (shape,) = shapes
    size = shape[axis]
    if isinstance(size, str):
        raise ShapeError(f"pad of the symbolic axis {axis} of {show_shape(shape)}.")
    return (*shape[:axis], before + size + after, *shape[axis + 1 :])


def joined(shapes: Shapes, axis: int) -> Shape:
    """The shape of several tensors one after the other on one axis."""
    rest = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
    sizes = [shape[axis] for shape in shapes]
    if len(rest) != 1 or not all(isinstance(size, int) for size in sizes):
        raise ShapeError(f"concat on axis {axis} of {', '.join(show_shape(shape) for shape in shapes)}.")
    return (*shapes[0][:axis], sum(size for size in sizes if isinstance(size, int)), *shapes[0][axis + 1 :])


def reshaped(shapes: Shapes, value: Shape) -> Shape:
    """The given shape, if it holds as many entries, and the same symbols in the same order."""
    (shape,) = shapes
    if _count(shape) != _count(value) or _symbols(shape) != _symbols(value):
        raise ShapeError(f"reshape from {show_shape(shape)} to {show_shape(value)}.")
    return value


def expanded(shapes: Shapes, value: Shape) -> Shape:
    """The given shape, if the input broadcasts to it."""
    if broadcast([shapes[0], value]) != value:
        raise ShapeError(f"expand from {show_shape(shapes[0])} to {show_shape(value)}.")
    return value


def permuted(shapes: Shapes, order: tuple[int, ...]) -> Shape:
    """The axes in another order."""
    return tuple(shapes[0][axis] for axis in order)


def _count(shape: Shape) -> int:
    count = 1
    for size in shape:
        count *= size if isinstance(size, int) else 1
    return count


def _symbols(shape: Shape) -> list[str]:
    return [size for size in shape if isinstance(size, str)]


def _same(shapes: Shapes, value: Any) -> Shape:
    return shapes[0]


def _declared(shapes: Shapes, value: Any) -> Shape:
    raise ShapeError("an input declares its own shape")


def _scalar(shapes: Shapes, value: Any) -> Shape:
    return ()


_UNARY = Op(1, _same, pointwise=True)
_BINARY = Op(2, broadcast, pointwise=True)
_COMPARE = Op(2, broadcast, pointwise=True, boolean=True)

OPS: dict[str, Op] = {
    # leaves
    "input": Op(0, _declared),
    "const": Op(0, _scalar, pointwise=True),
    # one entry in, one entry out
    "neg": _UNARY,
    "exp": _UNARY,
    "expm1": _UNARY,
    "log": _UNARY,
    "log1p": _UNARY,
    "tanh": _UNARY,
    "sigmoid": _UNARY,
    "sqrt": _UNARY,
    "abs": _UNARY,
    "sign": _UNARY,
    "floor": _UNARY,
    "sin": _UNARY,
    "cos": _UNARY,
    "erf": _UNARY,
    "detach": _UNARY,
    "cast": _UNARY,
    "add": _BINARY,
    "sub": _BINARY,
    "mul": _BINARY,
    "div": _BINARY,
    "pow": _BINARY,
    "maximum": _BINARY,
    "minimum": _BINARY,
    "lt": _COMPARE,
    "le": _COMPARE,
    "eq": _COMPARE,
    "and": _COMPARE,
    "or": _COMPARE,
    "not": Op(1, _same, pointwise=True, boolean=True),
    "where": Op(3, broadcast, pointwise=True),
    # g tanh'(x) and g σ'(x), out of y = tanh(x) and y = σ(x): cheaper to compute where they are needed than to read
    "tanh_grad": _BINARY,
    "sigmoid_grad": _BINARY,
    # over features
    "einsum": Op(2, einsum_shape),
    "sum": Op(1, reduced),
    "amax": Op(1, reduced),
    # the same entries in other places
    "reshape": Op(1, reshaped),
    "permute": Op(1, permuted),
    "expand": Op(1, expanded),
    "slice": Op(1, sliced),
    "pad": Op(1, padded),
    "concat": Op(None, joined),
}

MOVES = frozenset({"reshape", "permute", "expand", "slice"})
"""Operations that only look at their input in another way."""
