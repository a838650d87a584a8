"""How well tags are foreseen: tokens, whole rows, and spans where the tags mark them."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..intervals import wilson

Span = tuple[int, int, str]
Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class TagScore:
    """How well tags are foreseen.

    Attributes:
        tokens: how many were scored.
        accuracy: share of the tokens that are right.
        interval: of the accuracy, 95 %, by Wilson.
        baseline: the accuracy of each token's most frequent tag in training.
        unseen: the accuracy on tokens that training never saw; None where there are none.
        rows: share of the rows that are right throughout.
        span_f1: F1 of whole spans (B-x, I-x, O); None where the tags mark none.
        baseline_f1: the same of the baseline.
    """

    tokens: int
    accuracy: float
    interval: tuple[float, float]
    baseline: float
    unseen: float | None
    rows: float
    span_f1: float | None
    baseline_f1: float | None

    def figures(self) -> dict[str, float]:
        """The figures by name."""
        found: dict[str, float | None] = {
            "tokens": self.tokens,
            "accuracy": self.accuracy,
            "accuracy from": self.interval[0],
            "accuracy to": self.interval[1],
            "most frequent tag of each token": self.baseline,
            "accuracy on tokens never seen": self.unseen,
            "rows without a mistake": self.rows,
            "span F1": self.span_f1,
            "span F1 of the most frequent tags": self.baseline_f1,
        }
        return {name: figure for name, figure in found.items() if figure is not None}


def score_tags(said: Rows, given: Rows, usual: Rows, unseen: Sequence[Sequence[bool]]) -> TagScore:
    """Score tags, row by row.

    Args:
        said: what the model says.
        given: what is right.
        usual: what the baseline says.
        unseen: whether training never saw the token.
    """
    right = [[a == b for a, b in zip(*pair, strict=True)] for pair in zip(said, given, strict=True)]
    tokens, hits = sum(map(len, right)), sum(map(sum, right))
    simple = sum(a == b for pair in zip(usual, given, strict=True) for a, b in zip(*pair, strict=True))
    new = [r for row, marks in zip(right, unseen, strict=True) for r, mark in zip(row, marks, strict=True) if mark]
    marked = {tag[:2] for row in given for tag in row}
    spans = bool({"B-", "I-"} & marked)
    return TagScore(
        tokens=tokens,
        accuracy=hits / tokens,
        interval=wilson(hits, tokens),
        baseline=simple / tokens,
        unseen=sum(new) / len(new) if new else None,
        rows=sum(all(row) for row in right) / len(right),
        span_f1=span_f1(said, given) if spans else None,
        baseline_f1=span_f1(usual, given) if spans else None,
    )


def span_f1(said: Rows, given: Rows) -> float:
    """F1 over all spans of all rows: a span counts where begin, end and kind are right."""
    hits = told = asked = 0
    for one, other in zip(said, given, strict=True):
        found, right = spans_of(one), spans_of(other)
        hits, told, asked = hits + len(found & right), told + len(found), asked + len(right)
    return 2 * hits / (told + asked) if told + asked else 1.0


def spans_of(tags: Sequence[str]) -> set[Span]:
    """Begin, end and kind of each span: B-x begins one, I-x goes on, or begins one where nothing of x goes before.

    Source: E. F. Tjong Kim Sang, F. De Meulder, Introduction to the CoNLL-2003 Shared Task, 2003; the rules of its
        conlleval.
    """
    found: set[Span] = set()
    start, kind = 0, ""
    for place, tag in enumerate([*tags, "O"]):
        mark, _, of = tag.partition("-")
        goes_on = mark == "I" and of == kind and kind
        if kind and not goes_on:
            found.add((start, place, kind))
            kind = ""
        if mark in ("B", "I") and of and not goes_on:
            start, kind = place, of
    return found
