"""A kernel that runs: memory for what it reads and writes, threads, and the call."""

import ctypes
import functools
import itertools
import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elman.axes import BATCH, numbers
from elman.compiler.codegen import Kernel, Memory, together
from elman.compiler.graph import Node

from .build import library
from .memory import block
from .rows import Rows

Tensors = dict[str, Tensor]

_ALONE = 40_000  # multiply-adds of all rows and steps that one thread does sooner than two have met


_TOGETHER: dict[str, tuple[ctypes.CDLL, str]] = {}


def build_together(kernels: Sequence[Kernel], extra: tuple[str, ...] = ()) -> None:
    """Build kernels of one precision and schedule in one file, which spares the compiler the common part.

    Raises:
        SetupError: there is no compiler, or it fails.
    """
    own = list({kernel.text: kernel for kernel in kernels}.values())
    suffixes = [f"_{number}" for number in range(len(own))]
    built = library(together(own, suffixes), own[0].schedule.machine, extra)
    _TOGETHER.update({kernel.text: (built, suffix) for kernel, suffix in zip(own, suffixes, strict=True)})


class Launcher:
    """A kernel, built, and called on tensors.

    Args:
        kernel: the text, and what it wants to be given.

    Raises:
        SetupError: there is no compiler, or it fails.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        known, suffix = _TOGETHER.get(kernel.text, (None, ""))
        known = library(kernel.text, kernel.schedule.machine) if known is None else known
        self.pack, self.run = (getattr(known, f"{name}{suffix}") for name in ("prepare", "run"))
        self.real = torch.float64 if kernel.double else torch.float32
        self.place = {name: number for number, name in enumerate(kernel.fields)}
        self.nodes = {memory: node for node, memory in kernel.layout.memories.items()}
        kinds: dict[str, list[Memory]] = {}
        for memory in kernel.outside:
            kinds.setdefault(memory.kind, []).append(memory)
        self.sequences, self.invariants = kinds.get("sequence", []), kinds.get("invariant", [])
        self.results = dict(zip(kernel.layout.results, kinds.get("result", []), strict=True))

    def prepare(self, values: Tensors, rows: Rows, work: int) -> "Call":
        """A call without sequences and states: the weights in the order of the kernel, memory, threads."""
        return Call(self, values, rows, work)

    def tensor(self, given: Tensor, node: Node) -> Tensor:
        """A tensor as the kernel reads it, the axis of the batch first."""
        boolean = node.dtype == "bool"
        tensor = given.view(torch.uint8) if boolean else given if given.dtype == self.real else given.to(self.real)
        extra = tensor.dim() - len(node.shape)
        if BATCH in node.shape and node.shape[0] != BATCH:
            tensor = tensor.movedim(extra + node.shape.index(BATCH), extra)
        return tensor


class Call:
    """One run of a kernel over some or all steps, one after the other.

    Args:
        launcher: the kernel.
        values: the invariants by name.
        rows: how the rows of the batch stand in memory.
        work: multiply-adds of one step, about.
    """

    def __init__(self, launcher: Launcher, values: Tensors, rows: Rows, work: int) -> None:
        self.launcher, self.rows = launcher, rows
        kernel = launcher.kernel
        self.fields = (ctypes.c_int64 * len(kernel.fields))()
        self.alive: list[Tensor] = []  # what the kernel points to
        for memory in launcher.invariants:
            node = launcher.nodes[memory]
            tensor = launcher.tensor(values[str(node.value)], node).contiguous()
            self._point(memory.name, tensor)
            self._set(f"{memory.name}_row", memory.size)
        self._blocks(work)
        for packed in kernel.packed:
            self._point(packed.name, torch.empty(packed.entries, dtype=launcher.real))
        launcher.pack(self.fields)

    def _blocks(self, work: int) -> None:
        """Rows in blocks of nearly equal work, at least one for each thread that is worth it."""
        kernel, rows = self.launcher.kernel, self.rows
        threads = torch.get_num_threads() if parallel() and work * rows.steps > _ALONE else 1
        count = -(-rows.batch // kernel.schedule.block)
        count = max(1, min(rows.batch, -(-count // threads) * threads))
        bounds = [rows.batch * number // count for number in range(count + 1)]
        places = torch.arange(rows.batch)
        if rows.ends is not None:  # long and short rows in each block
            parts = [places[number::count] for number in range(count)]
            bounds = [0, *itertools.accumulate(len(part) for part in parts)]
            places = torch.cat(parts)
            self._point("ends", rows.ends[places])
        workers = min(threads, count)
        size = kernel.scratch(-(-rows.batch // count)) + 64
        self._point("bounds", torch.tensor(bounds))
        self._point("order", places)
        self._point("row", rows.order[places])
        self._point("scratch", torch.empty(workers * size, dtype=torch.uint8))
        self._set("blocks", count)
        self._set("workers", workers)
        self._set("scratch_size", size)
        self._set("parallel", parallel() if workers > 1 else 0)
        self._set("packed", int(rows.index is not None))

    def run(
        self,
        sequences: Tensors,
        origins: dict[str, int],
        states: Sequence[Tensor],
        results: dict[Node, Tensor],
        start: int,
        stop: int,
    ) -> tuple[Tensor, ...]:
        """The steps start..stop.

        Args:
            sequences: by name.
            origins: the step at which a sequence begins, where it is not the first.
            states: what enters, [B, ...].
            results: where the result of each node is written, [T, B, ...].
            start: the first step.
            stop: the step after the last.

        Returns:
            What leaves.
        """
        launcher, rows = self.launcher, self.rows
        alive: list[Tensor] = []
        at = rows.at[start:stop]
        for memory in launcher.sequences:
            node = launcher.nodes[memory]
            name = str(node.value)
            tensor, stride = strided(launcher.tensor(sequences[name], node), node)
            alive.append(tensor)
            self._offset(memory, tensor, stride, start, origins.get(name, 0))
        for node, memory in launcher.results.items():
            tensor = results[node]
            alive.append(tensor)
            self._offset(memory, tensor, memory.size, start, 0)
        left = []
        for number, state in enumerate(states):
            node = launcher.kernel.loop.carries[number].entering
            entering = launcher.tensor(state, node).contiguous()
            leaving = torch.empty_like(entering)
            alive += [entering, leaving]
            self._set(f"h{number}_from", entering.data_ptr())
            self._set(f"h{number}_to", leaving.data_ptr())
            left.append((leaving, node))
        self._set("steps", stop - start)
        self._set("first", start)
        self._set("at", at.data_ptr())
        launcher.run(self.fields)
        return tuple(_given(leaving, node) for leaving, node in left)

    def _offset(self, memory: Memory, tensor: Tensor, stride: int, start: int, origin: int) -> None:
        """Point to where position 0 of a sequence would be: the kernel counts rows from the very first step.

        What is the same for all rows of a step is counted in steps of this run, or, packed, like the others.
        """
        by_row = BATCH in memory.shape or self.rows.index is not None
        skipped = self.rows.position(origin) if by_row else origin - start
        self._set(memory.name, tensor.data_ptr() - skipped * stride * tensor.element_size())
        self._set(f"{memory.name}_row", stride)

    def _set(self, name: str, value: int) -> None:
        self.fields[self.launcher.place[name]] = value

    def _point(self, name: str, tensor: Tensor) -> None:
        self.alive.append(tensor)
        self._set(name, tensor.data_ptr())


def strided(tensor: Tensor, node: Node) -> tuple[Tensor, int]:
    """A sequence whose rows stand at equal distances, and the distance; copied if they do not."""
    rows = 2 if BATCH in node.shape else 1
    inner = tensor.shape[rows:]
    stride = tensor.stride(rows - 1)
    regular = rows == 1 or tensor.stride(0) == stride * tensor.shape[1] or tensor.shape[0] == 1
    expected, size = [], 1
    for length in reversed(inner):
        expected.append(size)
        size *= length
    dense = all(s == e or n == 1 for s, e, n in zip(tensor.stride()[rows:], reversed(expected), inner, strict=True))
    if regular and dense and stride >= size:
        return tensor, stride
    return tensor.contiguous(), size


def place_for(node: Node, real: torch.dtype, steps: int, batch: int, device: Any) -> Tensor:
    """Memory for a result at every step, the axis of the batch first."""
    shape = tuple(size for size in node.shape if size != BATCH)
    lead = (steps, batch) if BATCH in node.shape else (steps,)
    dtype = torch.uint8 if node.dtype == "bool" else real
    return block((*lead, *numbers(shape, steps, batch)), dtype, device)


def _given(tensor: Tensor, node: Node, lead: int = 0) -> Tensor:
    """A tensor of the kernel in the shape and dtype of a node."""
    if BATCH in node.shape and node.shape[0] != BATCH:
        tensor = tensor.movedim(lead, lead + node.shape.index(BATCH))
    return tensor.view(torch.bool) if node.dtype == "bool" else tensor.to(getattr(torch, node.dtype))


def finished(place: Tensor, node: Node) -> Tensor:
    """A result at every step in the shape and dtype of its node."""
    return _given(place, node, 1)


@functools.cache
def _own_process() -> int:
    return os.getpid()


def parallel() -> int:
    """The address of GOMP_parallel in the OpenMP library that torch has loaded; 0 where there is none.

    A process that was forked after the threads began has none of them left: it goes on with one.
    """
    return _gomp() if os.getpid() == _own_process() else 0


@functools.cache
def _gomp() -> int:
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as lines:
            paths = {line.split(None, 5)[5].strip() for line in lines if "libgomp" in line}
        for path in sorted(paths):
            return ctypes.cast(ctypes.CDLL(path).GOMP_parallel, ctypes.c_void_p).value or 0
    except (OSError, AttributeError):
        return 0
    return 0


_own_process()
