"""How well labels are foreseen: figures with their uncertainty, beside the simplest that could be said."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..intervals import wilson


@dataclass(frozen=True, eq=False)
class ClassifyScore:
    """How well labels are foreseen.

    Attributes:
        rows: how many were scored.
        accuracy: share of the rows that are right; for several labels, of the rows right in all of them.
        interval: of the accuracy, 95 %, by Wilson.
        baseline: the accuracy of always saying what is most frequent among these rows.
        macro_f1: mean of the F1 of each label that occurs.
        loss: mean cross entropy, in nats.
        calibration: mean distance between a probability and how often it is right, in ten bins (ECE).
        confusion: rows by label and by what was said [C, C]; for several labels [C, 2, 2].
        labels: in the order of `confusion`.

    Source of the interval: E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference,
        Journal of the American Statistical Association 22, 1927.
    """

    rows: int
    accuracy: float
    interval: tuple[float, float]
    baseline: float
    macro_f1: float
    loss: float
    calibration: float
    confusion: Tensor
    labels: tuple[str, ...]

    def figures(self) -> dict[str, float]:
        """The figures by name."""
        return {
            "rows": self.rows,
            "accuracy": self.accuracy,
            "accuracy from": self.interval[0],
            "accuracy to": self.interval[1],
            "most frequent label": self.baseline,
            "macro F1": self.macro_f1,
            "cross entropy": self.loss,
            "calibration error": self.calibration,
        }


@dataclass(frozen=True)
class NumberScore:
    """How well numbers are foreseen.

    Attributes:
        rows: how many were scored.
        rmse: root of the mean squared error.
        mae: mean absolute error.
        r2: share of the variance that is explained.
        baseline: the root of the mean squared error of always saying the mean of the training.
    """

    rows: int
    rmse: float
    mae: float
    r2: float
    baseline: float

    def figures(self) -> dict[str, float]:
        """The figures by name."""
        return {
            "rows": self.rows,
            "RMSE": self.rmse,
            "MAE": self.mae,
            "R2": self.r2,
            "RMSE of the mean": self.baseline,
        }


def score_labels(p: Tensor, targets: Tensor, labels: tuple[str, ...]) -> ClassifyScore:
    """One label a row: probabilities [N, C], numbers of the labels [N]."""
    count, said = len(labels), p.argmax(1)
    confusion = torch.zeros(count, count, dtype=torch.int64)
    confusion.index_put_((targets, said), torch.ones_like(targets), accumulate=True)
    right = said == targets
    chosen = p.gather(1, targets.unsqueeze(1)).squeeze(1)
    return ClassifyScore(
        rows=len(targets),
        accuracy=float(right.double().mean()),
        interval=wilson(int(right.sum()), len(targets)),
        baseline=float(torch.bincount(targets).max()) / len(targets),
        macro_f1=_macro_f1(confusion.diagonal(), confusion.sum(1), confusion.sum(0)),
        loss=float(-chosen.double().clamp(min=1e-12).log().mean()),
        calibration=_calibration(p.max(1).values, right),
        confusion=confusion,
        labels=labels,
    )


def score_many(p: Tensor, targets: Tensor, labels: tuple[str, ...]) -> ClassifyScore:
    """Several labels a row: probabilities and ones [N, C]."""
    said, given = p >= 0.5, targets > 0.5
    right = (said == given).all(1)
    hits, asked, told = ((part).sum(0) for part in (said & given, given, said))
    confusion = torch.stack(
        [torch.stack([(~said & ~given).sum(0), told - hits], 1), torch.stack([asked - hits, hits], 1)], 1
    )
    rows, counts = torch.unique(given, dim=0, return_counts=True)
    del rows
    loss = torch.nn.functional.binary_cross_entropy(p.double().clamp(1e-12, 1 - 1e-12), targets.double())
    return ClassifyScore(
        rows=len(targets),
        accuracy=float(right.double().mean()),
        interval=wilson(int(right.sum()), len(targets)),
        baseline=float(counts.max()) / len(targets),
        macro_f1=_macro_f1(hits, asked, told),
        loss=float(loss),
        calibration=_calibration(torch.where(said, p, 1 - p).flatten(), (said == given).flatten()),
        confusion=confusion,
        labels=labels,
    )


def score_numbers(found: Tensor, given: Tensor, mean: float) -> NumberScore:
    """Numbers [N], and the mean of the training."""
    error = found.double() - given.double()
    spread = (given.double() - given.double().mean()).square().mean()
    squared = float(error.square().mean())
    return NumberScore(
        rows=len(given),
        rmse=math.sqrt(squared),
        mae=float(error.abs().mean()),
        r2=1 - squared / float(spread) if spread else math.nan,
        baseline=math.sqrt(float((given.double() - mean).square().mean())),
    )


def _macro_f1(hits: Tensor, asked: Tensor, told: Tensor) -> float:
    occurs = asked > 0
    f1 = 2 * hits / (asked + told).clamp(min=1)
    return float(f1[occurs].double().mean()) if bool(occurs.any()) else math.nan


def _calibration(p: Tensor, right: Tensor) -> float:
    place = (p * 10).long().clamp(max=9)
    total = 0.0
    for number in range(10):
        some = place == number
        if some.any():
            total += float(some.double().mean()) * abs(float(p[some].double().mean() - right[some].double().mean()))
    return total
