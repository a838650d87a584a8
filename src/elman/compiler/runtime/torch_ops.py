"""The table from our operations to torch: each row gives an expression in Python.

A row reads the node and the names of its inputs. Sizes T and B are the variables `T` and `B`.
"""

from collections.abc import Callable, Sequence

from elman.axes import TIME, Shape
from elman.compiler.graph import Node

Row = Callable[[Node, Sequence[str]], str]


def _call(function: str) -> Row:
    return lambda node, args: f"{function}({', '.join(args)})"


def _infix(sign: str) -> Row:
    return lambda node, args: f"{args[0]} {sign} {args[1]}"


def _grad(function: str) -> Row:
    """g times the derivative of an activation, by torch's own operation; a number for g becomes a tensor."""

    def row(node: Node, args: Sequence[str]) -> str:
        g = args[0] if node.inputs[0].shape == node.shape else f"torch.as_tensor({args[0]}).expand_as({args[1]})"
        return f"aten.{function}.default({g}, {args[1]})"

    return row


def sizes(shape: Shape) -> str:
    """A shape as a tuple in Python."""
    return "(" + "".join(f"{size}, " for size in shape) + ")"


def _extreme(function: str, bound: str) -> Row:
    """maximum or minimum; against a number, clamp is the one that takes it."""

    def row(node: Node, args: Sequence[str]) -> str:
        numbers = [i.op == "const" for i in node.inputs]
        if any(numbers):
            tensor, number = (args[1], args[0]) if numbers[0] else (args[0], args[1])
            return f"torch.clamp({tensor}, {bound}={number})"
        return f"torch.{function}({', '.join(args)})"

    return row


def is_linear(node: Node) -> bool:
    """Whether a node is x Wᵀ."""
    if node.op != "einsum":
        return False
    (a, b), result = node.value.split("->")[0].split(","), node.value.split("->")[1]
    return len(a) > 1 and len(b) == 2 and result[:-1] == a[:-1] and b == result[-1] + a[-1]


def is_straight(node: Node) -> bool:
    """Whether a node is x W."""
    if node.op != "einsum":
        return False
    (a, b), result = node.value.split("->")[0].split(","), node.value.split("->")[1]
    return len(b) == 2 and result[:-1] == a[:-1] and b == a[-1] + result[-1]


def linear(node: Node) -> str:
    """The name of the function for x Wᵀ: over all steps it is one of the products that a backend chooses."""
    return "linear" if node.shape[:1] == (TIME,) else "F.linear"


def _einsum(node: Node, args: Sequence[str]) -> str:
    """The fastest call for a formula: one matrix product where the formula is one."""
    a, b = node.value.split("->")[0].split(",")
    result = node.value.split("->")[1]
    if is_linear(node):
        return f"{linear(node)}({args[0]}, {args[1]})"
    if is_straight(node):
        return f"times({args[0]}, {args[1]})" if node.shape[0] == TIME and len(a) == 3 else f"{args[0]} @ {args[1]}"
    common = len(a) - 1
    if common > 0 and len(b) == len(a) and a[:common] == b[:common] and result == a[-1] + b[-1]:
        return f"summed({args[0]}, {args[1]})"
    return f"torch.einsum('{node.value}', {', '.join(args)})"


def _where(node: Node, args: Sequence[str]) -> str:
    return f"torch.where({args[0]}, {_number(node, args, 1)}, {_number(node, args, 2)})"


def _number(node: Node, args: Sequence[str], place: int) -> str:
    """Two numbers in one torch.where lose the dtype; then one becomes a tensor."""
    if place == 1 and all(source.op == "const" for source in node.inputs[1:]):
        return f"torch.tensor({args[1]}, dtype=torch.{node.dtype}, device={args[0]}.device)"
    return args[place]


def _expand(node: Node, args: Sequence[str]) -> str:
    if node.inputs[0].op == "const":
        return f"torch.full({sizes(node.shape)}, {args[0]}, dtype=torch.{node.dtype}, device=device)"
    return f"{args[0]}.expand({sizes(node.shape)})"


def _slice(node: Node, args: Sequence[str]) -> str:
    axis, start, stop = node.value
    return f"{args[0]}.narrow({axis}, {start}, {stop - start})"


def _pad(node: Node, args: Sequence[str]) -> str:
    axis, before, after = node.value
    others = (0, 0) * (len(node.shape) - 1 - axis)
    return f"pad({args[0]}, {(*others, before, after)})"


def _reduction(method: str) -> Row:
    return lambda node, args: f"{args[0]}.{method}({node.value})"


TORCH: dict[str, Row] = {
    "neg": lambda node, args: f"-{args[0]}",
    **{op: _call(f"torch.{op}") for op in ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "sqrt", "abs", "sign")},
    **{op: _call(f"torch.{op}") for op in ("floor", "sin", "cos", "erf")},
    "detach": lambda node, args: f"{args[0]}.detach()",
    "cast": lambda node, args: f"{args[0]}.to(torch.{node.dtype})",
    "add": _infix("+"),
    "sub": _infix("-"),
    "mul": _infix("*"),
    "div": _infix("/"),
    "pow": _infix("**"),
    "maximum": _extreme("maximum", "min"),
    "minimum": _extreme("minimum", "max"),
    "lt": _infix("<"),
    "le": _infix("<="),
    "eq": _infix("=="),
    "and": _infix("&"),
    "or": _infix("|"),
    "not": lambda node, args: f"~{args[0]}",
    "where": _where,
    "tanh_grad": _grad("tanh_backward"),
    "sigmoid_grad": _grad("sigmoid_backward"),
    "einsum": _einsum,
    "sum": _reduction("sum"),
    "amax": _reduction("amax"),
    "reshape": lambda node, args: f"{args[0]}.reshape({sizes(node.shape)})",
    "permute": lambda node, args: f"{args[0]}.permute({node.value})",
    "expand": _expand,
    "slice": _slice,
    "pad": _pad,
    "concat": lambda node, args: f"torch.cat([{', '.join(args)}], {node.value})",
}

WHOLE = frozenset(("exp", "log", "sqrt", "tanh", "sin", "cos", "erf"))
"""Functions that torch leaves to a library of whole arrays: on a slice it calls that row by row, which is slower."""

VIEWS = frozenset(("slice", "reshape", "permute", "expand", "detach", "cast"))
"""Operations whose result may be the memory that they read."""

WRITERS: dict[str, str] = {
    **{op: f"torch.{op}" for op in ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "sqrt", "abs", "sign", "floor")},
    **{op: f"torch.{op}" for op in ("sin", "cos", "erf", "neg", "add", "sub", "mul", "div", "where")},
    "concat": "torch.cat",
}
"""Functions that can write their result into memory that is there already."""


def writing(node: Node, args: Sequence[str], place: str) -> str:
    """The expression of a node that puts its result into `place`."""
    numbers = [source.op == "const" for source in node.inputs]
    if node.op in ("tanh_grad", "sigmoid_grad") and node.inputs[0].shape == node.shape:
        return f"aten.{node.op.replace('_grad', '_backward')}.grad_input({args[0]}, {args[1]}, grad_input={place})"
    if node.op == "concat":
        return f"torch.cat([{', '.join(args)}], {node.value}, out={place})"
    if node.op in WHOLE and node.inputs[0].op == "slice":
        return f"{place}.copy_({args[0]}).{node.op}_()"
    if node.op in WRITERS and not numbers[0] and not (node.op == "where" and any(numbers)):
        return f"{WRITERS[node.op]}({', '.join(args)}, out={place})"
    return f"{place}.copy_({TORCH[node.op](node, args)})"
