"""A kernel that runs: memory for what it reads and writes, threads, and the call."""

import ctypes
import functools
import os
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from elman.axes import BATCH
from elman.compiler.codegen import Kernel, Memory, together
from elman.compiler.graph import Node

from .build import library
from .rows import Rows

Tensors = dict[str, Tensor]

_ALONE = 100_000  # multiply-adds that one thread has done before two have met
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


class Slot:
    """A tensor that a kernel is given: where its address goes, and what the kernel takes it for.

    Args:
        number: of the field of its address; that of the distance of its rows comes after it.
        memory: what the kernel takes it for.
        node: what it holds.
    """

    def __init__(self, number: int, memory: Memory, node: Node) -> None:
        self.number, self.node, self.name = number, node, str(node.value)
        self.size, self.by_row = memory.size, BATCH in memory.shape
        self.boolean = memory.boolean
        self.axis = node.shape.index(BATCH) if BATCH in node.shape else 0

    def read(self, given: Tensor, real: torch.dtype) -> Tensor:
        """A tensor as the kernel reads it, the axis of the batch first."""
        if self.boolean:
            given = given.view(torch.uint8)
        elif given.dtype is not real:
            given = given.to(real)
        if self.axis:
            lead = given.dim() - len(self.node.shape)
            given = given.movedim(lead + self.axis, lead)
        return given

    def given(self, tensor: Tensor, lead: int = 0) -> Tensor:
        """A tensor of the kernel in the shape and dtype of the node."""
        if self.axis:
            tensor = tensor.movedim(lead, lead + self.axis)
        return tensor.view(torch.bool) if self.boolean else tensor.to(getattr(torch, self.node.dtype))


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
        self.field = {name: number for number, name in enumerate(kernel.fields)}
        node = {memory: node for node, memory in kernel.layout.memories.items()}
        outside = {kind: [m for m in kernel.outside if m.kind == kind] for kind in ("sequence", "invariant", "result")}
        self.sequences = [Slot(self.field[m.name], m, node[m]) for m in outside["sequence"]]
        self.invariants = [Slot(self.field[m.name], m, node[m]) for m in outside["invariant"]]
        self.results = [
            Slot(self.field[m.name], m, n) for m, n in zip(outside["result"], kernel.layout.results, strict=True)
        ]
        self.carries = [
            (self.field[f"h{number}_from"], Slot(0, kernel.layout.memories[carry.entering], carry.entering))
            for number, carry in enumerate(kernel.loop.carries)
        ]
        self.work = sum(packed.entries for packed in kernel.packed) + 1

    def threads(self, rows: Rows) -> int:
        """How many threads are worth it."""
        return torch.get_num_threads() if self.work * rows.total > _ALONE and parallel() else 1

    def place(self, slot: Slot, rows: Rows) -> tuple[int, ...]:
        """The shape of a result at every step."""
        lead = (rows.steps, rows.batch) if rows.index is None else (rows.total, 1)
        shape = tuple(int(size) for size in slot.node.shape if size != BATCH)
        return (*(lead if slot.by_row else lead[:1]), *shape)


class Call:
    """One run of a kernel over some or all steps, one after the other.

    Args:
        launcher: the kernel.
        values: the invariants by name.
        rows: how the rows of the batch stand in memory.
    """

    def __init__(self, launcher: Launcher, values: Mapping[str, Tensor], rows: Rows) -> None:
        self.launcher, self.rows = launcher, rows
        kernel, field = launcher.kernel, launcher.field
        frame = rows.frame(launcher.threads(rows), kernel.schedule.block)
        scratch = kernel.scratch(frame.most) + 64
        self.alive = [torch.empty(frame.workers * scratch, dtype=torch.uint8)]  # what the kernel points to
        self.fields = (ctypes.c_int64 * len(kernel.fields))()
        fields = self.fields
        for name, value in frame.fields:
            fields[field[name]] = value
        fields[field["scratch"]] = self.alive[0].data_ptr()
        fields[field["scratch_size"]] = scratch
        fields[field["parallel"]] = parallel() if frame.workers > 1 else 0
        for slot in launcher.invariants:
            tensor = slot.read(values[slot.name], launcher.real).contiguous()
            self.alive.append(tensor)
            fields[slot.number], fields[slot.number + 1] = tensor.data_ptr(), slot.size
        for packed in kernel.packed:
            tensor = torch.empty(packed.entries, dtype=launcher.real)
            self.alive.append(tensor)
            fields[field[packed.name]] = tensor.data_ptr()
        launcher.pack(fields)

    def run(
        self,
        sequences: Mapping[str, Tensor],
        origins: Mapping[str, int],
        states: Sequence[Tensor],
        results: Sequence[Tensor],
        start: int,
        stop: int,
    ) -> tuple[Tensor, ...]:
        """The steps start..stop.

        Args:
            sequences: by name.
            origins: the step at which a sequence begins, where it is not the first.
            states: what enters, [B, ...].
            results: where results are written, [T, B, ...].
            start: the first step.
            stop: the step after the last.

        Returns:
            What leaves.
        """
        launcher, fields, rows = self.launcher, self.fields, self.rows
        alive, left = [], []
        for slot in launcher.sequences:
            tensor, stride = _strided(slot.read(sequences[slot.name], launcher.real), slot)
            alive.append(tensor)
            # The kernel counts rows from the very first step; what all rows share, unpacked, in steps of this run.
            origin = origins.get(slot.name, 0)
            by_row = slot.by_row or rows.index is not None
            skipped = (rows.position(origin) if origin else 0) if by_row else origin - start
            fields[slot.number] = tensor.data_ptr() - skipped * stride * tensor.element_size()
            fields[slot.number + 1] = stride
        for slot, tensor in zip(launcher.results, results, strict=True):
            skipped = 0 if slot.by_row or rows.index is not None else -start
            fields[slot.number] = tensor.data_ptr() - skipped * slot.size * tensor.element_size()
            fields[slot.number + 1] = slot.size
        for (number, slot), state in zip(launcher.carries, states, strict=True):
            entering = slot.read(state, launcher.real).contiguous()
            leaving = torch.empty_like(entering)
            alive.append(entering)
            left.append((slot, leaving))
            fields[number], fields[number + 1] = entering.data_ptr(), leaving.data_ptr()
        fields[launcher.field["steps"]], fields[launcher.field["first"]] = stop - start, start
        fields[launcher.field["at"]] = rows.at.data_ptr() + 8 * start
        launcher.run(fields)
        return tuple(slot.given(leaving) for slot, leaving in left)


def _strided(tensor: Tensor, slot: Slot) -> tuple[Tensor, int]:
    """A sequence whose rows stand at equal distances, and the distance; copied if they do not."""
    if tensor.is_contiguous():
        return tensor, slot.size
    rows = 2 if slot.by_row else 1
    stride, inner = tensor.stride(rows - 1), tensor.shape[rows:]
    regular = rows == 1 or tensor.shape[0] == 1 or tensor.stride(0) == stride * tensor.shape[1]
    if regular and stride >= slot.size and tensor[(0,) * rows].is_contiguous() and inner.numel():
        return tensor, stride
    return tensor.contiguous(), slot.size


@functools.cache
def _own_process() -> int:
    return os.getpid()


_own_process()


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
