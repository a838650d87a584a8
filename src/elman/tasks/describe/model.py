"""The describe job: a vector, some attributes or a small image to a sentence."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from elman import decoding
from elman.data import Padded, column, padded, texts
from elman.errors import ArgumentError, DataError
from elman.training import Measure
from elman.training.files import beside

from ..inputs import check_network
from ..job import Evaluating, Job, Prepared, digest_of
from ..splits import split_rows
from ..symbols import EOS, PAD, UNITS, UNKNOWN, Symbols, sentences
from .colours import builtin_colours
from .columns import Read, Rows, key_of, read_columns, read_rows
from .inputs import Inputs
from .network import FEEDS, Batch, DescribeNetwork
from .picture import draw_said, patches
from .score import DescribeScore, score_descriptions, total_errors
from .slots import Said, delexicalised, filled, is_slot, lexicalised, slot_character, slot_errors

if TYPE_CHECKING:
    from polars import DataFrame

AT_ONCE = 64
KEPT = 2_000_000  # numbers of training rows that a model keeps, to compare with the nearest one
Sentences = list[list[tuple[str, float]]]


@dataclass(kw_only=True)
class DescribeModel(Job):
    """A sentence for a vector, for attributes, or for a small image.

        model = DescribeModel(input=("r", "g", "b"), output="name").fit(Path("colours.csv"), out="names.elman")
        print(model.predict({"r": [172], "g": [194], "b": [217]}))

    Args:
        input: the columns that are read, all but the output if none is named: of numbers, of lists of numbers (a
            vector, an image), of values (text), of lists of them, or of attributes (a struct: name to value or values).
        output: the column that is learned to be written.
        attributes: columns among the input whose numbers are names of something, not amounts.
        slots: whether values that stand in the sentences as they are (a name, an address) become slots: learned as a
            symbol, and put back in writing, so that any other value does as well.
        unit: what is written at a step: "char", "word" (between white space) or "bpe" (pieces of words).
        vocabulary: most pieces, at least 256 (unit "bpe").
        minimum_count: what occurs less often in training has no symbol of its own.
        feed: how the network is told: "every" (at every step), "first" (at the first alone), "state" (as the initial
            state).
        cell: "gru", "lstm" or "elman".
        layers: recurrent layers, one above the other.
        hidden_size: H.
        embedding: E, size of the embedding of a symbol.
        dropout: on what is read, on embeddings, between layers and before the logits, in training.
        smoothing: of labels: the share of the probability that is wanted for all symbols alike.
        beam: K, how many beginnings of a sentence go on side by side.
        length_penalty: 0 for none; the more, the longer the sentences that win: see `decoding.length_penalty`.
        slot_weight: what a slot that is missing, repeated or another's costs a sentence of the beam, in nats.
        validation: share of the different inputs that is kept for validation, of the rows where that would be none; 0
            for none.
        epochs, batch_size, learning_rate, clip, patience, seed, optimizer, schedule: see `Job`.

    Attributes:
        inputs: what is read, once it is known.
        symbols: what is written, once it is known.
        checked: the figures on the rows kept for validation.

    `fit` takes whatever `data.read_table` does, or None for the 949 colours of the xkcd survey and their names.
    """

    NAME: ClassVar[str] = "describe"
    PICTURES: ClassVar[tuple[str, ...]] = (".said.png",)
    MEASURE: ClassVar[Measure] = Measure("nats per symbol", "nats", 1.0, "symbols")

    input: str | Sequence[str] = ()
    output: str = "output"
    attributes: Sequence[str] = ()
    slots: bool = True
    unit: str = "word"
    vocabulary: int = 2_000
    minimum_count: int = 1
    feed: str = "every"
    cell: str = "gru"
    layers: int = 1
    hidden_size: int = 128
    embedding: int = 64
    dropout: float = 0.3
    smoothing: float = 0.1
    beam: int = 10
    length_penalty: float = 0.8
    slot_weight: float = 5.0
    epochs: int = 15
    batch_size: int = 16
    learning_rate: float = 3e-3
    patience: int = 5
    validation: float = 0.1

    inputs: Inputs | None = field(default=None, init=False, repr=False)
    symbols: Symbols | None = field(default=None, init=False, repr=False)
    longest: int = field(default=1, init=False, repr=False)
    known: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list, init=False, repr=False)
    frequent: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input = (self.input,) if isinstance(self.input, str) else tuple(self.input)
        self.attributes = tuple(self.attributes)
        if self.output in self.input:
            raise ArgumentError(f"expected what is read to be without what is written, got {self.output!r} in both.")
        sizes = {"layers": self.layers, "hidden_size": self.hidden_size, "embedding": self.embedding}
        check_network(self.cell, self.dropout, **sizes, minimum_count=self.minimum_count, beam=self.beam)
        for name, one, some in (("unit", self.unit, UNITS), ("feed", self.feed, FEEDS)):
            if one not in some:
                raise ArgumentError(f"expected {name} to be one of {', '.join(some)}, got {one!r}.")
        if not 0 <= self.smoothing < 1:
            raise ArgumentError(f"expected 0 <= smoothing < 1, got {self.smoothing}.")
        for name, number in (("slot_weight", self.slot_weight), ("length_penalty", self.length_penalty)):
            if not 0 <= number < float("inf"):
                raise ArgumentError(f"expected {name} >= 0, got {number}.")

    def prepare_data(self, data: Any) -> Prepared:
        """Batches of rows, and a network that describes them; an input is on one side alone where there are enough."""
        if data is None:
            self.input, self.output, self.unit = ("r", "g", "b"), "name", "char"
        rows = Rows(builtin_colours()) if data is None else read_rows(data)
        read, sentences = self._pairs(rows)
        groups = list(_groups(read).values())
        if len(groups) < 2 or len(set(sentences)) < 2:
            what = "inputs" if len(groups) < 2 else f"sentences in the column {self.output!r}"
            raise DataError(f"expected two different {what} or more, got {len(sentences)} rows of the same.")
        apart = groups if round(self.validation * len(groups)) else [[row] for row in range(len(sentences))]
        learned, kept = (
            [row for number in some for row in apart[number]]
            for some in split_rows(len(apart), self.validation, self.seed)
        )
        if self.network is None:
            self.prepare(read, sentences, learned)
            self.input = self._names(rows)
        training = _some(read, sentences, learned)
        self._remember(*training)
        self._kept = _some(read, sentences, kept)
        about = {"rows": len(learned), "rows for validation": len(kept), "different inputs": len(groups)}
        digest = digest_of((key_of(read, row) for row in range(len(sentences))), sentences)
        checks = self._batches(*self._kept, None) if kept else None
        return Prepared(self._batches(*training, self.seed), checks, digest, about)

    def prepare(self, read: dict[str, Read], sentences: Sequence[str], rows: Sequence[int]) -> "DescribeModel":
        """Find what some rows hold, and make a network with weights drawn from the seed."""
        self.inputs = Inputs.learned(read, rows, sentences, self.slots)
        templates = [delexicalised(sentences[row], self.inputs.said(read, row)) for row in rows]
        self.symbols = Symbols.learned(templates, self.unit, self.minimum_count, self.vocabulary)
        if len(self.symbols) == UNKNOWN + 1:
            raise DataError(
                f"the column {self.output!r}: expected symbols that occur {self.minimum_count} times or more, got none"
                ": give more rows, or a smaller minimum_count."
            )
        self.longest = max(len(self.symbols.cut(template)) for template in templates)
        with torch.random.fork_rng([]):
            torch.manual_seed(self.seed)
            self._build()
        return self

    def finished(self, prepared: Prepared, out: Path | None) -> None:
        """Measure on the rows kept for validation; draw them, if they are colours or images."""
        if prepared.validation is None:
            return
        score, said = self._scored(*self._kept)
        self.checked = score.figures()
        drawn = patches(self._kept[0])
        if out is not None and drawn is not None:
            draw_said(drawn, said, self._kept[1], beside(out, ".said.png"))

    def predict(self, data: Any, *, n_best: int = 1, temperature: float | None = None, seed: int = 0) -> "DataFrame":
        """What each row is described by.

        Args:
            data: whatever `data.read_table` takes, with the columns that are read.
            n_best: how many sentences for each row; fewer where the beam has not ended as many.
            temperature: draw sentences at this temperature in place of searching for the best; the lower, the safer.
            seed: of what is drawn.

        Returns:
            A frame with "output" and "log probability"; with several, lists of them. The best comes first, by the log
            probability, divided by the length penalty, less `slot_weight` for each slot error; what is drawn comes as
            it was drawn.
        """
        self.trained()
        read = self._read(read_rows(data))
        found = self._written(read, n_best) if temperature is None else self._drawn(read, n_best, temperature, seed)
        return sentences(found, n_best)

    def score(self, data: Any) -> DescribeScore:
        """How well the model does, beside the nearest row of the training and its most frequent sentence.

        Args:
            data: as for `fit`; all sentences of rows with the same input count as right for it.
        """
        self.trained()
        return self._scored(*self._pairs(read_rows(data)))[0]

    def states(self, data: Any) -> list[Tensor]:
        """What the last layer gives out while each row's sentence is written, its end included: [T, H] each.

        Args:
            data: as for `predict`.
        """
        network = self.trained()
        assert isinstance(network, DescribeNetwork)
        read = self._read(read_rows(data))
        sentences = [some[0][0] for some in self._written(read, 1)]
        found: list[Tensor] = []
        with torch.no_grad(), Evaluating(network):
            for batch in self._batches(read, sentences, None).starting_at(0):
                x, slots, target, lengths = (part.to(self.device) for part in batch)
                fed = torch.cat([torch.full_like(target[:1], EOS), target[:-1]])
                y, _ = network.hidden(fed, network.begin(x, slots), lengths)
                found += [y[:length, row].cpu() for row, length in enumerate(lengths.tolist())]
        return found

    def content(self) -> dict[str, Any]:
        """What is read and what is written, and what the nearest row is looked for in."""
        assert self.inputs is not None and self.symbols is not None
        return {
            "inputs": self.inputs.to_json(),
            "symbols": self.symbols.to_json(),
            "longest": self.longest,
            "known": self.known,
            "frequent": self.frequent,
        }

    def restore(self, content: dict[str, Any]) -> None:
        """What is read and what is written, and the network of these sizes."""
        self.inputs, self.symbols = Inputs.from_json(content["inputs"]), Symbols.from_json(content["symbols"])
        self.longest, self.frequent = content["longest"], content["frequent"]
        self.known = [(template, [tuple(pair) for pair in said]) for template, said in content["known"]]
        self._build()

    @property
    def summary(self) -> str:
        """The network in a few words."""
        fed = {"every": "at every step", "first": "at the first step", "state": "as the initial state"}[self.feed]
        return f"{self.layers} × {self.cell.upper()} {self.hidden_size}, the input {fed}, {super().summary}"

    def _build(self) -> None:
        assert self.inputs is not None and self.symbols is not None
        within = [[float(slot in symbol) for symbol in self.symbols.symbols] for slot in self._slots]
        holds = torch.tensor(within).reshape(-1, len(self.symbols))
        self.network = DescribeNetwork(
            self.inputs.size, holds, len(self.known), self.feed, self.cell, self.layers, self.hidden_size,
            self.embedding, self.dropout, self.smoothing,
        )  # fmt: skip

    def _read(self, rows: Rows) -> dict[str, Read]:
        """The columns that are read."""
        read = read_columns(rows, self._names(rows), self.attributes)
        return read if self.network is None or self.inputs is None else self.inputs.check(read)

    def _names(self, rows: Rows) -> Sequence[str]:
        """The columns that are read: all but the output if none was named."""
        return tuple(self.input) or tuple(name for name in rows.frame.columns if name != self.output)

    def _pairs(self, rows: Rows) -> tuple[dict[str, Read], list[str]]:
        """What is read and what is written, of all rows."""
        sentences = list(texts(column(rows.frame, self.output, "what is written")))
        for row, text in enumerate(sentences):
            if not text.strip():
                raise DataError(f"the column {self.output!r}, row {row}: expected a sentence, got an empty one.")
            if any(map(is_slot, text)):
                raise DataError(f"the column {self.output!r}, row {row}: expected no characters of private use.")
        return self._read(rows), sentences

    def _remember(self, read: dict[str, Read], sentences: Sequence[str]) -> None:
        """Keep rows of the training, and the most frequent sentence, to compare with."""
        assert self.inputs is not None
        said = [self.inputs.said(read, row) for row in range(len(sentences))]
        templates = [delexicalised(text, some) for text, some in zip(sentences, said, strict=True)]
        self.frequent = Counter(templates).most_common(1)[0][0]
        rows = range(min(len(sentences), KEPT // max(1, self.inputs.size)))
        self.known = [(templates[row], said[row]) for row in rows]
        self.network.known = self.inputs.encode(read, rows).to(self.device)

    def _batches(self, read: dict[str, Read], sentences: Sequence[str], seed: int | None) -> Padded:
        assert self.inputs is not None and self.symbols is not None
        inputs, symbols = self.inputs, self.symbols
        said = [inputs.said(read, row) for row in range(len(sentences))]
        targets = [
            symbols.encode(delexicalised(text, some), end=True) for text, some in zip(sentences, said, strict=True)
        ]

        def make(batch: list[int]) -> Batch:
            target, lengths = padded([targets[row] for row in batch], PAD)
            slots = torch.tensor([[float(slot in dict(said[row])) for slot in self._slots] for row in batch])
            return Batch(inputs.encode(read, batch), slots, target, lengths)

        at_once = self.batch_size if seed is not None else AT_ONCE
        return Padded([len(target) for target in targets], make, at_once, seed)

    def _begun(self, read: dict[str, Read], copies: int = 1) -> Any:
        """For each batch: its rows, the states before the first symbol, and what is fed first."""
        network = self.trained()
        assert isinstance(network, DescribeNetwork)
        count = len(next(iter(read.values())))
        for number, batch in enumerate(self._batches(read, [""] * count, None).starting_at(0)):
            x, slots = (part.repeat_interleave(copies, 0).to(self.device) for part in batch[:2])
            rows = range(number * AT_ONCE, number * AT_ONCE + len(batch.x))
            yield rows, network.begin(x, slots), torch.full((len(x),), EOS, device=self.device)

    def _written(self, read: dict[str, Read], n_best: int) -> Sentences:
        """For each row the best sentences of the beam, with their log probabilities."""
        network = self.trained()
        assert self.inputs is not None and self.symbols is not None
        if not 1 <= n_best <= self.beam:
            raise ArgumentError(f"expected 1 <= n_best <= {self.beam}, the beam, got {n_best}.")
        found: Sentences = []
        with torch.no_grad(), Evaluating(network):
            for rows, states, first in self._begun(read):
                made = decoding.beam_search(
                    network, first, states=states, width=self.beam, n_best=self.beam, max_length=self._most, eos=EOS,
                    pad=PAD, alpha=self.length_penalty, min_length=2,
                )  # fmt: skip
                chances = made.log_probabilities.sum(-1)
                there = torch.where(made.finished.any(1, keepdim=True), made.finished, made.lengths > 0)
                for at, row in enumerate(rows):
                    said, real = self.inputs.said(read, row), there[at]
                    texts = [lexicalised(self.symbols.decode(some), said) for some in made.tokens[at][real].tolist()]
                    best = self._order(texts, made.scores[at][real].tolist(), said)[:n_best]
                    found.append([(texts[n], float(chances[at][real][n])) for n in best])
        return found

    def _order(self, sentences: list[str], scores: list[float], said: Said) -> list[int]:
        """The sentences of a row, the best first: what is wrong with the values costs."""
        assert self.inputs is not None
        telling, weight = self.inputs.telling, self.slot_weight if said else 0.0
        cost = [weight * slot_errors(text, said, telling).count if weight else 0.0 for text in sentences]
        return sorted(range(len(scores)), key=lambda n: cost[n] - scores[n])

    def _drawn(self, read: dict[str, Read], n_best: int, temperature: float, seed: int) -> Sentences:
        """For each row sentences that are drawn, with their log probabilities."""
        network = self.trained()
        assert self.inputs is not None and self.symbols is not None
        if n_best < 1:
            raise ArgumentError(f"expected n_best >= 1, got {n_best}.")
        choice = decoding.sampling(torch.Generator().manual_seed(seed), temperature=temperature)
        found: Sentences = []
        with torch.no_grad(), Evaluating(network):
            for rows, states, first in self._begun(read, n_best):
                made = decoding.generate(
                    network, first, states=states, choice=choice, max_length=self._most, eos=EOS, pad=PAD, min_length=2
                )
                drawn = list(zip(made.tokens.tolist(), made.scores.tolist(), strict=True))
                for number, row in enumerate(rows):
                    said = self.inputs.said(read, row)
                    some = drawn[number * n_best : (number + 1) * n_best]
                    found.append([(lexicalised(self.symbols.decode(tokens), said), score) for tokens, score in some])
        return found

    @property
    def _slots(self) -> list[str]:
        """The characters of the slots."""
        return [slot_character(number) for number in range(len(self.inputs.slots if self.inputs else ()))]

    @property
    def _most(self) -> int:
        """Most symbols of a sentence."""
        return 10 + 2 * self.longest

    def _scored(self, read: dict[str, Read], sentences: Sequence[str]) -> tuple[DescribeScore, list[str]]:
        """The score, and what was written for each row."""
        assert self.inputs is not None
        groups = list(_groups(read).values())
        firsts = [rows[0] for rows in groups]
        read_once, _ = _some(read, sentences, firsts)
        said = [some[0][0] for some in self._written(read_once, 1)]
        values = [self.inputs.said(read, row) for row in firsts]
        given = [[*dict.fromkeys(sentences[row] for row in rows)] for rows in groups]
        telling = self.inputs.telling

        def scored(texts: list[str]) -> Any:
            return score_descriptions(texts, given, values, telling)

        right = [(text, some) for some, texts in zip(values, given, strict=True) for text in texts]
        score = DescribeScore(
            rows=len(sentences),
            inputs=len(groups),
            words=sum(len(text.split()) for text, _ in right) / len(right),
            network=scored(said),
            nearest=scored(self._nearest(read_once, values)),
            frequent=scored([filled(self.frequent, [], some) for some in values]),
            given=total_errors([text for text, _ in right], [some for _, some in right], telling),
        )
        written = {row: text for text, rows in zip(said, groups, strict=True) for row in rows}
        return score, [written[row] for row in range(len(sentences))]

    def _nearest(self, read: dict[str, Read], values: Sequence[Said]) -> list[str]:
        """The sentences of the nearest rows of the training, with the values of these rows where they have slots."""
        assert self.inputs is not None
        found: list[str] = []
        for start in range(0, len(values), AT_ONCE):
            rows = range(start, min(start + AT_ONCE, len(values)))
            near = torch.cdist(self.inputs.encode(read, rows), self.network.known.cpu()).argmin(1).tolist()
            for row, number in zip(rows, near, strict=True):
                template, own = self.known[number]
                found.append(filled(template, own, values[row]))
        return found


def _some(read: dict[str, Read], sentences: Sequence[str], rows: Sequence[int]) -> tuple[dict[str, Read], list[str]]:
    """Some of the rows."""
    part: dict[str, Read] = {
        name: each[list(rows)] if isinstance(each, Tensor) else [each[row] for row in rows]
        for name, each in read.items()
    }
    return part, [sentences[row] for row in rows]


def _groups(read: dict[str, Read]) -> dict[Any, list[int]]:
    """Rows with the same input."""
    groups: dict[Any, list[int]] = {}
    for row in range(len(next(iter(read.values())))):
        groups.setdefault(key_of(read, row), []).append(row)
    return groups
