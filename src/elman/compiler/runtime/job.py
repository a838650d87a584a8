"""A call, ready to run: which programs, on which tensors."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from elman.axes import BATCH
from elman.compiler.sequences import Sequences

from .compiled import Compiled
from .program import Tensors
from .programs import Backend, Programs
from .rows import Rows, live_rows, pack, unpack
from .tuned import tuned

NO_ROWS = Backend(None, "there are no rows")


@dataclass(frozen=True, eq=False)
class Job:
    """What runs, on what.

    Attributes:
        programs: what runs.
        named: sequences and invariants by name.
        steps: T; the number of live rows of all steps if they are packed.
        batch: B; 1 if rows are packed.
        rows: how rows stand in memory if they are packed.
    """

    programs: Programs
    named: Tensors
    steps: int
    batch: int
    rows: Rows | None = None

    def padded(self, outputs: Any) -> tuple[Tensor, ...]:
        """The results of every step as [T, B, ...], and what leaves the last step."""
        if self.rows is None:
            return tuple(outputs)
        count = len(self.programs.compiled.loop.each)
        return (*(unpack(each, self.rows) for each in outputs[:count]), *outputs[count:])


def prepared(compiled: Compiled, backend: Backend, given: Sequences, named: Tensors, training: bool) -> Job:
    """The job of a call: kernels over packed rows where rows end before T, if there are kernels.

    Rows that start anew are not packed: then a cotangent may belong to a row rather than to a step.
    """
    if given.batch == 0:
        backend = NO_ROWS
    backend = tuned(compiled, backend, given.batch)
    wanted = frozenset([name for name, tensor in named.items() if tensor.requires_grad]) if training else None
    ragged = given.live is not None and given.reset is None and bool(given.live.any())
    if ragged and backend.schedule is not None:
        programs = programs_of(compiled.without_live, backend, wanted)
        if programs.native:
            assert given.live is not None
            rows = live_rows(given.live)
            assert rows.index is not None
            return Job(programs, _packed(compiled, named, rows), len(rows.index), 1, rows)
    return Job(programs_of(compiled, backend, wanted), named, given.steps, given.batch)


def programs_of(compiled: Compiled, backend: Backend, wanted: frozenset[str] | None) -> Programs:
    """The programs of a compiled step under a backend, built: forward, or forward and backward."""
    programs: Programs | None = compiled.programs.get(backend)
    if programs is None:
        programs = compiled.programs.setdefault(backend, Programs(compiled.under(backend.schedule), backend))
    assert programs is not None
    if wanted is None:
        _ = programs.forward
    else:
        _ = programs.forward_kept
        if compiled.binding.reset:
            wanted |= {f"{state.value}[0]" for state in compiled.step.states}
        programs.backward(wanted)
    return programs


def _packed(compiled: Compiled, named: Tensors, rows: Rows) -> Tensors:
    """Sequences without the rows that have ended; parameters as they are."""
    shapes = {str(node.value): node.shape for node in compiled.step.sequences}
    return {
        name: pack(tensor, rows, BATCH in shapes[name]) if name in shapes else tensor
        for name, tensor in named.items()
        if name != "live"
    }
