"""How to train: what a training depends on beside its network and its data."""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch

from elman.errors import ArgumentError, SetupError

from .schedule import Schedule, warmup_cosine

MakeOptimizer = Callable[[Iterable[Any], float], torch.optim.Optimizer]


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        epochs: most passes over the training data.
        learning_rate: the largest learning rate.
        clip: largest norm of the whole gradient; a longer one is shortened to it.
        patience: epochs without a better validation after which training stops.
        seed: of everything that is drawn: weights, dropout.
        optimizer: makes the optimiser of (parameters, learning rate).
        schedule: factor on the learning rate for (steps taken, steps in all).
        device: "auto", "cpu", "cuda" or "cuda:N".
        threads: threads of the CPU, or None to leave them as they are.
        devices: processes on each machine, each with a GPU of its own or a share of the CPU's cores; the rows of a
            batch are shared out among them.
        nodes: machines.
        time_limit: seconds after which training ends with what it has; the learning rate then falls with the time.
    """

    epochs: int = 8
    learning_rate: float = 5e-3
    clip: float = 1.0
    patience: int = 3
    seed: int = 0
    optimizer: MakeOptimizer = torch.optim.Adam  # type: ignore[assignment]
    schedule: Schedule = warmup_cosine
    device: str = "auto"
    threads: int | None = None
    devices: int = 1
    nodes: int = 1
    time_limit: float | None = None

    def __post_init__(self) -> None:
        at_least("epochs", self.epochs, 1)
        at_least("patience", self.patience, 1)
        at_least("devices", self.devices, 1)
        at_least("nodes", self.nodes, 1)
        above("learning_rate", self.learning_rate, 0)
        at_most("learning_rate", self.learning_rate, 1e12)
        above("clip", self.clip, 0)
        check_seed(self.seed)
        if self.threads is not None:
            at_least("threads", self.threads, 1)
            at_most("threads", self.threads, 16 * (os.cpu_count() or 1))  # torch takes any number, and dies of it

        if self.time_limit is not None:
            above("time_limit", self.time_limit, 0)

    @property
    def processes(self) -> int:
        """How many processes train the network."""
        return self.devices * self.nodes

    def facts(self) -> dict[str, Any]:
        """All that decides the numbers of a training, as plain values, to tell whether two trainings are one."""
        return {
            "epochs": self.epochs,
            "learning_rate": self.learning_rate,
            "clip": self.clip,
            "patience": self.patience,
            "seed": self.seed,
            "optimizer": _name_of(self.optimizer),
            "schedule": _name_of(self.schedule),
            "device": find_device(self.device).type,
            "threads": self.threads or max(1, torch.get_num_threads() // self.devices),
            "processes": self.processes,
        }


def seconds_of(limit: float | str | None) -> float | None:
    """A time as seconds: a number, or a text such as "90s", "10m" or "1.5h".

    Raises:
        ArgumentError: a text that is no time.
    """
    if not isinstance(limit, str):
        return limit
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", limit.strip())
    if found is None:
        raise ArgumentError(f'expected a time such as "90s", "10m" or "1.5h", got {limit!r}.')
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def at_least(name: str, value: float, least: float) -> None:
    """Raise ArgumentError unless value >= least (NaN is not)."""
    if not value >= least:
        raise ArgumentError(f"expected {name} >= {least}, got {value}.")


def check_seed(seed: int) -> None:
    """Raise ArgumentError unless torch's generators take the seed."""
    if not 0 <= seed < 2**63:
        raise ArgumentError(f"expected 0 <= seed < 2**63, got {seed}.")


def at_most(name: str, value: float, most: float) -> None:
    """Raise ArgumentError unless value <= most (NaN is not)."""
    if not value <= most:
        raise ArgumentError(f"expected {name} <= {most:g}, got {value}.")


def above(name: str, value: float, bound: float) -> None:
    """Raise ArgumentError unless value > bound (NaN is not)."""
    if not value > bound:
        raise ArgumentError(f"expected {name} > {bound}, got {value}.")


def require_libraries() -> None:
    """See that what training needs is installed, before any work is done.

    Raises:
        SetupError: it is not.
    """
    missing = [name for name in ("lightning", "matplotlib") if find_spec(name) is None]
    if missing:
        raise SetupError(f"training needs {' and '.join(missing)}, not installed here: pip install 'elman[jobs]'")


def find_device(name: str) -> torch.device:
    """The device of a name; "auto" is the first GPU if there is one, else the CPU.

    Raises:
        ArgumentError: no such kind of device.
        SetupError: CUDA is asked for and not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise ArgumentError(f"expected the device to be auto, cpu, cuda or cuda:N, got {name!r}.")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise SetupError(
            f"expected {name}, but torch {torch.__version__} sees {torch.cuda.device_count()} GPUs: "
            "use --device cpu, or install a torch that is built for CUDA."
        )
    return torch.device(name)


def _name_of(function: Any) -> str:
    return getattr(function, "__qualname__", type(function).__qualname__)
