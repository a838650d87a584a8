"""A hoisted loop whose inside runs as C; what stands before and after it runs on torch."""

import math
from functools import cached_property
from typing import Any

from torch import Tensor

from elman.axes import TIME
from elman.compiler.codegen import Kernel, Schedule
from elman.compiler.unfold import Stages

from .launch import Launcher, finished, place_for
from .program import Result, Tensors
from .python import build, render
from .rows import Rows, all_rows

_CHUNK = 2**21  # bytes that the stage before makes at a time, so that they are read from a cache


class NativeProgram:
    """A hoisted loop whose inside runs as C.

    Args:
        stages: what to run; with an inside.
        schedule: how the inside is cut up.
    """

    def __init__(self, stages: Stages, schedule: Schedule) -> None:
        assert stages.inside is not None
        self.stages, self.kernel = stages, Kernel(stages.inside, schedule)
        self.launcher = Launcher(self.kernel)
        texts = {"before": render("before", stages.before), "after": render("after", stages.after)}
        self._run = {name: build(name, text) for name, text in texts.items()}
        self.text = {**texts, "inside": self.kernel.text}

    def __call__(
        self, given: Tensors, states: tuple[Tensor, ...], steps: int, batch: int, device: Any, rows: Rows | None = None
    ) -> Result:
        """Run all steps; see Program. With packed rows, T is the number of all rows of all steps, and B is 1."""
        inside = self.stages.inside
        assert inside is not None
        rows = all_rows(steps, batch) if rows is None else rows
        places = {n: place_for(n, self.launcher.real, steps, batch, device) for n in self.kernel.layout.results}
        values, call = dict(given), None
        for start, stop in self._chunks(rows, inside.reverse):
            span = (start, stop) if rows.index is None else (rows.position(start), rows.position(stop))
            made = self._before(given, *span, batch, device)
            values.update(made)
            if call is None:
                call = self.launcher.prepare(values, rows, rows.batch * self._work)
            origins = dict.fromkeys(made, start)
            states = call.run(values, origins, states, places, start, stop)
        results = dict(zip(inside.each, self.kernel.layout.loop.each.values(), strict=True))
        values |= {name: finished(places[node], node) for name, node in results.items()}
        after = self.stages.after
        found = self._run["after"](steps, batch, device, *(values[str(i.value)] for i in after.inputs))
        return dict(zip(after.outputs, found, strict=True)), states

    def _before(self, given: Tensors, start: int, stop: int, batch: int, device: Any) -> Tensors:
        """What the stage before hands over, for some steps."""
        inputs = []
        for node in self.stages.before.inputs:
            tensor = given[str(node.value)]
            inputs.append(tensor.narrow(0, start, stop - start) if node.shape[:1] == (TIME,) else tensor)
        made = self._run["before"](stop - start, batch, device, *inputs)
        return dict(zip(self.stages.before.outputs, made, strict=True))

    def _chunks(self, rows: Rows, reverse: bool) -> list[tuple[int, int]]:
        """Runs of steps for which the stage before is computed at a time."""
        before, steps = self.stages.before, rows.steps
        made = [node for node in before.outputs.values() if node.shape[:1] == (TIME,)]
        later = {str(i.value) for i in self.stages.after.inputs}
        if not made or later & set(before.outputs):
            return [(0, steps)]
        row = sum(math.prod(s for s in node.shape if isinstance(s, int)) for node in made)
        length = max(16, _CHUNK // max(1, row * rows.batch * 4))
        runs = [(start, min(start + length, steps)) for start in range(0, steps, length)]
        return runs[::-1] if reverse else runs

    @cached_property
    def _work(self) -> int:
        """Multiply-adds of a row and step, about."""
        return sum(packed.entries for packed in self.kernel.packed) + 1
