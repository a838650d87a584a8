"""A call, ready to run: which programs, on which tensors."""

from dataclasses import dataclass

from elman.compiler.sequences import Sequences

from .compiled import Compiled
from .program import Tensors
from .programs import Backend, Programs
from .rows import Rows, filled, live_rows
from .tuned import tuned

NO_ROWS = Backend(None, "there are no rows")


@dataclass(frozen=True, eq=False)
class Job:
    """What runs, on what.

    Attributes:
        programs: what runs.
        named: sequences and invariants by name.
        rows: which rows are live at which step, where the programs leave out the rest.
    """

    programs: Programs
    named: Tensors
    rows: Rows | None = None


def prepared(
    compiled: Compiled, backend: Backend, given: Sequences, named: Tensors, training: bool, by_step: bool = False
) -> Job:
    """The job of a call: kernels over packed rows where rows end before T, if there are kernels.

    Rows that start anew are not packed: then a cotangent may belong to a row rather than to a step. Nor are those of
    a gradient `by_step`: it is one for each step and not for each row of it.
    """
    if given.batch == 0:
        backend = NO_ROWS
    backend = tuned(compiled, backend, given.batch)
    wanted = frozenset([name for name, tensor in named.items() if tensor.requires_grad]) if training else None
    ragged = given.live is not None and given.reset is None and not by_step and bool(given.live.any())
    if ragged and backend.schedule is not None:
        programs = programs_of(compiled.without_live, backend, wanted)
        if programs.native:
            assert given.live is not None
            del named["live"]
            return Job(programs, named, live_rows(given.live))
    full = filled(given)
    named |= {name: tensor for name, tensor in (("x", full.x), ("fed", full.fed)) if tensor is not None}
    return Job(programs_of(compiled, backend, wanted, by_step), named)


def programs_of(compiled: Compiled, backend: Backend, wanted: frozenset[str] | None, by_step: bool = False) -> Programs:
    """The programs of a compiled step under a backend, built: forward, or forward and backward."""
    programs: Programs | None = compiled.programs.get(backend)
    if programs is None:
        programs = compiled.programs.setdefault(backend, Programs(compiled.under(backend.schedule), backend))
    assert programs is not None
    if wanted is None:
        _ = programs.forward
    else:
        _ = programs.forward_kept
        _ = programs.by_step(wanted) if by_step else programs.backward(wanted)
    return programs
