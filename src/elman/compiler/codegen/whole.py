"""Whole numbers in a kernel, which computes them in double precision: right up to 2^53, and never wrapping around.

Each whole number of a step gets a bound in bits. A state has none: it may be counted up, step after step, and so gets
no larger than steps times what is added; what would make it grow faster is left to torch.
"""

import math
from collections.abc import Mapping

from elman.compiler.graph import Node
from elman.compiler.unfold import Loop
from elman.errors import TraceError

HALF = {"int64": 31, "int32": 15}
"""Bits of a number that is given, or added to a state: as many again are left for the number of steps, or a product."""

_MOST = {"int64": 53, "int32": 31}
_STATE = math.inf
_SAME = {"detach", "neg", "abs", "sign", "maximum", "minimum", "where", "reshape", "permute", "expand", "slice", "pad"}
_SAME |= {"concat", "amax"}


def check_whole_numbers(loop: Loop) -> None:
    """Raise TraceError where whole numbers may pass what doubles hold, or where an int32 would wrap around."""
    entering = {carry.entering for carry in loop.carries}
    bits: dict[Node, float] = {}
    for node in loop.nodes:
        if node.dtype not in HALF or node.op == "const":
            continue
        bits[node] = _STATE if node in entering else _bits(node, bits)
        if bits[node] > _MOST[node.dtype] and bits[node] != _STATE:
            raise _too_large(node)
    for carry in loop.carries:
        leaving = carry.leaving
        if leaving.dtype in HALF and HALF[leaving.dtype] < _read(leaving, bits) != _STATE:
            raise _too_large(leaving)


def _too_large(node: Node) -> TraceError:
    where = f" ({node.where})" if node.where else ""
    return TraceError(
        f"the C backend computes whole numbers in double precision, and what {node.op} makes of them{where} "
        f"may pass {_MOST[node.dtype]} bits: torch runs the step"
    )


def _bits(node: Node, bits: Mapping[Node, float]) -> float:
    """The bound of a node by those of its inputs; more than any for what may grow from step to step."""
    given = [_read(source, bits) for source in node.inputs]
    states = given.count(_STATE)
    if any(_MOST[node.dtype] < bound != _STATE for bound in given):
        return _MOST[node.dtype] + 1
    match node.op:
        case "input":
            return HALF[node.dtype]
        case "cast" if "float" in node.inputs[0].dtype:
            return _MOST[node.dtype]  # as exact as it came, and too large for anything to be added
        case op if op in _SAME or op == "cast":
            others = [bound for bound in given if bound != _STATE]
            return _MOST[node.dtype] + 1 if states and max(others, default=0) > HALF[node.dtype] else max(given)
        case "add" | "sub" if not states:
            return max(given) + 1
        case "add" | "sub" if states == 1 and min(given) <= HALF[node.dtype]:
            return _STATE
        case "mul" | "einsum" | "sum" if not states:
            summed = (
                math.prod(size for size in node.inputs[0].shape if isinstance(size, int)) if node.op != "mul" else 1
            )
            return sum(given) + math.log2(max(1, summed))
        case "mul" if states == 1 and min(given) <= 1:
            return _STATE
    return _MOST[node.dtype] + 1


def _read(node: Node, bits: Mapping[Node, float]) -> float:
    """The bound of what an operation reads."""
    if node.op == "const":
        return abs(int(node.value)).bit_length() if math.isfinite(node.value) else _MOST["int64"] + 1
    return 1 if node.dtype == "bool" else bits.get(node, 0)
