"""Generation: each token is chosen from the logits, and fed at the next step."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elman.errors import ArgumentError, ShapeError

from .checks import check_eos, check_first, check_limits
from .choice import Choice, greedy
from .filters import without
from .states import check_states, choose_rows
from .step import Step, ask, axis_of


@dataclass(frozen=True, eq=False)
class Move:
    """What one step of `stream` gave.

    Attributes:
        tokens: the chosen tokens [B].
        log_probabilities: of each under the model [B], before any filter.
        states: after the step, before the tokens are fed.
    """

    tokens: Tensor
    log_probabilities: Tensor
    states: Any


@dataclass(frozen=True, eq=False)
class Generated:
    """Generated rows; L is the length of the longest.

    Attributes:
        tokens: [B, L], PAD after the end of a row.
        lengths: tokens of each row [B], its EOS counted.
        finished: [B] bool, True where a row ended by EOS, False where max_length ended it.
        log_probabilities: of each token under the model [B, L], before any filter; 0 after the end of a row.
        states: at each row's own end; its last token has not been fed. A state that grows from step to step goes on.
        trail: the states from which each token was chosen, one entry for each of L steps, or None.
    """

    tokens: Tensor
    lengths: Tensor
    finished: Tensor
    log_probabilities: Tensor
    states: Any
    trail: tuple[Any, ...] | None = None

    @property
    def scores(self) -> Tensor:
        """The log-probability of each row [B]: the sum over its tokens."""
        return self.log_probabilities.sum(1)


def generate(
    step: Step,
    first: Tensor,
    *,
    max_length: int,
    choice: Choice = greedy,
    eos: int | None = None,
    pad: int = 0,
    min_length: int = 1,
    states: Any = None,
    keep_states: bool = False,
    batch_axis: int | None = None,
) -> Generated:
    """Generate rows side by side until each has given EOS; no gradient is kept.

    Args:
        step: `step(tokens, states) -> (logits, states)`; modules in it should be in `eval()`.
        first: the tokens that are fed first [B]: BOS, or the last one of a prompt.
        max_length: most tokens of a row, EOS counted.
        choice: from logits [B, V] to tokens [B]: `greedy`, `sampling(generator, ...)`, or your own.
        eos: the token that ends a row; None for rows of max_length.
        pad: stands after the end of a row; it is never fed, so it need not be a token.
        min_length: fewest tokens of a row, EOS counted: before, EOS must not come.
        states: before the first step; None for the model's own.
        keep_states: whether the states of all steps are kept.
        batch_axis: where the rows stand in the states; what the step says (0 if it says nothing) by default.

    Raises:
        ArgumentError, ShapeError, DtypeError: arguments, logits or states that do not fit.
        NumericsError: NaN in the logits of a row that has not ended, or nothing may come.
    """
    check_limits(min_length, max_length)
    tokens, axis = check_first(first), axis_of(step, batch_axis)
    check_states(states, len(tokens), axis)
    ended = torch.zeros_like(tokens, dtype=torch.bool)
    lengths, written, chances, trail = torch.zeros_like(tokens), [], [], []
    for t in range(max_length):
        move = _move(step, tokens, states, choice, axis, t, ~ended, eos, banned=t + 1 < min_length)
        states = move.states if t == 0 or not ended.any() else choose_rows(ended, states, move.states, axis)
        trail += [states] if keep_states else []
        written.append(torch.where(ended, pad, move.tokens))
        chances.append(torch.where(ended, 0, move.log_probabilities))
        lengths = lengths + ~ended
        tokens = torch.where(ended, tokens, move.tokens)  # an ended row is fed its EOS, which is a token
        if eos is not None:
            ended = ended | (tokens == eos)
            if ended.all():
                break
    results = torch.stack(written, 1), lengths, ended, torch.stack(chances, 1), states
    return Generated(*results, trail=tuple(trail) if keep_states else None)


def stream(step: Step, first: Tensor, choice: Choice = greedy, *, states: Any = None) -> Iterator[Move]:
    """Generate without an end, a step whenever the next one is asked for; no gradient is kept.

    Args:
        step: `step(tokens, states) -> (logits, states)`.
        first: the tokens that are fed first [B].
        choice: from logits [B, V] to tokens [B].
        states: before the first step; None for the model's own.

    Raises:
        As `generate`.
    """
    tokens, axis = check_first(first), axis_of(step, None)
    check_states(states, len(tokens), axis)
    return _moves(step, tokens, choice, states, axis)


def _moves(step: Step, tokens: Tensor, choice: Choice, states: Any, axis: int) -> Iterator[Move]:
    t = 0
    while True:
        move = _move(step, tokens, states, choice, axis, t)
        tokens, states, t = move.tokens, move.states, t + 1
        yield move


@torch.no_grad()
def _move(
    step: Step,
    tokens: Tensor,
    states: Any,
    choice: Choice,
    axis: int,
    t: int,
    live: Tensor | None = None,
    eos: int | None = None,
    banned: bool = False,
) -> Move:
    """One step and the choice that is made from it."""
    logits, states = ask(step, tokens, states, axis, t, live)
    check_eos(eos, logits.size(1))
    chosen = choice(without(logits, eos) if banned and eos is not None else logits)
    if chosen.shape != tokens.shape:
        raise ShapeError(f"expected tokens [B] = {list(tokens.shape)} from the choice, got {list(chosen.shape)}.")
    if chosen.is_floating_point() or chosen.dtype == torch.bool:
        raise ArgumentError(f"expected tokens of an integer dtype from the choice, got {chosen.dtype}.")
    chosen = chosen.to(tokens)
    wide = torch.promote_types(logits.dtype, torch.float32)  # halves, under autocast, would leave three digits
    chances = logits.log_softmax(-1, dtype=wide).gather(1, chosen.unsqueeze(1)).squeeze(1)
    return Move(chosen, chances, states)
