"""A hoisted loop that runs on torch."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from elman.axes import numbers
from elman.compiler.graph import Graph, Node
from elman.compiler.unfold import Loop, Stages

from .memory import block
from .onednn import BY_ONEDNN, addmm, mm, packed, takes
from .products import BY_TORCH, Products
from .python import build, render, sliced_nodes, step_weights
from .scan import pays, scan_of

Tensors = dict[str, Tensor]
Result = tuple[Tensors, tuple[Tensor, ...]]
Size = tuple[int, int, Any]

_CACHE = 4 * 2**20  # bytes of a second-level cache, and of a temporary that malloc does not give back to the system


class Program:
    """A hoisted loop that runs on torch.

    Args:
        stages: what to run.
        write: what is wanted of each step is written into one block of memory for all steps; without it every
            result is a new tensor, and autograd can follow.
        products: who multiplies before and after the loop; the fastest that torch has, if None.
    """

    def __init__(self, stages: Stages, write: bool = True, products: Products | None = None) -> None:
        self.stages = stages
        self.text = {"before": render("before", stages.before)}
        self._blocks = _Blocks(stages.inside) if stages.inside is not None and write else None
        self._scan = None
        if stages.inside is not None:
            self._scan = scan_of(stages.inside) if write else None
            body, places = body_of(stages.inside), self._blocks.places if self._blocks else ()
            weights = step_weights(body, stages.inside.invariants) if write else {}
            self._sliced = sliced_nodes(body, places) if write else {}
            returned = len(stages.inside.carries) if write else None
            self.text["inside"] = render("inside", body, places, weights, self._sliced, returned, free=False)
            self._weights = {str(node.value): turned for node, turned in weights.items()}
        self.text["after"] = render("after", stages.after)
        products = products or (BY_ONEDNN if write else BY_TORCH)
        self._run = {name: build(name, text, products) for name, text in self.text.items()}
        if "inside" in self.text:
            self._run["inside, packed"] = build("inside", self.text["inside"], mm=mm, addmm=addmm)

    def __call__(self, given: Tensors, states: tuple[Tensor, ...], steps: int, batch: int, device: Any) -> Result:
        """Run all steps.

        Args:
            given: sequences [T, ...] and invariants by name.
            states: what enters the first step, one per carry of the loop.
            steps: T.
            batch: B.
            device: where new tensors are made.

        Returns:
            The results by name, and what leaves the last step.
        """
        size = (steps, batch, device)
        inside, after = self.stages.inside, self.stages.after
        if inside is None:
            values = {**given, **self._before(given, size)}
        else:
            found = self._scanned(given, states, size)
            if found is None:
                found = (self._written if self._blocks else self._stacked)(inside, given, states, size)
            values, states = found
        results = self._run["after"](*size, *(values[str(i.value)] for i in after.inputs))
        return dict(zip(after.outputs, results, strict=True)), states

    def _before(self, given: Tensors, size: Size) -> Tensors:
        """What the stage before hands over."""
        inputs = (given[str(i.value)] for i in self.stages.before.inputs)
        return dict(zip(self.stages.before.outputs, self._run["before"](*size, *inputs), strict=True))

    def _scanned(self, given: Tensors, states: tuple[Tensor, ...], size: Size) -> Result | None:
        """All steps at once; None where the steps must run one after the other, or do so faster."""
        if self._scan is None or not pays(states, size[0]):
            return None
        values = {**given, **self._before(given, size)}
        found = self._scan(values, states, *size[:2])
        return None if found is None else ({**values, **found[0]}, found[1])

    def _written(self, loop: Loop, given: Tensors, states: tuple[Tensor, ...], size: Size) -> Result:
        """The steps one after the other; what is wanted of each goes where it will stay."""
        assert self._blocks is not None
        kept, places, states = self._blocks.make(states, size)
        values, same, rooms = dict(given), None, list(self._rooms(size))
        for start, stop in self._chunks(loop, given, size):
            values.update(self._before(_part(self.stages.before, given, start, stop), (stop - start, *size[1:])))
            if same is None:
                same = self._invariants(loop, values, size)
                body = self._run["inside, packed" if any(i.is_mkldnn for i in same) else "inside"]
            sequences = _sequences(loop, values, given, start, stop)
            written = (place[start:stop] for place in places)
            with torch.inference_mode():  # nothing follows what is done here; each operation costs a little less
                for now, here in zip(
                    _steps(loop, sequences, stop - start), _steps(loop, written, stop - start), strict=True
                ):
                    states = body(*size, *now, *states, *same, *here, *rooms)
        return {**values, **kept}, tuple(state.clone() for state in states)

    def _stacked(self, loop: Loop, given: Tensors, states: tuple[Tensor, ...], size: Size) -> Result:
        """The steps one after the other; what is wanted of each is put together at the end."""
        body, carried = self._run["inside"], len(loop.carries)
        values = {**given, **self._before(given, size)}
        same, sequences = self._invariants(loop, values, size), _sequences(loop, values, given, 0, size[0])
        results = []
        for now in _steps(loop, sequences, size[0]):
            results.append(body(*size, *now, *states, *same))
            states = results[-1][:carried]
        if loop.reverse:
            results.reverse()
        kept = {name: torch.stack([r[carried + n] for r in results]) for n, name in enumerate(loop.each)}
        return {**values, **kept}, states

    def _rooms(self, size: Size) -> Iterable[Tensor]:
        """Memory that every step writes anew, and its slices."""
        steps, batch, device = size
        for node, parts in self._sliced.items():
            whole = torch.empty(numbers(node.shape, steps, batch), dtype=getattr(torch, node.dtype), device=device)
            yield whole
            for part in parts:
                axis, start, stop = part.value
                yield whole.narrow(axis, start, stop - start)

    def _invariants(self, loop: Loop, values: Tensors, size: Size) -> list[Tensor]:
        """What is the same at all steps; weights are laid out once for all of them."""
        named = {str(i.value): values[str(i.value)] for i in loop.invariants}
        return [
            self._laid_out(w, self._weights[name], size[1]) if name in self._weights else w for name, w in named.items()
        ]

    @staticmethod
    def _laid_out(w: Tensor, turned: bool, batch: int) -> Tensor:
        """A weight as the product of every step reads it fastest: W [K, N], or packed."""
        w = w.t() if turned else w
        return packed(w, batch) if takes(w, batch * w.numel()) else w.contiguous()

    def _chunks(self, loop: Loop, given: Tensors, size: Size) -> list[tuple[int, int]]:
        """Runs of steps for which the stage before is computed at a time: few enough to stay in the cache.

        All steps are one run if the stage after reads what is computed here, or if there is nothing to compute.
        """
        steps, batch, _ = size
        made = [node for node in self.stages.before.outputs.values() if node.shape[:1] == ("T",)]
        later = {str(i.value) for i in self.stages.after.inputs}
        if not made or later & set(self.stages.before.outputs):
            return [(0, steps)]
        row = sum(math.prod(s for s in node.shape if isinstance(s, int)) for node in made)
        length = max(16, _CACHE // max(1, row * batch * next(iter(given.values())).element_size()))
        runs = [(start, min(start + length, steps)) for start in range(0, steps, length)]
        return runs[::-1] if loop.reverse else runs


class _Blocks:
    """Where a loop writes what is wanted of each step.

    A state that enters a step is the one that left the step before it: both are parts of one block of T + 1.

    Attributes:
        places: nodes that are written, each into a block of its own.
    """

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        wanted = set(loop.each.values())
        self.ends = {c.leaving: n for n, c in enumerate(loop.carries) if wanted & {c.entering, c.leaving}}
        entering = {loop.carries[number].entering for number in self.ends.values()}
        alone = [n for n in dict.fromkeys(loop.each.values()) if n not in self.ends and n not in entering]
        self.places: tuple[Node, ...] = (*self.ends, *alone)

    def make(
        self, states: tuple[Tensor, ...], size: Size
    ) -> tuple[Tensors, list[tuple[Tensor, ...]], tuple[Tensor, ...]]:
        """Fresh blocks: what is wanted by name, where each step writes, and the states at their places."""
        steps, batch, device = size
        first, before, after = (steps, 1, 0) if self.loop.reverse else (0, 0, 1)
        blocks: dict[Node, Tensor] = {}
        for node in self.places:
            length = steps + 1 if node in self.ends else steps
            blocks[node] = block((length, *numbers(node.shape, steps, batch)), getattr(torch, node.dtype), device)
        own = list(states)
        named: dict[Node, Tensor] = {node: block for node, block in blocks.items() if node not in self.ends}
        for node, number in self.ends.items():
            own[number] = blocks[node][first].copy_(states[number])
            named[node] = blocks[node].narrow(0, after, steps)
            named[self.loop.carries[number].entering] = blocks[node].narrow(0, before, steps)
        places = [named[node].unbind(0) for node in self.places]
        return {name: named[node] for name, node in self.loop.each.items()}, places, tuple(own)


def body_of(loop: Loop) -> Graph:
    """The body of a loop as a graph: what leaves the step first, then what is wanted of it."""
    inputs = (*loop.sequences, *(c.entering for c in loop.carries), *loop.invariants)
    leaving = {f"{c.entering.value} leaving": c.leaving for c in loop.carries}
    return Graph(inputs, {**leaving, **loop.each, **loop.total})


def _part(graph: Graph, given: Tensors, start: int, stop: int) -> Tensors:
    """The inputs of a graph from one step to another."""
    return {
        str(i.value): given[str(i.value)].narrow(0, start, stop - start)
        if i.shape[:1] == ("T",)
        else given[str(i.value)]
        for i in graph.inputs
    }


def _sequences(loop: Loop, values: Tensors, given: Tensors, start: int, stop: int) -> list[tuple[Tensor, ...]]:
    """Sequences step by step; what was given holds all steps, what was made only these."""
    names = [str(s.value) for s in loop.sequences]
    parts = (values[n].narrow(0, start, stop - start) if n in given else values[n] for n in names)
    return [part.unbind(0) for part in parts]


def _steps(loop: Loop, sequences: Iterable[Sequence[Tensor]], steps: int) -> Iterable[tuple[Tensor, ...]]:
    """What each step reads of some sequences, in the order of the loop."""
    every = list(zip(*sequences, strict=True)) or [()] * steps
    return reversed(every) if loop.reverse else every
