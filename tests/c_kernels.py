"""What the tests of the C backend share: the kernels that calls want, found without running them and built together."""

import contextlib
from typing import ClassVar
from unittest import mock

from hypothesis import HealthCheck, Phase, given, seed, settings

from compiled import compiled_only
from elman.compiler import pipeline
from elman.compiler.codegen import TARGETS, Schedule
from elman.compiler.plan import planning
from elman.compiler.runtime import build, job, native
from elman.compiler.runtime.backend import using
from elman.compiler.runtime.launch import build_together
from random_cells import kernel_cases

HERE = tuple(name for name, target in TARGETS.items() if build._needs(target) <= build._able())
"""The targets that this processor runs."""


class _Seen(Exception):
    """The programs of a call are known; it need not run."""


class _Unbuilt:
    """Stands for a launcher: its kernel is written down, and not built."""

    kernels: ClassVar = []

    def __init__(self, kernel):
        self.kernels.append(kernel)


def kernels_of(layer, *arguments, schedule, **options):
    """The kernels that a call of a layer would build: forward, with what is kept, and the gradient."""

    def watch(compiled, backend, *rest):
        for each in (compiled, compiled.with_live, compiled.without_live):
            each.programs.clear()
        try:
            job.prepared(compiled, backend, *rest)
        finally:
            for each in (compiled, compiled.with_live, compiled.without_live):
                each.programs.clear()
        raise _Seen

    _Unbuilt.kernels.clear()
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(pipeline, "prepared", watch))
        stack.enter_context(mock.patch.object(native, "Launcher", _Unbuilt))
        stack.enter_context(using(backend="c", schedule=schedule))
        stack.enter_context(contextlib.suppress(_Seen))
        layer(*arguments, **options)
    return list(_Unbuilt.kernels)


def build_all(kernels, extra=()):
    """Build kernels in as few files as they can share."""
    alike = {}
    for kernel in kernels:
        alike.setdefault((kernel.schedule, kernel.double), []).append(kernel)
    for some in alike.values():
        build_together(some, extra)


def drawn(number, count):
    """Some random cases, the same ones for the same number."""
    found = []

    @seed(number)
    @settings(
        max_examples=count + 1,
        database=None,
        deadline=None,
        derandomize=False,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(kernel_cases())
    def draw(case):
        found.append(case)

    draw()
    return found[1:]  # the first is always the simplest


@contextlib.contextmanager
def in_c(schedule):
    """While this lasts, layers run on kernels, all of what they run; at least one layer does."""
    with using(backend="c", schedule=schedule), compiled_only(), planning() as plans:
        yield
    assert plans
    assert all(plan.backend == "c" and plan.programs.refused == "" for plan in plans), "\n".join(map(str, plans))


SCHEDULE = Schedule(target=HERE[0])  # the widest
