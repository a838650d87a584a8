"""Reading a step: run it twice on tensors without numbers, keep the graph if both agree."""

import inspect
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from elman.compiler.graph import Graph, Node, show_graph, verify
from elman.errors import ElmanError, ShapeError, TraceError

from .dtypes import dtype_name
from .random import Draw
from .reads import Reads, recording
from .tracer import Products, Tracer

_LOCK = threading.Lock()  # a traced module stands under other parameters for a moment
_RESERVED = re.compile(r"x|fed|y|live|reset|[ACS]\d+|(random|captured|sum)\d+")
_PRIMES = (1009, 1013, 1019, 1021, 1031, 1033, 1039, 1049, 1051, 1061)

Size = tuple[int, ...]
OneStep = Callable[..., tuple[tuple[Tensor, ...], Tensor, tuple[Tensor, ...]]]


@dataclass(frozen=True, eq=False)
class Traced:
    """A step as a graph.

    Attributes:
        graph: inputs `x`, `fed`, the states, the parameters by name; outputs the next states, marked ', and `y`.
        x, fed, states, parameters: the input nodes by their part; None or empty where there is none.
        leaving: the nodes of the next states.
        y: the node of what is given out.
        values: the nodes of what the step returned.
        captured: tensors that the step took from elsewhere, by input.
        draws: random inputs, by input.
        reads: the attributes that the step read.
    """

    graph: Graph
    x: Node | None
    fed: Node | None
    states: tuple[Node, ...]
    parameters: dict[str, Node]
    leaving: tuple[Node, ...]
    y: Node
    values: tuple[Node, ...]
    captured: dict[Node, Tensor] = field(default_factory=dict)
    draws: dict[Node, Draw] = field(default_factory=dict)
    reads: Reads = field(default_factory=lambda: Reads(nn.Module()))


@dataclass(frozen=True)
class Sizes:
    """What a trace is made for: sizes without B, and dtypes, of x, fed and the states."""

    x: tuple[Size, torch.dtype] | None
    fed: tuple[Size, torch.dtype] | None
    states: tuple[tuple[Size, torch.dtype], ...]


def trace_step(
    cell: nn.Module, one_step: OneStep, sizes: Sizes, parameters: Mapping[str, Tensor], reads: Reads
) -> Traced:
    """Read a step into a graph.

    Args:
        cell: the module that the step belongs to.
        one_step: `one_step(cell, x, fed, states)` gives the next states and what is given out.
        sizes: of x, fed and the states.
        parameters: parameters and buffers of the cell by name; only their sizes and dtypes are used.
        reads: takes down what the step reads of its cell, also where it cannot be read to the end.

    Raises:
        TraceError: something that the table of operations does not hold; it names the operation and the line.
        ShapeError, DtypeError: operands that do not fit, with the line of the step.
    """
    given = [size for size, _ in (*sizes.states, *(s for s in (sizes.x, sizes.fed) if s is not None))]
    taken = {size for shape in (*given, *(p.shape for p in parameters.values())) for size in shape}
    primes = [prime for prime in _PRIMES if prime not in taken]
    with _LOCK:
        first = _trace(cell, one_step, sizes, parameters, reads, primes[0])
        second = _trace(cell, one_step, sizes, parameters, reads, primes[1])
    if show_graph(first.graph) != show_graph(second.graph):
        raise TraceError("the step computes with the size of the batch: a row may not know how many others there are")
    return first


def _trace(
    cell: nn.Module,
    one_step: OneStep,
    sizes: Sizes,
    parameters: Mapping[str, Tensor],
    reads: Reads,
    batch: int,
) -> Traced:
    """One run of the step on tensors without numbers."""
    tracer = Tracer(batch, type(cell).__name__)
    names = state_names(cell, len(sizes.states))
    own = own_names(parameters, names)
    given = {name: tracer.input(own[name], tuple(p.shape), p.dtype, batched=False) for name, p in parameters.items()}
    x = None if sizes.x is None else tracer.input("x", *sizes.x, batched=True)
    fed = None if sizes.fed is None else tracer.input("fed", *sizes.fed, batched=True)
    states = tuple(tracer.input(name, *size, batched=True) for name, size in zip(names, sizes.states, strict=True))
    if any(module._forward_hooks for module in cell.modules()):
        raise TraceError("a forward hook wants to see every step")
    twin = likeness(cell, {})
    with recording(twin, reads), torch.enable_grad(), Products(tracer), tracer:
        leaving, y, values = _run(tracer, twin, one_step, given, (x, fed, states))
    _check_unchanged(cell, twin, reads)
    nodes = [tracer.node(state) for state in leaving]
    for name, node, (size, dtype) in zip(names, nodes, sizes.states, strict=True):
        if not node.shape or node.shape[0] != "B":
            raise ShapeError(f"expected a next state [B, ...], got {node.shape} for {size}")
        if node.dtype != dtype_name(dtype):
            raise TraceError(f"`{name}` enters the step as {dtype_name(dtype)} and leaves it as {node.dtype}")
    inputs = tuple(tracer.node(t) for t in (x, fed, *states, *given.values()) if t is not None)
    drawn = {draw.name: draw for draw in tracer.draws}
    outputs = {f"{name}'": node for name, node in zip(names, nodes, strict=True)} | {"y": tracer.node(y)}
    leaves = [n for n in Graph((), outputs).nodes if n.op == "input" and n not in inputs]
    return Traced(
        graph=verify(Graph((*inputs, *leaves), outputs)),
        x=None if x is None else tracer.node(x),
        fed=None if fed is None else tracer.node(fed),
        states=tuple(tracer.node(state) for state in states),
        parameters={name: tracer.node(tensor) for name, tensor in given.items()},
        leaving=tuple(nodes),
        y=outputs["y"],
        values=tuple(tracer.node(value) for value in values),
        captured={node: tensor for node, tensor in tracer.captured.items() if node in leaves},
        draws={node: drawn[node.value] for node in leaves if node.value in drawn},
        reads=reads,
    )


class _Bound(nn.Module):
    """One step as the forward of a module, so that functional_call can put other parameters under it."""

    def __init__(self, cell: nn.Module, one_step: OneStep) -> None:
        super().__init__()
        self.cell = cell
        self.one_step = one_step

    def forward(self, *args: Any) -> Any:
        return self.one_step(self.cell, *args)


def likeness(module: nn.Module, made: dict[nn.Module, nn.Module]) -> nn.Module:
    """The same module and submodules with places of their own for parameters.

    While it is read, other threads may run the module itself, or look at its parameters.
    """
    if module not in made:
        twin = made[module] = object.__new__(type(module))
        twin.__dict__.update(module.__dict__)
        for kind in ("_parameters", "_buffers", "_modules"):
            twin.__dict__[kind] = module.__dict__[kind].copy()
        twin._modules.update({name: likeness(m, made) for name, m in module._modules.items() if m is not None})
    return made[module]


def _check_unchanged(cell: nn.Module, twin: nn.Module, reads: Reads) -> None:
    """Raise if the step has changed an attribute: it would do so at every step, and is run but once."""
    for module, other in zip(cell.modules(), twin.modules(), strict=False):
        names = {*module.__dict__, *other.__dict__} - {"_parameters", "_buffers", "_modules"}
        for name in sorted(n for n in names if module.__dict__.get(n) is not other.__dict__.get(n)):
            raise TraceError(f"the step of {type(cell).__name__} changes self.{name}")
    if not reads.hold(cell):
        raise TraceError(f"the step of {type(cell).__name__} changes what it reads")


def _run(tracer: Tracer, cell: nn.Module, one_step: OneStep, given: Mapping[str, Tensor], args: tuple[Any, ...]) -> Any:
    """The step under other parameters; what is no error of the step's own means that it cannot be read."""
    under = {f"cell.{name}": tensor for name, tensor in given.items()}
    try:
        return torch.func.functional_call(_Bound(cell, one_step), under, args)
    except ElmanError as error:
        raise type(error)(str(error).replace(str(tracer.batch), "B")) from error
    except Exception as error:
        if tracer.complained is not None:
            raise tracer.complained from error
        raise TraceError(f"{type(error).__name__} while the step was read: {error}{_line_of(error)}") from error


def _line_of(error: BaseException) -> str:
    """The last line of an error's way that is not torch's."""
    place, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if f"{'/'}torch{'/'}" not in file and "elman/compiler" not in file:
            place = f"\n  in the step, {file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def state_names(cell: Any, count: int) -> list[str]:
    """The names of the states as the step calls them, what is fed of the own output last."""
    own = [p.name for p in inspect.signature(cell.step).parameters.values() if p.kind is not p.VAR_POSITIONAL]
    skip = 1 if cell.feedback_size is None else 2
    names = own[skip : skip + len(cell.state_size)]
    names += [f"s{number}" for number in range(len(names), len(cell.state_size))]
    names = list(own_names(names, ()).values())
    return names + ["fed"] * (count - len(names))


def own_names(names: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Each name as it stands in the graph: with a `_` where it is taken, or where the compiler itself uses it."""
    used, own = set(taken), {}
    for name in names:
        own[name] = re.sub(r"[^\w.]", "_", name)
        while own[name] in used or _RESERVED.fullmatch(own[name]):
            own[name] += "_"
        used.add(own[name])
    return own
