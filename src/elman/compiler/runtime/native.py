"""A hoisted loop whose inside runs as C; what stands before and after it runs on torch."""

import math
import sys
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from elman.axes import TIME
from elman.compiler.codegen import Kernel, Schedule
from elman.compiler.graph import Graph, topological
from elman.compiler.unfold import Stages

from .launch import Call, Launcher
from .memory import CPU, LENT, block, inner_block
from .products import own_products
from .program import Result, Tensors
from .python import build, render
from .rows import Rows, all_rows, pack, packed, sequences, unpacked

_ROWS = 2048
_PART = 2**22  # bytes of what the loop hands to the stage after
_CHUNK = 2**21  # bytes that the stage before makes at a time, so that they are read from a cache


@dataclass(frozen=True, eq=False)
class Shelf:
    """Results of one shape that only the gradient will read: they lie side by side in one block of memory.

    What enters a step and what left the one before it are the same numbers: two such results share one block of T + 1
    steps, in which the later one lies a step further.

    Attributes:
        name: of the block among the results.
        places: of the results in the kernel, in the order of the block.
        names: of the results, each with its place; one may have several.
        read: which of them the stage after reads, too.
        chained: whether they are what enters a step and what leaves it, in the order of memory.
    """

    name: str
    places: tuple[int, ...]
    names: tuple[tuple[str, int], ...]
    read: tuple[int, ...]
    chained: bool = False

    def parts(self, made: Tensor, packed: bool) -> list[Tensor]:
        """The results in a block."""
        if self.chained and not packed:
            return [made[:-1], made[1:]]
        return list(made.unbind(0))


class NativeProgram:
    """A hoisted loop whose inside runs as C.

    Args:
        stages: what to run; with an inside.
        schedule: how the inside is cut up.
        kept: names of what the loop hands to that of its gradient, of which these stages are one: see `kept`.

    Raises:
        TraceError: a dtype or a shape that no kernel takes.
        SetupError: there is no compiler, or it fails.
    """

    def __init__(self, stages: Stages, schedule: Schedule, kept: Collection[str] = ()) -> None:
        assert stages.inside is not None
        self.stages = stages
        out, inner = _passed(stages, kept)
        self.kernel = kernel_of(stages, schedule, kept)
        self.launcher = Launcher(self.kernel)
        self._place_of = _places(self.kernel)
        twice = _twice(out, inner)
        count = len(self.kernel.layout.results)
        second = dict(zip(twice, range(count - len(twice), count), strict=True))
        self._out = {name: second.get(each, self._place_of[each]) for name, each in out.items()}
        own = set(self._out.values())
        self._shelved = {name: self._place_of[each] for name, each in inner.items() if self._place_of[each] not in own}
        self._after = _without(stages.after, {*self._shelved, *self._out})
        self.text = {
            "before": render("before", stages.before),
            "inside": self.kernel.text,
            "after": render("after", self._after),
        }
        self._reads = tuple(str(node.value) for node in self._after.inputs)
        lent = {"before": not set(self._reads) & set(stages.before.outputs), "after": False}
        products = {name: own_products(schedule.machine, self.kernel.double, each) for name, each in lent.items()}
        self._run = {name: build(name, self.text[name], products[name]) for name in lent}
        self._inputs = [(str(node.value), node.shape[:1] == (TIME,)) for node in stages.before.inputs]
        made = {*stages.before.outputs, *stages.inside.each, *kept}
        self._given = sequences({str(n.value): n for n in (*stages.before.inputs, *self._after.inputs)}, made)
        self._made = sequences(self._after.outputs, kept)

    def __call__(
        self, given: Tensors, states: tuple[Tensor, ...], steps: int, batch: int, device: Any, rows: Rows | None = None
    ) -> Result:
        """Run all steps; see Program. Where rows are packed, what stands before and after the loop sees B = 1 and as
        many steps as there are rows in all.

        What only the gradient will read comes in blocks, see `kept`.
        """
        rows = all_rows(steps, batch) if rows is None else rows
        found, blocks, addresses = self._room(rows)
        form = self.launcher.form(rows)
        values, call, sums = dict(given), None, self.launcher.sums(form)
        around = values if rows.index is None else packed(given, self._given, rows)
        for start, stop in self._chunks(rows):
            made = self._before(around, start, stop, rows, device)
            values.update(made)
            around.update(made)
            call = Call(self.launcher, values, rows, form, addresses, sums) if call is None else call
            states = call.run(values, dict.fromkeys(made, start) if start else {}, states, start, stop)
        found = {place: self.launcher.results[place].given(tensor, 1) for place, tensor in found.items()}
        around |= {name: self.launcher.totals[name].given(made.sum(0)) for name, made in sums.items()}
        around |= {name: self._inner(place, found[place], rows) for name, place in self._read_results.items()}
        size = (steps, batch) if rows.index is None else (rows.total, 1)
        after = self._run["after"](*size, device, *(around[name] for name in self._reads))
        results = dict(zip(self._after.outputs, after, strict=True))
        if rows.index is not None:
            results = unpacked(results, self._made, rows)
        results |= {name: found[place] for name, place in self._out.items()}
        results |= blocks
        return results, states

    def _inner(self, place: int, result: Tensor, rows: Rows) -> Tensor:
        """A result of the loop as the stage after reads it."""
        padded = rows.index is not None and self.launcher.results[place].outer
        return pack(result, rows, by_row=True) if padded else result

    def kept(self, results: Tensors, packed: bool) -> Tensors:
        """Results by name, those that came in blocks, too; `packed` if the rows were.

        A block is one tensor to make, to save and to give back: with views of it, or a tensor for each of its
        results, a step of an LSTM takes 20 us more.
        """
        found = dict(results)
        for shelf in self._shelves:
            parts = dict(zip(shelf.places, shelf.parts(found.pop(shelf.name), packed), strict=True))
            for name, place in shelf.names:
                found[name] = self.launcher.results[place].given(parts[place], 1)
        return found

    def _room(self, rows: Rows) -> tuple[dict[int, Tensor], Tensors, list[int]]:
        """Memory for what is wanted at every step.

        Returns:
            The results by place, where they are given out or read by the stage after, as the kernel writes them; the
            blocks by name; the address of each result.
        """
        slots, addresses = self.launcher.results, [0] * len(self.launcher.results)
        found: dict[int, Tensor] = {}
        blocks: Tensors = {}
        for shelf in self._shelves:
            slot = slots[shelf.places[0]]
            packed, (steps, *rest) = rows.index is not None, slot.place(rows)
            size = (steps + 1, *rest) if shelf.chained and not packed else (len(shelf.places), steps, *rest)
            made = inner_block(size, slot.dtype)
            first, step = made.data_ptr(), made.stride(0) * made.itemsize
            for number, place in enumerate(shelf.places):
                addresses[place] = first + number * step
            if shelf.read:
                parts = shelf.parts(made, packed)
                found |= {shelf.places[number]: parts[number] for number in shelf.read}
            blocks[shelf.name] = made
        outside = self._out.values()
        for place in self._alone:
            size, dtype = slots[place].place(rows), slots[place].dtype
            made = block(size, dtype, CPU) if place in outside else inner_block(size, dtype)
            if rows.index is not None and slots[place].outer:
                made.zero_()
            addresses[place], found[place] = made.data_ptr(), made
        return found, blocks, addresses

    @cached_property
    def _shelves(self) -> tuple[Shelf, ...]:
        """The blocks: one for each state of which both is kept, what enters a step and what leaves it, one for each
        shape of the rest.
        """
        chains = self._chains()
        alike: dict[Any, dict[str, int]] = {}
        for name, place in self._shelved.items():
            slot = self.launcher.results[place]
            chain = next((chain for chain in chains if place in chain), None)
            alike.setdefault(chain or (slot.by_row, slot.features, slot.dtype), {})[name] = place
        shelves: list[Shelf] = []
        for key, some in alike.items():
            places = key if key in chains else tuple(dict.fromkeys(some.values()))
            read = tuple(n for n, place in enumerate(places) if place in self._read_results.values())
            shelves.append(Shelf(f"block {len(shelves)}", places, tuple(some.items()), read, key in chains))
        return tuple(shelves)

    def _chains(self) -> list[tuple[int, ...]]:
        """Pairs of places: what enters a step and what leaves it, in the order of time."""
        layout, shelved = self.kernel.layout, set(self._shelved.values())
        place = {node: number for number, node in reversed(list(enumerate(layout.results)))}
        pairs = [(place.get(carry.entering), place.get(carry.leaving)) for carry in layout.loop.carries]
        found = [(one, two) for one, two in pairs if one != two and one in shelved and two in shelved]
        once = [pair for pair in found if sum(other in pair for both in found for other in both) == 2]
        return [pair[::-1] if self.kernel.loop.reverse else pair for pair in once]

    @cached_property
    def _alone(self) -> tuple[int, ...]:
        """Places of results that are tensors of their own."""
        shelved = set(self._shelved.values())
        return tuple(place for place in range(len(self.launcher.results)) if place not in shelved)

    @cached_property
    def _read_results(self) -> dict[str, int]:
        """The results of the loop that the stage after reads, each with its place."""
        return {name: self._place_of[name] for name in self._reads if name in self._place_of}

    def _before(self, given: Tensors, start: int, stop: int, rows: Rows, device: Any) -> Tensors:
        """What the stage before hands over, for some steps."""
        outputs = self.stages.before.outputs
        if not outputs:
            return {}
        inputs, steps, batch = [given[name] for name, _ in self._inputs], rows.steps, rows.batch
        if rows.index is not None:
            start, stop, steps, batch = rows.position(start), rows.position(stop), rows.total, 1
        if (start, stop) != (0, steps):
            inputs = [
                tensor.narrow(0, start, stop - start) if timed else tensor
                for tensor, (_, timed) in zip(inputs, self._inputs, strict=True)
            ]
        LENT.begin()
        return dict(zip(outputs, self._run["before"](stop - start, batch, device, *inputs), strict=True))

    def _chunks(self, rows: Rows) -> list[tuple[int, int]]:
        """Runs of steps for which the stage before is computed at a time."""
        length = max(16, self._chunk // rows.batch) if self._chunk else rows.steps
        if length >= rows.steps:
            return [(0, rows.steps)]
        runs = [(start, min(start + length, rows.steps)) for start in range(0, rows.steps, length)]
        return runs[::-1] if self.kernel.loop.reverse else runs

    def at_once(self, batch: int) -> int:
        """Steps after which it pays to hand what the loop has made to the stage after: it is still in a cache, and
        enough for the products of that stage to run at their full rate.
        """
        read = set(self._read_results.values())
        row = sum(slot.size for place, slot in enumerate(self.launcher.results) if place in read)
        rows = max(_ROWS, _PART // max(1, row * self.launcher.real.itemsize))
        return -(-rows // max(1, batch)) if row else sys.maxsize

    @cached_property
    def _chunk(self) -> int:
        """Rows for which the stage before is computed at a time; 0 for all."""
        before = self.stages.before
        made = [node for node in before.outputs.values() if node.shape[:1] == (TIME,)]
        if not made or {str(i.value) for i in self.stages.after.inputs} & set(before.outputs):
            return 0
        row = sum(math.prod(s for s in node.shape if isinstance(s, int)) for node in made)
        return max(1, _CHUNK // (row * self.launcher.real.itemsize))


def _passed(stages: Stages, kept: Collection[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Results that the stage after hands on as they are, each with its name in the loop: those that the caller gets,
    and those that are `kept`.
    """
    assert stages.inside is not None
    found = {name: str(node.value) for name, node in stages.after.outputs.items() if node.op == "input"}
    found = {name: each for name, each in found.items() if each in stages.inside.each}
    out = {name: each for name, each in found.items() if name not in kept}
    return out, {name: each for name, each in found.items() if name in kept}


def _twice(out: dict[str, str], inner: dict[str, str]) -> tuple[str, ...]:
    """Results that both the caller gets and the gradient reads: each has its own copy."""
    return tuple(dict.fromkeys(each for each in out.values() if each in inner.values()))


def _places(kernel: Kernel) -> dict[str, int]:
    """The place of each result of the loop among those of the kernel, by name."""
    written = {node: place for place, node in reversed(list(enumerate(kernel.layout.results)))}
    return {name: written[node] for name, node in kernel.layout.loop.each.items()}


def _without(graph: Graph, names: Collection[str]) -> Graph:
    """A graph without some of its outputs."""
    outputs = {name: node for name, node in graph.outputs.items() if name not in names}
    used = topological(outputs.values())
    return Graph(tuple(node for node in graph.inputs if node in used), outputs)


def kernel_of(stages: Stages, schedule: Schedule, kept: Collection[str] = ()) -> Kernel:
    """The inside of a hoisted loop as C, as NativeProgram runs it: text alone, nothing is built."""
    assert stages.inside is not None
    out, inner = _passed(stages, kept)
    twice = _twice(out, inner)
    given = {str(node.value) for node in stages.inside.sequences} - {*stages.before.outputs, *kept}
    return Kernel(stages.inside, schedule, twice, given | (set(out.values()) - set(twice)))
