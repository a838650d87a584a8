"""Several processes that train one network, each with its share of the rows, on one machine or on many."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from elman.errors import ArgumentError

RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")


def is_first(processes: int) -> bool:
    """Whether this process is the one that writes files and shows progress; known before the processes have met.

    Args:
        processes: how many train the network; one alone is always the first, whatever started it.
    """
    return processes == 1 or all(os.environ.get(name, "0") == "0" for name in RANKS)


def check_processes(processes: int, data: Any) -> None:
    """Raise where several processes could not work on the data, or where others stand beside a training for one.

    Raises:
        ArgumentError: standard input, which only one process can read; or torchrun has started more processes.
    """
    if processes > 1 and data == Path("-"):
        raise ArgumentError("standard input can be read by one process alone: give a file to train with several.")
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if processes == 1 and started > 1 and "TORCHELASTIC_RUN_ID" in os.environ:
        raise ArgumentError(
            f"torchrun has started {started} processes, and each would train and write the same model: give the "
            "numbers of processes on each machine and of machines (--devices and --nodes) here, too."
        )


def share_of() -> tuple[int, int]:
    """The number of this process, and how many there are; (0, 1) where one trains alone."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def summed(values: Sequence[float], device: torch.device) -> list[float]:
    """Each value, summed over all processes."""
    return _reduced(values, device, dist.ReduceOp.SUM)


def largest(values: Sequence[float], device: torch.device) -> list[float]:
    """Each value, the largest of all processes."""
    return _reduced(values, device, dist.ReduceOp.MAX)


def gathered(value: Any) -> list[Any]:
    """The value of each process, in their order."""
    if not dist.is_initialized():
        return [value]
    found: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(found, value)
    return found


def _reduced(values: Sequence[float], device: torch.device, how: Any) -> list[float]:
    if not dist.is_initialized():
        return list(values)
    together: Tensor = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(together, how)
    return together.tolist()  # type: ignore[no-any-return]
