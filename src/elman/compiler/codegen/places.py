"""Where the values of a step stand in memory, row by row, and how the same memory is looked at in other shapes."""

from dataclasses import dataclass

from elman.axes import BATCH, Shape
from elman.errors import TraceError


@dataclass(frozen=True)
class Memory:
    """A tensor in memory. Each row of the batch holds its features one after the other.

    Attributes:
        name: in the C text.
        kind: "sequence", "invariant", "state" (what enters the step), "next" (what leaves it), "result" (wanted at
            every step), "total" (summed over rows and steps) or "scratch".
        shape: of one step.
        boolean: one byte an entry, 0 or 1.
        outer: the rows stand as the caller has them, [T, B], also where those that have ended are left out elsewhere.
    """

    name: str
    kind: str
    shape: Shape
    boolean: bool = False
    outer: bool = False

    @property
    def size(self) -> int:
        """Entries of one row."""
        size = 1
        for length in self.shape:
            size *= 1 if length == BATCH else int(length)
        return size

    @property
    def local(self) -> bool:
        """Whether it belongs to the kernel."""
        return self.kind in ("state", "next", "scratch")


@dataclass(frozen=True)
class View:
    """A part of a memory in some shape.

    Attributes:
        memory: where it is.
        offset: of the first entry in a row.
        strides: of each axis, 0 for the axis of the batch and for axes along which entries repeat.
        shape: of the part.
    """

    memory: Memory
    offset: int
    strides: tuple[int, ...]
    shape: Shape

    def cut(self, axis: int, start: int, stop: int) -> "View":
        """Entries start..stop of an axis."""
        shape = (*self.shape[:axis], stop - start, *self.shape[axis + 1 :])
        return View(self.memory, self.offset + start * self.strides[axis], self.strides, shape)

    def turned(self, order: tuple[int, ...]) -> "View":
        """The axes in another order."""
        strides, shape = tuple(self.strides[axis] for axis in order), tuple(self.shape[axis] for axis in order)
        return View(self.memory, self.offset, strides, shape)

    def repeated(self, shape: Shape) -> "View":
        """Broadcast to a shape: new axes and axes of size 1 repeat."""
        own = (0,) * (len(shape) - len(self.shape)) + self.strides
        sizes: Shape = (1,) * (len(shape) - len(self.shape)) + self.shape
        strides = tuple(0 if size == 1 else stride for size, stride in zip(sizes, own, strict=True))
        return View(self.memory, self.offset, strides, shape)

    def reshaped(self, shape: Shape) -> "View | None":
        """The same entries in another shape; None where that takes a copy."""
        check_rows(self.shape, shape)
        axes = [(size, stride) for size, stride in zip(self.shape, self.strides, strict=True) if size != 1]
        if [size for size, _ in axes] == [size for size in shape if size != 1]:
            rest = iter(axes)
            strides = tuple(0 if size == 1 else next(rest)[1] for size in shape)
            return View(self.memory, self.offset, strides, shape)
        one_by_one = [stride for size, stride in zip(self.shape, in_order(self.shape), strict=True) if size != 1]
        if [stride for _, stride in axes] == one_by_one:
            return View(self.memory, self.offset, in_order(shape), shape)
        return None


def whole(memory: Memory) -> View:
    """All of a memory."""
    return View(memory, 0, in_order(memory.shape), memory.shape)


def in_order(shape: Shape) -> tuple[int, ...]:
    """The strides of a row whose entries stand one after the other."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(0 if size == BATCH else step)
        step *= 1 if size == BATCH else int(size)
    return tuple(reversed(strides))


def check_rows(old: Shape, new: Shape) -> None:
    """A reshape that moves entries from row to row is none that a kernel can look through.

    Raises:
        TraceError: the entries before the axis of the batch change.
    """

    def before(shape: Shape) -> int:
        count = 1
        for size in shape[: shape.index(BATCH)] if BATCH in shape else ():
            count *= int(size)
        return count

    if before(old) != before(new):
        raise TraceError(f"a reshape from {old} to {new} mixes the rows of the batch")
