"""The model file of every job: weights as safetensors, and all else that a model is as JSON in its header."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import Tensor

from elman.errors import DataError
from elman.training.files import read_tensors, write_tensors
from elman.version import __version__

KIND = "elman model"
VERSION = 1


def save_archive(path: Path, job: str, weights: dict[str, Tensor], content: dict[str, Any]) -> None:
    """Write a model file in one step.

    Args:
        path: the file.
        job: whose model it is: "text".
        weights: of the network.
        content: vocabulary, configuration, history: plain values.

    Raises:
        DataError: the file cannot be written.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    header = {"format": KIND, "version": VERSION, "job": job, "elman": __version__, "written": now, **content}
    write_tensors(path, weights, header)


def load_archive(path: Path, *jobs: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights, on the CPU, and the content of a model file.

    Raises:
        DataError: the file is missing, truncated, foreign, of a later version, or of another job.
    """
    weights, header = read_tensors(path, KIND)
    if header.get("version") != VERSION:
        raise DataError(
            f"{path}: expected version {VERSION} of the model file, got {header.get('version')} "
            f"(written by elman {header.get('elman')}; this is {__version__}): use that elman."
        )
    if header.get("job") not in jobs:
        wanted = " or ".join(map(repr, jobs))
        raise DataError(f"{path}: expected a model of the job {wanted}, got one of {header.get('job')!r}.")
    return weights, header
