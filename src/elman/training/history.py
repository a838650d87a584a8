"""What happened in a training: one row every few steps, one at the end of each epoch; written as CSV."""

import csv
import io
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from .files import write_atomically


@dataclass(frozen=True)
class Measure:
    """What figure a loss is shown as.

    Attributes:
        name: what people call it: "bits per character".
        short: its unit, where there is little room: "bits/char".
        scale: the figure is `scale * total / size` of a loss in nats.
        things: what `size` counts: "characters".
    """

    name: str = "nats per target"
    short: str = "nats"
    scale: float = 1.0
    things: str = "targets"

    def of(self, total: float, size: int) -> float:
        """The figure of a summed loss; NaN of nothing."""
        return self.scale * total / size if size else math.nan


@dataclass(frozen=True)
class Row:
    """One moment of a training.

    Attributes:
        step: optimiser steps taken.
        epoch: epochs gone through, 2.5 in the middle of the third.
        training: the figure over the training data since the row before.
        validation: the figure over the validation data; None but at the end of an epoch.
        learning_rate: at this step.
        seconds: time spent since the start, without what lay between a stop and its resumption.
    """

    step: int
    epoch: float
    training: float
    validation: float | None
    learning_rate: float
    seconds: float


@dataclass
class History:
    """All rows of a training.

    Attributes:
        measure: what the figures are.
        rows: in the order of their steps.
    """

    measure: Measure = field(default_factory=Measure)
    rows: list[Row] = field(default_factory=list)

    @property
    def epochs(self) -> list[Row]:
        """The rows at the ends of epochs."""
        return [row for row in self.rows if row.validation is not None]

    @property
    def best(self) -> Row | None:
        """The epoch with the best validation; the earliest of equals."""
        return min(self.epochs, key=lambda row: _figure(row), default=None)

    @property
    def epochs_since_best(self) -> int:
        """How many epochs have gone by without a better validation."""
        best = self.best
        return 0 if best is None else sum(row.step > best.step for row in self.epochs)

    def write_csv(self, path: Path) -> None:
        """Write the rows as CSV, an empty field where there is no validation."""
        text = io.StringIO()
        names = [column.name for column in fields(Row)]
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in self.rows)
        write_atomically(path, text.getvalue().encode())

    def to_json(self) -> dict[str, Any]:
        """The history as plain values."""
        return {"measure": asdict(self.measure), "rows": [asdict(row) for row in self.rows]}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "History":
        """The history that `to_json` gave."""
        return cls(Measure(**values["measure"]), [Row(**row) for row in values["rows"]])


def _figure(row: Row) -> float:
    return math.inf if row.validation is None or math.isnan(row.validation) else row.validation
