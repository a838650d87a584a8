"""How well sequences are written: whole ones, symbol by symbol, and by sacrebleu."""

from collections.abc import Sequence
from dataclasses import dataclass

from elman.errors import SetupError

from ..intervals import wilson


@dataclass(frozen=True)
class TranslateScore:
    """How well sequences are written.

    Attributes:
        rows: how many were scored.
        wrong: share of the rows with any mistake: the word error rate where a row is a word.
        interval: of that share, 95 %, by Wilson.
        words: word error rate: edits (insert, drop, change) that the words need, by words of the references; a word is
            what stands between white space, a phoneme say.
        characters: character error rate: the same of characters.
        bleu: BLEU of all rows, 0 to 100.
        chrf: chrF of all rows, 0 to 100.
        baseline: share of the rows with any mistake if what was read is written.
        baseline_chrf: chrF of the same.

    Source: BLEU and chrF by sacrebleu (M. Post, A Call for Clarity in Reporting BLEU Scores, WMT 2018).
    """

    rows: int
    wrong: float
    interval: tuple[float, float]
    words: float
    characters: float
    bleu: float
    chrf: float
    baseline: float
    baseline_chrf: float

    def figures(self) -> dict[str, float]:
        """The figures by name."""
        return {
            "rows": self.rows,
            "rows with a mistake": self.wrong,
            "rows with a mistake from": self.interval[0],
            "rows with a mistake to": self.interval[1],
            "word error rate": self.words,
            "character error rate": self.characters,
            "BLEU": self.bleu,
            "chrF": self.chrf,
            "rows with a mistake if copied": self.baseline,
            "chrF if copied": self.baseline_chrf,
        }


def score_translations(said: Sequence[str], given: Sequence[str], sources: Sequence[str]) -> TranslateScore:
    """Score what was written.

    Args:
        said: by the model.
        given: what is right.
        sources: what was read, for the baseline.

    Raises:
        SetupError: sacrebleu is not installed.
    """
    try:
        import sacrebleu
    except ImportError:
        raise SetupError(
            "translations are scored by sacrebleu, not installed here: pip install 'elman[jobs]'"
        ) from None
    rows = len(given)
    wrong = sum(a != b for a, b in zip(said, given, strict=True))
    copied = sum(a != b for a, b in zip(sources, given, strict=True))
    return TranslateScore(
        rows=rows,
        wrong=wrong / rows,
        interval=wilson(wrong, rows),
        words=error_rate([text.split() for text in said], [text.split() for text in given]),
        characters=error_rate(said, given),
        bleu=float(sacrebleu.corpus_bleu(list(said), [list(given)]).score),
        chrf=float(sacrebleu.corpus_chrf(list(said), [list(given)]).score),
        baseline=copied / rows,
        baseline_chrf=float(sacrebleu.corpus_chrf(list(sources), [list(given)]).score),
    )


def error_rate(said: Sequence[Sequence[str]], given: Sequence[Sequence[str]]) -> float:
    """Edits that all sequences need, by symbols of those that are right; above 1 where too much is said."""
    edits = sum(edit_distance(a, b) for a, b in zip(said, given, strict=True) if a != b)
    return edits / max(1, sum(map(len, given)))


def edit_distance(one: Sequence[str], other: Sequence[str]) -> int:
    """The least number of symbols to insert, to drop or to change that makes one sequence the other.

    Source: V. I. Levenshtein, Binary Codes Capable of Correcting Deletions, Insertions, and Reversals, 1966.
    """
    before = list(range(len(other) + 1))
    for number, symbol in enumerate(one, 1):
        now = [number]
        for place, wanted in enumerate(other, 1):
            now.append(min(before[place] + 1, now[-1] + 1, before[place - 1] + (symbol != wanted)))
        before = now
    return before[-1]
