"""MIDI files as piano rolls, and back: which keys sound at each step, and which of them are struck anew."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from elman.errors import ArgumentError, DataError, SetupError

ENDINGS = (".mid", ".midi")
DRUMS = 9  # the channel whose notes are no pitches
MOST = 1_000_000  # steps of a piece
_MINUTE, _SLOWEST = 60e6, 0xFFFFFF  # microseconds; a file has three bytes for those of a beat
_TEMPO, _TICKS, _VELOCITY = 500_000, 24, 80
_PITCHES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


@dataclass(frozen=True)
class Keyboard:
    """How music is cut into frames.

    Attributes:
        lowest: number of the lowest key, 60 is middle C.
        highest: number of the highest key.
        resolution: steps of a beat (a quarter note).
        attacks: whether a frame says as well which keys are struck at this step: without, a note that is repeated at
            once cannot be told from one that is held.
    """

    lowest: int = 21
    highest: int = 108
    resolution: int = 4
    attacks: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.lowest <= self.highest <= 127:
            raise ArgumentError(f"expected 0 <= lowest <= highest <= 127, got {self.lowest} and {self.highest}.")
        if not 1 <= self.resolution <= 96:
            raise ArgumentError(f"expected a resolution of 1 to 96 steps a beat, got {self.resolution}.")

    @property
    def keys(self) -> int:
        """How many there are."""
        return self.highest - self.lowest + 1

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the numbers of a frame: the keys, from the lowest to the highest, then their attacks."""
        keys = [f"{_PITCHES[key % 12]}{key // 12 - 1}" for key in range(self.lowest, self.highest + 1)]
        return (*keys, *(f"{key} struck" for key in keys if self.attacks))


@dataclass(frozen=True, eq=False)
class MidiPiece:
    """What a MIDI file holds.

    Attributes:
        frames: [T, I] of zeros and ones, from the bar of the first note to the end of the last note; see
            `Keyboard.channels`.
        tempo: beats a minute, the first one.
        outside: notes that the keyboard does not have.
        drums: notes of drums, which are left out.
    """

    frames: Tensor
    tempo: float
    outside: int
    drums: int


def read_midi(path: Path, keyboard: Keyboard) -> MidiPiece:
    """The notes of all tracks of a MIDI file, drums left out, on the grid of a keyboard.

    A note begins at the step that is nearest to its beginning and lasts one step at least. Loudness, pedals, changes of
    tempo, and who plays a note are lost.

    Raises:
        DataError: the file is missing or damaged, or no music in beats.
        SetupError: mido is not installed.
    """
    file = _parsed(path)
    notes, tempo, beats, drums = _notes(file)
    ticks = file.ticks_per_beat
    found = [
        (at, max(at + 1, end), key)
        for start, stop, key in notes
        for at, end in [(_step(start, keyboard, ticks), _step(stop, keyboard, ticks))]
    ]
    inside = [note for note in found if keyboard.lowest <= note[2] <= keyboard.highest]
    bar = max(1, round(beats * keyboard.resolution))
    first, last = min((n[0] for n in inside), default=0) // bar * bar, max((n[1] for n in inside), default=0)
    if last - first > MOST:
        raise DataError(f"{path}: expected at most {MOST:,} steps, got {last - first:,}: give a smaller resolution.")
    frames = torch.zeros(last - first, len(keyboard.channels))
    for start, end, key in inside:
        frames[start - first : end - first, key - keyboard.lowest] = 1
        if keyboard.attacks:
            frames[start - first, keyboard.keys + key - keyboard.lowest] = 1
    return MidiPiece(frames, _MINUTE / tempo, len(found) - len(inside), drums)


def write_midi(frames: Tensor, keyboard: Keyboard, tempo: float) -> bytes:
    """A MIDI file of one track: what `read_midi` reads back as the same frames.

    Args:
        frames: [T, I] of zeros and ones; where a key is struck it sounds.
        keyboard: what they mean.
        tempo: beats a minute.

    Raises:
        ArgumentError: other frames than the keyboard has, or a tempo that MIDI cannot say.
        SetupError: mido is not installed.
    """
    mido = _mido()
    if not _MINUTE / _SLOWEST <= tempo <= _MINUTE:
        raise ArgumentError(
            f"expected a tempo of {_MINUTE / _SLOWEST:.2f} to 60,000,000 beats a minute, got {tempo:g}."
        )
    if frames.dim() != 2 or frames.size(1) != len(keyboard.channels):
        raise ArgumentError(f"expected frames [T, {len(keyboard.channels)}], got {list(frames.shape)}.")
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo))])
    events = [
        event
        for start, end, key in notes_of(frames, keyboard)
        # at one step what ends comes before what begins
        for event in ((start, 1, key), (end, 0, key))
    ]
    now = 0
    for step, begins, key in sorted(events):
        kind = "note_on" if begins else "note_off"
        track.append(mido.Message(kind, note=key, velocity=_VELOCITY * begins, time=(step - now) * _TICKS))
        now = step
    track.append(mido.MetaMessage("end_of_track", time=(len(frames) - now) * _TICKS))
    written = io.BytesIO()
    mido.MidiFile(type=0, ticks_per_beat=_TICKS * keyboard.resolution, tracks=[track]).save(file=written)
    return written.getvalue()


def notes_of(frames: Tensor, keyboard: Keyboard) -> Iterator[tuple[int, int, int]]:
    """The notes of frames [T, I]: first step, the step after the last, and key."""
    sounds = frames[:, : keyboard.keys] > 0.5
    struck = frames[:, keyboard.keys :] > 0.5 if keyboard.attacks else torch.zeros_like(sounds)
    sounds = sounds | struck
    before = torch.cat([torch.zeros_like(sounds[:1]), sounds[:-1]])[: len(sounds)]
    begins = (sounds & ~before) | struck
    for column in sounds.any(0).nonzero().flatten().tolist():
        starts = begins[:, column].nonzero().flatten().tolist()
        silent = (~sounds[:, column]).nonzero().flatten().tolist()
        for start, following in zip(starts, [*starts[1:], len(frames)], strict=True):
            end = next((step for step in silent if step > start), len(frames))
            yield start, min(end, following), column + keyboard.lowest


def _mido() -> Any:
    try:
        import mido
    except ImportError:
        raise SetupError(
            "MIDI files are read and written by mido, not installed here: pip install 'elman[jobs]'"
        ) from None
    return mido


def _parsed(path: Path) -> Any:
    if not path.is_file():
        raise DataError(f"{path}: expected a MIDI file, found {'a folder' if path.is_dir() else 'nothing'}.")
    mido = _mido()
    try:
        file = mido.MidiFile(file=io.BytesIO(path.read_bytes()), clip=True)
    except (OSError, EOFError, ValueError, LookupError, TypeError) as error:
        said = str(error) or type(error).__name__
        raise DataError(f"{path}: expected a MIDI file, got one that cannot be read: {said}.") from None
    if file.type == 2 or not 0 < file.ticks_per_beat < 0x8000:
        what = "tracks that do not run together (type 2)" if file.type == 2 else "time in seconds (SMPTE)"
        raise DataError(f"{path}: expected music in beats, got {what}.")
    return file


def _step(tick: int, keyboard: Keyboard, ticks: int) -> int:
    """The nearest step."""
    return (2 * tick * keyboard.resolution // ticks + 1) // 2


def _notes(file: Any) -> tuple[list[tuple[int, int, int]], float, float, int]:
    """Notes as (first tick, last tick, key), the first tempo in microseconds a beat, beats of a bar, and drums."""
    notes: list[tuple[int, int, int]] = []
    tempos: list[tuple[int, float]] = []
    bars: list[tuple[int, float]] = []
    drums = 0
    for track in file.tracks:
        now, held = 0, dict[tuple[int, int], int]()
        for message in track:
            now += message.time
            if message.type == "set_tempo" and message.tempo:
                tempos.append((now, message.tempo))
            if message.type == "time_signature":
                bars.append((now, 4 * message.numerator / message.denominator))
            if message.type not in ("note_on", "note_off"):
                continue
            begins = message.type == "note_on" and message.velocity > 0
            if message.channel == DRUMS:
                drums += begins
                continue
            place = message.channel, message.note
            if place in held:
                notes.append((held.pop(place), now, message.note))
            if begins:
                held[place] = now
        notes += [(start, now, key) for (_, key), start in held.items()]
    return notes, min(tempos, default=(0, _TEMPO))[1], min(bars, default=(0, 4.0))[1], drums
