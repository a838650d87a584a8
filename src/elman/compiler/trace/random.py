"""Random draws of a step: inputs that are drawn for all steps before the loop, from a generator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from elman.axes import Shape
from elman.compiler.graph import Node

from .dtypes import dtype_name

if TYPE_CHECKING:
    from .tracer import Tracer


@dataclass(frozen=True)
class Draw:
    """One random input.

    Attributes:
        name: the name of the input in the graph.
        shape: sizes at one step.
        dtype: of the numbers.
        kind: "uniform" on [0, 1), "normal" with mean 0 and standard deviation 1.
    """

    name: str
    shape: Shape
    dtype: str
    kind: str


def _draw(tracer: "Tracer", out: Tensor, kind: str) -> Node:
    """A new random input in the shape of `out`."""
    name = f"random{len(tracer.draws)}"
    node = tracer.build.input(name, tracer.shape(out), dtype_name(out.dtype))
    tracer.draws.append(Draw(name, node.shape, node.dtype, kind))
    return node


def _uniform(tracer: "Tracer", out: Tensor, args: Any, kwargs: Any) -> Node:
    return _draw(tracer, out, "uniform")


def _normal(tracer: "Tracer", out: Tensor, args: Any, kwargs: Any) -> Node:
    return _draw(tracer, out, "normal")


def _uniform_in(tracer: "Tracer", out: Tensor, args: Any, kwargs: Any) -> Node:
    return _scaled(tracer, "uniform", out, *_bounds(args, kwargs, "from", "to", 0.0, 1.0))


def _normal_in(tracer: "Tracer", out: Tensor, args: Any, kwargs: Any) -> Node:
    mean, std = _bounds(args, kwargs, "mean", "std", 0.0, 1.0)
    return _scaled(tracer, "normal", out, mean, mean + std)


def _scaled(tracer: "Tracer", kind: str, out: Tensor, start: float, stop: float) -> Node:
    """start + (stop - start) times a fresh draw."""
    build, drawn = tracer.build, _draw(tracer, out, kind)
    if (start, stop) == (0.0, 1.0):
        return drawn
    return build.add(build.mul(drawn, stop - start), build.const(start, drawn.dtype))


def _bounds(args: Any, kwargs: Any, first: str, second: str, low: float, high: float) -> tuple[float, float]:
    numbers = [a for a in args if isinstance(a, int | float)]
    low = numbers[0] if numbers else kwargs.get(first, low)
    high = numbers[1] if len(numbers) > 1 else kwargs.get(second, high)
    return float(low), float(high)


def _bernoulli(tracer: "Tracer", out: Tensor, args: Any, kwargs: Any) -> Node:
    """1 where a uniform draw is below the probability."""
    return _below(tracer, out, args[1] if len(args) > 1 else kwargs.get("p", args[0]))


def _bernoulli_in(tracer: "Tracer", out: Tensor, args: Any, kwargs: Any) -> Node:
    """The same in place, where the tensor itself is no probability."""
    return _below(tracer, out, args[1] if len(args) > 1 else kwargs.get("p", 0.5))


def _below(tracer: "Tracer", out: Tensor, p: Any) -> Node:
    build, drawn = tracer.build, _draw(tracer, out, "uniform")
    bound = tracer.node(p) if isinstance(p, Tensor) else build.const(float(p), drawn.dtype)
    return build.make("cast", build.make("lt", drawn, bound), dtype=drawn.dtype)


DRAWS: dict[str, Callable[..., Node]] = {
    "rand": _uniform,
    "rand_like": _uniform,
    "uniform_": _uniform_in,
    "randn": _normal,
    "randn_like": _normal,
    "normal_": _normal_in,
    "bernoulli": _bernoulli,
    "bernoulli_": _bernoulli_in,
}
