"""What may be chosen freely when a loop is written as C: it changes the speed, never the result."""

from dataclasses import dataclass

from .target import TARGETS, Target


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
    """

    target: str = "avx2"
    columns: int = 2
    gates: int = 2
    rows: int = 0
    block: int = 96

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
