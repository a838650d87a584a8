"""What may be chosen freely when a loop is written as C: it changes the speed, never the result."""

import re
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from elman.errors import ArgumentError

from .target import TARGETS, Target

_LEAST = {"columns": 1, "gates": 1, "rows": 0, "block": 1}
_MOST = {"columns": 8, "gates": 64, "rows": 64}  # beyond them a file takes minutes to build, and no kernel gets faster


@dataclass(frozen=True)
class Schedule:
    """How a loop is cut up.

    Attributes:
        target: a name of `TARGETS`: "avx512", "avx2" or "plain".
        columns: vectors of units that one tile of a product holds, for a product with a single gate; with several
            gates a tile holds one vector of each.
        gates: gates of a unit that one sweep along x computes together at most; further gates take further sweeps.
        rows: rows of the batch in a tile at most; 0 for as many as the registers hold.
        block: rows of the batch that go through all steps together at most; their state stays in the cache.
        recompute: whether the gradient makes again what takes one operation of what is kept anyway, or finds it kept.

    Raises:
        ArgumentError: an unknown target, or a number that is none or out of its range.
    """

    target: str = "avx2"
    columns: int = 2
    gates: int = 2
    rows: int = 0
    block: int = 96
    recompute: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.target, str) or self.target not in TARGETS:
            raise ArgumentError(f"Schedule: expected a target among {', '.join(TARGETS)}, got {self.target!r}.")
        for name, least in _LEAST.items():
            number, most = getattr(self, name), _MOST.get(name)
            if type(number) is not int or number < least or (most is not None and number > most):
                wanted = f"from {least} to {most}" if most is not None else f"not below {least}"
                raise ArgumentError(f"Schedule: expected {name} as a whole number {wanted}, got {number!r}.")
        if type(self.recompute) is not bool:
            raise ArgumentError(f"Schedule: expected recompute as True or False, got {self.recompute!r}.")

    @property
    def machine(self) -> Target:
        """What the kernel is written for."""
        return TARGETS[self.target]

    def vectors(self, gates: int) -> int:
        """Vectors of one gate in a tile."""
        return self.columns if gates == 1 else 1

    def tile(self, gates: int) -> int:
        """Rows in a tile of a product with so many gates: the accumulators fill the registers but for a few."""
        room = (self.machine.registers - 4) // (gates * self.vectors(gates))
        return max(1, min(self.rows or room, room, 8))

    def __str__(self) -> str:
        return ", ".join(str(value) if name == "target" else f"{name} {value}" for name, value in asdict(self).items())

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON takes them; `Schedule.from_dict` reads them again."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "Schedule":
        """A schedule from its fields; what is not there is as in `Schedule()`.

        Raises:
            ArgumentError: a field that no schedule has, or a value that its field does not take.
        """
        if not isinstance(found, Mapping):
            raise ArgumentError(f"Schedule: expected its fields by name, got {found!r}.")
        names = [field.name for field in fields(cls)]
        if strangers := [str(name) for name in found if name not in names]:
            raise ArgumentError(f"Schedule: expected fields among {', '.join(names)}, got {', '.join(strangers)}.")
        return cls(**found)

    def explained(self) -> str:
        """One field a line, each with what it means."""
        meaning = dict(re.findall(r"^ +(\w+): (.+(?:\n {12}.+)*)", self.__doc__ or "", flags=re.MULTILINE))
        given = {name: str(value) for name, value in asdict(self).items()}
        width = [max(map(len, column)) for column in (given, given.values())]
        return "\n".join(
            textwrap.fill(
                f"{name:<{width[0]}}  {value:<{width[1]}}  {' '.join(meaning.get(name, '').split())}",
                width=110,
                subsequent_indent=" " * (sum(width) + 4),
            )
            for name, value in given.items()
        )
