"""A kernel that runs: memory for what it reads and writes, threads, and the call."""

import ctypes
import functools
import os
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elman.axes import BATCH
from elman.compiler.codegen import Kernel, Memory, together
from elman.compiler.graph import Node

from .build import library
from .memory import CPU
from .rows import Rows

Tensors = dict[str, Tensor]

_ALONE = 100_000  # multiply-adds that one thread has done before two have met
_SHARE = 7_000  # multiply-adds of a step that are worth one more worker, who has to meet the others
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
        real: the precision of the kernel.
    """

    def __init__(self, number: int, memory: Memory, node: Node, real: torch.dtype) -> None:
        self.number, self.node, self.name, self.real = number, node, str(node.value), real
        self.size, self.by_row = memory.size, BATCH in memory.shape
        self.boolean, self.outer = memory.boolean, memory.outer
        self.dtype = torch.uint8 if self.boolean else real
        self.axis = node.shape.index(BATCH) if BATCH in node.shape else 0
        self.features = tuple(int(size) for size in node.shape if size != BATCH)
        self.as_it_is = not self.axis and self.dtype is getattr(torch, node.dtype)

    def usual(self, given: Tensor) -> bool:
        """Whether a tensor is as the kernel reads it: nearly always, and there are many of them."""
        return given.dtype is self.dtype and not self.axis and given.is_contiguous() and not given.is_neg()

    def whole(self, given: Tensor) -> Tensor:
        """A tensor as the kernel reads it, without gaps; copied if need be."""
        return given if self.usual(given) else self.read(given).contiguous()

    def read(self, given: Tensor) -> Tensor:
        """A tensor as the kernel reads it, the axis of the batch first."""
        if self.boolean:
            given = given.view(torch.uint8)
        elif given.dtype is not self.real:
            given = given.to(self.real)
        if given.is_neg():  # torch.imag of a conjugate: the sign stands in the tensor, not in the memory
            given = given.resolve_neg()
        if self.axis:
            lead = given.dim() - len(self.node.shape)
            given = given.movedim(lead + self.axis, lead)
        return given

    def given(self, tensor: Tensor, lead: int = 0) -> Tensor:
        """A tensor of the kernel in the shape and dtype of the node."""
        if self.as_it_is:
            return tensor
        if self.axis:
            tensor = tensor.movedim(lead, lead + self.axis)
        return tensor.view(torch.bool) if self.boolean else tensor.to(getattr(torch, self.node.dtype))

    def place(self, rows: Rows) -> tuple[int, ...]:
        """The shape of a result at every step."""
        lead = (rows.steps, rows.batch) if rows.index is None or self.outer else (rows.total, 1)
        return (*lead, *self.features)

    def strided(self, given: Tensor) -> tuple[Tensor, int]:
        """A sequence as the kernel reads it, its rows at equal distances, and the distance; copied if need be."""
        if self.usual(given):
            return given, self.size
        tensor = self.read(given)
        if tensor.is_contiguous():
            return tensor, self.size
        rows = 2 if self.by_row else 1
        shape, strides = tensor.shape, tensor.stride()
        stride = strides[rows - 1]
        regular = rows == 1 or shape[0] == 1 or strides[0] == stride * shape[1]
        if regular and stride >= self.size > 0 and _one_by_one(shape[rows:], strides[rows:]):
            return tensor, stride
        return tensor.contiguous(), self.size


def _one_by_one(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether entries stand one after the other."""
    step = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != step:
            return False
        step *= size
    return True


@dataclass(frozen=True, eq=False)
class Form:
    """What all calls on as many rows and steps have in common: numbers, and addresses that last.

    Attributes:
        fields: what the kernel is given, but for the addresses of tensors.
        workers: threads.
        room: bytes of memory of its own that a call needs.
        inner: the fields of addresses within that memory, and where they begin.
        alive: what the addresses among the fields point to.
    """

    fields: "array[int]"
    workers: int
    room: int
    inner: tuple[tuple[int, int], ...]
    alive: tuple[Any, ...]


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
        self.pack, self.run = (_function(known, f"{name}{suffix}") for name in ("prepare", "run"))
        self.real = torch.float64 if kernel.double else torch.float32
        self.field = field = {name: number for number, name in enumerate(kernel.fields)}
        node = {memory: node for node, memory in kernel.layout.memories.items()}
        outside = {
            kind: [m for m in kernel.outside if m.kind == kind] for kind in ("sequence", "invariant", "result", "total")
        }
        self.sequences = [Slot(field[m.name], m, node[m], self.real) for m in outside["sequence"]]
        self.invariants = [Slot(field[m.name], m, node[m], self.real) for m in outside["invariant"]]
        self.results = [
            Slot(field[m.name], m, n, self.real) for m, n in zip(outside["result"], kernel.layout.results, strict=True)
        ]
        self.totals = {
            name: Slot(field[m.name], m, n, self.real)
            for m, (name, n) in zip(outside["total"], kernel.layout.loop.total.items(), strict=True)
        }
        self.carries = [
            Slot(field[f"h{number}_from"], kernel.layout.memories[carry.entering], carry.entering, self.real)
            for number, carry in enumerate(kernel.loop.carries)
        ]
        assert all(slot.by_row for slot in self.results)  # a sum over the rows is no result of a step
        self.steps, self.first, self.at = (field[name] for name in ("steps", "first", "at"))
        self.work = sum(packed.entries for packed in kernel.packed) + 1
        self._known = functools.lru_cache(maxsize=16)(self._form)

    def form(self, rows: Rows) -> Form:
        """What calls on these rows have in common; kept where other calls can have the same rows."""
        workers, shared = self.workers(rows)
        return (self._known if rows.index is None else self._form)(rows, workers, shared)

    def sums(self, form: Form) -> dict[str, Tensor]:
        """Memory for what is summed over steps and rows, by name: a sum for each block of rows."""
        if not self.totals:
            return {}
        blocks = form.fields[self.field["blocks"]]
        return {
            name: torch.zeros((blocks, *slot.features), dtype=slot.dtype, device=CPU)
            for name, slot in self.totals.items()
        }

    def workers(self, rows: Rows) -> tuple[int, bool]:
        """How many threads are worth it, and whether each does a part of the units, and not rows of its own."""
        threads = torch.get_num_threads()
        if threads == 1 or self.work * rows.total < _ALONE or not parallel():
            return 1, False
        shares = min(threads, self.kernel.parts, self.work * rows.batch // _SHARE)
        if rows.batch < threads and rows.index is None and shares > 1:
            return shares, True
        return min(threads, rows.batch), False

    def _form(self, rows: Rows, workers: int, shared: bool) -> Form:
        kernel, field = self.kernel, self.field
        frame = rows.frame(1 if shared else workers, kernel.schedule.block)
        workers = workers if shared else frame.workers
        scratch = _aligned(kernel.scratch(frame.most) + 64)
        fields = array("q", bytes(8 * len(kernel.fields)))
        for name, value in (
            *frame.fields,
            ("scratch_size", scratch),
            ("at", rows.at.data_ptr()),
            ("batch", rows.batch),
            ("workers", workers),
            ("shares", workers * shared),
        ):
            fields[field[name]] = value
        for slot in (*self.invariants, *self.results):
            fields[slot.number + 1] = slot.size
        inner, room = [(field["scratch"], 0)], scratch * workers
        for packed in kernel.packed:
            inner.append((field[packed.name], room))
            room += _aligned(packed.entries * self.real.itemsize)
        return Form(fields, workers, room, tuple(inner), (rows, frame))


def _function(known: ctypes.CDLL, name: str) -> Any:
    """A function of a kernel, which takes the address of its fields."""
    function = getattr(known, name)
    function.argtypes, function.restype = (ctypes.c_void_p,), None
    return function


def _aligned(size: int) -> int:
    """Bytes, up to the end of a line of the cache."""
    return -(-size // 64) * 64


class Call:
    """One run of a kernel over some or all steps, one after the other.

    Args:
        launcher: the kernel.
        values: the invariants by name.
        rows: how the rows of the batch stand in memory.
        form: of calls on these rows.
        results: the addresses of the memory for results, [T, B, ...] each.
        sums: the memory for sums over steps and rows, by name.
    """

    def __init__(
        self,
        launcher: Launcher,
        values: Mapping[str, Tensor],
        rows: Rows,
        form: Form,
        results: Sequence[int],
        sums: Mapping[str, Tensor],
    ) -> None:
        self.launcher, self.rows, self.form = launcher, rows, form
        self.fields = fields = form.fields[:]
        room = torch.empty(form.room, dtype=torch.uint8, device=CPU)
        self.alive = [room]  # what the fields point to
        start = room.data_ptr()
        for number, offset in form.inner:
            fields[number] = start + offset
        if form.workers > 1:
            fields[launcher.field["parallel"]] = parallel()
        for slot in launcher.invariants:
            tensor = slot.whole(values[slot.name])
            self.alive.append(tensor)
            fields[slot.number] = tensor.data_ptr()
            if slot.by_row and tensor.size(0) == 1:  # the stage before sees packed rows as a batch of one
                fields[slot.number + 1] = 0
        for slot, address in zip(launcher.results, results, strict=True):
            fields[slot.number] = address
        for name, slot in launcher.totals.items():
            fields[slot.number] = sums[name].data_ptr()
        launcher.pack(fields.buffer_info()[0])

    def run(
        self,
        sequences: Mapping[str, Tensor],
        origins: Mapping[str, int],
        states: Sequence[Tensor],
        start: int,
        stop: int,
    ) -> tuple[Tensor, ...]:
        """The steps start..stop.

        Args:
            sequences: by name.
            origins: the step at which a sequence begins, where it is not the first.
            states: what enters, [B, ...].
            start: the first step.
            stop: the step after the last.

        Returns:
            What leaves.
        """
        launcher, fields = self.launcher, self.fields
        alive, left = [], []
        for slot in launcher.sequences:
            tensor, stride = slot.strided(sequences[slot.name])
            alive.append(tensor)
            address = tensor.data_ptr()
            if slot.name in origins:
                address -= self._skipped(slot, origins[slot.name]) * stride * slot.dtype.itemsize
            fields[slot.number], fields[slot.number + 1] = address, stride
        for slot, state in zip(launcher.carries, states, strict=True):
            entering = slot.whole(state)
            leaving = torch.empty_like(entering)
            alive.append(entering)
            left.append(leaving)
            fields[slot.number], fields[slot.number + 1] = entering.data_ptr(), leaving.data_ptr()
        fields[launcher.steps], fields[launcher.first] = stop - start, start
        fields[launcher.at] = self.form.fields[launcher.at] + 8 * start
        launcher.run(fields.buffer_info()[0])
        return tuple(slot.given(leaving) for slot, leaving in zip(launcher.carries, left, strict=True))

    def _skipped(self, slot: Slot, origin: int) -> int:
        """How many rows before its own first one a sequence is taken to begin: the kernel counts from step 0."""
        return self.rows.position(origin) if slot.by_row or self.rows.index is not None else origin


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
