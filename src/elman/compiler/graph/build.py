"""Making nodes: shapes and dtypes come from the table, equal nodes are made once, and nothing idle is made."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from elman.axes import Shape

from .node import Node, Where
from .ops import OPS

_FOLD: dict[str, Callable[..., Any]] = {
    "neg": lambda a: -a,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "eq": lambda a, b: a == b,
}


class Builder:
    """Makes the nodes of one graph.

    Attributes:
        where: the line of the step that new nodes come from.
    """

    def __init__(self, where: Where | None = None) -> None:
        self.where = where
        self._made: dict[Any, Node] = {}

    def input(self, name: str, shape: Shape, dtype: str) -> Node:
        """An input by name."""
        return Node("input", (), shape, dtype, name, self.where)

    def const(self, value: float | int | bool, dtype: str) -> Node:
        """A number."""
        key = ("const", dtype, type(value), math.copysign(1, value), value if value == value else "nan")
        if key not in self._made:
            self._made[key] = Node("const", (), (), dtype, value)
        return self._made[key]

    def make(self, op: str, *inputs: Node, value: Any = None, dtype: str | None = None) -> Node:
        """An operation, simplified where that changes no bit; a node made before if there is an equal one."""
        row = OPS[op]
        shape = row.shape([node.shape for node in inputs], value)
        if dtype is None:
            dtype = "bool" if row.boolean else inputs[-1].dtype
        simple = self._simple(op, inputs, value, shape, dtype)
        if simple is not None:
            return simple
        key = (op, inputs, value, dtype)
        if key not in self._made:
            self._made[key] = Node(op, inputs, shape, dtype, value, self.where)
        return self._made[key]

    def _simple(self, op: str, inputs: tuple[Node, ...], value: Any, shape: Shape, dtype: str) -> Node | None:
        """A node that computes the same with less, or None."""
        if op == "div" and all(node.op == "const" for node in inputs) and inputs[1].value and "float" in dtype:
            return self.const(inputs[0].value / inputs[1].value, dtype)
        if op in _FOLD and all(node.op == "const" for node in inputs):
            return self.const(_FOLD[op](*(node.value for node in inputs)), dtype)
        if op == "cast" and inputs[0].op == "const":
            return self.const(_as(inputs[0].value, dtype), dtype)
        first = inputs[0] if inputs else None
        if first is None or first.shape != shape or first.dtype != dtype:
            return None
        match op:
            case "reshape" | "expand" | "slice" | "cast" | "sum" | "pad" | "concat":
                return first
            case "permute" if value == tuple(range(len(shape))):
                return first
            case "mul" | "div" if _is(inputs[1], 1):
                return first
            case "sub" if _is(inputs[1], 0):
                return first
        return None

    # the operations that passes write most
    def neg(self, a: Node) -> Node:
        """-a."""
        return self.make("neg", a)

    def add(self, a: Node, b: Node) -> Node:
        """a + b."""
        return self.make("add", a, b)

    def sub(self, a: Node, b: Node) -> Node:
        """a - b."""
        return self.make("sub", a, b)

    def mul(self, a: Node, b: Node | float) -> Node:
        """a * b, b a node or a number."""
        if not isinstance(b, Node):
            b = self.const(b, a.dtype)
        if _is(a, 1) and a.dtype == b.dtype:
            return b
        return self.make("mul", a, b, dtype=a.dtype)

    def div(self, a: Node, b: Node) -> Node:
        """a / b."""
        return self.make("div", a, b)

    def where_(self, condition: Node, yes: Node, no: Node) -> Node:
        """`yes` where the condition holds, else `no`."""
        return self.make("where", condition, yes, no, dtype=no.dtype if yes.op == "const" else yes.dtype)

    def sum(self, a: Node, axes: Sequence[int]) -> Node:
        """The sum over axes."""
        return self.make("sum", a, value=tuple(axes))

    def reshape(self, a: Node, shape: Shape) -> Node:
        """The same entries in another shape."""
        return self.make("reshape", a, value=tuple(shape))

    def expand(self, a: Node, shape: Shape) -> Node:
        """Repeated along new axes and axes of size 1."""
        return self.make("expand", a, value=tuple(shape))

    def einsum(self, formula: str, a: Node, b: Node) -> Node:
        """A product, one letter an axis."""
        return self.make("einsum", a, b, value=formula)


def _is(node: Node, number: float) -> bool:
    return node.op == "const" and node.value == number


def _as(value: Any, dtype: str) -> Any:
    return bool(value) if dtype == "bool" else float(value) if "float" in dtype else int(value)
