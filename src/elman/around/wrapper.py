"""A cell around a cell: what all wrappers share."""

from collections.abc import Iterable, Sequence

from torch import Tensor

from elman.cells.cell import Cell, States
from elman.errors import ArgumentError


class Wrapper(Cell):
    """A cell that steps as another one does, until a subclass says otherwise.

    Args:
        cell: the cell that is wrapped; it may itself be a wrapper.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        if not isinstance(cell, Cell):
            raise ArgumentError(f"expected a cell (a subclass of elman.Cell), got {type(cell).__name__}.")
        self.cell = cell

    @property
    def state_size(self) -> Sequence[int | tuple[int, ...]]:  # type: ignore[override]
        return self.cell.state_size

    @property
    def feedback_size(self) -> int | tuple[int, ...] | None:  # type: ignore[override]
        return self.cell.feedback_size

    @property
    def held(self) -> int:  # type: ignore[override]
        return self.cell.held

    def step(self, x: Tensor | None, *states: Tensor) -> Tensor | States:
        return self.cell.step(x, *states)

    def output(self, *states: Tensor) -> Tensor:
        return self.cell.output(*states)

    def initial_state(self, batch_size: int) -> States:
        return self.cell.initial_state(batch_size)

    def start(self, batch_size: int) -> Tensor:
        return self.cell.start(batch_size)

    def _before(self, entering: Sequence[Tensor]) -> Sequence[Tensor]:
        """The states that enter a step, without what is fed."""
        return entering if self.feedback_size is None else entering[1:]


def visible(cell: Cell) -> list[int | tuple[int, ...]]:
    """The sizes of the states that a cell hands from step to step, without what is held during a call."""
    return list(cell.state_size)[: len(cell.state_size) - cell.held]


def check_states(what: str, cell: Cell, numbers: Iterable[int]) -> tuple[int, ...]:
    """Numbers of states, if the cell has them.

    Raises:
        ArgumentError: a number that no state has.
    """
    count, numbers = len(visible(cell)), tuple(numbers)
    if not count:
        raise ArgumentError(f"{what}: {type(cell).__name__} carries no state but what it gave out: there is none here.")
    wrong = [n for n in numbers if not isinstance(n, int) or not 0 <= n < count]
    if wrong:
        raise ArgumentError(f"{what}: expected states 0 to {count - 1} of {type(cell).__name__}, got {wrong[0]!r}.")
    return numbers


def check_probability(what: str, p: float) -> float:
    """p, if it is a probability below 1.

    Raises:
        ArgumentError: it is none.
    """
    if not 0 <= p < 1:
        raise ArgumentError(f"{what}: expected a probability of at least 0 and below 1, got {p}.")
    return float(p)


def as_tuple(value: Tensor | States) -> States:
    """What a step returned, always as a tuple."""
    return tuple(value) if isinstance(value, tuple | list) else (value,)
