"""What is asked of logits, tokens and limits before anything is made of them."""

import torch
from torch import Tensor

from elman.errors import ArgumentError, DtypeError, NumericsError, ShapeError


def check_logits(logits: Tensor, live: Tensor | None = None, where: str = "") -> None:
    """Raise unless every row of logits [..., V] holds a largest number.

    Args:
        logits: [..., V], minus infinity for what must not come.
        live: the rows [...] that are looked at; all by default.
        where: what the message says of the place.

    Raises:
        ShapeError, DtypeError: these are no logits.
        NumericsError: NaN, plus infinity, or a row in which nothing may come.
    """
    if logits.dim() < 1 or logits.size(-1) < 1:
        raise ShapeError(f"expected logits [..., V] with V >= 1, got {list(logits.shape)}{where}.")
    if not logits.is_floating_point():
        raise DtypeError(f"expected logits of a floating dtype, got {logits.dtype}{where}: use logits.float().")
    best = logits.amax(-1)
    wrong = ~best.isfinite() if live is None else live & ~best.isfinite()
    if not wrong.any():
        return
    row = wrong.nonzero()[0].tolist()
    found = float(best[tuple(row)])
    said = f" in row {row[0] if len(row) == 1 else row}" if row else ""
    if found == -float("inf"):
        raise NumericsError(
            f"expected logits with a finite one, got minus infinity for all {logits.size(-1)} tokens{said}{where}: "
            "leave at least one token in."
        )
    raise NumericsError(
        f"expected finite logits, or minus infinity for what must not come, got {found}{said}{where}: "
        "look at the weights, and at what was fed."
    )


def check_first(first: Tensor) -> Tensor:
    """The first tokens as int64 [B].

    Raises:
        ShapeError: not [B], or no row.
        DtypeError: not integers.
    """
    if first.dim() != 1 or not len(first):
        raise ShapeError(
            f"expected the first tokens [B] with B >= 1, got {list(first.shape)}: "
            "one token for each row; `NextToken.read` reads a longer prompt."
        )
    return check_integers("the first tokens", first)


def check_integers(name: str, tokens: Tensor) -> Tensor:
    """Tokens as int64; raise DtypeError for other numbers."""
    if tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool:
        raise DtypeError(f"expected {name} of an integer dtype, got {tokens.dtype}: use .long().")
    return tokens.long()


def check_limits(min_length: int, max_length: int) -> None:
    """Raise ArgumentError unless 1 <= min_length <= max_length."""
    if max_length < 1:
        raise ArgumentError(f"expected max_length >= 1, got {max_length}.")
    if not 1 <= min_length <= max_length:
        raise ArgumentError(
            f"expected 1 <= min_length <= max_length = {max_length}, got {min_length}: lengths count the EOS."
        )


def check_eos(eos: int | None, vocabulary: int) -> None:
    """Raise ArgumentError unless EOS is one of V tokens."""
    if eos is not None and not 0 <= eos < vocabulary:
        raise ArgumentError(f"expected eos to be one of the tokens 0 to V - 1 = {vocabulary - 1}, got {eos}.")
