"""The text job: a language model over characters, words or pieces of words."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from elman import decoding
from elman.data import (
    UNITS,
    UNKNOWN,
    UNKNOWN_SHOWN,
    LongText,
    Streams,
    Vocabulary,
    build_vocabulary,
    builtin_text,
    fitting_rows,
    read_text,
)
from elman.errors import ArgumentError, DataError
from elman.training import Measure
from elman.training.settings import at_least, check_seed

from ..inputs import check_network
from ..job import Evaluating, Job, Prepared, digest_of
from .network import TextNetwork
from .ngram import NGram
from .score import Score, score_of
from .writer import Writer

SCORED_AT_ONCE = 512
KEPT = 1_000_000  # characters at most that are kept for validation: more would take longer, and say little more
COUNTED = 1_000_000  # characters at the end of the training text that the n-gram counts
BITS = Measure("bits per character", "bits/char", 1 / math.log(2), "characters")
NAMED = {"char": "character", "word": "word", "bpe": "piece"}
PLURAL = {"char": "chars", "word": "words", "bpe": "pieces"}
SYMBOLS = {"char": 1, "word": 10_000, "bpe": 1_000}
OF_THE_NETWORK = ("cell", "layers", "hidden_size", "embedding", "unit")
Source = str | Path | LongText
Sources = Source | Sequence[Source] | None


@dataclass(kw_only=True)
class TextModel(Job):
    """A language model over characters, words or pieces of words.

        model = TextModel(cell="lstm", hidden_size=256).fit(Path("book.txt"))
        print(model.sample("Once upon", length=200, temperature=0.7, seed=1))

    Args:
        cell: "gru", "lstm" or "elman".
        layers: recurrent layers, one above the other.
        hidden_size: H, units of each layer.
        embedding: size of the embedding of a symbol; 0 for one-hot.
        dropout: probability of dropping an entry between the layers and before the logits, in training.
        unit: "char"; "word" (words and marks; a rare word is spelled); or "bpe" (byte pairs: frequent pieces of words,
            down to single bytes, so that nothing is unknown).
        vocabulary: most words that are symbols of their own (unit "word"; by default 10,000); pieces, at least 256
            (unit "bpe"; 1,000).
        minimum_count: what occurs less often in the training text has no symbol of its own.
        window: T, steps through which the gradient goes back; the state goes on from window to window.
        batch_size: B, streams of text side by side.
        validation: share of the text, at its end, that is kept for validation, a million characters at most; 0 for
            none.
        start: a model file whose weights and symbols it begins with; see `continued`.
        epochs, learning_rate, clip, patience, seed, optimizer, schedule: see `Job`.

    Attributes:
        symbols: the vocabulary, once there is one.
        ngram: the n-gram of the training text, which it is measured beside.
        kept: the score on the part kept for validation; `checked` holds its figures.
        network, history: see `Job`; `prepare` makes the network.

    `fit` takes a text (str), a file or folder (Path), a list of them, or None for the English text that comes with
    Python. A text in files need not fit into memory: from 256 MB on it lies, as text and as numbers, in temporary files
    (`data.spool`).

    Weights begin as torch's own layers have them, drawn with `seed`; for others call `prepare`, change
    `network` in place, and then `fit`.
    """

    NAME: ClassVar[str] = "text"
    MEASURE: ClassVar[Measure] = BITS

    cell: str = "gru"
    layers: int = 2
    hidden_size: int = 256
    embedding: int = 64
    dropout: float = 0.2
    unit: str = "char"
    vocabulary: int | None = None
    minimum_count: int = 2
    window: int = 64
    learning_rate: float = 3e-3
    start: str | None = None

    symbols: Vocabulary | None = field(default=None, init=False, repr=False)
    ngram: NGram | None = field(default=None, init=False, repr=False)
    kept: Score | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.start = None if self.start is None else str(self.start)
        check_network(self.cell, self.dropout, layers=self.layers, hidden_size=self.hidden_size, window=self.window)
        at_least("minimum_count", self.minimum_count, 1)
        at_least("embedding", self.embedding, 0)
        if self.unit not in UNITS:
            raise ArgumentError(f"expected unit to be {', '.join(UNITS[:-1])} or {UNITS[-1]}, got {self.unit!r}.")
        at_least("vocabulary", self._most_symbols, 256 if self.unit == "bpe" else 1)

    @classmethod
    def continued(cls, path: Path | str, **options: Any) -> "TextModel":
        """A model that begins with the weights and symbols of a trained one, to be fitted to another text.

            TextModel.continued("book.elman", epochs=4, learning_rate=1e-3).fit(Path("other.txt"))

        Old symbols keep their weights; those that are new in the text get the mean of the old rows. Whatever is not
        given is as in the file.

        Args:
            path: the model file.
            **options: those of `TextModel`, but for cell, layers, hidden_size, embedding and unit.

        Raises:
            ArgumentError: an option of the network is not that of the file.
            DataError: the file is missing, truncated, or the model file of another job.
        """
        begun = cls.load(path, "cpu").configuration()
        other = [f"{name} is {begun[name]!r}, got {options[name]!r}" for name in OF_THE_NETWORK
                 if name in options and options[name] != begun[name]]  # fmt: skip
        if other:
            raise ArgumentError(f"{path}: a trained network keeps its form ({'; '.join(other)}): leave these out.")
        return cls(**{**begun, **options, "start": str(path)})

    def prepare_data(self, data: Sources) -> Prepared:
        """The windows of a text, and a network that foresees it."""
        text = as_text(data)
        training, validation = self._parts(text)
        start = self.start if self.network is None else None  # a model that is fitted again begins as it is
        if self.network is None:
            self.prepare(training)
        else:
            self._count(training)
        learned, checked = self._streams(training), self._streams(validation, least=2) if validation else None
        about = {"characters": len(training), "characters for validation": len(validation)}
        begun = [] if start is None else [Path(start).read_bytes()]
        return Prepared(learned, checked, digest_of(begun, (part.encode() for part in text)), about)

    def prepare(self, text: str | LongText) -> "TextModel":
        """Make the vocabulary of a training text, and a network with weights drawn from the seed, or of `start`."""
        begun = None if self.start is None else self._begun(self.start)
        if begun is None or begun.symbols is None:
            self.symbols = build_vocabulary(text, self.unit, self._most_symbols, self.minimum_count)
        else:
            self.symbols = begun.symbols.extended(text, self._most_symbols, self.minimum_count)
        if len(self.symbols) < 2:
            raise DataError(
                f"expected a text in which something occurs {self.minimum_count} times, got {str(text[:40])!r}."
            )
        self._count(text)
        with torch.random.fork_rng([]):
            torch.manual_seed(self.seed)
            network = self._build(self.symbols)
        if begun is not None:
            network.take_over(begun.trained().state_dict())
        return self

    def finished(self, prepared: Prepared, out: Path | None) -> None:
        """Measure on the part kept for validation, beside the n-gram."""
        if isinstance(prepared.validation, Streams):
            self.kept = self._scored(prepared.validation)
            self.checked = self.kept.figures(NAMED[self.unit])

    def paths_in(self, data: Sources) -> list[Path]:
        """The files and folders among what `fit` takes."""
        return paths_in(data) + ([] if self.start is None else [Path(self.start)])

    def sample(
        self,
        prompt: str = "",
        length: int = 400,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> str:
        """What the model writes after a prompt, without the prompt; arguments as for `stream`."""
        return "".join(self.stream(prompt, length, temperature, top_k, top_p, seed))

    def stream(
        self,
        prompt: str = "",
        length: int = 400,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> Iterator[str]:
        """Write after a prompt, symbol by symbol.

        Args:
            prompt: text to go on from; without one the model begins a line. For words it should not end in a
                space, which belongs to the word that comes next.
            length: units (characters or words) to write.
            temperature: above 1 bolder, below 1 safer.
            top_k: choose among the k likeliest symbols.
            top_p: choose among the fewest likeliest symbols whose probabilities reach this sum.
            seed: the same seed writes the same text; None for another one each time.

        Raises:
            ArgumentError: a temperature, top_k, top_p or length that means nothing.
        """
        at_least("length", length, 0)
        return self._begin(prompt, self.choice(temperature, top_k, top_p, seed)).write(length)

    def search(self, prompt: str = "", length: int = 400, beam: int = 5) -> str:
        """The likeliest text after a prompt that a beam finds, without the prompt.

        Args:
            prompt: as for `stream`.
            length: units to write.
            beam: K, how many beginnings go on side by side; with 1 each symbol is the likeliest one.
        """
        return self._begin(prompt, decoding.greedy).search(length, beam)

    def writer(self, choice: decoding.Choice) -> Writer:
        """The model at the start of a text, to read and to write in turn.

        Args:
            choice: as `choice` makes it, or `decoding.greedy`.
        """
        return Writer(*self._trained(), choice)

    def choice(
        self,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> decoding.Choice:
        """How to choose the next symbol; arguments as for `stream`."""
        if seed is not None:
            check_seed(seed)
        generator = torch.Generator()
        generator.manual_seed(seed) if seed is not None else generator.seed()
        if top_k is not None and self.symbols is not None and top_k >= len(self.symbols):
            raise ArgumentError(f"expected top_k <= {len(self.symbols) - 1}, the symbols of the model, got {top_k}.")
        return decoding.sampling(generator, temperature=temperature, top_k=top_k, top_p=top_p)

    def states(self, sources: Sources) -> list[Tensor]:
        """What each layer gives out behind each symbol of a text: one tensor [T, H] a layer, on the CPU.

        Args:
            sources: as for `fit`; `symbols.encode` says which T symbols they are.
        """
        network, symbols = self._trained()
        numbers = symbols.encode_long(as_text(sources)).long()
        parts: list[list[Tensor]] = [[] for _ in range(self.layers)]
        state: Any = None
        with torch.no_grad(), Evaluating(network):
            for window in numbers.split(SCORED_AT_ONCE):
                found, state = network.hidden(window.unsqueeze(1).to(self.device), state)
                for part, layer in zip(parts, found, strict=True):
                    part.append(layer.squeeze(1).cpu())
        return [torch.cat(part) for part in parts]

    def score(self, sources: Sources) -> Score:
        """How well the model foresees a text: each symbol from all before it.

        Args:
            sources: as for `fit`.

        Raises:
            DataError: the text has fewer than two symbols.
        """
        return self._scored(self._one_stream(as_text(sources)))

    def bits(self, sources: Sources) -> tuple[list[str], Tensor]:
        """The symbols of a text, and how many bits each costs the model [T]; NaN for the first, which is not foreseen.

        Args:
            sources: as for `fit`.

        Raises:
            DataError: the text has fewer than two symbols.
        """
        _, symbols = self._trained()
        streams = self._one_stream(as_text(sources))
        shown = [symbols.symbols[n] if n != UNKNOWN else UNKNOWN_SHOWN for n in streams.numbers.tolist()]
        return shown, torch.cat([torch.tensor([math.nan]), self._nats(streams) / math.log(2)])

    def content(self) -> dict[str, Any]:
        """The vocabulary, the n-gram, and the score on the part kept for validation."""
        assert self.symbols is not None and self.ngram is not None
        kept = None if self.kept is None else asdict(self.kept)
        return {"symbols": self.symbols.to_json(), "ngram": self.ngram.to_json(), "kept": kept}

    def restore(self, content: dict[str, Any]) -> None:
        """What `content` gave, and the network of its size."""
        self.symbols, self.ngram = Vocabulary.from_json(content["symbols"]), NGram.from_json(content["ngram"])
        self.kept = None if content["kept"] is None else Score.from_json(content["kept"])
        self._build(self.symbols)

    @property
    def summary(self) -> str:
        """The network in a few words."""
        return f"{self.layers} × {self.cell.upper()} {self.hidden_size}, {super().summary}"

    @property
    def _most_symbols(self) -> int:
        return SYMBOLS[self.unit] if self.vocabulary is None else self.vocabulary

    def _begun(self, path: str) -> "TextModel":
        """The model to begin with, if it has this form."""
        begun = TextModel.load(path, "cpu")
        if any(getattr(begun, name) != getattr(self, name) for name in OF_THE_NETWORK):
            raise ArgumentError(f"{path}: a trained network keeps its form: use TextModel.continued({path!r}, ...).")
        return begun

    def _count(self, text: str | LongText) -> None:
        assert self.symbols is not None
        self.ngram = NGram.learned(self.symbols.encode_long(text[-COUNTED:]), len(self.symbols))

    def _build(self, symbols: Vocabulary) -> TextNetwork:
        self.network = TextNetwork(
            symbols.lengths, self.cell, self.layers, self.hidden_size, self.embedding, self.dropout
        )
        return self.network

    def _trained(self) -> tuple[TextNetwork, Vocabulary]:
        if self.network is None or self.symbols is None:
            raise ArgumentError("this model has not been trained yet: call fit, or TextModel.load.")
        return self.network, self.symbols

    def _parts(self, text: LongText) -> tuple[LongText, LongText]:
        """The text for training and, from its end, the text for validation."""
        kept = min(round(len(text) * self.validation), KEPT)
        if self.validation and kept < 2:
            raise DataError(
                f"expected a text of at least {math.ceil(2 / self.validation)} characters, of which "
                f"{self.validation:g} are for validation, got {len(text)}: give more text, or validation 0."
            )
        return text[: len(text) - kept], text[len(text) - kept :]

    def _streams(self, text: LongText, least: int | None = None) -> Streams:
        """The windows of a text; `least` numbers are enough, by default one window."""
        assert self.symbols is not None
        numbers = self.symbols.encode_long(text)
        least = self.window + 1 if least is None else least
        if len(numbers) < least:
            raise DataError(
                f"expected at least {least:,} {PLURAL[self.unit]} of text for training (window {self.window} "
                f"and the one after it), got {len(numbers):,}: give more text, or a smaller window."
            )
        return Streams(numbers, fitting_rows(len(numbers), self.batch_size, self.window), self.window)

    def _one_stream(self, text: LongText) -> Streams:
        _, symbols = self._trained()
        numbers = symbols.encode_long(text)
        if len(numbers) < 2:
            raise DataError(f"expected a text of at least 2 {PLURAL[self.unit]} to score, got {len(numbers)}.")
        return Streams(numbers, 1, SCORED_AT_ONCE)

    def _begin(self, prompt: str, choice: decoding.Choice) -> Writer:
        writer = self.writer(choice)
        writer.read(prompt)
        return writer

    def _scored(self, streams: Streams) -> Score:
        """The score of streams that stand side by side; with one of them, each symbol is foreseen from all before."""
        network, symbols = self._trained()
        assert self.ngram is not None
        nats = self._nats(streams)
        numbers = streams.numbers[: len(nats) + 1]
        counted = self.ngram.nats(numbers)[1:] + network.unknown_cost * (numbers[1:] == UNKNOWN).numpy()
        return score_of(nats.numpy(), counted, numbers[1:], symbols.lengths, self.ngram.order)

    def _nats(self, streams: Streams) -> Tensor:
        """What each symbol but the first costs [n - 1], float64, in the order of the text."""
        network, _ = self._trained()
        found, state = [], None
        with torch.no_grad(), Evaluating(network):
            for numbers, targets in streams.starting_at(0):
                costs, state = network.nats((numbers.to(self.device), targets.to(self.device)), state)
                found.append(costs.double().view(targets.shape).cpu())
        return torch.cat(found).t().flatten()


def paths_in(sources: Sources) -> list[Path]:
    """The files and folders among what `fit` takes."""
    return [source for source in _several(sources) if isinstance(source, Path)]


def as_text(sources: Sources) -> LongText:
    """The text of what `fit` takes: a str is a text, a Path a file or folder, None the text that comes with Python.

    Raises:
        DataError: a text is empty, or a file is not text.
        ArgumentError: a str is the name of a file, or something is neither text nor file.
    """
    if sources is None:
        return LongText(builtin_text())
    given = _several(sources)
    for part in given:
        if isinstance(part, str) and len(part) < 256 and part.isprintable() and Path(part).is_file():
            raise ArgumentError(f"expected a text, got the name of a file: give Path({part!r}) to read it.")
        if isinstance(part, str):
            check_whole(part)
    found = [_read(part) for part in given]
    text = found[0] if len(found) == 1 else LongText(passage for each in found for passage in each)
    if not text:
        raise DataError("expected text, got none.")
    return text


def _read(part: Source) -> LongText:
    if isinstance(part, LongText):
        return part
    return read_text([part]).text if isinstance(part, Path) else LongText(part)


def check_whole(text: str) -> None:
    """Raise DataError where half a character stands alone, which no file of text can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"expected text, got half a surrogate pair at character {error.start:,}: read the file as UTF-8, without "
            "surrogateescape."
        ) from None


def _several(sources: Sources) -> Sequence[Source]:
    """What `fit` takes, one after the other."""
    if sources is None:
        return []
    given: Sequence[Any] = (
        [sources] if isinstance(sources, bytes | str) or not isinstance(sources, Sequence) else sources
    )
    if strange := [part for part in given if not isinstance(part, str | Path | LongText)]:
        raise ArgumentError(
            f"expected a text (str), files (Path), a list of them, or None, got {type(strange[0]).__name__}."
        )
    return given
