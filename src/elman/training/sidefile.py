"""The side file of a training that runs: all that a resumed training needs to give the same numbers, bit for bit.

    model.elman          the best weights so far, written at the end of an epoch
    model.elman.resume   weights, optimiser, schedule, generators, position, carried state, best weights, history

It is safetensors with a JSON header, always replaced in one step, and removed when the training ends.
"""

from pathlib import Path
from typing import Any

from lightning.pytorch.plugins import CheckpointIO
from torch import Tensor

from elman.errors import DataError

from .files import part_of, read_tensors, write_tensors
from .nested import flatten, unflatten

KIND = "elman training"
VERSION = 1


class SideFile(CheckpointIO):
    """Lightning's checkpoints as safetensors and JSON.

    Lightning's own loop counters are left out: they cannot be resumed in the middle of an epoch without traps
    (a last batch whose validation is still to come, a validation half done). To Lightning a resumed training is a
    new one whose first epoch is shorter; the position is ours.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        tensors: dict[str, Tensor] = {}
        wanted = {name: value for name, value in checkpoint.items() if name != "loops"}
        content = flatten(wanted, tensors)
        write_tensors(Path(path), tensors, {"format": KIND, "version": VERSION, "content": content})

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        tensors, header = read_tensors(Path(path), KIND)
        if header["version"] != VERSION:
            raise DataError(
                f"{path}: expected version {VERSION} of the side file, got {header['version']}: finish this training "
                "with the elman that began it, or begin anew with --fresh."
            )
        return dict(unflatten(header["content"], tensors))

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)
        part_of(Path(path)).unlink(missing_ok=True)


def side_file_of(model: Path) -> Path:
    """Where the side file of a model file stands."""
    return model.with_name(model.name + ".resume")
