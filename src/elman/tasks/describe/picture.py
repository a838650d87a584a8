"""The picture of descriptions: what was seen, what was said of it, and what people say."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from elman.training.curve import INK
from elman.training.files import write_picture

from .colours import COLOURS
from .columns import Read, numbers_of

_ROWS, _COLUMNS = 12, 3


def patches(read: dict[str, Read]) -> Tensor | None:
    """What can be drawn of rows, images [N, H, W] or [N, H, W, 3] from 0 to 1: an image, or three numbers of a colour.

    A colour is three columns called r, g, b or red, green, blue.
    """
    images = [each for each in read.values() if isinstance(each, Tensor) and each.dim() > 2]
    if len(images) == 1 and (images[0].dim() == 3 or images[0].size(3) == 3):
        low, high = images[0].min(), images[0].max()
        return (images[0] - low) / (high - low).clamp(min=1e-12)
    names = {name.lower(): name for name in read}
    for colour in COLOURS:
        parts = [numbers_of(read[names[part]]) for part in colour if part in names]
        numbers = [part for part in parts if part is not None and part.dim() == 1 and not part.isnan().any()]
        if len(numbers) == 3:
            rgb = torch.stack(numbers, 1)
            return (rgb / (1 if rgb.max() <= 1 else 255)).clamp(0, 1)[:, None, None]
    return None


def draw_said(seen: Tensor, said: Sequence[str], given: Sequence[str], path: Path) -> None:
    """Draw patches [N, H, W] or [N, H, W, 3] as a PNG file, what was said beside each, and what is right below that."""
    from matplotlib.figure import Figure

    count = min(len(seen), _ROWS * _COLUMNS)
    rows = -(-count // _COLUMNS)
    figure = Figure(figsize=(10, 0.62 * rows + 0.6), dpi=150)
    top = 0.45 / (0.62 * rows + 0.6)
    figure.text(0.02, 1 - top / 2, "held out: what the network says", color=INK, fontsize=11, va="center")
    figure.text(0.98, 1 - top / 2, "what people say", color="#808080", fontsize=9, va="center", ha="right")
    for number in range(count):
        left, line = (number % _COLUMNS) / _COLUMNS, number // _COLUMNS
        height = (1 - top) / rows
        axes = figure.add_axes((left + 0.02, 1 - top - (line + 0.92) * height, 0.06, 0.84 * height))
        axes.imshow(seen[number].numpy(), cmap="gray_r", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        axes.set_axis_off()
        middle = 1 - top - (line + 0.5) * height
        figure.text(left + 0.09, middle, _short(said[number]), color=INK, fontsize=10, va="bottom")
        figure.text(left + 0.09, middle, _short(given[number]), color="#808080", fontsize=8, va="top")
    write_picture(figure, path)


def _short(text: str) -> str:
    return textwrap.shorten(text, 32, placeholder=" …").replace("$", r"\$")
