"""The text job: a language model over characters or words."""

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from elman import decoding
from elman.data import UNKNOWN, Streams, Vocabulary, build_vocabulary, builtin_text, fitting_rows, read_text
from elman.errors import ArgumentError, DataError
from elman.training import Measure
from elman.training.settings import at_least, check_seed

from .inputs import check_network
from .job import Evaluating, Job, Prepared
from .text_network import TextNetwork

SCORED_AT_ONCE = 512
BITS = Measure("bits per character", "bits/char", 1 / math.log(2), "characters")
Sources = str | Path | Iterable[str | Path] | None


@dataclass(frozen=True)
class Score:
    """How well a model foresees a text.

    Attributes:
        bits_per_character: mean over the characters that were foreseen (all but the first symbol's).
        perplexity: 2 to the bits per unit: among how many units the model is in doubt, in the mean.
        units: characters or words that were foreseen.
        characters: their characters.
        unknown: characters that the model has no symbol for; each is charged for its symbol and for saying
            which of the other characters of Unicode it is.
    """

    bits_per_character: float
    perplexity: float
    units: int
    characters: int
    unknown: int


@dataclass(kw_only=True)
class TextModel(Job):
    """A language model over characters or words.

        model = TextModel(cell="lstm", hidden_size=256).fit(Path("book.txt"))
        print(model.sample("Once upon", length=200, temperature=0.7, seed=1))

    Args:
        cell: "gru", "lstm" or "elman"; in short trainings the GRU is ahead of the LSTM.
        layers: recurrent layers, one above the other.
        hidden_size: H, units of each layer.
        embedding: size of the embedding of a symbol; 0 for one-hot.
        dropout: probability of dropping an entry between the layers and before the logits, in training.
        unit: "char", or "word" (words and marks; a rare word is spelled).
        vocabulary: most words that are symbols of their own (unit "word").
        minimum_count: what occurs less often in the training text has no symbol of its own.
        window: T, steps through which the gradient goes back; the state goes on from window to window.
        batch_size: B, streams of text side by side.
        validation: share of the text, at its end, that is kept for validation; 0 for none.
        epochs, learning_rate, clip, patience, seed, optimizer, schedule: see `Job`.

    Attributes:
        symbols: the vocabulary, once there is one.
        network, history: see `Job`; `prepare` makes the network.

    `fit` takes a text (str), a file or folder (Path), several of them, or None for the English text that comes with
    Python.

    Weights begin as torch's own layers have them, drawn with `seed`; for others call `prepare`, change
    `network` in place, and then `fit`.
    """

    NAME: ClassVar[str] = "text"
    MEASURE: ClassVar[Measure] = BITS

    cell: str = "gru"
    layers: int = 2
    hidden_size: int = 128
    embedding: int = 64
    dropout: float = 0.0
    unit: str = "char"
    vocabulary: int = 10_000
    minimum_count: int = 2
    window: int = 64

    symbols: Vocabulary | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_network(self.cell, self.dropout, layers=self.layers, hidden_size=self.hidden_size, window=self.window)
        for name in ("minimum_count", "vocabulary"):
            at_least(name, getattr(self, name), 1)
        at_least("embedding", self.embedding, 0)
        if self.unit not in ("char", "word"):
            raise ArgumentError(f"expected unit to be char or word, got {self.unit!r}.")

    def prepare_data(self, data: Sources) -> Prepared:
        """The windows of a text, and a network that foresees it."""
        text = as_text(data)
        training, validation = self._parts(text)
        if self.network is None:
            self.prepare(training)
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        learned, checked = self._streams(training), self._streams(validation, least=2) if validation else None
        about = {"characters": len(training), "characters for validation": len(validation)}
        return Prepared(learned, checked, digest, about)

    def paths_in(self, data: Sources) -> list[Path]:
        """The files and folders among what `fit` takes."""
        return paths_in(data)

    def prepare(self, text: str) -> "TextModel":
        """Make the vocabulary of a training text, and a network with weights drawn from the seed."""
        self.symbols = build_vocabulary(text, self.unit, self.vocabulary, self.minimum_count)
        if len(self.symbols) < 2:
            raise DataError(f"expected a text in which something occurs {self.minimum_count} times, got {text[:40]!r}.")
        with torch.random.fork_rng([]):
            torch.manual_seed(self.seed)
            self._build(self.symbols)
        return self

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
        if seed is not None:
            check_seed(seed)
        generator = torch.Generator()
        generator.manual_seed(seed) if seed is not None else generator.seed()
        choice = decoding.sampling(generator, temperature=temperature, top_k=top_k, top_p=top_p)
        if top_k is not None and self.symbols is not None and top_k >= len(self.symbols):
            raise ArgumentError(f"expected top_k <= {len(self.symbols) - 1}, the symbols of the model, got {top_k}.")
        return self._write(prompt, length, choice)

    def score(self, sources: Sources) -> Score:
        """How well the model foresees a text: each symbol from all before it.

        Args:
            sources: as for `fit`.

        Raises:
            DataError: the text has fewer than two symbols.
        """
        network, symbols = self._trained()
        numbers = symbols.encode(as_text(sources))
        if len(numbers) < 2:
            raise DataError(f"expected a text of at least 2 {self.unit}s to score, got {len(numbers)}.")
        total, count, size, state = 0.0, 0, 0, None
        with torch.no_grad(), Evaluating(network):
            for window in Streams(numbers, 1, SCORED_AT_ONCE).starting_at(0):
                loss = network.loss(tuple(part.to(self.device) for part in window), state)  # type: ignore[arg-type]
                total, count, size, state = total + loss.total.item(), count + loss.count, size + loss.size, loss.state
        unknown = int((numbers[1:] == UNKNOWN).sum())
        return Score(BITS.of(total, size), math.exp(total / count), count, size, unknown)

    def content(self) -> dict[str, Any]:
        """The vocabulary."""
        assert self.symbols is not None
        return {"symbols": list(self.symbols.symbols)}

    def restore(self, content: dict[str, Any]) -> None:
        """The vocabulary, and the network of its size."""
        self.symbols = Vocabulary(self.unit, tuple(content["symbols"]))
        self._build(self.symbols)

    @property
    def summary(self) -> str:
        """The network in a few words."""
        return f"{self.layers} × {self.cell.upper()} {self.hidden_size}, {super().summary}"

    def _build(self, symbols: Vocabulary) -> TextNetwork:
        self.network = TextNetwork(
            symbols.lengths, self.cell, self.layers, self.hidden_size, self.embedding, self.dropout
        )
        return self.network

    def _trained(self) -> tuple[TextNetwork, Vocabulary]:
        if self.network is None or self.symbols is None:
            raise ArgumentError("this model has not been trained yet: call fit, or TextModel.load.")
        return self.network, self.symbols

    def _parts(self, text: str) -> tuple[str, str]:
        """The text for training and, from its end, the text for validation."""
        kept = round(len(text) * self.validation)
        if self.validation and kept < 2:
            raise DataError(
                f"expected a text of at least {math.ceil(2 / self.validation)} characters, of which "
                f"{self.validation:g} are for validation, got {len(text)}: give more text, or validation 0."
            )
        return text[: len(text) - kept], text[len(text) - kept :]

    def _streams(self, text: str, least: int | None = None) -> Streams:
        """The windows of a text; `least` numbers are enough, by default one window."""
        assert self.symbols is not None
        numbers = self.symbols.encode(text)
        least = self.window + 1 if least is None else least
        if len(numbers) < least:
            raise DataError(
                f"expected at least {least:,} {self.unit}s of text for training (window {self.window} and the one "
                f"after it), got {len(numbers):,}: give more text, or a smaller window."
            )
        return Streams(numbers, fitting_rows(len(numbers), self.batch_size, self.window), self.window)

    def _write(self, prompt: str, length: int, choice: decoding.Choice) -> Iterator[str]:
        network, symbols = self._trained()

        def step(numbers: Tensor, state: Any) -> tuple[Tensor, Any]:
            with Evaluating(network):
                logits, state = network(numbers.unsqueeze(0), state)
            return decoding.without(logits[0], UNKNOWN), state

        numbers, state = symbols.encode(prompt or "\n").unsqueeze(1).to(self.device), None
        if len(numbers) > 1:
            with torch.no_grad(), Evaluating(network):
                _, state = network(numbers[:-1])
        for move in islice(decoding.stream(step, numbers[-1], choice, states=state), length):
            yield symbols.symbols[int(move.tokens)]


def paths_in(sources: Sources) -> list[Path]:
    """The files and folders among what `fit` takes."""
    if sources is None or isinstance(sources, str):
        return []
    return [source for source in ([sources] if isinstance(sources, Path) else sources) if isinstance(source, Path)]


def as_text(sources: Sources) -> str:
    """The text of what `fit` takes: a str is a text, a Path a file or folder, None the text that comes with Python.

    Raises:
        DataError: a text is empty, or a file is not text.
        ArgumentError: a str is the name of a file.
    """
    if sources is None:
        return builtin_text()
    given = [sources] if isinstance(sources, str | Path) else list(sources)
    for part in given:
        if isinstance(part, str) and len(part) < 256 and part.isprintable() and Path(part).is_file():
            raise ArgumentError(f"expected a text, got the name of a file: give Path({part!r}) to read it.")
    text = "".join(read_text([part]).text if isinstance(part, Path) else part for part in given)
    if not text:
        raise DataError("expected text, got none.")
    return text
