"""What the music job learns from: parts of pieces in batches, moved up and down the keys where that is asked for."""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from elman.data import Keyboard, Padded, Pieces, Ragged, mean_and_deviation, padded
from elman.errors import DataError

from .network import Batch

KINDS = ("auto", "binary", "real", "notes")
TEMPO = 120.0
_AT_ONCE = 1 << 16  # steps that are read side by side where nothing is learned


class Part(NamedTuple):
    """Frames in a row [T, I], the frame before them [I] (None where a piece begins), and how many come before."""

    first: Tensor | None
    frames: Tensor
    at: int = 0


@dataclass(frozen=True)
class Form:
    """What a frame is.

    Attributes:
        kind: "binary" or "real".
        channels: names of its numbers.
        named: whether these are columns of a table.
        keyboard: what the channels mean in music, or None.
        tempo: beats a minute.
        mean: [I], zeros for binary channels.
        scale: [I], the standard deviation; ones for binary channels.
    """

    kind: str
    channels: tuple[str, ...]
    named: bool
    keyboard: Keyboard | None
    tempo: float
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def learned(cls, pieces: Pieces, kind: str) -> "Form":
        """The form of pieces, those that are trained on.

        Raises:
            DataError: channels that are always the same.
        """
        rows = pieces.rows
        plain = all(bool(((row == 0) | (row == 1)).all()) for row in rows)
        kind = ("binary" if plain else "real") if kind == "auto" else "binary" if kind == "notes" else kind
        count = len(pieces.channels)
        mean, scale = torch.zeros(count, dtype=torch.float64), torch.ones(count, dtype=torch.float64)
        if kind == "real":
            mean, scale = mean_and_deviation(rows)
        first = next(row[0] for row in rows if len(row))
        still = torch.stack([(row == first).all(0) for row in rows]).all(0)
        if bool(still.all()) or (kind == "real" and bool(still.any())):
            at = int(still.nonzero()[0])
            what = "every channel" if bool(still.all()) else f"the channel {pieces.channels[at]!r}"
            raise DataError(
                f"expected numbers that change, got {first[at].item():g} at every step of {what}: leave it out."
            )
        keyboard = pieces.keyboard
        tempo = pieces.tempo or TEMPO
        return cls(kind, pieces.channels, pieces.named, keyboard, tempo, tuple(mean.tolist()), tuple(scale.tolist()))

    @property
    def periods(self) -> tuple[int, ...]:
        """Steps of a beat, of three and of four; none for what is no music with a known beat."""
        return () if self.keyboard is None else tuple(beats * self.keyboard.resolution for beats in (1, 3, 4))

    @property
    def units(self) -> float:
        """What nats of frames of deviation 1 miss, for those of the data's own units."""
        return math.fsum(math.log(each) for each in self.scale)

    def encode(self, pieces: Pieces) -> Ragged:
        """Pieces as the network reads them.

        Raises:
            DataError: they have other channels, or other numbers than 0 and 1.
        """
        size = len(self.channels)
        if len(pieces.channels) != size or (pieces.named and self.named and pieces.channels != self.channels):
            raise DataError(
                f"expected the {size} channels {some_of(self.channels)} of the training, got {len(pieces.channels)}: "
                f"{some_of(pieces.channels)}."
            )
        if self.kind == "binary":
            for name, row in zip(pieces.names, pieces.rows, strict=True):
                wrong = ((row != 0) & (row != 1)).nonzero()
                if len(wrong):
                    step, channel = wrong[0].tolist()
                    raise DataError(
                        f"the piece {name!r}, step {step}, channel {self.channels[channel]!r}: expected 0 or 1, got "
                        f"{row[step, channel]:g}: the kind is binary."
                    )
        mean, scale = (torch.tensor(each, dtype=torch.float64) for each in (self.mean, self.scale))
        return Ragged(((row - mean) / scale for row in pieces.rows), torch.get_default_dtype())

    def decode(self, frames: Tensor) -> Tensor:
        """Frames of the network [T, I] in the data's own units, float64."""
        return frames.double() * torch.tensor(self.scale, dtype=torch.float64) + torch.tensor(
            self.mean, dtype=torch.float64
        )

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Form":
        """What `to_json` gave."""
        keyboard = None if content["keyboard"] is None else Keyboard(**content["keyboard"])
        lists = {name: tuple(content[name]) for name in ("channels", "mean", "scale")}
        return cls(**{**content, **lists, "keyboard": keyboard})


def split_parts(rows: Sequence[Tensor], share: float, seed: int) -> tuple[list[int], list[int], int | None]:
    """Which pieces are learned and which are kept, drawn; of a single one, the step from which on it is kept.

    At least one piece is kept, however small the share.

    Raises:
        DataError: a single piece that is too short.
    """
    full = [number for number, row in enumerate(rows) if len(row)]
    if not share:
        return full, [], None
    if len(full) == 1:
        cut = len(rows[full[0]]) - max(1, round(len(rows[full[0]]) * share))
        if cut < 2:
            raise DataError(f"expected a piece of 3 steps or more, got {len(rows[full[0]])}: give more.")
        return full, full, cut
    order = [full[at] for at in torch.randperm(len(full), generator=torch.Generator().manual_seed(seed)).tolist()]
    kept = min(len(full) - 1, max(1, round(len(full) * share)))
    return order[kept:], order[:kept], None


def windows_of(parts: Sequence[Part], steps: int) -> list[Part]:
    """The parts in shorter ones of at most so many steps, as equal as can be."""
    found = []
    for first, frames, at in parts:
        before = first
        for piece in frames.tensor_split(-(-len(frames) // steps)):
            found.append(Part(before, piece, at))
            before, at = piece[-1], at + len(piece)
    return found


def batch_of(parts: Sequence[Part]) -> Batch:
    """Parts side by side."""
    frames, lengths = padded([part.frames for part in parts])
    firsts = [part.frames.new_zeros(part.frames.size(1)) if part.first is None else part.first for part in parts]
    return Batch(torch.stack(firsts), frames, lengths, torch.tensor([part.at for part in parts]))


def reading(parts: Sequence[Part]) -> Padded:
    """The parts in their order, as many side by side as there is room for."""
    lengths = [len(part.frames) for part in parts]
    rows = max(1, min(16, _AT_ONCE // max(1, *lengths, 1)))
    return Padded(lengths, lambda batch: batch_of([parts[number] for number in batch]), rows)


@dataclass(frozen=True, eq=False)
class Passes:
    """Passes over parts in batches of like length, several of them an epoch, parts moved up and down the keys.

    Attributes:
        padded: batches of the numbers of parts.
        parts: what is learned.
        passes: an epoch.
        moves: moves a part by a number that it draws.
        seed: of what is drawn.
    """

    padded: Padded
    parts: Sequence[Part]
    passes: int
    moves: Callable[[Part, torch.Generator], Part]
    seed: int

    def __len__(self) -> int:
        return self.passes * len(self.padded)

    def starting_at(self, index: int, epoch: int = 0, share: tuple[int, int] = (0, 1)) -> Iterator[Any]:
        """The batches of an epoch from number `index` on.

        Args:
            index: of the first.
            epoch: by which the order, and how parts are moved, is drawn.
            share: (k, n) for every n-th row of each batch, from the k-th on; None where there is none.
        """
        part, parts = share
        while index < len(self):
            number, at = divmod(index, len(self.padded))
            for rows in self.padded.starting_at(at, epoch * self.passes + number):
                draw = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch * len(self) + index) % 2**63)
                chosen = [self.moves(self.parts[row], draw) for row in rows][part::parts]
                yield batch_of(chosen) if chosen else None
                index += 1


def moved(most: int, blocks: int, part: Part, draw: torch.Generator) -> Part:
    """A part, up or down by at most so many keys; what would leave the keyboard keeps a part where it is.

    Args:
        most: keys.
        blocks: 2 where attacks follow the keys, else 1.
        part: frames of `blocks` times as many channels as there are keys.
        draw: the source of the number.
    """
    by = int(torch.randint(-most, most + 1, (), generator=draw))
    first, frames, at = part
    keys = frames.size(1) // blocks
    used = frames.unflatten(1, (blocks, keys)).any(0).any(0).nonzero().flatten()
    if not by or (len(used) and not 0 <= int(used[0]) + by <= int(used[-1]) + by < keys):
        return part

    def turned(row: Tensor) -> Tensor:
        return row.unflatten(-1, (blocks, keys)).roll(by, -1).flatten(-2)

    return Part(None if first is None else turned(first), turned(frames), at)


def still(part: Part, draw: torch.Generator) -> Part:
    """A part as it is."""
    return part


def frames_as_csv(frames: Tensor, form: Form) -> str:
    """Frames [T, I] as CSV, a row for each step and a column for each channel."""
    import polars

    kind = polars.Int8 if form.kind == "binary" else polars.Float64
    return polars.DataFrame(frames.numpy(), schema=list(form.channels)).cast(kind).write_csv()


def frames_as_array(frames: Tensor) -> bytes:
    """Frames [T, I] as a .npy file."""
    written = io.BytesIO()
    np.save(written, frames.numpy(), allow_pickle=False)
    return written.getvalue()


def some_of(names: Sequence[str]) -> str:
    """Names in words, the first and the last where there are many."""
    shown = [*names[:4], "...", names[-1]] if len(names) > 8 else names
    return ", ".join(shown)
