"""The rows of bench.tables: a module each, which trains networks on one problem and measures what was asked.

A module holds

    TITLE = "adding problem, T = 600"
    DATA = ()                                 # patterns of the files that it needs below --data
    ASKED = (Asked("GRU, test MSE", "<", 1e-3),)

    def run(settings: Settings) -> Iterator[Measured]:
        ...                                   # trains, with settings.say("step 100: 0.02") now and then
        yield Measured(ASKED[0], 4e-4, "3000 steps")

and is found by its name; JOB = "classify" names the job of the library that it tries, if it does. `run` yields each
figure as soon as it is known, one for each entry of ASKED. What is chosen (the best epoch, a rate) is chosen on
validation data; test data are touched once, for the figure.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SENSES = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@dataclass(frozen=True)
class Asked:
    """A figure, and the bound that it is asked to keep."""

    what: str
    sense: str
    bound: float

    def __str__(self):
        return f"{self.sense} {self.bound:g}"


@dataclass(frozen=True)
class Measured:
    """What came out for a figure; `note` says what else a reader should know (epochs, steps)."""

    asked: Asked
    value: float
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the bound is kept; NaN keeps none."""
        return SENSES[self.asked.sense](self.value, self.asked.bound)


@dataclass(frozen=True)
class Settings:
    """How a row is to be run.

    Attributes:
        seed: the row seeds all that it draws with it.
        data: the folder with data sets, or None; rows with an empty DATA need none.
        say: prints a line of progress.
        quick: a few small steps, only to see that it runs; the figures mean nothing then.
    """

    seed: int = 0
    data: Path | None = None
    say: Callable[[str], None] = print
    quick: bool = False

    def file(self, pattern: str) -> Path:
        """The one file below `data` with a name like `pattern`."""
        if self.data is None:
            raise FileNotFoundError(f"{pattern}: needs --data FOLDER")
        found = sorted(self.data.rglob(pattern))
        if len(found) != 1:
            names = ", ".join(str(file) for file in found) or "none"
            raise FileNotFoundError(f"expected one file {pattern} below {self.data}, found {names}")
        return found[0]
