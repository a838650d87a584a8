"""The translate job: a sequence to another one: words to their sound, dates to a norm, languages to each other."""

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from elman import decoding
from elman.data import Padded, Picked, Ragged, Table, Texts, open_table, padded, texts
from elman.errors import ArgumentError, DataError
from elman.training import Measure
from elman.training.files import beside

from ..ensemble import EnsembleJob, rows_of
from ..inputs import check_network
from ..job import Evaluating, Prepared, digest_of
from ..splits import at_most, groups_in, split_groups, split_rows
from ..symbols import EOS, PAD, UNITS, UNKNOWN, Symbols, sentences
from .dates import builtin_dates
from .network import Batch, TranslateEnsemble, TranslateNetwork
from .numbers import builtin_numbers
from .picture import draw_attention
from .score import TranslateScore, score_translations

if TYPE_CHECKING:
    from polars import DataFrame

AT_ONCE, DRAWN = 32, 30
SCORED = 10_000  # rows at most of those kept for validation, by which a trained model is measured
EXAMPLES = {"dates": builtin_dates, "numbers": builtin_numbers}


class Attended(NamedTuple):
    """What a translation looked at.

    Attributes:
        source: the symbols that were read.
        written: the symbols that were written, and the end.
        weights: how much each written symbol attends to each that was read [T, S].
    """

    source: list[str]
    written: list[str]
    weights: Tensor


@dataclass(kw_only=True)
class TranslateModel(EnsembleJob):
    """A sequence to another one.

        model = TranslateModel(input="word", output="sound").fit(Path("words.csv"), out="sounds.elman")
        print(model.predict({"word": ["through"]}))

    Args:
        input: the column that is read.
        output: the column that is learned to be written.
        unit: what a step of the source is: "char", "word" (between white space) or "bpe" (pieces of words).
        output_unit: the same of what is written; as `unit` by default.
        vocabulary: most pieces of each side, at least 256 (unit "bpe").
        minimum_count: what occurs less often in training has no symbol of its own.
        cell: "gru", "lstm" or "elman".
        layers: of the encoder, each in both directions, and of the decoder.
        hidden_size: H, units of each direction and of the decoder.
        embedding: E, size of the embedding of a symbol.
        dropout: on embeddings, between layers and before the logits, in training.
        smoothing: of labels: the share of the probability that is wanted for all symbols alike.
        beam: K, how many beginnings of a translation go on side by side.
        ensemble: N networks, whose probabilities are averaged at each step of the beam.
        group: a column; rows of one group are all learned or all kept for validation (the inflected forms of a word,
            the sentences of a document).
        example: what is learned without data: "dates" or "numbers".
        validation: share of the rows that is kept for validation; 0 for none.
        epochs, batch_size, learning_rate, clip, patience, seed, optimizer, schedule: see `Job`.

    Attributes:
        sources, targets: the symbols, once they are known.
        checked: the figures on the rows kept for validation, on 10,000 of them at most.

    `fit` takes whatever `data.read_table` does, or None for a built-in example: dates in twenty languages, to be
    written as ISO 8601; numbers, to be written in the words of twelve languages.
    """

    NAME: ClassVar[str] = "translate"
    PICTURES: ClassVar[tuple[str, ...]] = (".attention.png",)
    MEASURE: ClassVar[Measure] = Measure("nats per symbol", "nats", 1.0, "symbols")

    input: str = "input"
    output: str = "output"
    unit: str = "char"
    output_unit: str | None = None
    vocabulary: int = 2_000
    minimum_count: int = 1
    cell: str = "gru"
    layers: int = 1
    hidden_size: int = 192
    embedding: int = 96
    dropout: float = 0.3
    smoothing: float = 0.1
    beam: int = 5
    group: str | None = None
    example: str = "dates"
    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 2e-3
    patience: int = 6
    validation: float = 0.05

    sources: Symbols | None = field(default=None, init=False, repr=False)
    targets: Symbols | None = field(default=None, init=False, repr=False)
    longest: float = field(default=1.0, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = {"layers": self.layers, "hidden_size": self.hidden_size, "embedding": self.embedding}
        check_network(self.cell, self.dropout, **sizes, minimum_count=self.minimum_count, beam=self.beam)
        if not 0 <= self.smoothing < 1:
            raise ArgumentError(f"expected 0 <= smoothing < 1, got {self.smoothing}.")
        if self.input == self.output:
            raise ArgumentError(
                f"expected what is read to be another column than what is written, got {self.input!r} for both."
            )
        for unit in (self.unit, self.output_unit or self.unit):
            if unit not in UNITS:
                raise ArgumentError(f"expected unit to be char, word or bpe, got {unit!r}.")
        if self.example not in EXAMPLES:
            raise ArgumentError(f"expected example to be {' or '.join(EXAMPLES)}, got {self.example!r}.")

    def prepare_data(self, data: Any) -> Prepared:
        """Rows of like length in batches, and a network that reads and writes them."""
        table = self._table(data)
        sources, targets = self._pairs(table)
        for name, some in ((self.input, sources), (self.output, targets)):
            if all(text == some[0] for text in some):
                raise DataError(f"the column {name!r}: expected texts that differ, got {some[0]!r} in all rows.")
        groups = None if self.group is None else groups_in(table, self.group)
        if groups is None:
            learned, kept = split_rows(len(sources), self.validation, self.seed)
        else:
            learned, kept = split_groups(groups, self.validation, self.seed)
        measured = at_most(SCORED, kept)
        self._kept = Picked(sources, measured), Picked(targets, measured)
        if self.network is None:
            self.prepare(Picked(sources, learned), Picked(targets, learned))
        read, written = self._encoded(sources, targets)
        training = self._batches(read, written, learned, self.seed)
        checked = self._batches(read, written, kept, None) if kept else None
        about = {"rows": len(learned), "rows for validation": len(kept)}
        return Prepared(training, checked, digest_of(sources, targets, groups or []), about)

    def prepare(self, sources: Sequence[str], targets: Sequence[str]) -> "TranslateModel":
        """Find the symbols, and make a network with weights drawn from the seed."""
        self.sources = Symbols.learned(sources, self.unit, self.minimum_count, self.vocabulary)
        self.targets = Symbols.learned(targets, self.output_unit or self.unit, self.minimum_count, self.vocabulary)
        for name, symbols in ((self.input, self.sources), (self.output, self.targets)):
            if len(symbols) == UNKNOWN + 1:
                raise DataError(
                    f"the column {name!r}: expected symbols that occur {self.minimum_count} times or more, got none: "
                    "give more rows, or a smaller minimum_count."
                )
        self.longest = max(
            len(self.targets.cut(t)) / max(1, len(self.sources.cut(s))) for s, t in zip(sources, targets, strict=True)
        )
        with torch.random.fork_rng([]):
            torch.manual_seed(self.seed)
            self._build()
        return self

    def finished(self, prepared: Prepared, out: Path | None) -> None:
        """Measure on the rows kept for validation, by the beam, and draw what one of them looked at."""
        if prepared.validation is None:
            return
        sources, targets = self._kept
        self.checked = self._scored(sources, targets).figures()
        if out is not None:
            short = [text for text in sources if 0 < len(self.sources.cut(text)) <= DRAWN]  # type: ignore[union-attr]
            if short:
                draw_attention(self.attend(max(short, key=len)), beside(out, ".attention.png"))

    def predict(self, data: Any, *, n_best: int = 1) -> "DataFrame":
        """What each row becomes.

        Args:
            data: whatever `data.read_table` takes, with the column that is read.
            n_best: how many translations of each row; fewer where the beam has not found as many.

        Returns:
            A frame with "output" and "log probability"; with several, lists of them, the best first.
        """
        if not 1 <= n_best <= self.beam:
            raise ArgumentError(f"expected 1 <= n_best <= {self.beam}, the beam, got {n_best}.")
        self.trained()
        found = self._translated(self._read(open_table(data, as_text=True)), n_best)
        return sentences(found, n_best)

    def score(self, data: Any) -> TranslateScore:
        """How well the model does, beside writing what was read.

        Args:
            data: as for `fit`.
        """
        self.trained()
        return self._scored(*self._pairs(self._table(data)))

    def attend(self, text: str) -> Attended:
        """The translation of a text, and what each of its symbols looked at."""
        network: Any = self.trained()
        assert self.sources is not None and self.targets is not None
        ((written, _),) = self._translated([text], 1)[0]
        (batch,) = self._batches(*self._encoded([text], [written]), [0], None).starting_at(0)
        with torch.no_grad(), Evaluating(network):
            weights = network.weights(Batch(*(part.to(self.device) for part in batch)))
        return Attended(self.sources.cut(text), [*self.targets.cut(written), "end"], weights[:, 0].cpu())

    def states(self, data: Any) -> list[Tensor]:
        """What the encoder gives out at each symbol of each row [S, H]: both directions side by side, and all networks.

        Args:
            data: whatever `data.read_table` takes, with the column that is read.
        """
        network: Any = self.trained()
        sources = self._read(open_table(data, as_text=True))
        found: list[Tensor] = []
        with torch.no_grad(), Evaluating(network):
            for batch in self._unwritten(sources).starting_at(0):
                y = network.states(batch.source.to(self.device), batch.source_lengths.to(self.device))
                found += rows_of(y, batch.source_lengths)
        return found

    def content(self) -> dict[str, Any]:
        """The symbols."""
        assert self.sources is not None and self.targets is not None
        return {
            "sources": self.sources.to_json(),
            "targets": self.targets.to_json(),
            "longest": self.longest,
        }

    def restore(self, content: dict[str, Any]) -> None:
        """The symbols, and the network of their number."""
        self.sources, self.targets = (Symbols.from_json(content[name]) for name in ("sources", "targets"))
        self.longest = content["longest"]
        self._build()

    @property
    def summary(self) -> str:
        """The network in a few words."""
        return f"{self.layers} × {self.cell.upper()} {self.hidden_size} with attention, {super().summary}"

    def _build(self) -> None:
        assert self.sources is not None and self.targets is not None
        make = partial(
            TranslateNetwork, len(self.sources), len(self.targets), self.cell, self.layers, self.hidden_size,
            self.embedding, self.dropout, self.smoothing,
        )  # fmt: skip
        self.network = self.networks(make, TranslateEnsemble)

    def _table(self, data: Any) -> Table:
        if data is not None:
            return open_table(data, as_text=True)
        frame = EXAMPLES[self.example]()
        self.input, self.output = frame.columns
        return open_table(frame)

    def _read(self, table: Table) -> Texts:
        """What is read, of all rows."""
        return texts(table.column(self.input, "what is read"))

    def _pairs(self, table: Table) -> tuple[Texts, Texts]:
        """What is read and what is written, of all rows."""
        sources, targets = self._read(table), texts(table.column(self.output, "what is written"))
        for name, some in ((self.input, sources), (self.output, targets)):
            empty = [row for row, text in enumerate(some) if not text.strip()]
            if empty:
                raise DataError(
                    f"the column {name!r}, row {empty[0]}: expected text, got none there and so in {len(empty)} of "
                    f"{len(some)} rows: fill them in, or leave them out."
                )
        return sources, targets

    def _encoded(self, sources: Sequence[str], targets: Sequence[str]) -> tuple[Ragged, Ragged]:
        """What is read and what is written, for the network."""
        assert self.sources is not None and self.targets is not None
        read = Ragged(map(self.sources.encode, sources), torch.int32)
        return read, Ragged(map(partial(self.targets.encode, end=True), targets), torch.int32)

    def _batches(self, read: Ragged, written: Ragged, some: Sequence[int], seed: int | None) -> Padded:
        """Batches of some of the rows."""

        def make(batch: list[int]) -> Batch:
            numbers = [some[n] for n in batch]
            source, source_lengths = padded([read[n] for n in numbers], PAD)
            target, lengths = padded([written[n] for n in numbers], PAD)
            return Batch(source, source_lengths, target, lengths)

        sizes = array("q", (max(read.lengths[n], written.lengths[n]) for n in some))
        return Padded(sizes, make, self.batch_size if seed is not None else AT_ONCE, seed)

    def _unwritten(self, sources: Sequence[str]) -> Padded:
        """Batches of rows whose translation is not known."""
        return self._batches(*self._encoded(sources, [""] * len(sources)), range(len(sources)), None)

    def _translated(self, sources: Sequence[str], n_best: int) -> list[list[tuple[str, float]]]:
        """For each row the best translations, each with its log probability."""
        network: Any = self.trained()
        assert self.targets is not None
        order = sorted(range(len(sources)), key=lambda row: len(sources[row]))  # a long row keeps few others waiting
        found: list[list[tuple[str, float]]] = []
        with torch.no_grad(), Evaluating(network):
            for batch in self._unwritten(Picked(sources, order)).starting_at(0):
                states = network.encode(batch.source.to(self.device), batch.source_lengths.to(self.device))
                first = torch.full((batch.source.size(1),), EOS, device=self.device)
                most = 10 + int(max(2.0, 1.5 * self.longest) * len(batch.source))
                made = decoding.beam_search(
                    network, first, states=states, width=self.beam, n_best=n_best, max_length=most, eos=EOS, pad=PAD
                )
                for rows, scores in zip(made.tokens.tolist(), made.scores.tolist(), strict=True):
                    some = zip(rows, scores, strict=True)
                    found.append([(self.targets.decode(row), s) for row, s in some if s > -math.inf])
        placed = dict(zip(order, found, strict=True))
        return [placed[row] for row in range(len(sources))]

    def _scored(self, sources: Sequence[str], targets: Sequence[str]) -> TranslateScore:
        said = [some[0][0] for some in self._translated(sources, 1)]
        return score_translations(said, targets, sources)
