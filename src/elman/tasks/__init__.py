"""The jobs: each a model with fit, a way to use it, score, save and load."""

from pathlib import Path

from .archive import load_archive
from .classify.model import ClassifyModel
from .describe.model import DescribeModel
from .forecast import ForecastModel
from .job import Job, Prepared
from .music.model import MusicModel
from .tag.model import TagModel
from .text.model import Score, TextModel
from .translate.model import TranslateModel

JOBS: dict[str, type[Job]] = {
    kind.NAME: kind
    for kind in (TextModel, ClassifyModel, TagModel, TranslateModel, ForecastModel, DescribeModel, MusicModel)
}
"""The classes of all jobs by name."""


def load(path: Path | str, device: str = "auto") -> Job:
    """The model of a file, whatever its job.

    Args:
        path: a model file that a job wrote.
        device: where it shall run: "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        DataError: the file is missing, truncated, or no model file.
    """
    _, content = load_archive(Path(path), *JOBS)
    return JOBS[content["job"]].load(path, device)


__all__ = [
    "JOBS",
    "ClassifyModel",
    "DescribeModel",
    "ForecastModel",
    "Job",
    "MusicModel",
    "Prepared",
    "Score",
    "TagModel",
    "TextModel",
    "TranslateModel",
    "load",
]
