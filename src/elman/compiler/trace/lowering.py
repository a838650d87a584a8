"""The table from torch's operations to ours.

A row reads the tracer, what torch made (sizes and dtype, no numbers), and the arguments with nodes for tensors.
Where a function bends at a point, its derivative there is torch's: relu'(0) = 0, |x|'(0) = 0.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from elman.compiler.graph import Builder, Node
from elman.errors import TraceError

from .dtypes import dtype_name
from .moves import MOVES
from .products import addmm, mm

if TYPE_CHECKING:
    from .tracer import Tracer

Lowering = Callable[..., Any]


def node_of(tracer: "Tracer", value: Any, dtype: str) -> Node:
    """A node or a number as a node of a dtype."""
    if isinstance(value, Node):
        return tracer.build.make("cast", value, dtype=dtype)
    if isinstance(value, bool | int | float):
        return tracer.build.const(float(value) if "float" in dtype else value, dtype)
    raise TraceError(f"a {type(value).__name__} where a tensor or a number belongs")


def dtype_of(out: Tensor) -> str:
    """The dtype of a tensor as the graph names it."""
    return dtype_name(out.dtype)


def common_dtype(*operands: Any) -> str:
    """The dtype in which torch compares; a tensor without axes and a number give way to a tensor with axes."""
    alike = [
        torch.empty((1,) * len(a.shape), dtype=getattr(torch, a.dtype), device="meta") if isinstance(a, Node) else a
        for a in operands
    ]
    return dtype_name(torch.result_type(*alike))


def pointwise(op: str) -> Lowering:
    """The same operation of ours, operands in the dtype of the result."""

    def lower(tracer: "Tracer", out: Tensor, *args: Any, **kwargs: Any) -> Node:
        if kwargs:
            raise TraceError(f"`{op}` with {', '.join(kwargs)}")
        dtype = dtype_of(out)
        return tracer.build.make(op, *(node_of(tracer, a, dtype) for a in args), dtype=dtype)

    return lower


def scaled(op: str, swap: bool = False) -> Lowering:
    """a + alpha b and its like."""

    def lower(tracer: "Tracer", out: Tensor, a: Any, b: Any, alpha: Any = 1) -> Node:
        dtype = dtype_of(out)
        a, b = node_of(tracer, a, dtype), node_of(tracer, b, dtype)
        if alpha != 1:
            a, b = (tracer.build.mul(a, alpha), b) if swap else (a, tracer.build.mul(b, alpha))
        return tracer.build.make(op, *((b, a) if swap else (a, b)), dtype=dtype)

    return lower


def compare(op: str, swap: bool = False, negate: bool = False) -> Lowering:
    """A comparison, out of lt, le and eq."""

    def lower(tracer: "Tracer", out: Tensor, a: Any, b: Any) -> Node:
        dtype = common_dtype(a, b)
        a, b = node_of(tracer, a, dtype), node_of(tracer, b, dtype)
        node = tracer.build.make(op, *((b, a) if swap else (a, b)))
        return tracer.build.make("not", node) if negate else node

    return lower


def formula(write: Callable[..., Node]) -> Lowering:
    """A function of one tensor, written with the tracer's builder: `write(build, x, *numbers)`."""

    def lower(tracer: "Tracer", out: Tensor, x: Node, *args: Any, **kwargs: Any) -> Node:
        return write(tracer.build, tracer.build.make("cast", x, dtype=dtype_of(out)), *args, **kwargs)

    return lower


def _c(build: Builder, x: Node, number: float) -> Node:
    return build.const(float(number), x.dtype)


def _not_positive(build: Builder, x: Node) -> Node:
    return build.make("le", x, _c(build, x, 0))


def relu(build: Builder, x: Node) -> Node:
    """0 below 0; NaN stays NaN."""
    return build.where_(_not_positive(build, x), _c(build, x, 0), x)


def below_zero(build: Builder, x: Node) -> Node:
    """min(x, 0), with derivative 1 at 0."""
    return build.where_(build.make("lt", _c(build, x, 0), x), _c(build, x, 0), x)


def leaky_relu(build: Builder, x: Node, slope: float = 0.01) -> Node:
    """x above 0, slope x below."""
    return build.where_(_not_positive(build, x), build.mul(x, float(slope)), x)


def elu(build: Builder, x: Node, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Node:
    """x above 0, alpha (exp x - 1) below; exp is never taken of a large number, so its gradient stays finite."""
    low = build.mul(build.make("expm1", build.mul(below_zero(build, x), float(input_scale))), float(alpha * scale))
    return build.where_(_not_positive(build, x), low, build.mul(x, float(scale)))


def softplus(build: Builder, x: Node, beta: float = 1.0, threshold: float = 20.0) -> Node:
    """log(1 + exp(beta x)) / beta, and x itself above the threshold, as torch has it."""
    inside = build.mul(x, float(beta))
    large = build.make("lt", _c(build, x, threshold), inside)
    small = build.where_(large, _c(build, x, 0), inside)
    return build.where_(large, x, build.mul(build.make("log1p", build.make("exp", small)), 1 / float(beta)))


def log_sigmoid(build: Builder, x: Node) -> Node:
    """min(x, 0) - log(1 + exp -|x|); both bend at 0, and their derivatives there add up to 1/2."""
    positive = build.make("lt", _c(build, x, 0), x)
    tail = build.make("log1p", build.make("exp", build.where_(positive, build.neg(x), x)))
    return build.sub(build.where_(positive, _c(build, x, 0), x), tail)


def gelu(build: Builder, x: Node, approximate: str = "none") -> Node:
    """x Φ(x), exactly or by tanh."""
    if approximate == "tanh":
        cube = build.mul(build.mul(build.mul(x, x), x), 0.044715)
        phi = build.make("tanh", build.mul(build.add(x, cube), math.sqrt(2 / math.pi)))
    else:
        phi = build.make("erf", build.mul(x, math.sqrt(0.5)))
    return build.mul(build.mul(x, 0.5), build.add(phi, _c(build, x, 1)))


def clamp(build: Builder, x: Node, low: Any = None, high: Any = None, *, min: Any = None, max: Any = None) -> Node:
    """x within bounds, both included in where the derivative is 1."""
    low, high = min if low is None else low, max if high is None else high
    if isinstance(low, Node) or isinstance(high, Node):
        raise TraceError("`clamp` with a tensor as a bound is outside the table of operations: use torch.maximum")
    if low is not None:
        x = build.where_(build.make("lt", x, _c(build, x, low)), _c(build, x, low), x)
    if high is not None:
        x = build.where_(build.make("lt", _c(build, x, high), x), _c(build, x, high), x)
    return x


def clamp_max(build: Builder, x: Node, high: Any) -> Node:
    """x, at most `high`."""
    return clamp(build, x, None, high)


def hardtanh(build: Builder, x: Node, low: float = -1.0, high: float = 1.0) -> Node:
    """x within bounds, neither included in where the derivative is 1."""
    x = build.where_(build.make("le", x, _c(build, x, low)), _c(build, x, low), x)
    return build.where_(build.make("le", _c(build, x, high), x), _c(build, x, high), x)


def hardsigmoid(build: Builder, x: Node) -> Node:
    """x / 6 + 1/2 within 0 and 1."""
    return build.mul(hardtanh(build, build.add(x, _c(build, x, 3)), 0.0, 6.0), 1 / 6)


def pow_scalar(build: Builder, x: Node, exponent: float) -> Node:
    """x to a number; small whole powers as products."""
    if exponent == 2:
        return build.mul(x, x)
    if exponent == 3:
        return build.mul(build.mul(x, x), x)
    if exponent == 0.5:
        return build.make("sqrt", x)
    return build.make("pow", x, _c(build, x, exponent))


def reciprocal(build: Builder, x: Node) -> Node:
    """1 / x."""
    return build.div(_c(build, x, 1), x)


def axes_of(x: Node, dim: Any) -> tuple[int, ...]:
    """Axes as torch takes them, counted from 0; None for all."""
    if dim is None or dim == []:
        return tuple(range(len(x.shape)))
    dims = dim if isinstance(dim, list | tuple) else [dim]
    axes = tuple(sorted(d % len(x.shape) for d in dims))
    return axes


def over_features(x: Node, axes: tuple[int, ...]) -> int:
    """How many entries the axes hold; the batch is no feature."""
    count = 1
    for axis in axes:
        size = x.shape[axis]
        if isinstance(size, str):
            raise TraceError("a reduction over the batch: a step may not mix its rows")
        count *= size
    return count


def reduce(build: Builder, op: str, x: Node, axes: tuple[int, ...], keepdim: bool) -> Node:
    """A reduction that may keep its axes with size 1."""
    over_features(x, axes)
    node = build.make(op, x, value=axes)
    return _kept(build, node, x, axes) if keepdim else node


def _kept(build: Builder, node: Node, x: Node, axes: tuple[int, ...]) -> Node:
    return build.reshape(node, tuple(1 if axis in axes else size for axis, size in enumerate(x.shape)))


def sum_(build: Builder, x: Node, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Node:
    """The sum over features."""
    return reduce(build, "sum", x, axes_of(x, dim), keepdim)


def mean(build: Builder, x: Node, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Node:
    """The mean over features."""
    axes = axes_of(x, dim)
    return build.mul(reduce(build, "sum", x, axes, keepdim), 1 / over_features(x, axes))


def amax(build: Builder, x: Node, dim: Any = (), keepdim: bool = False) -> Node:
    """The largest feature."""
    return reduce(build, "amax", x, axes_of(x, list(dim) if isinstance(dim, tuple) else dim), keepdim)


def amin(build: Builder, x: Node, dim: Any = (), keepdim: bool = False) -> Node:
    """The smallest feature."""
    return build.neg(amax(build, build.neg(x), dim, keepdim))


def var(build: Builder, x: Node, dim: Any = None, *, correction: Any = 1, keepdim: bool = False) -> Node:
    """The variance over features."""
    axes = axes_of(x, dim)
    centred = build.sub(x, mean(build, x, list(axes), True))
    correction = 1 if correction is None else correction
    total = reduce(build, "sum", build.mul(centred, centred), axes, keepdim)
    return build.mul(total, 1 / (over_features(x, axes) - correction))


def root(build: Builder, x: Node) -> Node:
    """The square root of what is not negative; its derivative at 0 is 0."""
    zero = _not_positive(build, x)
    return build.where_(zero, _c(build, x, 0), build.make("sqrt", build.where_(zero, _c(build, x, 1), x)))


def std(build: Builder, x: Node, dim: Any = None, **kwargs: Any) -> Node:
    """The standard deviation over features; its derivative at 0 is 0."""
    return root(build, var(build, x, dim, **kwargs))


def norm(
    build: Builder, x: Node, order: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Node:
    """The Euclidean norm over features; its derivative at 0 is 0."""
    if order != 2:
        raise TraceError(f"`norm` of order {order} is outside the table of operations")
    return root(build, reduce(build, "sum", build.mul(x, x), axes_of(x, dim), keepdim))


def weight_norm(tracer: "Tracer", out: Any, v: Node, g: Node, dim: int = 0) -> tuple[Node, ...]:
    """g v / |v|, with a norm for each entry of one axis."""
    build = tracer.build
    size = norm(build, v, 2, [axis for axis in range(len(v.shape)) if axis != dim % len(v.shape)], True)
    return build.mul(v, build.div(g, size)), size


def softmax(build: Builder, x: Node, dim: int, half_to_float: bool = False) -> Node:
    """exp x / sum exp x, with the largest x taken out first."""
    e = build.make("exp", _without_largest(build, x, dim))
    return build.div(e, reduce(build, "sum", e, axes_of(x, dim), True))


def log_softmax(build: Builder, x: Node, dim: int, half_to_float: bool = False) -> Node:
    """x - log sum exp x, with the largest x taken out first."""
    shifted = _without_largest(build, x, dim)
    total = reduce(build, "sum", build.make("exp", shifted), axes_of(x, dim), True)
    return build.sub(shifted, build.make("log", total))


def logsumexp(build: Builder, x: Node, dim: Any, keepdim: bool = False) -> Node:
    """log sum exp x, with the largest x taken out first."""
    axes = axes_of(x, dim)
    largest = build.make("detach", reduce(build, "amax", x, axes, True))
    infinite = build.make("eq", build.make("abs", largest), _c(build, x, math.inf))
    largest = build.where_(infinite, _c(build, x, 0), largest)
    total = reduce(build, "sum", build.make("exp", build.sub(x, largest)), axes, True)
    node = build.add(build.make("log", total), largest)
    return node if keepdim else build.reshape(node, tuple(s for a, s in enumerate(x.shape) if a not in axes))


def _without_largest(build: Builder, x: Node, dim: int) -> Node:
    return build.sub(x, build.make("detach", reduce(build, "amax", x, axes_of(x, dim), True)))


def layer_norm(tracer: "Tracer", out: Any, x: Node, sizes: Any, weight: Any, bias: Any, eps: float) -> tuple[Node, ...]:
    """(x - mean) / sqrt(var + eps), times weight, plus bias."""
    build, axes = tracer.build, list(range(len(x.shape) - len(sizes), len(x.shape)))
    centred = build.sub(x, mean(build, x, axes, True))
    variance = mean(build, build.mul(centred, centred), axes, True)
    y = build.div(centred, build.make("sqrt", build.add(variance, _c(build, x, eps))))
    y = y if weight is None else build.mul(y, weight)
    return (y if bias is None else build.add(y, bias),)


def select_where(tracer: "Tracer", out: Tensor, condition: Node, yes: Any, no: Any) -> Node:
    """torch.where."""
    dtype = dtype_of(out)
    return tracer.build.where_(condition, node_of(tracer, yes, dtype), node_of(tracer, no, dtype))


def masked_fill(tracer: "Tracer", out: Tensor, x: Node, mask: Node, value: Any) -> Node:
    """`value` where the mask holds."""
    return select_where(tracer, out, mask, value, x)


def div(tracer: "Tracer", out: Tensor, a: Any, b: Any, rounding_mode: str | None = None) -> Node:
    """a / b; a rounded quotient is not the quotient rounded (1 / 0.1), so that is left to torch."""
    if rounding_mode is not None:
        raise TraceError(f"`div` with rounding_mode={rounding_mode} is outside the table of operations")
    dtype = dtype_of(out)
    return tracer.build.make("div", node_of(tracer, a, dtype), node_of(tracer, b, dtype), dtype=dtype)


def addcmul(tracer: "Tracer", out: Tensor, a: Node, b: Node, c: Node, value: float = 1) -> Node:
    """a + value b c."""
    return tracer.build.add(a, tracer.build.mul(tracer.build.mul(b, c), float(value)))


def lerp(tracer: "Tracer", out: Tensor, a: Node, b: Node, weight: Any) -> Node:
    """a + weight (b - a)."""
    weight = node_of(tracer, weight, dtype_of(out))
    return tracer.build.add(a, tracer.build.make("mul", weight, tracer.build.sub(b, a)))


def convert(tracer: "Tracer", out: Tensor, x: Node, **kwargs: Any) -> Node:
    """Another dtype."""
    return tracer.build.make("cast", x, dtype=dtype_of(out))


def filled(number: float) -> Lowering:
    """A new tensor full of one number, whatever the arguments that only tell its size."""

    def lower(tracer: "Tracer", out: Tensor, *args: Any, **kwargs: Any) -> Node:
        return tracer.build.expand(tracer.build.const(node_number(number, out), dtype_of(out)), tracer.shape(out))

    return lower


def full(place: int) -> Lowering:
    """A new tensor full of the number that stands at `place` of the arguments."""

    def lower(tracer: "Tracer", out: Tensor, *args: Any, **kwargs: Any) -> Node:
        number = args[place] if len(args) > place else kwargs["fill_value"]
        return tracer.build.expand(node_of(tracer, number, dtype_of(out)), tracer.shape(out))

    return lower


def node_number(number: float, out: Tensor) -> float | int | bool:
    """A number of the kind that a tensor holds."""
    return number if out.dtype.is_floating_point else bool(number) if dtype_of(out) == "bool" else int(number)


def copied(tracer: "Tracer", out: Tensor, target: Node, source: Node, non_blocking: bool = False) -> Node:
    """`copy_`: the source in the shape and dtype of the target."""
    return tracer.build.expand(node_of(tracer, source, dtype_of(out)), tracer.shape(out))


LOWERINGS: dict[str, Lowering] = {
    **{op: pointwise(op) for op in ("neg", "exp", "expm1", "log", "log1p", "tanh", "sigmoid", "sqrt", "abs", "sign")},
    **{op: pointwise(op) for op in ("floor", "sin", "cos", "erf", "detach", "mul", "maximum", "minimum")},
    "sgn": pointwise("sign"),
    "add": scaled("add"),
    "sub": scaled("sub"),
    "rsub": scaled("sub", swap=True),
    "div": div,
    "pow": lambda tracer, out, a, b: (
        formula(pow_scalar)(tracer, out, a, b)
        if isinstance(a, Node) and not isinstance(b, Node)
        else pointwise("pow")(tracer, out, a, b)
    ),
    "square": formula(lambda build, x: build.mul(x, x)),
    "rsqrt": formula(lambda build, x: reciprocal(build, build.make("sqrt", x))),
    "reciprocal": formula(reciprocal),
    "addcmul": addcmul,
    "lerp": lerp,
    "lt": compare("lt"),
    "le": compare("le"),
    "gt": compare("lt", swap=True),
    "ge": compare("le", swap=True),
    "eq": compare("eq"),
    "ne": compare("eq", negate=True),
    "logical_and": pointwise("and"),
    "logical_or": pointwise("or"),
    "logical_not": pointwise("not"),
    "bitwise_and": pointwise("and"),
    "bitwise_or": pointwise("or"),
    "bitwise_not": pointwise("not"),
    "where": select_where,
    "masked_fill": masked_fill,
    "relu": formula(relu),
    "leaky_relu": formula(leaky_relu),
    "_prelu_kernel": formula(lambda build, x, w: build.where_(_not_positive(build, x), build.mul(w, x), x)),
    "elu": formula(elu),
    "celu": formula(lambda build, x, alpha=1.0: elu(build, x, alpha, 1.0, 1 / alpha)),
    "softplus": formula(softplus),
    "log_sigmoid_forward": lambda tracer, out, x: (log_sigmoid(tracer.build, x),),
    "gelu": formula(gelu),
    "silu": formula(lambda build, x: build.mul(x, build.make("sigmoid", x))),
    "mish": formula(lambda build, x: build.mul(x, build.make("tanh", softplus(build, x)))),
    "clamp": formula(clamp),
    "clamp_min": formula(clamp),
    "clamp_max": formula(clamp_max),
    "hardtanh": formula(hardtanh),
    "hardsigmoid": formula(hardsigmoid),
    "hardswish": formula(lambda build, x: build.mul(x, hardsigmoid(build, x))),
    "sum": formula(sum_),
    "mean": formula(mean),
    "amax": formula(amax),
    "amin": formula(amin),
    "var": formula(var),
    "std": formula(std),
    "linalg_vector_norm": formula(norm),
    "_softmax": formula(softmax),
    "_log_softmax": formula(log_softmax),
    "logsumexp": formula(logsumexp),
    "_weight_norm_interface": weight_norm,
    "native_layer_norm": layer_norm,
    "mm": mm,
    "bmm": mm,
    "mv": mm,
    "dot": mm,
    "addmm": addmm,
    "baddbmm": addmm,
    "addmv": addmm,
    "_to_copy": convert,
    "zeros": filled(0.0),
    "ones": filled(1.0),
    "empty": filled(0.0),
    "zeros_like": filled(0.0),
    "ones_like": filled(1.0),
    "empty_like": filled(0.0),
    "new_zeros": filled(0.0),
    "new_ones": filled(1.0),
    "new_empty": filled(0.0),
    "full": full(1),
    "full_like": full(1),
    "new_full": full(2),
    "fill": full(1),
    "zero": filled(0.0),
    "copy": copied,
    **MOVES,
}
