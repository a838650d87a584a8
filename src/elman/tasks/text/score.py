"""How well a text is foreseen: bits per character with their uncertainty, beside what an n-gram needs."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from elman.data import UNKNOWN

from ..intervals import ratio_interval

BLOCKS = 50  # pieces of a text whose figures are compared
LEAST_SYMBOLS = 50  # shorter blocks say nothing of the uncertainty
Interval = tuple[float, float] | None


@dataclass(frozen=True)
class Score:
    """How well a model foresees a text.

    Attributes:
        bits_per_character: mean over the characters that were foreseen (all but the first symbol's).
        perplexity: 2 to the bits per unit: among how many units the model is in doubt, in the mean.
        units: characters, words or pieces that were foreseen.
        characters: their characters.
        unknown: characters that the model has no symbol for; each is charged for its symbol and for saying
            which of the other characters of Unicode it is.
        interval: of the bits per character, 95 %, by blocks of the text; None where it is too short.
        baseline: bits per character of the n-gram of the training text, which pays for unknown characters likewise.
        order: of the n-gram.
        gain: bits per character that the model needs less than the n-gram.
        gain_interval: of the gain, 95 %, by the same blocks.
    """

    bits_per_character: float
    perplexity: float
    units: int
    characters: int
    unknown: int
    interval: Interval
    baseline: float
    order: int
    gain: float
    gain_interval: Interval

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Score":
        """What `dataclasses.asdict` gave, and JSON made of it."""
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in content.items()}
        return cls(**values)

    @property
    def warning(self) -> str | None:
        """What must be said where the model is not clearly better than the n-gram."""
        if self.gain_interval is None:
            return None if self.gain > 0 else f"on this text the n-gram of order {self.order} is better than the model"
        if self.gain_interval[0] > 0:
            return None
        doubt = "may be" if self.gain_interval[1] > 0 else "is"
        return f"the n-gram of order {self.order} {doubt} better than the model: train longer, or on more text"

    def figures(self, unit: str = "unit") -> dict[str, float]:
        """The figures by name; `unit` is what is foreseen."""
        found: dict[str, float] = {"bits per character": self.bits_per_character}
        if self.interval is not None:
            found |= {"bits per character from": self.interval[0], "bits per character to": self.interval[1]}
        found |= {"bits per character of the n-gram": self.baseline, "order of the n-gram": self.order}
        found |= {"bits per character saved": self.gain}
        if self.gain_interval is not None:
            found |= {"saved from": self.gain_interval[0], "saved to": self.gain_interval[1]}
        found |= {f"perplexity per {unit}": self.perplexity, f"{unit}s foreseen": self.units}
        return found | {"characters foreseen": self.characters, "characters not known": self.unknown}


def score_of(nats: np.ndarray, counted: np.ndarray, targets: Tensor, lengths: Tensor, order: int) -> Score:
    """The score of a text.

    Args:
        nats: what each symbol costs the model [n].
        counted: what it costs the n-gram [n].
        targets: the symbols [n].
        lengths: characters of each symbol [V].
        order: of the n-gram.
    """
    sizes = lengths[targets.long()].numpy()
    characters = int(sizes.sum())
    bits, others = nats / math.log(2), counted / math.log(2)
    per = max(1, characters)
    return Score(
        bits_per_character=float(bits.sum()) / per,
        perplexity=float(np.exp(min(float(nats.mean()), 700.0))),  # beyond that no float holds it
        units=len(nats),
        characters=characters,
        unknown=int((targets == UNKNOWN).sum()),
        interval=by_blocks(bits, sizes),
        baseline=float(others.sum()) / per,
        order=order,
        gain=float((others - bits).sum()) / per,
        gain_interval=by_blocks(others - bits, sizes),
    )


def by_blocks(values: np.ndarray, sizes: np.ndarray) -> Interval:
    """The 95 % interval of Σ values / Σ sizes, from how the ratio differs between blocks of the text.

    What stands together is alike, so single symbols would make the interval too narrow.

    Args:
        values: of each symbol [n], in the order of the text.
        sizes: likewise.
    """
    blocks = min(BLOCKS, len(values) // LEAST_SYMBOLS)
    if not blocks:
        return None
    starts = np.arange(blocks) * len(values) // blocks
    return ratio_interval(np.add.reduceat(values, starts), np.add.reduceat(sizes, starts))
