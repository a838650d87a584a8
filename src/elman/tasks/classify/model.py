"""The classify job: a sequence of symbols or of vectors to a label, several labels, or a number."""

import math
import sys
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from elman.data import (
    UNITS,
    Column,
    Padded,
    Ragged,
    Table,
    Texts,
    open_table,
    padded,
    parts_of,
    texts,
    values_of,
)
from elman.errors import ArgumentError, DataError
from elman.training import Measure
from elman.training.files import beside

from ..ensemble import EnsembleJob, rows_of
from ..inputs import Encoder, Inputs, TextInputs, check_network, inputs_from, learned_inputs, read_rows
from ..job import Evaluating, Prepared, digest_of
from ..splits import groups_in, split_groups, split_labels
from .network import Batch, ClassifyEnsemble, ClassifyNetwork
from .picture import draw_confusion
from .score import ClassifyScore, NumberScore, score_labels, score_many, score_numbers
from .terms import builtin_terms

if TYPE_CHECKING:
    from polars import DataFrame

TARGETS = ("label", "labels", "number")
SEPARATOR = ";"
AT_ONCE = 256
_TEXTS = ("text", "sequence", "name", "term", "sentence", "review", "x", "input")
_LABELS = ("label", "labels", "class", "language", "category", "target", "y", "output")


class Explained(NamedTuple):
    """What a prediction rests on.

    Attributes:
        units: what each step stands for: a character, a word, or its number.
        weights: how much each step weighs in the sum that attention takes [T]; they sum to 1.
        states: what the encoder gives out at each step [T, H].
    """

    units: list[str]
    weights: Tensor
    states: Tensor


@dataclass(kw_only=True)
class ClassifyModel(EnsembleJob):
    """Labels of sequences: the language of a name, the speaker of an utterance, the score of a review.

        model = ClassifyModel(input="name", label="country").fit(Path("names.csv"), out="languages.elman")
        print(model.predict({"name": ["Müller", "Rossi"]}))

    Args:
        input: the column that is read: text, or lists of steps (of numbers, or of lists of numbers); found by its
            name, or as the column that is no label, if None.
        label: the column that is learned; found by its name if None.
        target: "label": one of some labels; "labels": any of them, separated by ";" or as a list; "number".
        unit: "char", "word" or "bpe" (pieces of words), for text.
        vocabulary: most words, or pieces of words, that are symbols (unit "word" or "bpe").
        minimum_count: what occurs less often in the training text has no symbol of its own.
        cell: "gru", "lstm" or "elman".
        layers: recurrent layers, one above the other, each in both directions.
        hidden_size: H, units of each direction.
        embedding: size of the embedding of a symbol.
        dropout: on what is read, between layers, and on what is pooled, in training.
        balanced: weigh each label by the inverse of how often it occurs, so that rare ones count as much.
        ensemble: N networks, whose probabilities are averaged.
        group: a column; rows of one group (the utterances of a speaker) are all learned or all kept for validation.
        validation: share of the rows that is kept for validation, drawn label by label, or by groups; 0 for none.
        epochs, batch_size, learning_rate, clip, patience, seed, optimizer, schedule: see `Job`.

    Attributes:
        inputs: what is read, once it is known.
        labels: in the order of the network's outputs; empty for numbers.
        temperature: by which logits are divided, so that on the rows kept for validation a probability is how often
            the label is right.
        checked: the figures on the rows kept for validation, by which the temperature and the best epoch were chosen:
            they are a little too good.

    `fit` takes whatever `data.read_table` does, or None for terms of languages that come with Babel.

    Source for the temperature: C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, On Calibration of Modern Neural Networks,
        ICML 2017.
    """

    NAME: ClassVar[str] = "classify"
    PICTURES: ClassVar[tuple[str, ...]] = (".labels.png",)
    MEASURE: ClassVar[Measure] = Measure("loss", "loss", 1.0, "rows")

    input: str | None = None
    label: str | None = None
    target: str = "label"
    unit: str = "char"
    vocabulary: int = 10_000
    minimum_count: int = 1
    cell: str = "gru"
    layers: int = 1
    hidden_size: int = 128
    embedding: int = 64
    dropout: float = 0.3
    balanced: bool = False
    group: str | None = None
    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 2e-3
    patience: int = 6
    validation: float = 0.1

    inputs: Inputs | None = field(default=None, init=False, repr=False)
    labels: tuple[str, ...] = field(default=(), init=False, repr=False)
    center: tuple[float, float] = field(default=(0.0, 1.0), init=False, repr=False)
    temperature: float = field(default=1.0, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = {"layers": self.layers, "hidden_size": self.hidden_size, "embedding": self.embedding}
        check_network(self.cell, self.dropout, **sizes, minimum_count=self.minimum_count)
        if self.target not in TARGETS:
            raise ArgumentError(f"expected target to be one of {', '.join(TARGETS)}, got {self.target!r}.")
        if self.unit not in UNITS:
            raise ArgumentError(f"expected unit to be char, word or bpe, got {self.unit!r}.")
        if self.balanced and self.target == "number":
            raise ArgumentError("numbers have no labels to balance: drop `balanced`.")

    def prepare_data(self, data: Any) -> Prepared:
        """Rows of like length in batches, and a network that reads them."""
        table = self._table(data)
        groups = None if self.group is None else groups_in(table, self.group)
        names = [name for name in table.columns if name != self.group]
        self.input, self.label = found_columns(names, self.input, self.label)
        if self.input == self.label:
            raise ArgumentError(f"expected a column to read and another to learn, got {self.input!r} for both.")
        rows = self._rows(table)
        given = self._given(table.column(self.label, "what is learned"))
        if groups is None:
            labels = given if self.target == "label" else [None] * len(given)
            learned, kept = split_labels(labels, self.validation, self.seed)
        else:
            learned, kept = split_groups(groups, self.validation, self.seed)
        if self.network is None:
            if self.target != "number":
                self.labels = tuple(sorted(self._counted(given)))
            self.inputs = learned_inputs(rows, learned, self.unit, self.vocabulary, self.minimum_count)
            self.prepare([given[row] for row in learned])
        read, targets = self._encoded(rows), self._targets(given)
        about = {"rows": len(learned), "rows for validation": len(kept), "labels": len(self.labels)}
        training, checked = self._batches(read, targets, learned, self.seed), None
        if kept:
            checked = self._batches(read, targets, kept, None)
        return Prepared(training, checked, digest_of(rows, given, groups or []), about)

    def prepare(self, given: Sequence[Any]) -> None:
        """Make a network with weights drawn from the seed; what is read and which labels there are is known.

        Args:
            given: the label, the labels, or the number of each row to learn from.
        """
        if self.target == "number":
            numbers = torch.tensor(given, dtype=torch.float64)
            spread = float(numbers.std(correction=0))
            if not spread or not math.isfinite(spread):
                raise DataError(
                    f"the column {self.label!r}: expected numbers that differ, and whose squares can be held, got "
                    f"{given[0]:g} and others with a standard deviation of {spread:g}."
                )
            self.center = float(numbers.mean()), spread
        elif len(self.labels) < (least := 2 if self.target == "label" else 1):
            some = repr(self.labels[0]) if self.labels else "none"
            raise DataError(f"the column {self.label!r}: expected {least} labels or more, got {some} in all rows.")
        with torch.random.fork_rng([]):
            torch.manual_seed(self.seed)
            self._build(self._weights(given))

    def finished(self, prepared: Prepared, out: Path | None) -> None:
        """Find the temperature on the rows kept for validation, and measure and draw how well these are foreseen."""
        if prepared.validation is None:
            return
        z, targets = self._outputs(prepared.validation)
        if self.target == "label":
            self.temperature = _temperature(z, targets)
        score = self._scored(self._said(z), targets if self.target != "number" else self._as_given(targets))
        self.checked = score.figures()
        if out is not None and isinstance(score, ClassifyScore):
            draw_confusion(score, beside(out, ".labels.png"))

    def predict(self, data: Any, *, every: bool = False) -> "DataFrame":
        """What each row is.

        Args:
            data: whatever `data.read_table` takes, with the column that is read.
            every: the probabilities of all labels as well.

        Returns:
            A frame with "label" and "probability"; "labels" and "probabilities" (lists, those of 1/2 and more); or
            "number". With `every`, a column "P(label)" for each label.

        Raises:
            DataError: the column is missing, or of another kind than in training.
        """
        import polars

        self.trained()
        p = self._probabilities(open_table(data, as_text=True))
        if self.target == "number":
            return polars.DataFrame({"number": p.tolist()})
        if self.target == "label":
            best, number = p.max(1)
            found = {"label": [self.labels[n] for n in number.tolist()], "probability": best.tolist()}
        else:
            chosen = [(row >= 0.5).nonzero().flatten().tolist() for row in p]
            found = {
                "labels": [[self.labels[n] for n in some] for some in chosen],
                "probabilities": [[float(row[n]) for n in some] for row, some in zip(p, chosen, strict=True)],
            }
        columns = {f"P({label})": p[:, n].tolist() for n, label in enumerate(self.labels)} if every else {}
        return polars.DataFrame({**found, **columns}, strict=False)

    def _probabilities(self, table: Table) -> Tensor:
        """Of each label [N, C]; for numbers, the numbers [N]."""
        rows = self._encoded(self._rows(table))
        z, _ = self._outputs(self._batches(rows, self._none(len(rows)), range(len(rows)), None))
        return self._said(z)

    def score(self, data: Any) -> ClassifyScore | NumberScore:
        """How well the model does, beside the most frequent label of these rows, or the mean of the training.

        Args:
            data: as for `fit`.

        Raises:
            DataError: a column is missing, or there are labels that were not in training.
        """
        self.trained()
        table = self._table(data)
        assert self.label is not None
        given = self._given(table.column(self.label, "what was learned"))
        p = self._probabilities(table)
        return self._scored(
            p, torch.tensor(given, dtype=torch.float64) if self.target == "number" else self._targets(given)
        )

    def explain(self, value: Any) -> Explained:
        """Which steps of a row mattered, and the states of the network at each.

        Args:
            value: a text, or steps [T, I].
        """
        import polars

        network: Any = self.trained()
        assert self.inputs is not None
        (row,) = self._encoded(read_rows(polars.Series("value", [value]), self.inputs))
        x, lengths = padded([row])
        with torch.no_grad(), Evaluating(network):
            states, weights = network.attended(x.to(self.device), lengths.to(self.device))
        count = len(row)
        return Explained(self.inputs.units(value), weights[:count, 0].cpu(), states[:count, 0].cpu())

    def states(self, data: Any) -> list[Tensor]:
        """What the encoder gives out at each step of each row [T, H]: both directions side by side, and all networks.

        Args:
            data: whatever `data.read_table` takes, with the column that is read.
        """
        network: Any = self.trained()
        rows = self._encoded(self._rows(open_table(data, as_text=True)))
        found: list[Tensor] = []
        with torch.no_grad(), Evaluating(network):
            for batch in self._batches(rows, self._none(len(rows)), range(len(rows)), None).starting_at(0):
                y, _ = network.attended(batch.x.to(self.device), batch.lengths.to(self.device))
                found += rows_of(y, batch.lengths)
        return found

    def content(self) -> dict[str, Any]:
        """What is read, and which labels there are."""
        assert self.inputs is not None
        return {
            "inputs": self.inputs.to_json(),
            "labels": list(self.labels),
            "center": list(self.center),
            "temperature": self.temperature,
        }

    def restore(self, content: dict[str, Any]) -> None:
        """What is read, the labels, and the network of these sizes."""
        self.inputs = inputs_from(content["inputs"])
        self.labels = tuple(content["labels"])
        self.center = (content["center"][0], content["center"][1])
        self.temperature = content["temperature"]
        self._build(torch.ones(max(1, len(self.labels))))

    @property
    def summary(self) -> str:
        """The network in a few words."""
        return f"{self.layers} × {self.cell.upper()} {self.hidden_size} in both directions, {super().summary}"

    @property
    def inputs_told(self) -> str:
        """What is read, in a few words."""
        if isinstance(self.inputs, TextInputs):
            return f"text, {len(self.inputs.symbols):,} symbols ({self.unit})"
        return "" if self.inputs is None else f"steps of {len(self.inputs.mean)} numbers"

    @property
    def labels_told(self) -> str:
        """What is learned, in a few words."""
        if self.target == "number":
            return f"a number, {self.center[0]:.4g} ± {self.center[1]:.4g}"
        some = ", ".join(self.labels[:6]) + (", ..." if len(self.labels) > 6 else "")
        return f"{'one' if self.target == 'label' else 'any'} of {len(self.labels)}: {some}"

    def _said(self, z: Tensor) -> Tensor:
        """Probabilities, or numbers, of the network's outputs."""
        if self.target == "number":
            return self._as_given(z.squeeze(1))
        return (z / self.temperature).softmax(1) if self.target == "label" else z.sigmoid()

    def _as_given(self, numbers: Tensor) -> Tensor:
        """Numbers in the units of the column."""
        return numbers.double() * self.center[1] + self.center[0]

    def _scored(self, said: Tensor, targets: Tensor) -> ClassifyScore | NumberScore:
        if self.target == "number":
            return score_numbers(said, targets, self.center[0])
        return (score_labels if self.target == "label" else score_many)(said, targets, self.labels)

    def _build(self, weights: Tensor) -> None:
        def make() -> ClassifyNetwork:
            assert self.inputs is not None
            encoder = Encoder(self.inputs, self.cell, self.layers, self.hidden_size, self.embedding, self.dropout)
            words = 0
            if isinstance(self.inputs, TextInputs) and self.inputs.symbols.unit != "char":
                words = len(self.inputs.symbols)
            return ClassifyNetwork(encoder, len(self.labels) or 1, self.dropout, self.target, weights, words)

        self.network = self.networks(make, ClassifyEnsemble)

    def _table(self, data: Any) -> Table:
        return open_table(builtin_terms() if data is None else data, as_text=True)

    def _given(self, values: Column) -> list[Any]:
        """The label, the labels or the number of each row."""
        if self.target == "number":
            return _numbers(values)
        if self.target == "labels" and values.dtype.is_nested():
            return [[sys.intern(str(label)) for label in some or []] for some in values_of(values)]
        found = texts(values)
        if self.target == "labels":
            return [[sys.intern(part.strip()) for part in text.split(SEPARATOR) if part.strip()] for text in found]
        missing = [number for number, text in enumerate(found) if not text]
        if missing:
            raise DataError(f"the column {values.name!r}: expected a label in every row, got none in row {missing[0]}.")
        return list(map(sys.intern, found))

    def _counted(self, given: Sequence[Any]) -> "Counter[str]":
        return Counter(label for each in given for label in (each if self.target == "labels" else [each]))

    def _weights(self, given: Sequence[Any]) -> Tensor:
        """What each label weighs in the loss; 1 in the mean over the rows."""
        if not self.balanced:
            return torch.ones(max(1, len(self.labels)))
        counted = self._counted(given)
        total, count = sum(counted.values()), len(self.labels)
        return torch.tensor([total / (count * max(1, counted[label])) for label in self.labels])

    def _targets(self, given: Sequence[Any]) -> Tensor:
        """What the loss compares with, for all rows."""
        if self.target == "number":
            return ((torch.tensor(given, dtype=torch.float64) - self.center[0]) / self.center[1]).float()
        place = {label: number for number, label in enumerate(self.labels)}
        unseen = sorted({each for some in given for each in (some if self.target == "labels" else [some])} - {*place})
        if unseen:
            raise DataError(
                f"the column {self.label!r}: expected one of the {len(place)} labels of the training, "
                f"got {', '.join(map(repr, unseen[:5]))}{', ...' if len(unseen) > 5 else ''}."
            )
        if self.target == "label":
            return torch.tensor([place[label] for label in given])
        found = torch.zeros(len(given), len(place))
        for row, some in enumerate(given):
            found[row, [place[label] for label in some]] = 1
        return found

    def _none(self, count: int) -> Tensor:
        """Targets where nobody looks at them."""
        return torch.zeros((count, len(self.labels)) if self.target == "labels" else count).to(
            torch.int64 if self.target == "label" else torch.float32
        )

    def _rows(self, table: Table) -> Texts | Ragged:
        """What is read, as it is given."""
        assert self.input is not None
        return read_rows(table.column(self.input, "what is read"), self.inputs)

    def _encoded(self, rows: Texts | Ragged) -> Ragged:
        """What is read, for the network."""
        assert self.inputs is not None
        return self.inputs.encode(rows)  # type: ignore[arg-type]  # rows go with the inputs

    def _batches(self, rows: Ragged, targets: Tensor, some: Sequence[int], seed: int | None) -> Padded:
        """Batches of some of the rows."""

        def make(batch: list[int]) -> Batch:
            numbers = [some[n] for n in batch]
            x, lengths = padded([rows[n] for n in numbers])
            return Batch(x, lengths, targets[numbers])

        at_once = self.batch_size if seed is not None else AT_ONCE
        return Padded(array("q", (rows.lengths[n] for n in some)), make, at_once, seed)

    def _outputs(self, batches: Any) -> tuple[Tensor, Tensor]:
        """The logits of all rows in order, and their targets, on the CPU."""
        network = self.trained()
        found, targets = [], []
        with torch.no_grad(), Evaluating(network):
            for batch in batches.starting_at(0):
                found.append(network(batch.x.to(self.device), batch.lengths.to(self.device)).cpu())
                targets.append(batch.targets)
        return torch.cat(found), torch.cat(targets)


def found_columns(columns: Sequence[str], read: str | None, label: str | None) -> tuple[str, str]:
    """The names of the columns, those that were not given found by what people call them.

    Raises:
        DataError: they cannot be told.
    """
    names = {name.lower(): name for name in columns}
    if label is None:
        others = [name for name in columns if name != read]
        known = next((names[name] for name in _LABELS if name in names and names[name] != read), None)
        label = known or (others[-1] if len(others) == (2 if read is None else 1) else None)
    if read is None and label is not None:
        others = [name for name in columns if name != label]
        known = next((names[name] for name in _TEXTS if name in names and names[name] != label), None)
        read = known or (others[0] if len(others) == 1 else None)
    if read is None or label is None:
        raise DataError(
            f"expected to be told which column is read and which is learned (input, label): "
            f"there are {', '.join(map(repr, columns[:12]))}."
        )
    return read, label


def _numbers(values: Column) -> list[float]:
    import polars

    if values.dtype.is_nested() or values.dtype == polars.Binary:
        raise DataError(f"the column {values.name!r}: expected numbers, got {values.dtype}.")
    found: list[float] = []
    for part in parts_of(values):
        for number, value in zip(part.cast(polars.Float64, strict=False).to_list(), part.to_list(), strict=True):
            if number is None or not math.isfinite(number):
                raise DataError(f"the column {values.name!r}, row {len(found)}: expected a number, got {value!r}.")
            found.append(number)
    return found


def _temperature(z: Tensor, targets: Tensor) -> float:
    """The temperature with the least cross entropy, by steps over its logarithm.

    As in Platt's scaling a label counts as a little less than certain, so that a few rows without a mistake do not
    make the model certain of everything.
    """
    found, doubt = torch.linspace(-2, 2, 81), 1 / (len(targets) + 2)
    losses = [float(functional.cross_entropy(z / math.exp(t), targets, label_smoothing=doubt)) for t in found.tolist()]
    return math.exp(float(found[int(torch.tensor(losses).argmin())]))
