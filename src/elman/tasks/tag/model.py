"""The tag job: a label for every step of a sequence: slots, parts of speech, hyphenation points."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from elman.data import Looked, Padded, Picked, Table, Tokens, open_table, padded
from elman.errors import ArgumentError, DataError
from elman.training import Measure

from ..ensemble import EnsembleJob, rows_of
from ..inputs import Encoder, check_network
from ..job import Evaluating, Prepared, digest_of
from ..splits import at_most, groups_in, split_groups, split_rows
from .hyphens import builtin_hyphens
from .network import Batch, TagEnsemble, TagNetwork
from .score import TagScore, score_tags
from .tokens import TokenInputs, rows_of_tokens

if TYPE_CHECKING:
    from polars import DataFrame

AT_ONCE = 64
SCORED = 100_000  # rows at most of those kept for validation, by which a trained model is measured


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
        checked: the figures on the rows kept for validation, on 100,000 of them at most.

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
        table = self._table(data)
        rows, tags = self._pairs(table)
        groups = None if self.group is None else groups_in(table, self.group)
        if groups is None:
            learned, kept = map(sorted, split_rows(len(rows), self.validation, self.seed))
        else:
            learned, kept = split_groups(groups, self.validation, self.seed)
        if self.network is None:
            self.labels = tuple(sorted(tags.different))
            self.prepare(Picked(rows, learned), Picked(tags, learned))
        assert self.inputs is not None
        read, told = self.inputs.encode(rows), self._numbered(tags)
        training = self._batches(read, told, learned, self.seed)
        checked = self._batches(read, told, kept, None) if kept else None
        tokens = sum(read.lengths[n] for n in learned)
        about = {"rows": len(learned), "tokens": tokens, "rows for validation": len(kept), "tags": len(self.labels)}
        measured = at_most(SCORED, kept)
        self._kept = Tokens(Picked(rows, measured)), Picked(tags, measured)
        digest = digest_of(rows, tags, groups or [])
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
        return polars.DataFrame({"tokens": list(rows), "tags": tags}, schema={"tokens": kind, "tags": kind})

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
            encoder = Encoder(self.inputs, self.cell, self.layers, self.hidden_size, self.embedding, self.dropout)
            return TagNetwork(encoder, len(self.labels), self.crf)

        self.network = self.networks(make, TagEnsemble)

    def _table(self, data: Any) -> Table:
        if data is not None:
            return open_table(data, as_text=True)
        self.input, self.tags, self.unit = "word", "points", "char"
        return open_table(builtin_hyphens())

    def _rows(self, data: Any) -> Tokens:
        """The tokens of each row."""
        return self._read(open_table(data, as_text=True))

    def _read(self, table: Table) -> Tokens:
        return rows_of_tokens(table.column(self.input, "what is read"), self.unit)

    def _pairs(self, table: Table) -> tuple[Tokens, Tokens]:
        """Tokens and tags of all rows, as many of one as of the other."""
        rows, tags = self._read(table), rows_of_tokens(table.column(self.tags, "the tags"), self.unit)
        for number, (count, told) in enumerate(zip(rows.numbers.lengths, tags.numbers.lengths, strict=True)):
            if count != told:
                raise DataError(
                    f"row {number}: expected a tag for each of the {count} tokens {rows[number][:6]}, got {told}."
                )
        if not rows.different:
            raise DataError(f"the column {self.input!r}: expected tokens, got {len(rows)} empty rows.")
        return rows, tags

    def _numbered(self, tags: Tokens) -> Looked:
        """The tags as the network numbers them."""
        places = {label: number for number, label in enumerate(self.labels)}
        for tag in tags.different:
            if tag not in places:
                row = next(number for number, some in enumerate(tags) if tag in some)
                raise DataError(
                    f"row {row}: expected one of the {len(self.labels)} tags of the network, got {tag!r}: the network "
                    "was made for other data."
                )
        return Looked(tags.numbers, torch.tensor([places[tag] for tag in tags.different]))

    def _batches(self, read: Looked, told: Looked | None, some: Sequence[int], seed: int | None) -> Padded:
        """Batches of some of the rows; without tags where nobody looks at them."""

        def make(batch: list[int]) -> Batch:
            numbers = [some[n] for n in batch]
            x, lengths = padded([read[n] for n in numbers])
            tags = torch.zeros_like(x[..., 0]) if told is None else padded([told[n] for n in numbers])[0]
            return Batch(x, lengths, tags)

        at_once = self.batch_size if seed is not None else AT_ONCE
        return Padded(array("q", (read.lengths[n] for n in some)), make, at_once, seed)

    def _unlabelled(self, rows: Tokens) -> Padded:
        """Batches of rows whose tags are not known."""
        assert self.inputs is not None
        return self._batches(self.inputs.encode(rows), None, range(len(rows)), None)

    def _best(self, rows: Tokens) -> list[list[str]]:
        network: Any = self.trained()
        found: list[list[str]] = []
        with torch.no_grad(), Evaluating(network):
            for batch in self._unlabelled(rows).starting_at(0):
                best = network.best(batch.x.to(self.device), batch.lengths.to(self.device))
                found += [[self.labels[n] for n in row.tolist()] for row in rows_of(best, batch.lengths)]
        return found

    def _scored(self, rows: Tokens, tags: Sequence[Sequence[str]]) -> TagScore:
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
