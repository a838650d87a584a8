"""The music job: piano rolls and other vectors in time; how likely each frame is given those before, and new ones."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from elman.data import Keyboard, Padded, Picked, PieceColumns, Pieces, paths_of, read_pieces, write_midi
from elman.errors import ArgumentError, DataError, NumericsError
from elman.training import Measure
from elman.training.files import beside, write_atomically
from elman.training.settings import above, at_least, check_seed

from ..inputs import check_network
from ..job import Evaluating, Job, Prepared, digest_of
from .data import (
    KINDS,
    Form,
    Part,
    Passes,
    frames_as_array,
    frames_as_csv,
    moved,
    reading,
    some_of,
    split_parts,
    still,
    windows_of,
)
from .heads import make_head
from .network import MusicNetwork
from .picture import draw_pieces
from .score import MusicScore, Switches, Walks, score_pieces, simple_from
from .tunes import builtin_tunes

_ATTACKED, _MOVED = 2, 5  # blocks of keys where attacks are told; keys up and down for music from MIDI files


@dataclass(kw_only=True)
class MusicModel(Job):
    """Piano rolls and other vectors in time: the next frame from those before it, and new pieces.

        model = MusicModel().fit(Path("chorales/"), out="chorales.elman")
        model.write(model.sample(256, seed=1), Path("new.mid"))

    Args:
        kind: "binary", "real", "auto" to find it, or "notes": the column holds, for each step, the numbers of the keys
            that sound.
        frame: of binary channels: "chained", each given those before it in its frame, so that chords are drawn note by
            note; or "independent", each alone, given the past.
        components: of real channels: K, Gaussians in the mixture.
        resolution: steps of a beat, for MIDI files.
        lowest, highest: the keys that are read of MIDI files and notes; 60 is middle C. Where a table or an array has
            the roll, `lowest` says which key its first channel is.
        attacks: for MIDI files, whether a frame tells which keys are struck anew.
        transpose: keys by which pieces are moved up or down at most, in training, drawn anew in each pass; by default 5
            for MIDI files, 0 for all else.
        input, channels, id: the columns of a table; see `data.PieceColumns`.
        cell: "gru", "lstm" or "elman".
        layers: recurrent layers, one above the other.
        hidden_size: H, units of each layer.
        dropout: on the states that the recurrent products read, in training; two thirds of it on what comes in, one
            third on what goes out.
        window: longer pieces are cut into parts of so many steps at most, in training.
        updates: least steps of the optimiser in an epoch: few pieces are gone through several times in it.
        validation: share of the pieces that is kept for validation; 0 for none. Of a single piece it is its end.
        epochs, batch_size, learning_rate, clip, patience, seed, optimizer, schedule: see `Job`.

    Attributes:
        form: what a frame is, once that is known.
        found: the score on what was kept for validation, after `fit`.

    `fit` takes whatever `data.read_pieces` does, or None for folk tunes.
    """

    NAME: ClassVar[str] = "music"
    MEASURE: ClassVar[Measure] = Measure("nats per step", "nats", 1.0, "steps")
    PICTURES: ClassVar[tuple[str, ...]] = (".roll.png",)

    kind: str = "auto"
    frame: str = "chained"
    components: int = 4
    resolution: int = 4
    lowest: int = 21
    highest: int = 108
    attacks: bool = True
    transpose: int | None = None
    input: str | None = None
    channels: tuple[str, ...] = ()
    id: str | None = None
    cell: str = "gru"
    layers: int = 1
    hidden_size: int = 128
    dropout: float = 0.3
    window: int = 512
    updates: int = 50
    epochs: int = 60
    batch_size: int = 16
    learning_rate: float = 5e-3
    patience: int = 10

    form: Form | None = field(default=None, init=False, repr=False)
    found: MusicScore | None = field(default=None, init=False, repr=False)
    simple: Switches | Walks | None = field(default=None, init=False, repr=False)
    _validation_data: Any = field(default=None, init=False, repr=False)
    _kept: Sequence[Part] = field(default=(), init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.channels = tuple(self.channels)  # JSON has lists
        sizes = {"layers": self.layers, "hidden_size": self.hidden_size, "components": self.components}
        check_network(self.cell, self.dropout, **sizes, window=self.window, updates=self.updates)
        for name, known in (("kind", KINDS), ("frame", ("chained", "independent"))):
            if getattr(self, name) not in known:
                raise ArgumentError(f"expected {name} to be one of {', '.join(known)}, got {getattr(self, name)!r}.")
        at_least("transpose", self.transpose or 0, 0)
        if self.input is not None and self.channels:
            raise ArgumentError("expected `input`, a column of lists, or `channels`, columns of numbers: drop one.")
        self._keyboard()

    def fit(self, data: Any = None, *, validation_data: Any = None, **options: Any) -> "MusicModel":
        """Train; afterwards the model holds the weights with the best validation.

        Args:
            data: see `data.read_pieces`; None for folk tunes.
            validation_data: pieces to check with, in place of a share of the data.
            options: see `Job.fit`.

        Raises:
            As `Job.fit`.
        """
        self._validation_data = validation_data
        return super().fit(data, **options)

    def prepare_data(self, data: Any) -> Prepared:
        """Parts of pieces in batches, and a network that reads them."""
        pieces = self._read(data)
        given = None if self._validation_data is None else self._read(self._validation_data)
        share = 0.0 if given is not None else self.validation
        learned, kept, cut = split_parts(pieces.rows, share, self.seed)
        if self.network is None:
            rows = Picked(pieces.rows, learned) if cut is None else [pieces.rows[learned[0]][:cut]]
            self.prepare(replace(pieces, rows=rows, names=tuple(pieces.names[number] for number in learned)))
        assert self.form is not None
        encoded = self.form.encode(pieces)
        parts = [Part(None, encoded[number][:cut]) for number in learned]
        if given is not None:
            self._kept = [Part(None, row) for row in self.form.encode(given) if len(row)]
        elif cut is not None:
            self._kept = [Part(encoded[number][cut - 1], encoded[number][cut:], cut) for number in kept]
        else:
            self._kept = [Part(None, encoded[number]) for number in kept]
        about = self._told(pieces, len(learned))
        digest = digest_of(pieces.rows, given.rows if given is not None else [])
        return Prepared(self._passes(parts), reading(self._kept) if self._kept else None, digest, about)

    def prepare(self, pieces: Pieces) -> None:
        """Find what a frame is, and make a network with weights drawn from the seed, by the pieces to learn from."""
        self.form = Form.learned(pieces, self.kind)
        learned = self.form.encode(pieces)
        binary = self.form.kind == "binary"
        self.simple = Switches.learned(learned) if binary else Walks.learned(learned, self.form.units)
        with torch.random.fork_rng([]):
            torch.manual_seed(self.seed)
            self._build(learned)

    def finished(self, prepared: Prepared, out: Path | None) -> None:
        """Measure on what was kept for validation, and draw some of it beside what the model makes."""
        if not self._kept:
            return
        self.found = self._scored(self._kept)
        self.checked = self.found.figures()
        if out is not None and self.form is not None:
            real = max(self._kept, key=lambda part: len(part.frames)).frames[:256]
            made = self.sample(len(real), seed=self.seed)
            titles = {"a piece kept for validation": self.form.decode(real), "made by the model": made}
            draw_pieces(titles, self.form, beside(out, ".roll.png"))

    def sample(
        self, steps: int = 256, *, prompt: Any = None, temperature: float = 1.0, seed: int | None = None
    ) -> Tensor:
        """New frames, each drawn given those before it.

        Args:
            steps: how many.
            prompt: what `fit` takes; its first piece is gone on from. None to begin a piece.
            temperature: above 1 bolder, below 1 safer.
            seed: the same seed draws the same frames; None for others each time.

        Returns:
            [T, I], without the prompt, in the data's own units.

        Raises:
            ArgumentError: steps, a temperature or a seed that mean nothing.
            DataError: a prompt that cannot be read, or whose first piece is empty.
            NumericsError: real channels that grew beyond all numbers.
        """
        at_least("steps", steps, 0)
        above("temperature", temperature, 0)
        if seed is not None:
            check_seed(seed)
        draw = torch.Generator()
        draw.manual_seed(seed) if seed is not None else draw.seed()
        network, form = self._parts()
        frames = list(self._drawn(network, self._prompt(prompt), steps, temperature, draw))
        found = torch.stack(frames) if frames else torch.zeros(0, len(form.channels))
        return form.decode(found)

    def frames(self, data: Any) -> list[Tensor]:
        """The frames of each piece [T, I], as the model sees them, in the data's own units.

        Args:
            data: as for `fit`.
        """
        _, form = self._parts()
        return [form.decode(part.frames) for part in self._encoded(data)]

    def begun(self, prompt: Any) -> Tensor:
        """The first piece of a prompt [T, I], in the data's own units.

        Args:
            prompt: as for `fit`.

        Raises:
            DataError: it is empty.
        """
        return self._parts()[1].decode(self._prompt(prompt))

    def score(self, data: Any) -> MusicScore:
        """How well the model foresees pieces, beside what is simple.

        Args:
            data: as for `fit`.
        """
        return self._scored(self._encoded(data))

    def surprise(self, data: Any) -> list[Tensor]:
        """Nats of each step of each piece [T], given all before it.

        Args:
            data: as for `fit`.
        """
        return self._surprise(self._encoded(data))

    def states(self, data: Any) -> list[Tensor]:
        """What the last layer gives out at each step of each piece [T, H], before it has read the step's own frame.

        Args:
            data: as for `fit`.
        """
        return list(self._each(self._encoded(data), lambda raw, y, frames: y))

    def expected(self, data: Any) -> list[Tensor]:
        """What each frame of each piece is expected to be [T, I], given those before it.

        Probabilities to be on (with frames that are chained, given the channels before each in its frame as well), or
        means.

        Args:
            data: as for `fit`.
        """
        network, form = self._parts()
        found = self._each(self._encoded(data), lambda raw, y, frames: network.head.expected(raw, frames))
        return [form.decode(frames) for frames in found]

    def write(self, frames: Tensor, path: Path | str, tempo: float | None = None) -> None:
        """Write frames [T, I] as a file: .mid for music, .csv, .npy.

        Args:
            frames: in the data's own units.
            path: of the file.
            tempo: beats a minute, for MIDI; that of the training by default.

        Raises:
            ArgumentError: another ending; frames that are no music, for MIDI.
        """
        _, form = self._parts()
        path = Path(path)
        match path.suffix.lower():
            case ".mid" | ".midi":
                written = write_midi(frames, self._keys(), form.tempo if tempo is None else tempo)
            case ".csv":
                written = frames_as_csv(frames, form).encode()
            case ".npy":
                written = frames_as_array(frames)
            case other:
                raise ArgumentError(f"{path}: expected a name that ends in .mid, .csv or .npy, got {other!r}.")
        write_atomically(path, written)

    def as_csv(self, frames: Tensor) -> str:
        """Frames [T, I] as CSV, a row for each step and a column for each channel."""
        return frames_as_csv(frames, self._parts()[1])

    def draw(self, pieces: dict[str, Tensor], path: Path | str, mark: int | None = None) -> None:
        """Draw frames [T, I], each under its title, as a PNG file: piano rolls, or lines.

        Args:
            pieces: frames in the data's own units.
            path: of the picture.
            mark: a step at which a line is drawn, where a prompt ends, say.
        """
        draw_pieces(pieces, self._parts()[1], Path(path), mark)

    def paths_in(self, data: Any) -> list[Path]:
        """The files that are read."""
        return [*paths_of(data), *paths_of(self._validation_data)]

    def content(self) -> dict[str, Any]:
        """What a frame is, and what is simple."""
        assert self.form is not None and self.simple is not None
        return {"form": self.form.to_json(), "simple": self.simple.to_json()}

    def restore(self, content: dict[str, Any]) -> None:
        """What a frame is, and the network that reads it."""
        self.form, self.simple = Form.from_json(content["form"]), simple_from(content["simple"])
        self._build(None)

    @property
    def summary(self) -> str:
        """The network in a few words."""
        return f"{self.layers} × {self.cell.upper()} {self.hidden_size}, {super().summary}"

    def _build(self, rows: Sequence[Tensor] | None) -> None:
        """The network, begun by the pieces of the training."""
        form = self.form
        assert form is not None
        kind = self.frame if form.kind == "binary" else "mixture"
        count = len(form.channels)
        head = make_head({"kind": kind, "channels": count, "components": self.components, "units": form.units})
        self.network = MusicNetwork(
            head, count, form.periods, self.cell, self.layers, self.hidden_size, self.dropout, rows
        )

    def _parts(self) -> tuple[MusicNetwork, Form]:
        network = self.trained()
        assert isinstance(network, MusicNetwork) and self.form is not None
        return network, self.form

    def _keyboard(self) -> Keyboard:
        return Keyboard(self.lowest, self.highest, self.resolution, self.attacks)

    def _keys(self) -> Keyboard:
        """What the channels mean in music.

        Raises:
            ArgumentError: they are no keys.
        """
        form = self.form
        assert form is not None
        if form.keyboard is not None:
            return form.keyboard
        highest = self.lowest + len(form.channels) - 1
        if form.kind != "binary" or highest > 127:
            raise ArgumentError(
                f"expected a model of keys to write or read MIDI, got one of {len(form.channels)} {form.kind} channels "
                f"from {self.lowest} on: use .csv or .npy."
            )
        return Keyboard(self.lowest, highest, self.resolution, attacks=False)

    def _read(self, data: Any) -> Pieces:
        """The pieces of data, as the model knows them where it is trained."""
        if data is None:
            return builtin_tunes(self._keyboard())
        named = self.form is not None and self.form.named
        channels = self.form.channels if self.form is not None and named else self.channels
        columns = PieceColumns(self.input, channels, self.id, self.kind == "notes")
        music = any(path.suffix.lower() in (".mid", ".midi") for path in paths_of(data))
        return read_pieces(data, self._keys() if self.form is not None and music else self._keyboard(), columns)

    def _encoded(self, data: Any) -> list[Part]:
        _, form = self._parts()
        return [Part(None, row) for row in form.encode(self._read(data))]

    def _prompt(self, prompt: Any) -> Tensor:
        """The frames [T, I] of a prompt."""
        _, form = self._parts()
        if prompt is None:
            return torch.zeros(0, len(form.channels))
        first = self._encoded(prompt)[0].frames
        if not len(first):
            what = prompt if isinstance(prompt, Path) else type(prompt).__name__
            raise DataError(f"{what}: expected a first piece with steps to go on from, got an empty one.")
        return first

    def _passes(self, parts: Sequence[Part]) -> Passes:
        form = self.form
        assert form is not None
        parts = windows_of(parts, self.window)
        padded = Padded([len(part.frames) for part in parts], list, self.batch_size, self.seed)
        most = self.transpose if self.transpose is not None else _MOVED if form.keyboard is not None else 0
        blocks = _ATTACKED if form.keyboard is not None and form.keyboard.attacks else 1
        if most and form.kind != "binary":
            raise ArgumentError("real channels are no keys that could be moved up or down: drop `transpose`.")
        moves = partial(moved, most, blocks) if most else still
        return Passes(padded, parts, -(-self.updates // len(padded)), moves, self.seed)

    def _told(self, pieces: Pieces, learned: int) -> dict[str, Any]:
        assert self.form is not None
        told = {
            "kind": self.form.kind,
            "channels": len(self.form.channels),
            "named": some_of(self.form.channels),
            "pieces": learned,
            "pieces for validation": len(self._kept),
            "steps": sum(len(row) for row in pieces.rows),
        }
        empty = sum(not len(row) for row in pieces.rows)
        left_out = [*pieces.left_out, *([f"{empty:,} empty pieces"] if empty else [])]
        return {**told, "left out": ", ".join(left_out)} if left_out else told

    def _each(self, parts: Sequence[Part], found: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Iterator[Tensor]:
        """What is found of raw, states and frames of each part, without what is padded, on the CPU."""
        network, _ = self._parts()
        for batch in reading(parts).starting_at(0):
            with torch.no_grad(), Evaluating(network):
                raw, y = network.read(type(batch)(*(each.to(self.device) for each in batch)))
                rows = found(raw, y, batch.frames.to(self.device)).cpu()
            for row, length in enumerate(batch.lengths.tolist()):
                yield rows[:length, row]

    def _surprise(self, parts: Sequence[Part]) -> list[Tensor]:
        network, _ = self._parts()
        return list(self._each(parts, lambda raw, y, frames: network.head.nats(raw, frames)))

    def _scored(self, parts: Sequence[Part]) -> MusicScore:
        assert self.simple is not None
        simple = [self.simple.nats(part.frames.double(), part.first) for part in parts]
        named = {name: [each[number] for each in simple] for number, name in enumerate(self.simple.NAMES)}
        return score_pieces(self._surprise(parts), named)

    def _drawn(
        self, network: MusicNetwork, prompt: Tensor, steps: int, temperature: float, draw: torch.Generator
    ) -> Iterator[Tensor]:
        fed = torch.cat([prompt.new_zeros(1, prompt.size(1)), prompt]).unsqueeze(1).to(self.device)
        at, state = torch.zeros(1, dtype=torch.int64, device=self.device), None
        for step in range(steps):
            with torch.no_grad(), Evaluating(network):
                raw, _, state = network(fed, at, state)
                if not torch.isfinite(raw[-1]).all():
                    raise NumericsError(f"what is drawn grew beyond all numbers at step {step}: lower the temperature.")
                frame = network.head.draw(raw[-1, 0].cpu(), temperature, draw)
            yield frame
            at = at + len(fed)
            fed = frame.to(self.device).reshape(1, 1, -1)
