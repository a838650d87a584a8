"""`elman tune`: search for a faster schedule of a cell on this machine, and remember it."""

from collections.abc import Callable
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from elman.compiler import NOISE, Schedule, Tuning, forget_schedules, host, schedules_file, tune, using
from elman.errors import ArgumentError

from .show import make_cell, takes_no_input


def tune_cell(
    cell: Annotated[str | None, typer.Argument(help="A cell that elman has, or your own: FILE.py:CLASS.")] = None,
    input_size: Annotated[int, typer.Option(help="I, the size of x; 0 for a system without input.", min=0)] = 128,
    hidden_size: Annotated[int, typer.Option(help="H, the number of units.", min=1)] = 128,
    output_size: Annotated[int, typer.Option(help="O, for cells that have an output of their own.", min=1)] = 4,
    batch: Annotated[int, typer.Option(help="B, the rows of a batch.", min=1)] = 32,
    steps: Annotated[int, typer.Option(help="T, the steps of a sequence.", min=1)] = 100,
    threads: Annotated[int | None, typer.Option(help="Threads; as many as torch takes by default.", min=1)] = None,
    rounds: Annotated[int, typer.Option(help="How often each contender is measured, in turn.", min=1)] = 15,
    forget_all: Annotated[bool, typer.Option("--forget", help="Forget all schedules that were remembered.")] = False,
) -> None:
    """Search for a faster schedule of a cell on this machine, and remember it.

    The training step of a layer is measured under one schedule after the other, each in turn with the default. What
    beats the default by more than 3 %, and does not slow down inference, is remembered beside the kernels: for this
    step, these sizes of units, this processor, as many threads, and batches of about this size. It runs from then on
    in new processes; elman.using(schedule=...) is stronger, and ELMAN_TUNED=0 switches it off.

    \b
        elman tune lstm --input-size 128 --hidden-size 256 --batch 32 --steps 100
        elman tune mycell.py:MyCell --batch 64 --threads 1
        elman tune --forget
    """
    if forget_all:
        typer.echo(f"{forget_schedules()} schedules forgotten, {schedules_file()}")
        return
    if cell is None:
        raise ArgumentError("expected a cell, such as `elman tune lstm`, or --forget.")
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        made = make_cell(cell, input_size, hidden_size, output_size)
        found = _tuned(made, 0 if takes_no_input(made) else input_size, batch, steps, rounds)
    finally:
        torch.set_num_threads(before)
    Console().print(_table(found))
    typer.echo(_verdict(found))


def _tuned(cell: Any, input_size: int, batch: int, steps: int, rounds: int) -> Tuning:
    """The search over a layer of a cell."""
    from elman import Recurrent

    layer = Recurrent(cell)
    x = torch.randn(steps, batch, input_size) if input_size else None
    given = {} if input_size else {"steps": steps, "state": _state(cell, batch)}
    with using(backend="c", schedule=Schedule(target=host().name)):
        plan = layer.plan(x, **given).layers[0]
    typer.echo(f"{plan.cell}: T {steps}, B {batch}, threads {torch.get_num_threads()}; a minute or two", err=True)
    return tune(plan, _training(layer, x, given), batch, rounds, others=[_inference(layer, x, given)])


def _state(cell: Any, batch: int) -> tuple[torch.Tensor, ...]:
    """What enters the first step, so that a system without input has its rows."""
    fed = () if cell.feedback_size is None else (cell.start(batch),)
    return tuple(state.detach() for state in (*cell.initial_state(batch), *fed))


def _training(layer: Any, x: Any, given: dict[str, Any]) -> Callable[[], object]:
    """A training step: forward, and the gradients of all parameters."""
    parameters = [p for p in layer.parameters() if p.requires_grad]
    with torch.no_grad():
        cotangent = torch.randn_like(layer(x, **given)[0])

    def run() -> object:
        y, _ = layer(x, **given)
        return torch.autograd.grad(y, parameters, cotangent, allow_unused=True) if y.requires_grad else y

    return run


def _inference(layer: Any, x: Any, given: dict[str, Any]) -> Callable[[], object]:
    def run() -> object:
        with torch.no_grad():
            return layer(x, **given)

    return run


def _table(found: Tuning) -> Table:
    """The contenders, the fastest first."""
    table = Table()
    names = list(found.default.schedule.as_dict())
    for name in names:
        table.add_column(name, justify="left" if name == "target" else "right")
    for name in ("ms", "ratio", ""):
        table.add_column(name, justify="left" if not name else "right")
    for one in found.contenders:
        notes = ["default"] * (one == found.default) + ["best"] * (one == found.best)
        values = [str(value) for value in one.schedule.as_dict().values()]
        table.add_row(*values, f"{1e3 * one.seconds:.3f}", f"{one.ratio:.3f}", ", ".join(notes))
    return table


def _verdict(found: Tuning) -> str:
    """What came of it, in one line."""
    if found.path is not None:
        return f"remembered: {found.best.schedule} ({1 - found.best.ratio:.1%} faster), in {found.path}"
    if found.best.ratio >= 1 - NOISE:
        return f"nothing beats the default by more than {NOISE:.0%}, so nothing is remembered"
    slower = max(found.others) - 1
    return (
        f"the best is {1 - found.best.ratio:.1%} faster in training, but {slower:.1%} slower otherwise: not remembered"
    )
