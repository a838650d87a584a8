"""How well rows are described: against all sentences of the same input, beside the simplest that could be said."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.errors import SetupError

from ..intervals import wilson
from .slots import Said, SlotErrors, slot_errors

_DRAWS = 1000


@dataclass(frozen=True)
class Written:
    """Figures of one way to describe.

    Attributes:
        exact: share of the inputs for which one of their sentences was written.
        exact_interval: of that share, 95 %, by Wilson.
        bleu: BLEU over all inputs, 0 to 100.
        bleu_interval: of that, 95 %, by drawing inputs again.
        chrf: chrF over all inputs, 0 to 100.
        slots: what is wrong with the values.
    """

    exact: float
    exact_interval: tuple[float, float]
    bleu: float
    bleu_interval: tuple[float, float]
    chrf: float
    slots: SlotErrors


@dataclass(frozen=True)
class DescribeScore:
    """How well rows are described.

    Attributes:
        rows: how many were scored.
        inputs: different ones among them; all sentences of one are right.
        words: of a sentence that is right, in the mean.
        network: what the network writes.
        nearest: the sentence of the nearest row of the training, with the values of the row where it has slots.
        frequent: the most frequent sentence of the training, likewise.
        given: the sentences that are right, of which only the slot errors say something.

    Source: BLEU and chrF by sacrebleu (M. Post, A Call for Clarity in Reporting BLEU Scores, WMT 2018); the interval
        of BLEU: P. Koehn, Statistical Significance Tests for Machine Translation Evaluation, EMNLP 2004.
    """

    rows: int
    inputs: int
    words: float
    network: Written
    nearest: Written
    frequent: Written
    given: SlotErrors

    def figures(self) -> dict[str, float]:
        """The figures by name; without BLEU where most sentences have not the four words in a row that it counts."""
        network, bleu = self.network, self.words >= 4
        found: dict[str, float] = {
            "rows": self.rows,
            "different inputs": self.inputs,
            "exact": network.exact,
            "exact from": network.exact_interval[0],
            "exact to": network.exact_interval[1],
            "chrF": network.chrf,
        }
        if bleu:
            found |= {"BLEU": network.bleu, "BLEU from": network.bleu_interval[0], "BLEU to": network.bleu_interval[1]}
        if self.given.slots:
            found |= {"slot errors": network.slots.rate, "slot errors of what is right": self.given.rate}
        for name, simple in (("nearest row", self.nearest), ("most frequent sentence", self.frequent)):
            found |= {f"{name}: exact": simple.exact, f"{name}: chrF": simple.chrf}
            if bleu:
                found[f"{name}: BLEU"] = simple.bleu
            if self.given.slots:
                found[f"{name}: slot errors"] = simple.slots.rate
        return found


def score_descriptions(
    said: Sequence[str],
    given: Sequence[Collection[str]],
    values: Sequence[Said],
    telling: Collection[str],
) -> Written:
    """Score what was written.

    Args:
        said: one sentence for each input.
        given: all that are right for each.
        values: the slots of each input, and what fills them.
        telling: values that no sentence has unless its row has them.

    Raises:
        SetupError: sacrebleu is not installed.
    """
    try:
        import sacrebleu
    except ImportError:
        raise SetupError(
            "descriptions are scored by sacrebleu, not installed here: pip install 'elman[jobs]'"
        ) from None
    exact = sum(text in right for text, right in zip(said, given, strict=True))
    most = max(len(right) for right in given)
    streams: Any = [[(*right, *[None] * most)[n] for right in map(tuple, given)] for n in range(most)]
    counts = np.array([_counts(sacrebleu.sentence_bleu(text, list(g))) for text, g in zip(said, given, strict=True)])
    return Written(
        exact=exact / len(said),
        exact_interval=wilson(exact, len(said)),
        bleu=float(sacrebleu.corpus_bleu(list(said), streams).score),
        bleu_interval=_interval(counts),
        chrf=float(sacrebleu.corpus_chrf(list(said), streams).score),
        slots=total_errors(said, values, telling),
    )


def total_errors(said: Sequence[str], values: Sequence[Said], telling: Collection[str]) -> SlotErrors:
    """What is wrong with the values in all of some sentences."""
    found = (slot_errors(text, some, telling) for text, some in zip(said, values, strict=True))
    return sum(found, SlotErrors())


def _counts(score: Any) -> list[int]:
    """What BLEU is made of: matches and n-grams of each order, and both lengths."""
    return [*score.counts, *score.totals, score.sys_len, score.ref_len]


def _interval(counts: Any) -> tuple[float, float]:
    """Where 95 % of the BLEU lie of as many inputs, drawn again from these; counts [N, 10]."""
    from sacrebleu import BLEU

    draw, found = np.random.default_rng(0), []
    for _ in range(_DRAWS):
        drawn = counts[draw.integers(len(counts), size=len(counts))].sum(0).tolist()
        found.append(BLEU.compute_bleu(drawn[:4], drawn[4:8], drawn[8], drawn[9]).score)
    return float(np.quantile(found, 0.025)), float(np.quantile(found, 0.975))
