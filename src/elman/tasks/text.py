"""The text job: a language model over characters or words."""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from elman import decoding
from elman.data import UNKNOWN, Streams, Vocabulary, build_vocabulary, builtin_text, fitting_rows, read_text
from elman.errors import ArgumentError, DataError
from elman.training import History, Measure, Settings
from elman.training.files import check_apart, check_output
from elman.training.schedule import Schedule, warmup_cosine
from elman.training.settings import MakeOptimizer, above, at_least, check_seed, find_device, require_libraries

from .archive import load_archive, save_archive
from .text_network import CELLS, TextNetwork

JOB = "text"
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
class TextModel:
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
        epochs: most passes over the training text.
        learning_rate: the largest learning rate.
        clip: largest norm of the whole gradient; math.inf for no clipping.
        patience: epochs without a better validation after which training stops.
        validation: share of the text, at its end, that is kept for validation; 0 for none.
        seed: of the first weights and of dropout.
        optimizer: makes the optimiser of (parameters, learning rate); torch.optim.Adam by default.
        schedule: factor on the learning rate for (steps taken, steps in all); `training.warmup_cosine`, or
            `training.constant`.

    Attributes:
        symbols: the vocabulary, once there is one.
        network: the network, once there is one; see `prepare`.
        history: what happened in training.

    Weights begin as torch's own layers have them, drawn with `seed`; for others call `prepare`, change
    `network` in place, and then `fit`.
    """

    cell: str = "gru"
    layers: int = 2
    hidden_size: int = 128
    embedding: int = 64
    dropout: float = 0.0
    unit: str = "char"
    vocabulary: int = 10_000
    minimum_count: int = 2
    window: int = 64
    batch_size: int = 16
    epochs: int = 8
    learning_rate: float = 5e-3
    clip: float = 1.0
    patience: int = 3
    validation: float = 0.1
    seed: int = 0
    optimizer: MakeOptimizer = torch.optim.Adam  # type: ignore[assignment]
    schedule: Schedule = warmup_cosine

    symbols: Vocabulary | None = field(default=None, init=False, repr=False)
    network: TextNetwork | None = field(default=None, init=False, repr=False)
    history: History = field(default_factory=lambda: History(BITS), init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("layers", "hidden_size", "window", "batch_size", "minimum_count", "vocabulary"):
            at_least(name, getattr(self, name), 1)
        at_least("embedding", self.embedding, 0)
        for name in ("dropout", "validation"):
            if not 0 <= getattr(self, name) < 1:
                raise ArgumentError(f"expected 0 <= {name} < 1, got {getattr(self, name)}.")
        if self.cell not in CELLS:
            raise ArgumentError(f"expected cell to be one of {', '.join(CELLS)}, got {self.cell!r}.")
        if self.unit not in ("char", "word"):
            raise ArgumentError(f"expected unit to be char or word, got {self.unit!r}.")
        above("learning_rate", self.learning_rate, 0)

    def fit(
        self,
        sources: Sources = None,
        *,
        out: Path | str | None = None,
        resume: bool = False,
        fresh: bool = False,
        device: str = "auto",
        threads: int | None = None,
        callbacks: Callable[["TextModel"], list[Any]] | None = None,
        save_every: float = 10.0,
    ) -> "TextModel":
        """Train on text; afterwards the model holds the weights with the best validation.

        Args:
            sources: a text (str), a file or folder (Path), several of them, or None for the English text that
                comes with Python.
            out: the model file. It is written at each better epoch; the history (.csv) and the learning curve
                (.png) come beside it. While training runs, `out` + ".resume" holds all that is needed to go on.
            resume: go on with a training that was stopped; on the CPU it ends in the same numbers, bit for bit, as
                if it had not been (on a GPU torch's own sums may differ in their last bits).
            fresh: throw away what is left of a training that was stopped.
            device: "auto", "cpu", "cuda" or "cuda:N".
            threads: threads of the CPU.
            callbacks: makes Lightning callbacks that look on, a `TrainingDisplay`, say.
            save_every: least seconds between two writings of the side file within an epoch.

        Raises:
            DataError: a text is missing, too short or not UTF-8; the output cannot be written; what is on disk
                does not go with `resume`.
            NumericsError: NaN in the loss.
            SetupError: Lightning or matplotlib is not installed.
            KeyboardInterrupt: Ctrl-C; the model holds and `out` has the best weights so far.
        """
        require_libraries()
        settings = self._settings(device, threads)
        out = None if out is None else Path(out)
        if out is not None:
            check_output(out)
            check_apart(out, paths_in(sources))
        elif resume:
            raise ArgumentError("expected `out`, the model file, to resume its training.")
        text = as_text(sources)
        training, validation = self._parts(text)
        facts = self._facts(text, settings)
        if self.network is None:
            self.prepare(training)
        assert self.network is not None
        learned, checked = self._streams(training), self._streams(validation, least=2) if validation else None
        from elman.training.engine import Work, choose_start, side_file_of, train  # Lightning: seconds

        side_file = None if out is None else side_file_of(out)
        resume = side_file is not None and out is not None and choose_start(side_file, out, facts, resume, fresh)
        work = Work(
            training=learned,
            validation=checked,
            settings=settings,
            measure=BITS,
            facts=facts,
            side_file=side_file,
            save=partial(self._keep, out),
            save_every=save_every,
            title=self.summary,
        )
        train(self.network, work, out, resume, callbacks(self) if callbacks else [])
        return self

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
        with torch.no_grad(), _Evaluating(network):
            for window in Streams(numbers, 1, SCORED_AT_ONCE).starting_at(0):
                loss = network.loss(tuple(part.to(self.device) for part in window), state)  # type: ignore[arg-type]
                total, count, size, state = total + loss.total.item(), count + loss.count, size + loss.size, loss.state
        unknown = int((numbers[1:] == UNKNOWN).sum())
        return Score(BITS.of(total, size), math.exp(total / count), count, size, unknown)

    def save(self, path: Path | str) -> None:
        """Write the model as one file.

        Raises:
            DataError: the file cannot be written.
        """
        network, _ = self._trained()
        check_output(Path(path))
        self._keep(Path(path), network.state_dict(), self.history)

    @classmethod
    def load(cls, path: Path | str, device: str = "auto") -> "TextModel":
        """The model of a file.

        Args:
            path: the model file.
            device: where it shall run: "auto", "cpu", "cuda" or "cuda:N".

        Raises:
            DataError: the file is missing, truncated, or not the model file of a text model.
        """
        weights, content = load_archive(Path(path), JOB)
        try:
            model = cls(**content["configuration"])
            model.symbols = Vocabulary(model.unit, tuple(content["symbols"]))
            model._build(model.symbols).load_state_dict(weights)
            model.history = History.from_json(content["history"])
        except (KeyError, TypeError, RuntimeError) as error:
            raise DataError(f"{path}: expected a whole elman model file, got one that is damaged ({error}).") from None
        assert model.network is not None
        model.network.to(find_device(device)).eval()
        return model

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        network, _ = self._trained()
        return network.readout.weight.device

    @property
    def summary(self) -> str:
        """The network in a few words."""
        weights = sum(p.numel() for p in self.network.parameters()) if self.network is not None else 0
        return f"{self.layers} × {self.cell.upper()} {self.hidden_size}, {weights / 1e6:.2f} million weights"

    def _build(self, symbols: Vocabulary) -> TextNetwork:
        self.network = TextNetwork(
            symbols.lengths, self.cell, self.layers, self.hidden_size, self.embedding, self.dropout
        )
        return self.network

    def _trained(self) -> tuple[TextNetwork, Vocabulary]:
        if self.network is None or self.symbols is None:
            raise ArgumentError("this model has not been trained yet: call fit, or TextModel.load.")
        return self.network, self.symbols

    def _settings(self, device: str, threads: int | None) -> Settings:
        return Settings(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            clip=self.clip,
            patience=self.patience,
            seed=self.seed,
            optimizer=self.optimizer,
            schedule=self.schedule,
            device=device,
            threads=threads,
        )

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

    def _facts(self, text: str, settings: Settings) -> dict[str, Any]:
        """All that decides the numbers of a training."""
        return {
            **self._configuration(),
            **settings.facts(),
            "text": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16],
        }

    def _configuration(self) -> dict[str, Any]:
        """The options that are plain values."""
        return {
            option.name: getattr(self, option.name)
            for option in fields(self)
            if option.init and option.name not in ("optimizer", "schedule")
        }

    def _keep(self, path: Path | None, weights: dict[str, Tensor], history: History) -> None:
        """Take the history over, and write the model file where there is to be one."""
        self.history = history
        if path is not None:
            assert self.symbols is not None
            content = {
                "configuration": self._configuration(),
                "symbols": list(self.symbols.symbols),
                "history": history.to_json(),
            }
            save_archive(path, JOB, weights, content)

    def _write(self, prompt: str, length: int, choice: decoding.Choice) -> Iterator[str]:
        network, symbols = self._trained()

        def step(numbers: Tensor, state: Any) -> tuple[Tensor, Any]:
            with _Evaluating(network):
                logits, state = network(numbers.unsqueeze(0), state)
            return decoding.without(logits[0], UNKNOWN), state

        numbers, state = symbols.encode(prompt or "\n").unsqueeze(1).to(self.device), None
        if len(numbers) > 1:
            with torch.no_grad(), _Evaluating(network):
                _, state = network(numbers[:-1])
        for move in islice(decoding.stream(step, numbers[-1], choice, states=state), length):
            yield symbols.symbols[int(move.tokens)]


class _Evaluating:
    """A network without dropout, and afterwards as it was."""

    def __init__(self, network: TextNetwork) -> None:
        self.network, self.training = network, network.training

    def __enter__(self) -> None:
        self.network.eval()

    def __exit__(self, *_: object) -> None:
        self.network.train(self.training)


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
