"""Products as formulas: linear, matmul and einsum become one operation with a letter for each axis."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from elman.compiler.graph import Builder, Node
from elman.errors import ShapeError, TraceError

if TYPE_CHECKING:
    from .tracer import Tracer

_ROWS = "bnmpq"  # axes that a product leaves alone


def linear(tracer: "Tracer", x: Node, weight: Node, bias: Node | None = None) -> Node:
    """x [..., I] times weight [H, I] transposed, plus bias [H]."""
    if len(weight.shape) != 2:
        raise TraceError("`linear` with a weight of one axis is outside the table of operations")
    rows = _letters(len(x.shape) - 1)
    product = tracer.build.einsum(f"{rows}i,hi->{rows}h", x, weight)
    return product if bias is None else tracer.build.add(product, bias)


def matmul(tracer: "Tracer", a: Node, b: Node) -> Node:
    """The product of torch.matmul: the last two axes, the others broadcast."""
    batch = max(len(a.shape), len(b.shape)) - 2
    rows = _letters(max(batch, 0))
    left = "k" if len(a.shape) == 1 else rows[len(rows) - (len(a.shape) - 2) :] + "ik"
    right = "k" if len(b.shape) == 1 else rows[len(rows) - (len(b.shape) - 2) :] + "kh"
    free = ("i" if len(a.shape) > 1 else "") + ("h" if len(b.shape) > 1 else "")
    return contract(tracer.build, [(left, a), (right, b)], rows + free)


def einsum(tracer: "Tracer", equation: str, *operands: Any) -> Node:
    """torch.einsum of one operand or several, from left to right."""
    if not isinstance(equation, str):
        raise TraceError("`einsum` with a list of axes is outside the table of operations")
    nodes = list(operands[0]) if len(operands) == 1 and isinstance(operands[0], list | tuple) else list(operands)
    inputs, result = _explicit(equation.replace(" ", ""), nodes)
    return contract(tracer.build, list(zip(inputs, nodes, strict=True)), result)


def mm(tracer: "Tracer", out: Tensor, a: Node, b: Node) -> Node:
    """torch.mm, torch.bmm and torch.mv, called by name."""
    return matmul(tracer, a, b)


def addmm(tracer: "Tracer", out: Tensor, c: Node, a: Node, b: Node, beta: float = 1, alpha: float = 1) -> Node:
    """beta c + alpha a b."""
    build, product = tracer.build, matmul(tracer, a, b)
    product = product if alpha == 1 else build.mul(product, float(alpha))
    return build.add(c if beta == 1 else build.mul(c, float(beta)), product)


def contract(build: Builder, operands: Sequence[tuple[str, Node]], result: str) -> Node:
    """Contract the operands from left to right to the letters of `result`."""
    done = [_prepared(build, letters, node, operands) for letters, node in operands]
    letters, node = done[0]
    for number, (others, other) in enumerate(done[1:], start=2):
        later = set(result).union(*(l for l, _ in done[number:]))
        kept = "".join(l for l in dict.fromkeys(letters + others) if l in later)
        kept = result if number == len(done) and set(kept) == set(result) else kept
        node = build.einsum(f"{letters},{others}->{kept}", node, other)
        letters = kept
    return _arranged(build, letters, node, result)


def _prepared(build: Builder, letters: str, node: Node, operands: Sequence[tuple[str, Node]]) -> tuple[str, Node]:
    """An operand without the axes of size 1 that broadcast against another operand."""
    if len(set(letters)) != len(letters):
        raise TraceError("`einsum` of a diagonal is outside the table of operations")
    sizes: dict[str, int | str] = {}
    for letter, size in ((l, s) for other, n in operands for l, s in zip(other, n.shape, strict=True) if s != 1):
        if sizes.setdefault(letter, size) != size:
            raise ShapeError(f"sizes that meet are {sizes[letter]} and {size}")
    kept = [axis for axis, letter in enumerate(letters) if node.shape[axis] == sizes.get(letter, 1)]
    if len(kept) < len(letters):
        node = build.reshape(node, tuple(node.shape[axis] for axis in kept))
    return "".join(letters[axis] for axis in kept), node


def _arranged(build: Builder, letters: str, node: Node, result: str) -> Node:
    """The axes of `node` summed and put in the order of `result`."""
    node = build.sum(node, [axis for axis, letter in enumerate(letters) if letter not in result])
    letters = "".join(letter for letter in letters if letter in result)
    return build.make("permute", node, value=tuple(letters.index(letter) for letter in result))


def _explicit(equation: str, nodes: Sequence[Node]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, lower case, with dots and a missing arrow written out."""
    left, arrow, result = equation.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(nodes):
        raise TraceError(f"`einsum` {equation} of {len(nodes)} operands")
    hidden = [len(node.shape) - len(term.replace("...", "")) for term, node in zip(inputs, nodes, strict=True)]
    dots = _unused(equation, max(hidden))
    inputs = [t.replace("...", dots[len(dots) - n :] if n else "") for t, n in zip(inputs, hidden, strict=True)]
    every = "".join(inputs)
    if not arrow:
        result = dots + "".join(sorted(l for l in set(every) if every.count(l) == 1 and l not in dots))
    return _lower([*inputs, result.replace("...", dots)])


def _lower(terms: list[str]) -> tuple[list[str], str]:
    """Capital letters replaced: T is the time axis of the compiler."""
    for capital in sorted({l for t in terms for l in t if l.isupper()}):
        small = _unused("".join(terms), 1)
        terms = [t.replace(capital, small) for t in terms]
    return terms[:-1], terms[-1]


def _unused(equation: str, count: int) -> str:
    free = [letter for letter in "bnmpqrstuvwxyzacdefghijkl" if letter not in equation]
    if count > len(free):
        raise TraceError(f"`einsum` {equation} has too many axes")
    return "".join(free[:count])


def _letters(count: int) -> str:
    if count > len(_ROWS):
        raise TraceError(f"a product with {count} axes of rows is outside the table of operations")
    return _ROWS[:count]


PRODUCTS: dict[Any, Callable[..., Node]] = {
    torch.nn.functional.linear: linear,
    torch.matmul: matmul,
    torch.Tensor.matmul: matmul,
    torch.Tensor.__matmul__: matmul,
    torch.Tensor.__rmatmul__: lambda tracer, a, b: matmul(tracer, b, a),
    torch.einsum: einsum,
}
