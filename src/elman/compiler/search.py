"""The search for a faster schedule: one choice after the other, every contender measured in turn with the default."""

import operator
import statistics
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from elman.errors import ArgumentError

from .codegen import Schedule, light
from .plan import LayerPlan
from .runtime.backend import using
from .runtime.build import host, library
from .runtime.compiled import Compiled
from .runtime.native import kernel_of
from .runtime.rows import all_rows
from .runtime.tuned import remember

AXES = {
    "gates": (1, 2, 3, 4),
    "rows": (2, 3, 4, 5, 6, 7, 8),
    "columns": (1, 2, 3),
    "block": (16, 32, 64, 96, 128, 192, 256),
    "recompute": (True, False),
}
NOISE = 0.03  # by which a schedule must beat the default to be remembered
_STRAW = 0.01  # by which it must beat the best so far to be taken for it
_SWEEPS = 3  # over all axes at most; it ends when one has changed nothing
_SAMPLE = 2e-3  # seconds that one measurement takes at least
_BUILDERS = 2

Run = Callable[[], object]


@dataclass(frozen=True)
class Contender:
    """A schedule that was measured.

    Attributes:
        schedule: the schedule.
        seconds: of a training step, the median.
        ratio: to the default, the median over rounds in which both had their turn: a machine that slows down for a
            while slows down both.
    """

    schedule: Schedule
    seconds: float
    ratio: float


@dataclass(frozen=True)
class Tuning:
    """What a search has found.

    Attributes:
        contenders: all that were measured, the fastest first.
        default: what runs without tuning.
        best: the fastest of the last comparison, which is the default if nothing beats it.
        others: the ratio of the best to the default in what else a layer does, such as inference.
        path: where the best is remembered; None where it is not, because it is no better than the noise.
    """

    contenders: tuple[Contender, ...]
    default: Contender
    best: Contender
    others: tuple[float, ...]
    path: Path | None


def tune(plan: LayerPlan, run: Run, batch: int, rounds: int = 15, others: Sequence[Run] = ()) -> Tuning:
    """Search for the schedule under which a layer trains fastest, and remember it if it beats the default.

    Args:
        plan: of the layer.
        run: one training step of the layer.
        batch: B.
        rounds: how often each contender is measured.
        others: what else the layer does: none of it may get slower.

    Raises:
        ArgumentError: the layer does not run on the C backend.
        SetupError: there is no compiler, or it fails.
    """
    if plan.backend != "c" or plan.compiled is None:
        raise ArgumentError(f"only kernels have a schedule, and {plan.cell} runs otherwise: {plan.reason}.")
    search = _Search(plan.compiled, run, batch, rounds)
    final = list(dict.fromkeys([search.default, search.best()]))
    default, *rest = search.measured(final, run, 3 * rounds)
    best = min(default, *rest, key=_by_ratio) if rest else default
    losses = tuple(search.measured(final, other, rounds)[-1].ratio for other in others)
    path = None
    if best.ratio < 1 - NOISE and all(ratio < 1 + NOISE for ratio in losses):
        told = {"cell": plan.cell, "batch": batch, "threads": torch.get_num_threads(), "ratio": round(best.ratio, 3)}
        path = remember(plan.compiled, best.schedule, batch, told)
    measured = search.found | {one.schedule: one for one in (default, *rest)}
    return Tuning(tuple(sorted(measured.values(), key=_by_ratio)), default, best, losses, path)


class _Search:
    """A search while it is made.

    Attributes:
        default: what runs without tuning.
        found: what was measured.
    """

    def __init__(self, compiled: Compiled, run: Run, batch: int, rounds: int) -> None:
        self.compiled, self.run, self.batch, self.rounds = compiled, run, batch, rounds
        self.default = Schedule(target=host().name)
        self.found: dict[Schedule, Contender] = {}
        self._known: dict[Schedule, tuple[str, ...]] = {}

    def best(self) -> Schedule:
        """The fastest, one axis after the other."""
        best = self.default
        for _ in range(_SWEEPS):
            start = best
            for name, values in AXES.items():
                best = self._along(best, [Schedule.from_dict({**best.as_dict(), name: value}) for value in values])
            if best == start:
                break
        return best

    def _along(self, best: Schedule, others: Iterable[Schedule]) -> Schedule:
        """The best so far, or one of some others if it is faster by more than a straw."""
        contenders = self._different([self.default, best, *others])
        if len(contenders) == 1:
            return best
        measured = self.measured(contenders, self.run, self.rounds)
        self.found |= {contender.schedule: contender for contender in measured}
        fastest = min(measured, key=_by_ratio)
        now = next((one for one in measured if one.schedule == best), measured[0])
        return fastest.schedule if fastest.ratio < now.ratio - _STRAW else best

    def same(self, schedule: Schedule) -> Hashable:
        """What two schedules have in common that make the same of a layer: the text, and how rows are cut."""
        frame = all_rows(1, self.batch).frame(torch.get_num_threads(), schedule.block)
        return (self._texts(schedule), frame.most)

    def _texts(self, schedule: Schedule) -> tuple[str, ...]:
        """The kernels of a training step; those of a step that wants fewer gradients may be others."""
        if schedule not in self._known:
            compiled = self.compiled.under(schedule)
            forward, gradient = compiled.hoisted_kept(light), compiled.gradient_hoisted(compiled.inputs, light)
            kept, loops = compiled.kept_names, [s for s in (forward, gradient) if s.inside is not None]
            self._known[schedule] = tuple(kernel_of(stages, schedule, kept).text for stages in loops)
        return self._known[schedule]

    def _different(self, schedules: Iterable[Schedule]) -> list[Schedule]:
        """One of each that make the same of a layer, the default first."""
        found: dict[Hashable, Schedule] = {}
        for schedule in schedules:
            found.setdefault(self.same(schedule), schedule)
        return list(found.values())

    def measured(self, schedules: Sequence[Schedule], run: Run, rounds: int) -> list[Contender]:
        """Medians, measured in turn; the first is what the others are compared with."""
        self._build(schedules, run)
        times: dict[Schedule, list[float]] = {schedule: [] for schedule in schedules}
        count = max(1, round(_SAMPLE / max(1e-6, _seconds(schedules[0], run, 1))))
        for number in range(rounds):
            turn = number % len(schedules)
            for schedule in (*schedules[turn:], *schedules[:turn]):
                times[schedule].append(_seconds(schedule, run, count))
        first = times[schedules[0]]
        return [
            Contender(schedule, statistics.median(own), statistics.median(map(operator.truediv, own, first)))
            for schedule, own in times.items()
        ]

    def _build(self, schedules: Sequence[Schedule], run: Run) -> None:
        """Have everything built and in the caches before the clock runs; the compiler is a process of its own."""
        wanted = {(text, schedule.machine) for schedule in schedules for text in self._texts(schedule)}
        with ThreadPoolExecutor(_BUILDERS) as pool:
            list(pool.map(lambda order: library(*order), wanted))
        for schedule in schedules:
            _seconds(schedule, run, 1)


def _by_ratio(contender: Contender) -> float:
    return contender.ratio


def _seconds(schedule: Schedule, run: Run, count: int) -> float:
    """Seconds of one run, the mean of some."""
    with using(backend="c", schedule=schedule):
        start = time.perf_counter()
        for _ in range(count):
            run()
        return (time.perf_counter() - start) / count
