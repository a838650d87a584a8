"""What is measured: sizes, cells, jobs, and what was asked of them."""

from dataclasses import dataclass

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
KINDS = ("training", "inference")


@dataclass(frozen=True)
class Case:
    """T steps, B rows, I = H units."""

    steps: int
    batch: int
    hidden: int

    def __str__(self):
        return f"{self.steps}, {self.batch}, {self.hidden}"

    @classmethod
    def read(cls, text):
        """A case from "100,32,128"."""
        return cls(*map(int, text.split(",")))


GRID = tuple(
    Case.read(text)
    for text in (
        "100,1,64", "100,16,64", "35,20,200", "100,32,128", "100,32,256",
        "100,64,512", "784,32,128", "1000,1,128", "100,128,1024",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One thing that every contender does: a kind, a cell, a case; `uneven` where rows have lengths of their own."""

    kind: str
    cell: str
    case: Case
    uneven: bool = False
    seed: int = 0

    @property
    def operations(self):
        """Floating-point operations of the matrix products of a built-in cell, 2 for a multiply-add."""
        c = self.case
        forward = 2 * c.steps * c.batch * GATES[self.cell] * c.hidden * 2 * c.hidden
        return forward * (3 if self.kind == "training" else 1)


@dataclass(frozen=True)
class Asked:
    """The ratio asked over all cases (geometric mean) and the least one of any case."""

    mean: float
    least: float


ASKED = {
    ("training", "rnn"): Asked(2.5, 1.1),
    ("training", "gru"): Asked(3.0, 1.3),
    ("training", "lstm"): Asked(1.7, 1.1),
    ("inference", "rnn"): Asked(2.0, 1.0),
    ("inference", "gru"): Asked(2.0, 1.0),
    ("inference", "lstm"): Asked(1.15, 0.95),
}
RATE_ASKED = 0.75  # of the rate of the [T B] products, training, H >= 256 and B >= 32
LOOP_ASKED, JAX_ASKED, OWN_ASKED = 8.0, 2.5, 1.4  # cells that nobody ships a kernel for
UNEVEN_ASKED, PACKED_ASKED = 1.15, 5.0
BUILD_ASKED, CACHED_ASKED = 4.0, 0.05  # seconds
