"""Beam search: the K best beginnings of each row go on side by side."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from elman.errors import ArgumentError

from .checks import check_eos, check_first, check_limits
from .states import check_states, take_rows
from .step import Step, ask, axis_of


@dataclass(frozen=True, eq=False)
class Hypotheses:
    """The N best hypotheses of each row, the best first, finished ones before others.

    Attributes:
        tokens: [B, N, L], PAD after the end of a hypothesis.
        lengths: tokens of each [B, N], EOS counted; 0 where there was no further hypothesis.
        finished: [B, N] bool, True where EOS ended it, False where max_length did.
        log_probabilities: of each token under the model [B, N, L]; 0 after the end.
        scores: log-probability of each, divided by its length penalty [B, N]; minus infinity where there is none.
    """

    tokens: Tensor
    lengths: Tensor
    finished: Tensor
    log_probabilities: Tensor
    scores: Tensor


def length_penalty(length: Tensor | float, alpha: float) -> Any:
    """What a log-probability is divided by.

        lp(Y) = ((5 + |Y|) / 6)^alpha

    Args:
        length: |Y|, EOS counted.
        alpha: 0 for no penalty; the more, the longer the hypotheses that win.

    Source: Y. Wu et al., Google's Neural Machine Translation System, arXiv 1609.08144, 2016, equation 14.
    """
    return ((5 + length) / 6) ** alpha


@torch.no_grad()
def beam_search(
    step: Step,
    first: Tensor,
    *,
    width: int,
    max_length: int,
    eos: int,
    pad: int = 0,
    n_best: int = 1,
    alpha: float = 0.0,
    min_length: int = 1,
    states: Any = None,
    batch_axis: int | None = None,
) -> Hypotheses:
    """Search for the likeliest sequences that end by EOS; no gradient is kept.

    At each step the K best continuations of a row are looked at: those by EOS are finished, and the K best others go
    on. A row is done when it has n_best finished hypotheses that nothing which goes on can still beat, so a wide
    enough beam is exact. Where fewer are finished at max_length, unfinished ones fill up, and are marked.

    Args:
        step: `step(tokens, states) -> (logits, states)`, called with B * K rows; modules in it should be in `eval()`.
        first: the tokens that are fed first [B].
        width: K, how many beginnings go on; 1, without a length penalty, finds what `greedy` finds.
        max_length: most tokens of a hypothesis, EOS counted.
        eos: the token that ends a hypothesis.
        pad: stands after the end; it is never fed.
        n_best: N, hypotheses to return for each row, at most K.
        alpha: of the length penalty; 0 for none.
        min_length: fewest tokens of a hypothesis, EOS counted.
        states: of B rows, before the first step; None for the model's own.
        batch_axis: where the rows stand in the states; what the step says (0 if it says nothing) by default.

    Raises:
        ArgumentError, ShapeError, DtypeError: arguments, logits or states that do not fit.
        NumericsError: NaN in logits, or a beginning that nothing may follow.

    Source: Y. Wu et al., 2016 (see `length_penalty`), section 7.
    Departs: no pruning by a distance from the best, and no penalty for what attention has not covered.
    """
    check_limits(min_length, max_length)
    _check(width, n_best, alpha)
    tokens, axis = check_first(first), axis_of(step, batch_axis)
    check_states(states, len(tokens), axis)
    copies = torch.arange(len(tokens), device=tokens.device).repeat_interleave(width)
    tokens, states = tokens[copies], take_rows(states, copies, axis)
    going = _Beams.begun(len(first), width, tokens.device)
    done = _Beams.none(len(first), n_best, tokens.device)
    for t in range(max_length):
        logits, states = ask(step, tokens, states, axis, t, live=going.totals.flatten().isfinite())
        check_eos(eos, logits.size(1))
        chances = logits.double().log_softmax(-1).unflatten(0, (-1, width))
        if t + 1 < min_length:
            chances[..., eos] = -math.inf
        ended, going, origin = _grow(going, chances, eos)
        done = _best(done.padded(pad), ended.scored(alpha), n_best)
        going = going.without(done.scores[:, -1] >= _reach(going, max_length, alpha))
        if not going.totals.isfinite().any():
            break
        tokens = going.tokens[..., -1].flatten()
        states = take_rows(states, origin, axis)
    return _filled_up(done, going.scored(alpha), n_best, pad)


@dataclass(frozen=True, eq=False)
class _Beams:
    """K sequences of each row.

    Attributes:
        tokens, chances: [B, K, t].
        lengths: [B, K].
        totals: log-probabilities [B, K], minus infinity where there is no sequence.
        scores: what they are compared by [B, K].
    """

    tokens: Tensor
    chances: Tensor
    lengths: Tensor
    totals: Tensor
    scores: Tensor

    @classmethod
    def none(cls, batch: int, width: int, device: torch.device) -> "_Beams":
        """No sequence at all."""
        lengths = torch.zeros(batch, width, dtype=torch.int64, device=device)
        nothing = torch.zeros(batch, width, 0, dtype=torch.float64, device=device)
        totals = torch.full((batch, width), -math.inf, dtype=torch.float64, device=device)
        return cls(nothing.long(), nothing, lengths, totals, totals)

    @classmethod
    def begun(cls, batch: int, width: int, device: torch.device) -> "_Beams":
        """The empty sequence, once for each row."""
        none = cls.none(batch, width, device)
        return replace(none, totals=none.totals.index_fill(1, torch.tensor([0], device=device), 0.0))

    def take(self, places: Tensor) -> "_Beams":
        """The sequences at some places [B, N] of their rows."""

        def taken(each: Tensor) -> Tensor:
            index = places.reshape(*places.shape, *[1] * (each.dim() - 2))
            return each.gather(1, index.expand(*places.shape, *each.shape[2:]))

        return _Beams(*(taken(getattr(self, field.name)) for field in fields(self)))

    def padded(self, pad: int) -> "_Beams":
        """One place more, with nothing in it."""
        return replace(
            self, tokens=functional.pad(self.tokens, (0, 1), value=pad), chances=functional.pad(self.chances, (0, 1))
        )

    def scored(self, alpha: float) -> "_Beams":
        """With the length penalty."""
        return replace(self, scores=self.totals / length_penalty(self.lengths.double(), alpha))

    def without(self, out: Tensor) -> "_Beams":
        """Without the sequences of some rows [B]."""
        return replace(self, totals=self.totals.masked_fill(out.unsqueeze(1), -math.inf))


def _grow(going: _Beams, chances: Tensor, eos: int) -> tuple[_Beams, _Beams, Tensor]:
    """The K best continuations by EOS, the K best others, and the rows of the step [B * K] that the latter go on from.

    Args:
        going: K beginnings of each row.
        chances: log-probabilities of what may follow each [B, K, V].
        eos: the token that ends.
    """
    batch, width, vocabulary = chances.shape
    totals = going.totals.unsqueeze(-1) + chances
    best, ended_at = totals.flatten(1).topk(width)
    ended = _continued(going, chances, best.masked_fill(ended_at % vocabulary != eos, -math.inf), ended_at)
    totals[..., eos] = -math.inf
    best, at = totals.flatten(1).topk(width)
    rows = torch.arange(batch, device=at.device).unsqueeze(1) * width
    return ended, _continued(going, chances, best, at), (rows + at // vocabulary).flatten()


def _continued(going: _Beams, chances: Tensor, totals: Tensor, at: Tensor) -> _Beams:
    """Each sequence with one token more; `at` [B, K] counts through K * V."""
    vocabulary = chances.size(-1)
    taken, chance = going.take(at // vocabulary), chances.flatten(1).gather(1, at)
    return _Beams(
        torch.cat([taken.tokens, (at % vocabulary).unsqueeze(-1)], -1),
        torch.cat([taken.chances, chance.unsqueeze(-1)], -1),
        taken.lengths + 1,
        totals,
        totals,
    )


def _reach(going: _Beams, max_length: int, alpha: float) -> Tensor:
    """The best score that what goes on in each row [B] may still come to: log-probabilities only fall."""
    return going.totals.amax(1) / length_penalty(max_length, alpha)


def _best(one: _Beams, other: _Beams, count: int) -> _Beams:
    """The best of both, by score; at equal scores those of the first one."""
    names = [field.name for field in fields(one)]
    both = _Beams(*(torch.cat([getattr(one, name), getattr(other, name)], 1) for name in names))
    return both.take(both.scores.argsort(dim=1, descending=True, stable=True)[:, :count])


def _filled_up(done: _Beams, going: _Beams, count: int, pad: int) -> Hypotheses:
    """The finished ones, then those that max_length has ended."""
    finished = done.scores.isfinite()
    order = going.scores.argsort(dim=1, descending=True, stable=True)[:, :count]
    rest = going.take(order)
    both = _Beams(*(torch.cat([getattr(done, f.name), getattr(rest, f.name)], 1) for f in fields(done)))
    there = torch.cat([finished, torch.zeros_like(finished)], 1)
    # Each group is in order already: finished, then unfinished; places without any go last.
    places = both.scores.isfinite().int().argsort(dim=1, descending=True, stable=True)[:, :count]
    both, there = both.take(places), there.gather(1, places)
    lengths = both.lengths.masked_fill(~both.scores.isfinite(), 0)
    longest = max(1, int(lengths.max()))
    after = torch.arange(longest, device=lengths.device) >= lengths.unsqueeze(-1)
    tokens = both.tokens[..., :longest].masked_fill(after, pad)
    return Hypotheses(tokens, lengths, there, both.chances[..., :longest].masked_fill(after, 0), both.scores)


def _check(width: int, n_best: int, alpha: float) -> None:
    if width < 1:
        raise ArgumentError(f"expected width >= 1, got {width}: 1 follows the best beginning alone.")
    if not 1 <= n_best <= width:
        raise ArgumentError(f"expected 1 <= n_best <= width = {width}, got {n_best}: widen the beam.")
    if not 0 <= alpha < math.inf:
        raise ArgumentError(f"expected alpha >= 0, got {alpha}: 0 is no length penalty.")
