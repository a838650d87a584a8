"""Filters: pure functions from logits [..., V] to logits, in which minus infinity says that a token must not come.

They can be put one after the other in any order. A token that is out already stays out.
"""

import math

import torch
from torch import Tensor

from elman.errors import ArgumentError

from .checks import check_logits

OUT = -math.inf


def temperature(logits: Tensor, tau: float) -> Tensor:
    """Logits whose softmax is flatter (tau > 1) or sharper (tau < 1).

        z'_i = (z_i - max z) / tau

    Args:
        logits: [..., V].
        tau: above 0; close to 0 only the likeliest token is left.

    Raises:
        ArgumentError: tau is not a positive number.
        NumericsError: NaN in the logits, or nothing may come.
    """
    check_temperature(tau)
    check_logits(logits)
    # At most 0, so that no temperature makes infinity of it; in double, where even a tiny one is not 0.
    below_best = logits.double() - logits.amax(-1, keepdim=True).double()
    return (below_best / tau).to(logits.dtype)


def top_k(logits: Tensor, k: int) -> Tensor:
    """Logits of the k likeliest tokens; of equal ones those with the smaller numbers.

    Args:
        logits: [..., V].
        k: from 1 to V.

    Raises:
        ArgumentError: k < 1 or k > V.
        NumericsError: NaN in the logits, or nothing may come.
    """
    check_top_k(k, logits.size(-1) if logits.dim() else 0)
    check_logits(logits)
    ordered, order = ranked(logits)
    return _only(logits, order, first_k(ordered, k))


def top_p(logits: Tensor, p: float) -> Tensor:
    """Logits of the nucleus: the fewest likeliest tokens whose probabilities sum up to p or more.

    Args:
        logits: [..., V].
        p: above 0, at most 1; 1 leaves all tokens in.

    Raises:
        ArgumentError: p outside (0, 1].
        NumericsError: NaN in the logits, or nothing may come.

    Source: A. Holtzman et al., The Curious Case of Neural Text Degeneration, ICLR 2020, equations 2 and 3.
    Departs: of equal tokens at the border those with the smaller numbers are in; the paper leaves it open.
    """
    check_top_p(p)
    check_logits(logits)
    ordered, order = ranked(logits)
    return _only(logits, order, nucleus(ordered, p))


def without(logits: Tensor, *tokens: int) -> Tensor:
    """Logits in which some tokens must not come.

    Args:
        logits: [..., V].
        tokens: each from 0 to V - 1.

    Raises:
        ArgumentError: a token is none of V.
    """
    for token in tokens:
        if not 0 <= token < logits.size(-1):
            raise ArgumentError(f"expected tokens 0 to V - 1 = {logits.size(-1) - 1} to leave out, got {token}.")
    return logits.index_fill(-1, torch.tensor(tokens, dtype=torch.int64, device=logits.device), OUT)


def ranked(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Logits from the largest to the smallest, in double, and their tokens; of equal ones the smaller token first."""
    ordered, tokens = logits.double().sort(dim=-1, descending=True, stable=True)
    return ordered, tokens


def first_k(ordered: Tensor, k: int) -> Tensor:
    """True for the first k of logits in order."""
    return (torch.arange(ordered.size(-1), device=ordered.device) < k).expand(ordered.shape)


def nucleus(ordered: Tensor, p: float) -> Tensor:
    """True for the fewest first of logits in order whose probabilities sum up to p or more."""
    if p == 1:  # the sum may round to 1 before the last token
        return torch.ones_like(ordered, dtype=torch.bool)
    chances = ordered.softmax(-1)
    return chances.cumsum(-1) - chances < p


def check_temperature(tau: float) -> None:
    """Raise ArgumentError unless 0 < tau < infinity."""
    if not 0 < tau < math.inf:
        raise ArgumentError(f"expected temperature > 0, got {tau}: close to 0 for the likeliest token.")


def check_top_k(k: int, vocabulary: int | None = None) -> None:
    """Raise ArgumentError unless 1 <= k <= V, as far as V is known."""
    if k < 1:
        raise ArgumentError(f"expected top_k >= 1, got {k}: 1 is the likeliest token alone.")
    if vocabulary is not None and k > vocabulary:
        raise ArgumentError(f"expected top_k <= V = {vocabulary}, got {k}: without top_k all tokens may come.")


def check_top_p(p: float) -> None:
    """Raise ArgumentError unless 0 < p <= 1."""
    if not 0 < p <= 1:
        raise ArgumentError(f"expected 0 < top_p <= 1, got {p}: 1 leaves all tokens in.")


def _only(logits: Tensor, order: Tensor, kept: Tensor) -> Tensor:
    """The logits of the kept places of an order, minus infinity elsewhere."""
    out = torch.ones_like(logits, dtype=torch.bool).scatter(-1, order, ~kept)
    return logits.masked_fill(out, OUT)
