"""A hoisted loop whose inside runs as C; what stands before and after it runs on torch."""

import math
from collections.abc import Callable, Collection
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from elman.axes import TIME
from elman.compiler.codegen import Kernel, Schedule
from elman.compiler.unfold import Stages

from .launch import Call, Launcher
from .memory import LARGE, block
from .program import Result, Tensors
from .python import build, render
from .rows import Rows, all_rows

_CHUNK = 2**21  # bytes that the stage before makes at a time, so that they are read from a cache


class NativeProgram:
    """A hoisted loop whose inside runs as C.

    Args:
        stages: what to run; with an inside.
        schedule: how the inside is cut up.
        kept: results that only the gradient will read: they may lie in one piece of memory.

    Raises:
        TraceError: a dtype or a shape that no kernel takes.
        SetupError: there is no compiler, or it fails.
    """

    def __init__(self, stages: Stages, schedule: Schedule, kept: Collection[str] = ()) -> None:
        assert stages.inside is not None
        self.stages = stages
        loop = stages.inside
        out, inner = _passed(stages, lambda name: name not in kept), _passed(stages, lambda name: name in kept)
        self._twice = {name: each for name, each in out.items() if each in inner.values()}
        self._own = {each for name, each in out.items() if name not in self._twice}
        self.kernel = Kernel(loop, schedule, tuple(self._twice.values()))
        self.launcher = Launcher(self.kernel)
        self.text = {
            "before": render("before", stages.before),
            "inside": self.kernel.text,
            "after": render("after", stages.after),
        }
        self._run = {name: build(name, self.text[name]) for name in ("before", "after")}

    def __call__(
        self, given: Tensors, states: tuple[Tensor, ...], steps: int, batch: int, device: Any, rows: Rows | None = None
    ) -> Result:
        """Run all steps; see Program. With packed rows, T is the number of all rows of all steps, and B is 1."""
        rows = all_rows(steps, batch) if rows is None else rows
        results = self._places(rows)
        values, call = dict(given), None
        for start, stop in self._chunks(rows):
            span = (start, stop) if rows.index is None else (rows.position(start), rows.position(stop))
            made = self._before(given, *span, batch, device)
            values.update(made)
            call = Call(self.launcher, values, rows) if call is None else call
            states = call.run(values, dict.fromkeys(made, start), states, results, start, stop)
        found = [slot.given(tensor, 1) for slot, tensor in zip(self.launcher.results, results, strict=True)]
        return self._after(values, found, steps, batch, device), states

    def _places(self, rows: Rows) -> list[Tensor]:
        """Memory for what is wanted at every step; what only the gradient will read lies in one block if it is large."""
        launcher = self.launcher
        shapes = [launcher.place(slot, rows) for slot in launcher.results]
        dtypes = [torch.uint8 if slot.boolean else launcher.real for slot in launcher.results]
        inner = [number for number in self._inner if not launcher.results[number].boolean]
        sizes = [math.prod(shapes[number]) for number in inner]
        if sum(sizes) * launcher.real.itemsize < LARGE:
            return [torch.empty(shape, dtype=dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
        parts = dict(zip(inner, block((sum(sizes),), launcher.real, "cpu").split(sizes), strict=True))
        return [
            parts[n].view(shape) if n in parts else block(shape, dtype, "cpu")
            for n, (shape, dtype) in enumerate(zip(shapes, dtypes, strict=True))
        ]

    @cached_property
    def _place_of(self) -> dict[str, int]:
        """The place of each result of the loop, by name."""
        written = {node: number for number, node in reversed(list(enumerate(self.kernel.layout.results)))}
        return {name: written[node] for name, node in self.kernel.layout.loop.each.items()}

    @cached_property
    def _inner(self) -> list[int]:
        """Places of results that are not given out."""
        own = {self._place_of[name] for name in self._own}
        count = len(self.kernel.layout.results)
        return [number for number in range(count - len(self._twice)) if number not in own]

    def _after(self, values: Tensors, found: list[Tensor], steps: int, batch: int, device: Any) -> Tensors:
        """What the stage after makes of the results of the loop."""
        values |= {name: found[number] for name, number in self._place_of.items()}
        after = self.stages.after
        made = self._run["after"](steps, batch, device, *(values[str(i.value)] for i in after.inputs))
        second = found[len(found) - len(self._twice) :]
        return {**dict(zip(after.outputs, made, strict=True)), **dict(zip(self._twice, second, strict=True))}

    def _before(self, given: Tensors, start: int, stop: int, batch: int, device: Any) -> Tensors:
        """What the stage before hands over, for some steps."""
        inputs = []
        for node in self.stages.before.inputs:
            tensor = given[str(node.value)]
            inputs.append(tensor.narrow(0, start, stop - start) if node.shape[:1] == (TIME,) else tensor)
        made = self._run["before"](stop - start, batch, device, *inputs)
        return dict(zip(self.stages.before.outputs, made, strict=True))

    def _chunks(self, rows: Rows) -> list[tuple[int, int]]:
        """Runs of steps for which the stage before is computed at a time."""
        length = max(16, self._chunk // rows.batch) if self._chunk else rows.steps
        if length >= rows.steps:
            return [(0, rows.steps)]
        runs = [(start, min(start + length, rows.steps)) for start in range(0, rows.steps, length)]
        return runs[::-1] if self.kernel.loop.reverse else runs

    @cached_property
    def _chunk(self) -> int:
        """Rows for which the stage before is computed at a time; 0 for all."""
        before = self.stages.before
        made = [node for node in before.outputs.values() if node.shape[:1] == (TIME,)]
        if not made or {str(i.value) for i in self.stages.after.inputs} & set(before.outputs):
            return 0
        row = sum(math.prod(s for s in node.shape if isinstance(s, int)) for node in made)
        return max(1, _CHUNK // (row * self.launcher.real.itemsize))


def _passed(stages: Stages, which: Callable[[str], bool]) -> dict[str, str]:
    """Results that the stage after hands on as they are: by name, their names in the loop."""
    assert stages.inside is not None
    return {
        name: str(node.value)
        for name, node in stages.after.outputs.items()
        if which(name) and node.op == "input" and str(node.value) in stages.inside.each
    }
