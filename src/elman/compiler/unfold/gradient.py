"""All of calculus on one screen: for each operation, what comes back to its inputs.

    before   nodes, and the cotangent of some of them
    after    the cotangent of others, by the chain rule from the last node to the first

A rule reads the builder, the node, and the cotangent g of its result; it gives one cotangent per input, or None.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence

from elman.axes import Shape
from elman.compiler.graph import Builder, Node, depending_on, topological

Rule = Callable[[Builder, Node, Node], Sequence[Node | None]]


def unbroadcast(build: Builder, g: Node, shape: Shape) -> Node:
    """g summed to the shape of an input that was repeated."""
    extra = len(g.shape) - len(shape)
    axes = [a for a, size in enumerate(g.shape) if a < extra or (shape[a - extra] == 1 and size != 1)]
    return build.reshape(build.sum(g, axes), shape)


def _plain(rule: Callable[[Builder, Node, Node, Node, Node], Node]) -> Rule:
    """A rule for one input: g, x, y -> cotangent of x."""
    return lambda b, n, g: (rule(b, g, n.inputs[0], n, b.const(1.0, n.dtype)),)


def _two(rule: Callable[[Builder, Node, Node, Node, Node], tuple[Node | None, Node | None]]) -> Rule:
    """A rule for two inputs that broadcast: g, x, y, result -> both cotangents."""

    def apply(b: Builder, n: Node, g: Node) -> Sequence[Node | None]:
        both = rule(b, g, n.inputs[0], n.inputs[1], n)
        return [None if c is None else unbroadcast(b, c, i.shape) for c, i in zip(both, n.inputs, strict=True)]

    return apply


def _larger(b: Builder, g: Node, x: Node, y: Node) -> tuple[Node, Node]:
    """g to the larger of both, half to each where they are equal."""
    zero, half, equal = b.const(0.0, g.dtype), b.mul(g, 0.5), b.make("eq", x, y)
    to_x = b.where_(equal, half, b.where_(b.make("lt", y, x), g, zero))
    to_y = b.where_(equal, half, b.where_(b.make("lt", x, y), g, zero))
    return to_x, to_y


def _pow(b: Builder, g: Node, x: Node, p: Node, y: Node) -> tuple[Node | None, Node | None]:
    """p x^(p-1), 0 where p is 0; and x^p log x, 0 where x is 0 and p is not negative."""
    one, zero = b.const(1.0, x.dtype), b.const(0.0, x.dtype)
    slope = b.make("mul", b.make("pow", x, b.sub(p, one)), p)
    if p.op == "const":
        return b.mul(g, slope if p.value else zero), None
    to_x = None if x.op == "const" else b.where_(b.make("eq", p, zero), zero, b.mul(g, slope))
    nothing = b.make("and", b.make("eq", x, zero), b.make("le", zero, p))
    log = b.make("log", b.where_(nothing, one, x))
    return to_x, b.where_(nothing, zero, b.mul(g, b.mul(y, log)))


def _where(b: Builder, n: Node, g: Node) -> Sequence[Node | None]:
    condition, yes, no = n.inputs
    zero = b.const(0.0, g.dtype)
    to_yes, to_no = b.where_(condition, g, zero), b.where_(condition, zero, g)
    return None, unbroadcast(b, to_yes, yes.shape), unbroadcast(b, to_no, no.shape)


def _einsum(b: Builder, n: Node, g: Node) -> Sequence[Node]:
    """A product again, with the letters in other roles."""
    left, right = n.value.split("->")[0].split(",")
    result = n.value.split("->")[1]
    x, y = n.inputs
    return (
        _contracted(b, result, g, right, y, left, x.shape),
        _contracted(b, result, g, left, x, right, y.shape),
    )


def _contracted(b: Builder, gl: str, g: Node, ol: str, other: Node, wanted: str, shape: Shape) -> Node:
    """g times the other operand, summed to the letters of the wanted one; letters that only it has are repeated."""
    kept = "".join(letter for letter in wanted if letter in gl or letter in ol)
    product = b.einsum(f"{gl},{ol}->{kept}", g, other)
    if kept == wanted:
        return product
    ones = tuple(size if letter in kept else 1 for letter, size in zip(wanted, shape, strict=True))
    return b.expand(b.reshape(product, ones), shape)


def _kept(node: Node) -> Shape:
    """The shape of a reduction's input with the reduced axes kept as 1."""
    return tuple(1 if axis in node.value else size for axis, size in enumerate(node.inputs[0].shape))


def _sum(b: Builder, n: Node, g: Node) -> Sequence[Node]:
    return (b.expand(b.reshape(g, _kept(n)), n.inputs[0].shape),)


def _amax(b: Builder, n: Node, g: Node) -> Sequence[Node]:
    """g to the largest entry, in equal parts if there are several."""
    x, kept = n.inputs[0], _kept(n)
    largest = b.make("cast", b.make("eq", x, b.reshape(n, kept)), dtype=x.dtype)
    share = b.div(b.reshape(g, kept), b.reshape(b.sum(largest, n.value), kept))
    return (b.mul(largest, share),)


def _permute(b: Builder, n: Node, g: Node) -> Sequence[Node]:
    return (b.make("permute", g, value=tuple(n.value.index(axis) for axis in range(len(n.value)))),)


def _slice(b: Builder, n: Node, g: Node) -> Sequence[Node]:
    axis, start, stop = n.value
    size = n.inputs[0].shape[axis]
    assert isinstance(size, int)
    return (b.make("pad", g, value=(axis, start, size - stop)),)


def _pad(b: Builder, n: Node, g: Node) -> Sequence[Node]:
    axis, before, after = n.value
    size = n.shape[axis]
    assert isinstance(size, int)
    return (b.make("slice", g, value=(axis, before, size - after)),)


def _concat(b: Builder, n: Node, g: Node) -> Sequence[Node]:
    parts, start = [], 0
    for source in n.inputs:
        size = source.shape[n.value]
        assert isinstance(size, int)
        parts.append(b.make("slice", g, value=(n.value, start, start + size)))
        start += size
    return parts


def _slope(b: Builder, y: Node) -> Node:
    """1 - 2 y."""
    return b.sub(b.const(1.0, y.dtype), b.mul(y, 2.0))


def _none(b: Builder, n: Node, g: Node) -> Sequence[None]:
    return [None] * len(n.inputs)


VJP: dict[str, Rule] = {
    "input": _none,
    "const": _none,
    "neg": _plain(lambda b, g, x, y, one: b.neg(g)),
    "exp": _plain(lambda b, g, x, y, one: b.mul(g, y)),
    "expm1": _plain(lambda b, g, x, y, one: b.mul(g, b.add(y, one))),
    "log": _plain(lambda b, g, x, y, one: b.div(g, x)),
    "log1p": _plain(lambda b, g, x, y, one: b.div(g, b.add(x, one))),
    "tanh": _plain(lambda b, g, x, y, one: b.make("tanh_grad", g, y)),
    "sigmoid": _plain(lambda b, g, x, y, one: b.make("sigmoid_grad", g, y)),
    "sqrt": _plain(lambda b, g, x, y, one: b.div(g, b.mul(y, 2.0))),
    "abs": _plain(lambda b, g, x, y, one: b.mul(g, b.make("sign", x))),
    "sign": _none,
    "floor": _none,
    "sin": _plain(lambda b, g, x, y, one: b.mul(g, b.make("cos", x))),
    "cos": _plain(lambda b, g, x, y, one: b.neg(b.mul(g, b.make("sin", x)))),
    "erf": _plain(lambda b, g, x, y, one: b.mul(g, b.mul(b.make("exp", b.neg(b.mul(x, x))), 2 / math.sqrt(math.pi)))),
    "detach": _none,
    "cast": lambda b, n, g: (b.make("cast", g, dtype=n.inputs[0].dtype) if "float" in n.inputs[0].dtype else None,),
    "add": _two(lambda b, g, x, y, n: (g, g)),
    "sub": _two(lambda b, g, x, y, n: (g, b.neg(g))),
    "mul": _two(lambda b, g, x, y, n: (b.mul(g, y), b.mul(g, x))),
    "div": _two(lambda b, g, x, y, n: (b.div(g, y), b.neg(b.mul(g, b.div(n, y))))),
    "pow": _two(_pow),
    "maximum": _two(lambda b, g, x, y, n: _larger(b, g, x, y)),
    "minimum": _two(lambda b, g, x, y, n: _larger(b, g, y, x)),
    "lt": _none,
    "le": _none,
    "eq": _none,
    "and": _none,
    "or": _none,
    "not": _none,
    "where": _where,
    "tanh_grad": _two(lambda b, g, x, y, n: (b.make("tanh_grad", g, y), b.mul(b.mul(g, x), b.mul(y, -2.0)))),
    "sigmoid_grad": _two(lambda b, g, x, y, n: (b.make("sigmoid_grad", g, y), b.mul(b.mul(g, x), _slope(b, y)))),
    "einsum": _einsum,
    "sum": _sum,
    "amax": _amax,
    "reshape": lambda b, n, g: (b.reshape(g, n.inputs[0].shape),),
    "permute": _permute,
    "expand": lambda b, n, g: (unbroadcast(b, g, n.inputs[0].shape),),
    "slice": _slice,
    "pad": _pad,
    "concat": _concat,
}


def backward(build: Builder, cotangents: Mapping[Node, Sequence[Node]], wrt: Collection[Node]) -> dict[Node, Node]:
    """The chain rule over a graph.

    Args:
        build: makes the new nodes.
        cotangents: nodes, and what comes back to each; several are added.
        wrt: nodes whose cotangents are wanted; the rule is not followed beyond them.

    Returns:
        The cotangent of each node of `wrt` that anything comes back to.
    """
    nodes = topological(cotangents)
    active = {node for node in depending_on(wrt, nodes) if "float" in node.dtype}
    coming: dict[Node, list[Node]] = {node: list(some) for node, some in cotangents.items()}
    for node in reversed(nodes):
        if node in coming and node in active and node not in wrt:
            build.where = node.where
            back = VJP[node.op](build, node, combined(build, coming.pop(node)))
            for source, g in zip(node.inputs, back, strict=True):
                if g is not None and source in active:
                    coming.setdefault(source, []).append(g)
    return {node: combined(build, coming[node]) for node in wrt if node in coming}


def combined(build: Builder, several: Sequence[Node]) -> Node:
    """The sum of cotangents; parts that stand beside each other are put together instead of added."""
    parts = sorted((g for g in several if g.op == "pad"), key=lambda g: (g.value[0], g.value[1]))
    rest = [g for g in several if g.op != "pad"]
    if len(parts) > 1 and _side_by_side(parts):
        rest.append(build.make("concat", *(g.inputs[0] for g in parts), value=parts[0].value[0]))
    else:
        rest += parts
    total = rest[0]
    for g in rest[1:]:
        total = build.add(total, g)
    return total


def _side_by_side(parts: Sequence[Node]) -> bool:
    """Whether the entries between the zeros of each fill one axis without gap or overlap."""
    axis, end = parts[0].value[0], 0
    for g in parts:
        size = g.inputs[0].shape[axis]
        if g.value[0] != axis or g.value[1] != end or not isinstance(size, int):
            return False
        end += size
    return bool(parts[-1].value[2] == 0)
