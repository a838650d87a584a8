"""Metrics over sequences of tokens, by torchmetrics: what stands after EOS, and padding, does not count.

right = token_accuracy(V)
for ...:
    right.update(logits, targets, until_eos(targets, EOS))
right.compute()
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from elman.errors import ArgumentError, SetupError, ShapeError

from .losses import weights_of

if TYPE_CHECKING:
    from torchmetrics import Metric

IGNORED = -100
NO_TOKEN = -1


class TokenMetric:
    """A metric of torchmetrics over sequences [T, B] and a mask; it adds up from batch to batch.

    Args:
        metric: of predictions and targets [B, T], which leaves out targets of -100; its `reset`, `to`, `state_dict`
            and what it needs under several processes are there as `.metric`.
        of_logits: whether the predictions are logits [B, T, V]; tokens [B, T] otherwise.
    """

    def __init__(self, metric: "Metric", *, of_logits: bool) -> None:
        self.metric = metric
        self.of_logits = of_logits

    def update(self, outputs: Tensor, targets: Tensor, mask: Tensor | None = None) -> None:
        """Count one batch.

        Args:
            outputs: logits [T, B, V]; or, except for perplexity, tokens [L, B], `generate(...).tokens.T` for example,
                where L need not be T: steps that are missing are wrong, and steps beyond T are not looked at.
            targets: tokens [T, B].
            mask: what counts, [T, B] bool; all by default. Rows in which nothing counts are left out.

        Raises:
            ShapeError: sizes that do not fit.
            ArgumentError: a target below 0 that counts.
        """
        if targets.dim() != 2 or outputs.dim() not in ((3,) if self.of_logits else (2, 3)):
            wanted = "logits [T, B, V]" if self.of_logits else "logits [T, B, V] or tokens [L, B]"
            raise ShapeError(
                f"expected {wanted} and targets [T, B], got {list(outputs.shape)} and {list(targets.shape)}."
            )
        counts = weights_of(mask, targets, torch.float32) > 0
        if outputs.dim() == 2:
            outputs = _of_steps(outputs, len(targets))
        if outputs.shape[:2] != targets.shape:
            raise ShapeError(f"expected outputs of [T, B] = {list(targets.shape)}, got {list(outputs.shape)}.")
        if bool((counts & (targets < 0)).any()):
            wrong = int(targets[counts & (targets < 0)][0])
            raise ArgumentError(
                f"expected tokens where the mask counts, got {wrong}: leave such steps out of the mask."
            )
        if self.of_logits:
            # In double, where a softmax of logits far apart is not 0 yet; what is left out may even be NaN.
            outputs = torch.where(counts.unsqueeze(-1), outputs, 0).double()
        elif outputs.dim() == 3:
            outputs = outputs.argmax(-1)
        there = counts.any(0)
        if there.any():
            kept = torch.where(counts, targets.long(), IGNORED)
            self.metric.update(outputs[:, there].transpose(0, 1), kept[:, there].t())

    def compute(self) -> float:
        """The figure over all batches so far."""
        return float(self.metric.compute())


def token_accuracy(vocabulary: int) -> TokenMetric:
    """The share of tokens that are right.

    Args:
        vocabulary: V.
    """
    _require()
    from torchmetrics.classification import MulticlassAccuracy

    metric = MulticlassAccuracy(vocabulary, average="micro", ignore_index=IGNORED, validate_args=False)
    return TokenMetric(metric, of_logits=False)


def exact_match(vocabulary: int) -> TokenMetric:
    """The share of rows in which every token that counts is right.

    Args:
        vocabulary: V.
    """
    _require()
    from torchmetrics.classification import MulticlassExactMatch

    metric = MulticlassExactMatch(vocabulary, ignore_index=IGNORED, validate_args=False)
    return TokenMetric(metric, of_logits=False)


def perplexity() -> TokenMetric:
    """exp of the mean of -log p(target), over all tokens that count."""
    _require()
    from torchmetrics.text import Perplexity

    return TokenMetric(Perplexity(ignore_index=IGNORED), of_logits=True)


def _require() -> None:
    if find_spec("torchmetrics") is None:
        raise SetupError("metrics need torchmetrics, not installed here: pip install 'elman[jobs]'")


def _of_steps(tokens: Tensor, steps: int) -> Tensor:
    """Tokens [L, B] as [T, B]: cut, or filled up with what is no token."""
    missing = tokens.new_full((max(0, steps - len(tokens)), *tokens.shape[1:]), NO_TOKEN)
    return torch.cat([tokens[:steps], missing])
