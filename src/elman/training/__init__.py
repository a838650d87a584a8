"""Training: teaching signals, losses and metrics over sequences; one engine for all jobs, on Lightning, which is loaded
when training starts and not before.
"""

from .history import History, Measure, Row
from .loss import Batches, Loss, Trainable
from .losses import (
    LOSSES,
    absolute_error,
    averaged,
    binary_cross_entropy,
    cross_entropy,
    find_loss,
    gaussian,
    poisson,
    squared_error,
    summed,
    weighted,
)
from .metrics import TokenMetric, exact_match, perplexity, token_accuracy
from .schedule import constant, warmup_cosine
from .settings import Settings
from .signals import every_step, last_step, last_steps, some_units, until_eos

__all__ = [
    "LOSSES",
    "Batches",
    "History",
    "Loss",
    "Measure",
    "Row",
    "Settings",
    "TokenMetric",
    "Trainable",
    "absolute_error",
    "averaged",
    "binary_cross_entropy",
    "constant",
    "cross_entropy",
    "every_step",
    "exact_match",
    "find_loss",
    "gaussian",
    "last_step",
    "last_steps",
    "perplexity",
    "poisson",
    "some_units",
    "squared_error",
    "summed",
    "token_accuracy",
    "until_eos",
    "warmup_cosine",
    "weighted",
]
