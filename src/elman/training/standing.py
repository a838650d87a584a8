"""Where a training stands: everything beside weights and optimiser that its next step depends on."""

import time
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from .history import History, Row
from .loss import on_device


@dataclass
class Tally:
    """Losses summed over windows.

    Attributes:
        total: in nats.
        size: what the figure is per.
    """

    total: float = 0.0
    size: int = 0

    def add(self, total: float, size: int) -> None:
        """Add the loss of one window."""
        self.total += total
        self.size += size


@dataclass
class Standing:
    """Where a training stands after its last step.

    Attributes:
        epoch: epochs gone through.
        window: the window that comes next in this epoch.
        step: optimiser steps taken.
        size: what was read so far, in what the measure counts.
        state: the state that the next window goes on from.
        tally: the losses since the last row of the history.
        history: the rows so far.
        best: the best weights so far, on the CPU; None before the first epoch has ended.
        seconds: time spent by the processes before this one.
    """

    history: History
    epoch: int = 0
    window: int = 0
    step: int = 0
    size: int = 0
    state: Any = None
    tally: Tally = field(default_factory=Tally)
    best: dict[str, Tensor] | None = None
    seconds: float = 0.0
    since: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since the start, over all processes that worked on this training."""
        return self.seconds + time.monotonic() - self.since

    def close_row(self, validation: float | None, epoch: float, learning_rate: float) -> Row:
        """Add a row to the history, and count the losses anew from here."""
        training = self.history.measure.of(self.tally.total, self.tally.size)
        if not self.tally.size and self.history.rows:
            training = self.history.rows[-1].training  # an epoch that ends where the row before did
        row = Row(self.step, epoch, training, validation, learning_rate, round(self.elapsed, 3))
        self.history.rows.append(row)
        self.tally = Tally()
        return row

    def values(self) -> dict[str, Any]:
        """All of it but the state, as plain values and tensors."""
        return {
            "epoch": self.epoch,
            "window": self.window,
            "step": self.step,
            "size": self.size,
            "tally": asdict(self.tally),
            "history": self.history.to_json(),
            "best": self.best,
            "seconds": self.elapsed,
        }

    @classmethod
    def from_values(cls, values: dict[str, Any], state: Any, device: torch.device) -> "Standing":
        """What `values` gave, and the state beside it on a device."""
        return cls(
            history=History.from_json(values["history"]),
            epoch=values["epoch"],
            window=values["window"],
            step=values["step"],
            size=values["size"],
            state=on_device(state, device),
            tally=Tally(**values["tally"]),
            best=values["best"],
            seconds=values["seconds"],
        )


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The generators that training draws from: torch's own, of the CPU and of the GPU that is used."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_state(states: dict[str, Tensor], device: torch.device) -> None:
    """Set the generators to what `random_state` gave."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
