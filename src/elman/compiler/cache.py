"""What has been compiled: traces by cell and form of input, programs by trace and binding."""

import itertools
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from elman.errors import TraceError

from .runtime.backend import USUAL
from .runtime.compiled import Compiled
from .runtime.eager import States, one_step
from .sequences import Sequences
from .trace import Reads, Traced, modules_of, trace_step
from .trace.step import Sizes
from .unfold import Binding

Bound = tuple[bool, bool, bool, bool]  # the fields of a Binding


@dataclass
class Known:
    """What is known of one cell.

    Attributes:
        traces: by the form of the input, the traces, and the programs of each by what the call binds.
        refused: by the form of the input, why there is none, and what the step had read till then.
        warned: what has been said about the cell already.
    """

    traces: dict[Any, dict[Traced, dict[Bound, Compiled]]] = field(default_factory=dict)
    refused: dict[Any, tuple[str, Reads]] = field(default_factory=dict)
    warned: set[str] = field(default_factory=set)


_MOST = 64  # forms of input, and traces of each, that are remembered; an attribute may change at every call
_KNOWN: "weakref.WeakKeyDictionary[nn.Module, Known]" = weakref.WeakKeyDictionary()
_LOCK = threading.Lock()


_HANDLES: "weakref.WeakValueDictionary[int, nn.Module]" = weakref.WeakValueDictionary()
_COUNT = itertools.count()


def register(cell: nn.Module) -> int:
    """A number by which torch.compile's graphs, which hold no modules, can name a cell."""
    handle = next(_COUNT)
    _HANDLES[handle] = cell
    return handle


def cell_of(handle: int) -> Any:
    """The cell that a number names."""
    return _HANDLES[handle]


def known_of(cell: nn.Module) -> Known:
    """What is known of a cell."""
    known = _KNOWN.get(cell)
    if known is None:
        with _LOCK:
            known = _KNOWN.setdefault(cell, Known())
    return known


def parameters_of(cell: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of a cell by name, each tensor once: `named_parameters` and `named_buffers`, faster."""
    modules, found = modules_of(cell), {}
    for kind in ("_parameters", "_buffers"):
        met = set()
        for path, module in modules.items():
            for name, tensor in getattr(module, kind).items():
                if tensor is not None and tensor not in met:
                    met.add(tensor)
                    found[f"{path}.{name}" if path else name] = tensor
    return found


def compile_step(cell: Any, given: Sequences, states: States, parameters: Mapping[str, Tensor]) -> Compiled:
    """The programs for a cell and a form of input, made once.

    Raises:
        TraceError: the step cannot be read as a graph.
    """
    known = known_of(cell)
    key = (
        None if given.x is None else (_sizes(given.x)[2:], given.x.dtype),
        None if given.fed is None else (_sizes(given.fed)[2:], given.fed.dtype),
        tuple([(_sizes(s)[1:], s.dtype) for s in states]),
        tuple([(name, _sizes(p), p.dtype) for name, p in parameters.items()]),
        cell.training,
    )
    if known.refused:
        why, reads = known.refused.get(key, ("", None))
        if reads is not None and reads.hold(cell):
            raise TraceError(why)
    traces: dict[Traced, dict[Bound, Compiled]] = _remembered(known.traces, key)
    traced = next((trace for trace in tuple(traces) if trace.reads.hold(cell)), None)
    if traced is None:
        traced = _trace(known, key, cell, parameters)
    programs: dict[Bound, Compiled] = _remembered(traces, traced)
    own = given.fed is None and cell.feedback_size is not None
    bound = (own, given.live is not None, given.reset is not None, given.reverse)
    found = programs.get(bound)
    return programs.setdefault(bound, Compiled(traced, Binding(*bound))) if found is None else found


def _trace(known: Known, key: Any, cell: Any, parameters: Mapping[str, Tensor]) -> Traced:
    """A new trace; why there is none is remembered, too."""
    reads = Reads(cell)
    try:
        return trace_step(cell, one_step, Sizes(*key[:3]), parameters, reads)
    except TraceError as error:
        known.refused.pop(key, None)
        _make_room(known.refused)
        known.refused[key] = (str(error), reads)  # the words alone: an error holds on to what it has seen
        raise


def _sizes(tensor: Tensor) -> tuple[int, ...]:
    """The sizes in plain numbers: those of a fake tensor, which torch.compile looks at, may be symbols."""
    return tensor.shape if type(tensor) in USUAL else tuple(map(int, tensor.shape))


def _remembered(found: dict[Any, dict[Any, Any]], key: Any) -> dict[Any, Any]:
    """`found[key]`, empty if it was not there."""
    inner = found.get(key)
    if inner is None:
        _make_room(found)
        inner = found.setdefault(key, {})
    return inner


def _make_room(found: dict[Any, Any]) -> None:
    """The oldest entry goes when there are too many."""
    if len(found) >= _MOST:
        found.pop(next(iter(found)))
