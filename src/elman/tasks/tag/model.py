"""The tag job: a label for every step of a sequence: slots, parts of speech, hyphenation points."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from elman.data import Padded, column, padded, read_table
from elman.errors import ArgumentError, DataError
from elman.training import Measure

from ..ensemble import EnsembleJob, rows_of
from ..inputs import Encoder, check_network
from ..job import Evaluating, Prepared, digest_of
from ..splits import groups_in, split_groups, split_rows
from .hyphens import builtin_hyphens
from .network import Batch, TagEnsemble, TagNetwork
from .score import TagScore, score_tags
from .tokens import TokenInputs, rows_of_tokens

if TYPE_CHECKING:
    from polars import DataFrame, Series

AT_ONCE = 64


@dataclass(kw_only=True)
class TagModel(EnsembleJob):
    """A tag for every step of a sequence.

        model = TagModel(input="tokens", tags="slots", crf=True).fit(Path("train.jsonl"), out="slots.elman")
        print(model.predict({"tokens": [["fly", "to", "Rome"]]}))

    Args:
        input: the column that is read: lists of tokens, or text, which is cut at white space (unit "word") or into its
            characters (unit "char").
        tags: the column that is learned: lists, or text cut in the same way; as many as there are tokens.
        unit: "word" or "char".
        spelled: whether the spelling of each word is read, too, so that new words are not all alike (unit "word").
        minimum_count: what occurs less often in training has its spelling alone.
        crf: choose the tags of a row together.
        cell, layers, hidden_size, embedding, dropout: see `ClassifyModel`.
        ensemble: N networks, averaged: the probabilities of the tags of each step; with `crf` the scores of whole rows
            of tags.
        group: a column; rows of one group (the sentences of a document) are all learned or all kept for validation.
        validation: share of the rows that is kept for validation; 0 for none.
        epochs, batch_size, learning_rate, clip, patience, seed, optimizer, schedule: see `Job`.

    Attributes:
        inputs: what is read, once it is known.
        labels: the tags, in the order of the network's outputs.
        checked: the figures on the rows kept for validation.

    `fit` takes whatever `data.read_table` does, or None for hyphenation points of English words, from pyphen.
    """

    NAME: ClassVar[str] = "tag"
    MEASURE: ClassVar[Measure] = Measure("nats per token", "nats", 1.0, "tokens")

    input: str = "tokens"
    tags: str = "tags"
    unit: str = "word"
    spelled: bool = True
    minimum_count: int = 2
    crf: bool = False
    group: str | None = None
    cell: str = "gru"
    layers: int = 1
    hidden_size: int = 128
    embedding: int = 64
    dropout: float = 0.3
    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 3e-3
    patience: int = 5
    validation: float = 0.1

    inputs: TokenInputs | None = field(default=None, init=False, repr=False)
    labels: tuple[str, ...] = field(default=(), init=False, repr=False)
    usual: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = {"layers": self.layers, "hidden_size": self.hidden_size, "embedding": self.embedding}
        check_network(self.cell, self.dropout, **sizes, minimum_count=self.minimum_count)
        if self.unit not in ("char", "word"):
            raise ArgumentError(f"expected unit to be word or char, got {self.unit!r}.")

    def prepare_data(self, data: Any) -> Prepared:
        """Rows of like length in batches, and a network that reads them."""
        frame = self._table(data)
        rows, tags = self._pairs(frame)
        groups = None if self.group is None else groups_in(frame, self.group)
        if groups is None:
            learned, kept = map(sorted, split_rows(len(rows), self.validation, self.seed))
        else:
            learned, kept = split_groups(groups, self.validation, self.seed)
        if self.network is None:
            self.labels = tuple(sorted({tag for some in tags for tag in some}))
            self.prepare([rows[n] for n in learned], [tags[n] for n in learned])
        told = [[self._number(tag, row) for tag in some] for row, some in enumerate(tags)]
        training = self._batches([rows[n] for n in learned], [told[n] for n in learned], self.seed)
        checked = self._batches([rows[n] for n in kept], [told[n] for n in kept], None) if kept else None
        tokens = sum(len(rows[n]) for n in learned)
        about = {"rows": len(learned), "tokens": tokens, "rows for validation": len(kept), "tags": len(self.labels)}
        self._kept = [rows[n] for n in kept], [tags[n] for n in kept]
        digest = digest_of((rows, tags) if groups is None else (rows, tags, groups))
        return Prepared(training, checked, digest, about)

    def prepare(self, rows: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> "TagModel":
        """Find which tokens and tags there are, and make a network with weights drawn from the seed."""
        self.labels = self.labels or tuple(sorted({tag for some in tags for tag in some}))
        if len(self.labels) < 2:
            raise DataError(f"the column {self.tags!r}: expected two tags or more, got {list(self.labels)}.")
        self.inputs = TokenInputs.learned(rows, self.spelled and self.unit == "word", self.minimum_count)
        self.usual = _usual(rows, tags)
        with torch.random.fork_rng([]):
            torch.manual_seed(self.seed)
            self._build()
        return self

    def finished(self, prepared: Prepared, out: Path | None) -> None:
        """Measure on the rows kept for validation."""
        if prepared.validation is not None:
            rows, tags = self._kept
            self.checked = self._scored(rows, tags).figures()

    def predict(self, data: Any) -> "DataFrame":
        """The tags of each row.

        Args:
            data: whatever `data.read_table` takes, with the column that is read.

        Returns:
            A frame with "tokens" and "tags", lists.
        """
        import polars

        self.trained()
        rows = self._rows(data)
        tags = self._best(rows)
        kind = polars.List(polars.String)
        return polars.DataFrame({"tokens": rows, "tags": tags}, schema={"tokens": kind, "tags": kind})

    def score(self, data: Any) -> TagScore:
        """How well the model does, beside each token's most frequent tag.

        Args:
            data: as for `fit`; tags that were not in training are mistakes.
        """
        self.trained()
        return self._scored(*self._pairs(self._table(data)))

    def states(self, data: Any) -> list[Tensor]:
        """What the encoder gives out at each token of each row [T, H]: both directions side by side, and all networks.

        Args:
            data: whatever `data.read_table` takes, with the column that is read.
        """
        network: Any = self.trained()
        found: list[Tensor] = []
        with torch.no_grad(), Evaluating(network):
            for batch in self._unlabelled(self._rows(data)).starting_at(0):
                y = network.states(batch.x.to(self.device), batch.lengths.to(self.device))
                found += rows_of(y, batch.lengths)
        return found

    def content(self) -> dict[str, Any]:
        """What is read, and which tags there are."""
        assert self.inputs is not None
        known = {"inputs": self.inputs.to_json(), "labels": list(self.labels)}
        return {**known, "usual": self.usual}

    def restore(self, content: dict[str, Any]) -> None:
        """What is read, the tags, and the network of these sizes."""
        self.inputs = TokenInputs.from_json(content["inputs"])
        self.labels = tuple(content["labels"])
        self.usual = dict(content["usual"])
        self._build()

    @property
    def summary(self) -> str:
        """The network in a few words."""
        crf = ", tags chosen together" if self.crf else ""
        return f"{self.layers} × {self.cell.upper()} {self.hidden_size} in both directions{crf}, {super().summary}"

    def _build(self) -> None:
        def make() -> TagNetwork:
            assert self.inputs is not None
            encoder = Encoder(
                self.inputs, self.cell, self.layers, self.hidden_size, self.embedding, self.dropout, both=True
            )
            return TagNetwork(encoder, len(self.labels), self.crf)

        self.network = self.networks(make, TagEnsemble)

    def _table(self, data: Any) -> "DataFrame":
        if data is not None:
            return read_table(data, as_text=True)
        self.input, self.tags, self.unit = "word", "points", "char"
        return builtin_hyphens()

    def _rows(self, data: Any) -> list[list[str]]:
        """The tokens of each row."""
        return rows_of_tokens(column(read_table(data, as_text=True), self.input, "what is read"), self.unit)

    def _pairs(self, frame: "DataFrame") -> tuple[list[list[str]], list[list[str]]]:
        """Tokens and tags of all rows, as many of one as of the other."""
        read: Series = column(frame, self.input, "what is read")
        given: Series = column(frame, self.tags, "the tags")
        rows, tags = rows_of_tokens(read, self.unit), rows_of_tokens(given, self.unit)
        for number, (row, some) in enumerate(zip(rows, tags, strict=True)):
            if len(row) != len(some):
                raise DataError(
                    f"row {number}: expected a tag for each of the {len(row)} tokens {row[:6]}, got {len(some)}."
                )
        if not any(rows):
            raise DataError(f"the column {self.input!r}: expected tokens, got {len(rows)} empty rows.")
        return rows, tags

    def _number(self, tag: str, row: int) -> int:
        if tag not in self.labels:
            raise DataError(
                f"row {row}: expected one of the {len(self.labels)} tags of the network, got {tag!r}: the network was "
                "made for other data."
            )
        return self.labels.index(tag)

    def _batches(self, rows: Sequence[Sequence[str]], tags: Sequence[Sequence[int]], seed: int | None) -> Padded:
        assert self.inputs is not None
        encoded = self.inputs.encode(rows)
        told = [torch.tensor(some, dtype=torch.int64) for some in tags]

        def make(batch: list[int]) -> Batch:
            x, lengths = padded([encoded[n] for n in batch])
            return Batch(x, lengths, padded([told[n] for n in batch])[0])

        return Padded([len(row) for row in rows], make, self.batch_size if seed is not None else AT_ONCE, seed)

    def _unlabelled(self, rows: Sequence[Sequence[str]]) -> Padded:
        """Batches of rows whose tags nobody looks at."""
        return self._batches(rows, [[0] * len(row) for row in rows], None)

    def _best(self, rows: Sequence[Sequence[str]]) -> list[list[str]]:
        network: Any = self.trained()
        found: list[list[str]] = []
        with torch.no_grad(), Evaluating(network):
            for batch in self._unlabelled(rows).starting_at(0):
                best = network.best(batch.x.to(self.device), batch.lengths.to(self.device))
                found += [[self.labels[n] for n in row.tolist()] for row in rows_of(best, batch.lengths)]
        return found

    def _scored(self, rows: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> TagScore:
        said = self._best(rows)
        usual = [[self.usual.get(token, self.usual[""]) for token in row] for row in rows]
        return score_tags(said, tags, usual, [[token not in self.usual for token in row] for row in rows])


def _usual(rows: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> dict[str, str]:
    """Each token's most frequent tag; that of all of them under ""."""
    counted: dict[str, dict[str, int]] = {"": {}}
    for row, some in zip(rows, tags, strict=True):
        for token, tag in zip(row, some, strict=True):
            for each in (token, ""):
                of = counted.setdefault(each, {})
                of[tag] = of.get(tag, 0) + 1
    return {token: max(sorted(of), key=lambda tag: of[tag]) for token, of in counted.items()}
