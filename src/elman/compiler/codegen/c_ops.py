"""The table from our operations to C: each row gives an expression over vectors (or masks, where a node is bool)."""

import math
from collections.abc import Callable, Sequence

from elman.compiler.graph import Node

Row = Callable[[Node, Sequence[str]], str]


def _call(name: str) -> Row:
    return lambda node, args: f"{name}({', '.join(args)})"


def _infix(sign: str) -> Row:
    return lambda node, args: f"{args[0]} {sign} {args[1]}"


def _either(sign: str, masks: str) -> Row:
    """One expression for numbers, another for truths."""
    return lambda node, args: f"{args[0]} {masks if node.dtype == 'bool' else sign} {args[1]}"


def _where(node: Node, args: Sequence[str]) -> str:
    if node.dtype == "bool":
        return f"({args[0]} & {args[1]}) | (~{args[0]} & {args[2]})"
    return f"v_where({', '.join(args)})"


def _extreme(name: str, masks: str) -> Row:
    return lambda node, args: f"{args[0]} {masks} {args[1]}" if node.dtype == "bool" else f"{name}({', '.join(args)})"


def _cast(node: Node, args: Sequence[str]) -> str:
    if node.dtype == "bool":
        return args[0] if node.inputs[0].dtype == "bool" else f"{args[0]} != v_set(0)"
    if "int" in node.dtype and "float" in node.inputs[0].dtype:
        return f"v_where({args[0]} < v_set(0), -v_floor(-{args[0]}), v_floor({args[0]}))"
    return args[0]


def _square_or_power(node: Node, args: Sequence[str]) -> str:
    exponent = node.inputs[1]
    if exponent.op == "const" and exponent.value in (1, 2, 3):
        return " * ".join([args[0]] * int(exponent.value))
    return f"v_pow({', '.join(args)})"


C: dict[str, Row] = {
    "neg": lambda node, args: f"-{args[0]}",
    **{op: _call(f"v_{op}") for op in ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "sqrt", "abs")},
    "sign": lambda node, args: args[0] if node.dtype == "bool" else f"v_sign({args[0]})",
    **{op: _call(f"v_{op}") for op in ("floor", "sin", "cos", "erf")},
    "detach": lambda node, args: args[0],
    "cast": _cast,
    "add": _either("+", "|"),
    "sub": _infix("-"),
    "mul": _either("*", "&"),
    "div": _infix("/"),
    "pow": _square_or_power,
    "maximum": _extreme("v_maximum", "|"),
    "minimum": _extreme("v_minimum", "&"),
    "lt": _infix("<"),
    "le": _infix("<="),
    "eq": _infix("=="),
    "and": _infix("&"),
    "or": _infix("|"),
    "not": lambda node, args: f"~{args[0]}",
    "where": _where,
    "tanh_grad": lambda node, args: f"{args[0]} * (v_set(1) - {args[1]} * {args[1]})",
    "sigmoid_grad": lambda node, args: f"{args[0]} * ({args[1]} * (v_set(1) - {args[1]}))",
}

ELSEWHERE = frozenset({"input", "const", "einsum", "sum", "amax"} | {"reshape", "permute", "expand", "slice"}) | {
    "pad",
    "concat",
}
"""Operations that are no expression: what is in memory, another look at it, and what is summed."""

_TRUTHS = frozenset({"and", "or", "not", "where", "cast", "eq", "add", "mul", "maximum", "minimum", "detach", "sign"})


def expression(node: Node, args: Sequence[str], rounded: bool) -> str:
    """A node as an expression.

    Args:
        node: what to compute.
        args: its inputs: vectors, and masks where an input is bool.
        rounded: the kernel computes in double precision and the node is in single.
    """
    numbers = [a if _stays(node, place) else as_number(i, a) for place, (i, a) in enumerate(_both(node, args))]
    text = C[node.op](node, numbers)
    return f"v_float({text})" if rounded else text


def _both(node: Node, args: Sequence[str]) -> list[tuple[Node, str]]:
    return list(zip(node.inputs, args, strict=True))


def _stays(node: Node, place: int) -> bool:
    """Whether an input that is bool is read as a truth rather than as 0 or 1."""
    if node.op == "where" and place == 0:
        return True
    truths = all(i.dtype == "bool" for i in node.inputs)
    return node.op in _TRUTHS and truths and node.dtype == "bool"


def as_number(node: Node, variable: str) -> str:
    """A truth as 0 or 1; a number as it is."""
    return f"v_where({variable}, v_set(1), v_set(0))" if node.dtype == "bool" else variable


def literal(value: float | int | bool) -> str:
    """A number in C."""
    if isinstance(value, bool):
        return str(int(value))
    if math.isnan(value):
        return "(real)NAN"
    if math.isinf(value):
        return "-(real)INFINITY" if value < 0 else "(real)INFINITY"
    return f"{value!r}" if isinstance(value, int) else f"(real){value!r}"
