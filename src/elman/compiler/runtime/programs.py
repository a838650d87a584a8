"""What runs: for each loop of a step one program, in C where there is a kernel for it, else on torch."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from torch import Tensor

from elman.compiler.codegen import Schedule, check_whole_numbers, light
from elman.compiler.unfold import Stages
from elman.errors import SetupError, TraceError

from .compiled import Compiled
from .native import NativeProgram
from .products import own_products
from .program import Program, Result, Tensors
from .rows import Rows, packed, sequences, unpacked


@dataclass(frozen=True)
class Backend:
    """Who computes, and why.

    Attributes:
        schedule: of the kernels; None for torch alone.
        reason: for people.
        strict: no kernel is an error.
        free: nobody asked for this schedule, so that one that was tuned may take its place.
    """

    schedule: Schedule | None
    reason: str
    strict: bool = False
    free: bool = False


class Programs:
    """The programs of a compiled step under one backend; each is made when it is first wanted.

    Args:
        compiled: the loops.
        backend: who computes.

    Attributes:
        refused: why a loop runs on torch although a kernel was asked for; empty where none does.
    """

    def __init__(self, compiled: Compiled, backend: Backend) -> None:
        self.compiled, self.backend = compiled, backend
        self.refused = ""
        self._backward: dict[Any, Program | NativeProgram] = {}

    @cached_property
    def forward(self) -> Program | NativeProgram:
        """Runs the loop."""
        return self._program(self.compiled.hoisted)

    @cached_property
    def forward_kept(self) -> Program | NativeProgram:
        """Runs the loop and keeps what the gradient needs."""
        return self._program(self.compiled.hoisted_kept, self.compiled.kept_names)

    def backward(self, wanted: frozenset[str]) -> Program | NativeProgram:
        """Runs the loop of the gradient, as far as the cotangents of the named inputs need it."""
        return self._gradient(self.compiled.gradient_hoisted, wanted)

    def by_step(self, wanted: frozenset[str]) -> Program | NativeProgram:
        """The same, and the cotangents of what is the same at all steps come step by step."""
        return self._gradient(self.compiled.gradient_by_step, wanted)

    def _gradient(self, hoisted: Callable[..., Stages], wanted: frozenset[str]) -> Program | NativeProgram:
        if self.compiled.binding.reset:
            wanted |= {f"{state.value}[0]" for state in self.compiled.step.states}
        known = self._backward.get((hoisted, wanted))
        if known is None:
            known = self._backward[hoisted, wanted] = self._program(partial(hoisted, wanted), self.compiled.kept_names)
        return known

    def _program(self, hoisted: Callable[..., Stages], kept: Collection[str] = ()) -> Program | NativeProgram:
        """A kernel where one is asked for and there is a loop left to run."""
        schedule = self.backend.schedule
        if schedule is None:
            return Program(hoisted())
        try:
            check_whole_numbers(self.compiled.loop)
            if not self.compiled.loop.carries:
                stages = hoisted()
                double = any(n.dtype == "float64" for n in (*stages.before.inputs, *stages.after.inputs))
                return Program(stages, products=own_products(schedule.machine, double))
            return NativeProgram(hoisted(light=light), schedule, kept)
        except (TraceError, SetupError) as error:
            if self.backend.strict:
                raise
            self.refused = str(error)
            return Program(hoisted())

    def kept(self, results: Tensors, packed: bool = False) -> Tensors:
        """Results of `forward_kept` by name, those that only the gradient reads, too."""
        program = self.forward_kept
        return program.kept(results, packed) if isinstance(program, NativeProgram) else results

    @property
    def keeps_packed(self) -> bool:
        """Whether `forward_kept` keeps the rows that are live and no others, where it is told which those are."""
        return isinstance(self.forward_kept, NativeProgram)

    @property
    def native(self) -> bool:
        """Whether all that was made so far runs without torch's loop."""
        return self.backend.schedule is not None and not self.refused

    def run(
        self,
        program: Program | NativeProgram,
        given: Tensors,
        states: tuple[Tensor, ...],
        steps: int,
        batch: int,
        rows: Rows | None = None,
    ) -> Result:
        """Run a loop from states to states; states that are not carried are returned at each step, by name."""
        compiled = self.compiled
        device = states[0].device if states else next(iter(given.values())).device
        return self.start(
            program,
            {**given, **self.firsts(states)},
            tuple(states[number] for number in compiled.carried),
            steps,
            batch,
            device,
            rows,
        )

    def firsts(self, states: tuple[Tensor, ...]) -> Mapping[str, Tensor]:
        """The states that a row gets where it starts anew, by the names of the graph; none where no row does."""
        if not self.compiled.binding.reset:
            return {}
        return {f"{s.value}[0]": v for s, v in zip(self.compiled.step.states, states, strict=True)}

    @staticmethod
    def start(
        program: Program | NativeProgram,
        given: Tensors,
        carried: tuple[Tensor, ...],
        steps: int,
        batch: int,
        device: Any,
        rows: Rows | None,
    ) -> Result:
        """Call a program; only a kernel, or a program without a loop, leaves out the rows that have ended."""
        if isinstance(program, NativeProgram):
            return program(given, carried, steps, batch, device, rows)
        if rows is None:
            return program(given, carried, steps, batch, device)
        assert program.stages.inside is None
        before, after = program.stages.before, program.stages.after
        read = {str(node.value): node for node in (*before.inputs, *after.inputs)}
        given = packed(given, sequences(read, before.outputs), rows)
        results, states = program(given, carried, rows.total, 1, device)
        return unpacked(results, sequences(after.outputs, ()), rows), states
