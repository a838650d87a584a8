"""Choosing the next symbol from logits: temperature, the k best, the nucleus."""

import torch
from torch import Tensor

from elman.errors import ArgumentError


def check_choice(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Raise ArgumentError for a choice that means nothing."""
    if not 0 < temperature < float("inf"):
        raise ArgumentError(f"expected temperature > 0, got {temperature}: close to 0 for the likeliest symbol.")
    if top_k is not None and top_k < 1:
        raise ArgumentError(f"expected top_k >= 1, got {top_k}: 1 is the likeliest symbol alone.")
    if top_p is not None and not 0 < top_p <= 1:
        raise ArgumentError(f"expected 0 < top_p <= 1, got {top_p}: 1 leaves all symbols in.")


def choose(
    logits: Tensor,
    generator: torch.Generator,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> int:
    """Draw one symbol.

    Args:
        logits: of each symbol [V], minus infinity for what must not come.
        generator: of the CPU, so that the choice is the same on every device.
        temperature: the logits are divided by it: below 1 the likely becomes likelier.
        top_k: only the k likeliest symbols.
        top_p: only the fewest likeliest symbols whose probabilities reach this sum.

    Source: A. Holtzman et al., The Curious Case of Neural Text Degeneration, ICLR 2020, equations 2 and 3 (top_p).
    """
    below_best = logits.double().cpu() - logits.max().item()  # at most 0, so that no temperature makes infinity of it
    ordered, symbols = (below_best / temperature).sort(descending=True, stable=True)
    chances = ordered.softmax(0)
    if top_k is not None:
        chances[top_k:] = 0
    if top_p is not None:
        before = chances.cumsum(0) - chances
        chances[before >= top_p * chances.sum()] = 0
    return int(symbols[torch.multinomial(chances, 1, generator=generator)])
