"""Pictures of pieces: piano rolls one below the other, real channels as lines."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from elman.data import Keyboard, notes_of
from elman.training.curve import FAINT, INK, VALIDATION
from elman.training.files import write_picture

if TYPE_CHECKING:
    from .data import Form

_LINES = 8  # channels that are drawn, at most
_NOTE = "#2c5f8a"


def draw_pieces(pieces: dict[str, Tensor], form: "Form", path: Path, mark: int | None = None) -> None:
    """Draw frames [T, I], each under its title, as a PNG file.

    Args:
        pieces: frames in the data's own units.
        form: what they are.
        path: of the picture.
        mark: a step at which a line is drawn, where a prompt ends, say.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 0.8 + 2.6 * len(pieces)), dpi=150, layout="constrained")
    every: Any = figure.subplots(len(pieces), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    longest = max(len(frames) for frames in pieces.values())
    for axes, (title, frames) in zip(every, pieces.items(), strict=True):
        if form.kind == "real":
            _draw_lines(axes, frames, form)
        elif form.keyboard is not None:
            _draw_notes(axes, frames, form.keyboard)
        else:
            _draw_steps(axes, frames)
        if mark is not None:
            axes.axvline(mark, color=VALIDATION, linewidth=1)
        axes.set_title(title, loc="left", color=INK, fontsize=11)
        axes.set_axisbelow(True)
        axes.set_xlim(0, max(1, longest))
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(FAINT)
        axes.tick_params(colors=INK, length=0, labelsize=8)
    every[-1].set_xlabel("step", color=INK)
    if form.kind == "binary":
        _show_used(every, list(pieces.values()), form.keyboard)
    write_picture(figure, path)


def _draw_notes(axes: Any, frames: Tensor, keyboard: Keyboard) -> None:
    """A bar for each note."""
    found = list(notes_of(frames, keyboard))
    if found:
        starts, ends, keys = zip(*found, strict=True)
        lengths = [end - start - 0.15 for start, end in zip(starts, ends, strict=True)]
        axes.barh(keys, lengths, left=starts, height=0.8, color=_NOTE)
    octaves = range(-(-keyboard.lowest // 12) * 12, keyboard.highest + 1, 12)
    axes.set_yticks(octaves, [f"C{key // 12 - 1}" for key in octaves])
    axes.grid(axis="y", color=FAINT, linewidth=0.8)


def _draw_steps(axes: Any, frames: Tensor) -> None:
    """A bar for each run of steps at which a channel is on."""
    for column in (frames > 0.5).any(0).nonzero().flatten().tolist():
        steps = (frames[:, column] > 0.5).nonzero().flatten().tolist()
        axes.broken_barh([(step, 1) for step in steps], (column - 0.4, 0.8), color=_NOTE)
    axes.set_ylabel("channel", color=INK)


def _draw_lines(axes: Any, frames: Tensor, form: "Form") -> None:
    """A line for each of the first channels: a single one in its own units, several in deviations from their means."""
    count = len(form.channels)
    if count > 1:
        mean, scale = (torch.tensor(each, dtype=torch.float64) for each in (form.mean, form.scale))
        frames = (frames - mean) / scale
        axes.set_ylabel("deviations", color=INK)
    for number, name in enumerate(form.channels[:_LINES]):
        axes.plot(torch.arange(len(frames)).numpy(), frames[:, number].numpy(), linewidth=1, label=name)
    if count > 1:
        title = f"and {count - _LINES} more" if count > _LINES else None
        place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0}
        axes.legend(frameon=False, labelcolor=INK, fontsize=7, ncols=_LINES, title=title, **place)


def _show_used(every: Any, pieces: list[Tensor], keyboard: Keyboard | None) -> None:
    """Only the channels that are on anywhere, and a few around them."""
    channels = pieces[0].size(1) if keyboard is None else keyboard.keys
    lowest = 0 if keyboard is None else keyboard.lowest
    used = torch.cat(pieces)[:, :channels].gt(0.5).any(0).nonzero().flatten().tolist()
    if used:
        every[0].set_ylim(lowest + used[0] - 2, lowest + used[-1] + 2)
