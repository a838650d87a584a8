"""Choices: from logits [B, V] to one token for each row [B]."""

from collections.abc import Callable

import torch
from torch import Tensor

from . import filters
from .checks import check_logits

Choice = Callable[[Tensor], Tensor]


def greedy(logits: Tensor) -> Tensor:
    """The likeliest token of each row [B].

    Args:
        logits: [B, V].

    Raises:
        NumericsError: NaN in the logits, or nothing may come.
    """
    check_logits(logits)
    return logits.argmax(-1)


def draw(logits: Tensor, generator: torch.Generator) -> Tensor:
    """A token for each row [B], drawn from the softmax of its logits.

    The draw is made on the device of the generator: one of the CPU chooses the same on every device. It is made in
    the order of likelihood, so it does not depend on how the tokens are numbered.

    Args:
        logits: [B, V].
        generator: source of the random numbers.

    Raises:
        NumericsError: NaN in the logits, or nothing may come.
    """
    check_logits(logits)
    return _draw(*filters.ranked(logits.to(generator.device)), generator).to(logits.device)


def sampling(
    generator: torch.Generator, *, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Choice:
    """A choice that draws: temperature first, then the k likeliest, then the nucleus among these.

    Args:
        generator: source of the random numbers.
        temperature: above 1 bolder, below 1 safer.
        top_k: only the k likeliest tokens.
        top_p: only the fewest likeliest tokens whose probabilities sum up to p or more.

    Raises:
        ArgumentError: a temperature, top_k or top_p that means nothing, here or, for top_k > V, at the first choice.
    """
    filters.check_temperature(temperature)
    if top_k is not None:
        filters.check_top_k(top_k)
    if top_p is not None:
        filters.check_top_p(top_p)

    def choose(logits: Tensor) -> Tensor:
        if top_k is not None:
            filters.check_top_k(top_k, logits.size(-1))
        sharpened = filters.temperature(logits.to(generator.device).double(), temperature)
        ordered, tokens = filters.ranked(sharpened)  # once: a filter of sorted logits keeps the first ones
        if top_k is not None:
            ordered = ordered.masked_fill(~filters.first_k(ordered, top_k), filters.OUT)
        if top_p is not None:
            ordered = ordered.masked_fill(~filters.nucleus(ordered, top_p), filters.OUT)
        return _draw(ordered, tokens, generator).to(logits.device)

    return choose


def _draw(ordered: Tensor, tokens: Tensor, generator: torch.Generator) -> Tensor:
    """One of the tokens of each row [B], whose logits stand in order [B, V]."""
    place = torch.multinomial(ordered.softmax(-1), 1, generator=generator)
    return tokens.gather(-1, place).squeeze(-1)
