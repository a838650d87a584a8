"""Training: one engine for all jobs, on Lightning, which is loaded when training starts and not before."""

from .history import History, Measure, Row
from .loss import Batches, Loss, Trainable
from .schedule import constant, warmup_cosine
from .settings import Settings

__all__ = [
    "Batches",
    "History",
    "Loss",
    "Measure",
    "Row",
    "Settings",
    "Trainable",
    "constant",
    "warmup_cosine",
]
