"""Watching a step run: each operation of torch, on tensors that hold no numbers, becomes nodes of a graph."""

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map_only

from elman.axes import BATCH, Shape, numbers, show_shape
from elman.compiler.graph import Builder, Node, Where
from elman.errors import DtypeError, ElmanError, ShapeError, TraceError

from .dtypes import dtype_name
from .lowering import LOWERINGS
from .products import PRODUCTS
from .random import DRAWS, Draw

_TORCH = os.path.dirname(torch.__file__) + os.sep
_OURS = os.path.dirname(os.path.dirname(__file__)) + os.sep
_FACTORIES = {"empty", "zeros", "ones", "full", "scalar_tensor", "arange", "eye", "linspace", "tril_indices"}
_FUNCTION_APPLY = torch.autograd.Function.apply.__func__.__code__  # type: ignore[attr-defined]


class Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records what a step does.

    Args:
        batch: the number that stands for B: a prime that is no size of the step.
        owner: the class of the cell, for messages.
    """

    def __init__(self, batch: int, owner: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.batch = batch
        self.owner = owner
        self.build = Builder()
        self.captured: dict[Node, Tensor] = {}
        self.draws: list[Draw] = []
        self.complained: ElmanError | None = None  # Python's `@` turns a TypeError into one of its own
        self._nodes: dict[int, Node] = {}
        self._alive: list[Tensor] = []  # an id is unique only while its tensor lives
        self._storages: dict[int, set[int]] = {}
        self._parts: set[int] = set()  # of a split after which nobody looks at the whole
        self._given: set[int] = set()

    # what the step is given

    def input(self, name: str, size: tuple[int, ...], dtype: torch.dtype, batched: bool) -> Tensor:
        """A tensor without numbers that stands for an input of the step."""
        size = (self.batch, *size) if batched else size
        tensor = torch.empty(size, dtype=dtype, device="meta")
        self.track(tensor, self.build.input(name, self.shape(tensor), dtype_name(dtype)))
        self._given.add(id(tensor))
        return tensor

    def track(self, tensor: Tensor, node: Node) -> None:
        """From now on `tensor` is what `node` computes."""
        if self.shape(tensor) != node.shape:
            raise TraceError(f"`{node.op}` made {show_shape(node.shape)} of {show_shape(self.shape(tensor))}")
        self._alive.append(tensor)
        self._nodes[id(tensor)] = node
        self._storages.setdefault(tensor.untyped_storage()._cdata, set()).add(id(tensor))

    def shape(self, tensor: Tensor) -> Shape:
        """The sizes of a tensor, with B where the batch is."""
        return tuple(BATCH if size == self.batch else size for size in tensor.shape)

    def node(self, tensor: Tensor) -> Node:
        """The node that computes a tensor; a tensor from elsewhere becomes an input of its own."""
        if id(tensor) not in self._nodes:
            if tensor.device.type == "meta":
                raise TraceError("a tensor that comes from nowhere")
            if tensor.dim() == 0 and not tensor.requires_grad:
                return self.build.const(tensor.item(), dtype_name(tensor.dtype))
            node = self.build.input(f"captured{len(self.captured)}", tuple(tensor.shape), dtype_name(tensor.dtype))
            self._alive.append(tensor)
            self._nodes[id(tensor)] = node
            self.captured[node] = tensor
        return self._nodes[id(tensor)]

    # what the step does

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        if name.removesuffix("_") not in LOWERINGS and name not in DRAWS and func._can_decompose():
            with self:
                return func.decompose(*args, **kwargs)
        self.build.where = where_of_step()
        tensors = [t for t in tree_iter((args, kwargs)) if isinstance(t, Tensor)]
        if func._schema.is_mutable and isinstance(args[0], Tensor):
            self._check_own(args[0])
        if torch.Tag.nondeterministic_seeded in func.tags and name not in DRAWS:
            raise TraceError(f"`{name}` draws at random and is outside the table of operations{self._at()}")
        if not any(self._of_step(t, name) for t in tensors) and not self._makes_batch(name, args):
            return self._constant(func(*args, **_on_cpu(kwargs)))
        out = self._run(func, name, args, kwargs)
        self._record(name, func, out, args, kwargs)
        return out

    def _of_step(self, tensor: Tensor, name: str) -> bool:
        """Whether a tensor is computed of what the step is given, or comes from outside and may change."""
        outside = tensor.untyped_storage()._cdata not in self._storages and name != "lift_fresh"
        return id(tensor) in self._nodes or (outside and (tensor.dim() > 0 or tensor.requires_grad))

    def _constant(self, out: Any) -> Any:
        """What has nothing of the step's in it: ordinary tensors, but the step may change them later."""
        for tensor in tree_iter(out):
            if isinstance(tensor, Tensor):
                self._alive.append(tensor)
                self._storages.setdefault(tensor.untyped_storage()._cdata, set()).add(id(tensor))
        return out

    def _check_own(self, tensor: Tensor) -> None:
        """Raise if a tensor that is to be changed in place is none that this step has made."""
        if id(tensor) in self._given or tensor.untyped_storage()._cdata not in self._storages:
            name = self._nodes[id(tensor)].value if id(tensor) in self._given else "a tensor from outside of the step"
            raise TraceError(f"`{name}` is changed in place{self._at()}")

    def _makes_batch(self, name: str, args: Any) -> bool:
        """Whether the sizes of a new tensor hold the batch, or its numbers are drawn at random."""
        if name in DRAWS:
            return True
        return name in _FACTORIES and any(size == self.batch for size in tree_iter(args) if isinstance(size, int))

    def _run(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """The operation on tensors without numbers; torch's complaint as one of ours."""
        meta = tree_map_only(Tensor, lambda t: t if t.device.type == "meta" else t.to("meta"), args)
        try:
            return func(*meta, **_on_meta(tree_map_only(Tensor, lambda t: t.to("meta"), kwargs)))
        except RuntimeError as error:  # NotImplementedError is one
            if not any(word in str(error) for word in ("size", "shape", "dtype", "dimension")):
                raise TraceError(f"`{name}` needs numbers: {error}{self._at()}") from error
            raise self.complaint(name, tree_iter((args, kwargs)), error) from error

    def complaint(self, name: str, args: Iterable[Any], error: Exception) -> ElmanError:
        """What to tell the author of a step whose operands do not fit together."""
        operands = [self.node(t) for t in args if isinstance(t, Tensor)]
        names = ", ".join(_called(n) for n in operands)
        if "dtype" in str(error) and len({n.dtype for n in operands}) > 1:
            came = ", ".join(f"{_called(n)} {n.dtype}" for n in operands)
            return DtypeError(
                f"`{name}({names})`: expected one dtype, got {came}: convert the input or the cell.{self._at()}"
            )
        came = " and ".join(f"{_called(n)} {show_shape(n.shape)}" for n in operands)
        why = str(error).replace(str(self.batch), BATCH).rstrip(".")
        return ShapeError(f"`{name}({names})`: expected shapes that fit together, got {came}: {why}.{self._at()}")

    def _at(self) -> str:
        where = self.build.where
        return (
            f"\n  in the step of {self.owner}, {where.file}:{where.line}"
            if where
            else f"\n  in the step of {self.owner}"
        )

    def _record(self, name: str, func: Any, out: Any, args: Any, kwargs: Any) -> None:
        """Write down one operation."""
        if name in DRAWS:
            node = DRAWS[name](self, out, args, kwargs)
            return self._rebind(args[0], node) if name.endswith("_") else self.track(out, node)
        in_place = func._schema.is_mutable
        lowering = LOWERINGS.get(name.removesuffix("_") if in_place else name)
        if lowering is None or "out" in kwargs:
            raise TraceError(f"`{name}` is outside the table of operations{self._at()}")
        nodes = self._lowered(lowering, out, *tree_map_only(Tensor, self.node, (args, kwargs)))
        results = [t for t in tree_iter(out) if isinstance(t, Tensor)]
        if name.startswith("unsafe_"):
            self._parts.update(id(t) for t in results)
        for tensor, node in zip(results, nodes if isinstance(nodes, tuple) else (nodes,), strict=False):
            if node is not None:
                node = node if torch.is_grad_enabled() else self.build.make("detach", node)
                self._rebind(args[0], node) if in_place else self.track(tensor, node)
        return None

    def _lowered(self, lowering: Any, out: Any, args: Any, kwargs: Any) -> Any:
        """What a row of the table makes; a row that refuses its arguments is told the line."""
        try:
            return lowering(self, out, *args, **kwargs)
        except (ShapeError, TraceError) as error:  # torch takes it, so it is no error of the step's
            raise TraceError(f"{str(error).replace(str(self.batch), BATCH)}{self._at()}") from error

    def _rebind(self, tensor: Tensor, node: Node) -> None:
        """An operation in place: the same tensor is what another node computes."""
        if id(tensor) not in self._parts and len(self._storages.get(tensor.untyped_storage()._cdata, ())) > 1:
            raise TraceError(f"a tensor that others look into is changed in place{self._at()}")
        self.track(tensor, node)


class Products(TorchFunctionMode):
    """Reads products as the step wrote them, before torch flattens them into two axes."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self.tracer = tracer

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tracer, product = self.tracer, PRODUCTS.get(func)
        tensors = [t for t in tree_iter((args, kwargs)) if isinstance(t, Tensor)]
        if product is None or not any(id(t) in tracer._nodes for t in tensors):
            return func(*args, **kwargs)
        tracer.build.where = where_of_step()
        nodes, named = tree_map_only(Tensor, tracer.node, args), tree_map_only(Tensor, tracer.node, kwargs)
        if len({tracer.node(t).dtype for t in tensors}) > 1:
            tracer.complained = tracer.complaint(func.__name__, tensors, DtypeError("different dtype"))
            raise tracer.complained
        try:
            node = product(tracer, *nodes, **named)
        except ShapeError as error:
            tracer.complained = tracer.complaint(func.__name__, tensors, error)
            raise tracer.complained from error
        out = torch.empty(numbers(node.shape, 0, tracer.batch), dtype=tensors[0].dtype, device="meta")
        tracer.track(out, node if torch.is_grad_enabled() else tracer.build.make("detach", node))
        return out


def _called(node: Node) -> str:
    """What to call a node in a message."""
    return str(node.value) if node.op == "input" else f"the {node.op} of line {node.where.line if node.where else '?'}"


def where_of_step() -> Where | None:
    """The innermost line outside torch and the compiler: the line of the step that is being run."""
    where, frames = None, _frames()
    for frame in frames:
        name = frame.f_code.co_filename
        if frame.f_code is _FUNCTION_APPLY:
            caller = next(f for f in frames if not f.f_code.co_filename.startswith((_TORCH, _OURS)))
            line = f"\n  in the step, {caller.f_code.co_filename}:{caller.f_lineno}"
            raise TraceError(f"a torch.autograd.Function brings a derivative of its own{line}")
        if where is None and not name.startswith((_TORCH, _OURS)):
            where = Where(name, frame.f_lineno)
        elif where is not None and name.startswith(_OURS):
            break  # here the step was called
    return where


def _frames() -> Iterator[Any]:
    frame: Any = sys._getframe(2)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _on_meta(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**kwargs, "device": torch.device("meta")} if kwargs.get("device") is not None else kwargs


def _on_cpu(kwargs: dict[str, Any]) -> dict[str, Any]:
    meta = kwargs.get("device") is not None and torch.device(kwargs["device"]).type == "meta"
    return {**kwargs, "device": torch.device("cpu")} if meta else kwargs
