"""The rows of the table that only look at a tensor in another way, or put tensors side by side."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from elman.compiler.graph import Node
from elman.errors import TraceError

from .dtypes import dtype_name

if TYPE_CHECKING:
    from .tracer import Tracer


def reshape(tracer: "Tracer", out: Tensor, x: Node, *args: Any, **kwargs: Any) -> Node:
    """view, reshape, squeeze, unsqueeze, flatten: the entries stay in order."""
    return tracer.build.reshape(x, tracer.shape(out))


def expand(tracer: "Tracer", out: Tensor, x: Node, *args: Any, **kwargs: Any) -> Node:
    """expand and broadcast_to."""
    return tracer.build.expand(x, tracer.shape(out))


def permute(tracer: "Tracer", out: Tensor, x: Node, order: Any) -> Node:
    """The axes in another order."""
    return tracer.build.make("permute", x, value=tuple(axis % len(x.shape) for axis in order))


def transpose(tracer: "Tracer", out: Tensor, x: Node, a: int = 0, b: int = 1) -> Node:
    """Two axes exchanged."""
    order = list(range(len(x.shape)))
    if len(order) > 1:
        order[a], order[b] = order[b], order[a]
    return permute(tracer, out, x, order)


def same(tracer: "Tracer", out: Tensor, x: Node, *args: Any, **kwargs: Any) -> Node:
    """A copy is the same node."""
    return x


def slice_(
    tracer: "Tracer", out: Tensor, x: Node, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Node:
    """Entries start..end of one axis."""
    axis = dim % len(x.shape)
    size = x.shape[axis]
    if isinstance(size, str):
        if tracer.shape(out) == x.shape:
            return x
        raise TraceError("a slice of the batch: a step may not pick rows")
    if step != 1:
        raise TraceError("a slice with a step is outside the table of operations")
    first, last = (
        size if bound is None else max(0, min(size, bound + size if bound < 0 else bound))
        for bound in (start or 0, end)
    )
    return part(tracer, x, axis, first, last)


def part(tracer: "Tracer", x: Node, axis: int, start: int, stop: int) -> Node:
    """Entries start..stop of one axis."""
    if stop <= start:
        raise TraceError("an empty slice is outside the table of operations")
    return tracer.build.make("slice", x, value=(axis, start, stop))


def select(tracer: "Tracer", out: Tensor, x: Node, dim: int, index: int) -> Node:
    """One entry of an axis, without the axis."""
    axis = dim % len(x.shape)
    size = x.shape[axis]
    if isinstance(size, str):
        raise TraceError("one row of the batch: a step may not pick rows")
    return tracer.build.reshape(part(tracer, x, axis, index % size, index % size + 1), tracer.shape(out))


def split(tracer: "Tracer", out: Any, x: Node, sizes: Any, dim: int = 0) -> tuple[Node, ...]:
    """split and chunk: parts one after the other."""
    axis, start, parts = dim % len(x.shape), 0, []
    for piece in out:
        parts.append(part(tracer, x, axis, start, start + piece.shape[axis]))
        start += piece.shape[axis]
    return tuple(parts)


def unbind(tracer: "Tracer", out: Any, x: Node, dim: int = 0) -> tuple[Node, ...]:
    """Each entry of an axis, without the axis."""
    return tuple(select(tracer, piece, x, dim, index) for index, piece in enumerate(out))


def cat(tracer: "Tracer", out: Tensor, parts: Any, dim: int = 0) -> Node:
    """Tensors one after the other."""
    dtype = dtype_name(out.dtype)
    nodes = [tracer.build.make("cast", node, dtype=dtype) for node in parts]
    return tracer.build.make("concat", *nodes, value=dim % out.dim())


def stack(tracer: "Tracer", out: Tensor, parts: Any, dim: int = 0) -> Node:
    """Tensors side by side on a new axis."""
    axis = dim % out.dim()
    shape = tracer.shape(out)
    one = (*shape[:axis], 1, *shape[axis + 1 :])
    return cat(tracer, out, [tracer.build.reshape(node, one) for node in parts], axis)


def roll(tracer: "Tracer", out: Tensor, x: Node, shifts: Any, dims: Any = ()) -> Node:
    """The entries of one axis, turned round by some places."""
    if len(shifts) != 1 or len(dims) != 1:
        raise TraceError("`roll` over several axes is outside the table of operations")
    axis = dims[0] % len(x.shape)
    size = x.shape[axis]
    if isinstance(size, str):
        raise TraceError("a roll of the batch: a step may not mix its rows")
    cut = -shifts[0] % size
    if cut == 0:
        return x
    return tracer.build.make("concat", part(tracer, x, axis, cut, size), part(tracer, x, axis, 0, cut), value=axis)


MOVES: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias", "unsqueeze", "squeeze"), reshape),
    "expand": expand,
    "permute": permute,
    "transpose": transpose,
    "t": transpose,
    **dict.fromkeys(("clone", "contiguous", "alias", "lift_fresh", "positive"), same),
    "slice": slice_,
    "select": select,
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes"), split),
    "unbind": unbind,
    "cat": cat,
    "stack": stack,
    "roll": roll,
}
