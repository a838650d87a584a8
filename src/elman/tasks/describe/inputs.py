"""What a network is told of a row: numbers, values that it knows, and slots for values that it need not know."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from elman.errors import DataError

from .columns import Numerals, Read, Values, is_numeral, numbers_of, spelled, written
from .slots import places_of, slot_character, spoken_shares, telling_values


@dataclass(frozen=True, eq=False)
class Numbers:
    """Numbers, brought to mean 0 and variance 1 by what is trained on; an image by one mean and variance.

    Attributes:
        name: of the column.
        shape: of a row: () a number, (I,) a vector, (H, W) or (H, W, C) an image.
        mean, scale: one for each number, or one for all of an image; a scale is 1 where nothing ever changes.
        gaps: whether the number is missing in some rows of the table; then a further feature says so.
        spoken: whether it stands in most sentences as it is written: then it has a slot.
        plain: whether sentences write it in a plain way where the table does not: 25 for 25.0.
    """

    name: str
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    gaps: bool
    spoken: bool
    plain: bool = False

    @classmethod
    def learned(cls, name: str, read: Read, texts: Sequence[str], slots: bool, gaps: bool = False) -> "Numbers":
        """Mean and scale of rows [N, ...], and whether their sentences [N] say them; `gaps` if other rows have some."""
        numbers = numbers_of(read)
        assert numbers is not None
        image = numbers.dim() > 2
        flat = numbers.reshape(-1, 1) if image else numbers.reshape(len(numbers), -1)
        there = flat.isfinite()
        count = there.sum(0).clamp(min=1)
        mean = flat.nan_to_num().sum(0) / count
        scale = ((flat - mean).nan_to_num().square().sum(0) / count).sqrt()
        scale = torch.where(scale > 0, scale, 1.0)
        said, plainly = (
            [
                any(True for _ in places_of(value, text))
                for row, text in enumerate(texts if numbers.dim() == 1 else ())
                for value in spelled(read, row, plain)
            ]
            for plain in (False, True)
        )
        plain = sum(plainly) > sum(said)
        spoken = slots and bool(said) and max(sum(said), sum(plainly)) >= len(said) / 2
        shape, gaps = tuple(numbers.shape[1:]), gaps or not bool(there.all())
        return cls(name, shape, tuple(mean.tolist()), tuple(scale.tolist()), gaps, spoken, plain)

    @property
    def size(self) -> int:
        """Features."""
        return int(torch.Size(self.shape).numel()) + self.gaps

    @property
    def slots(self) -> int:
        """The most values of a row that stand in a sentence."""
        return int(self.spoken)

    def check(self, read: Read) -> Read:
        """The numbers, if they are like those of the training; also those written as text."""
        numbers = numbers_of(read)
        if numbers is None or numbers.isinf().any():
            row, values = next((n, v) for n, v in enumerate(read) if not is_numeral(v) or "inf" in "".join(v))
            some = ", ".join(map(repr, values))
            raise DataError(f"the column {self.name!r}: expected numbers as in training, got {some} in row {row}.")
        if tuple(numbers.shape[1:]) != self.shape:
            raise DataError(
                f"the column {self.name!r}: expected rows of numbers {list(self.shape)} as in training, "
                f"got {list(numbers.shape[1:])}."
            )
        if not self.gaps and numbers.isnan().any():
            row = int(numbers.isnan().flatten().nonzero()[0])
            raise DataError(f"the column {self.name!r}, row {row}: expected a number, as in all rows of the training.")
        return read

    def absent(self, rows: int) -> Tensor:
        """Rows without it."""
        return torch.full((rows, *self.shape), float("nan"), dtype=torch.float64)

    def encode(self, read: Any) -> Tensor:
        """Rows [N, ...] as features [N, size]."""
        flat = numbers_of(read).reshape(len(read), -1)  # type: ignore[union-attr]
        mean, scale = (torch.tensor(each, dtype=torch.float64) for each in (self.mean, self.scale))
        features = ((flat - mean) / scale).nan_to_num()
        return (torch.cat([features, flat.isnan().double()], 1) if self.gaps else features).float()

    def values(self, read: Any, row: int) -> list[str]:
        """What a sentence says of a row, if it says it as it is."""
        return spelled(read, row, self.plain) if self.spoken else []

    def unknown(self, read: Any, row: int) -> list[str]:
        """Values that say nothing to the network: none, of numbers."""
        return []

    def __str__(self) -> str:
        kind = ("a number", "a vector", "an image", "an image")[len(self.shape)]
        return f"{self.name}: {kind}" + (f" {list(self.shape)}" if self.shape else "") + ", said" * self.spoken


@dataclass(frozen=True, eq=False)
class Attribute:
    """Values of one name.

    Where most values stand in the sentences of their rows, a value is spoken: the network is told that there is one,
    not which, and writes a slot. All others are categories, each with a feature of its own.

    Attributes:
        name: of the attribute.
        categories: known values that are not spoken.
        spoken: known values that are; where there are any, so is a value that is not known.
        slots: the most spoken values that a row of the training has.
    """

    name: str
    categories: tuple[str, ...]
    spoken: tuple[str, ...]
    slots: int

    @classmethod
    def learned(cls, name: str, read: Values, texts: Sequence[str], slots: bool) -> "Attribute":
        """Which values the sentences of some rows say.

        A value is spoken where it stands in half of its rows; one that is rare goes with the others of its name.
        """
        found = spoken_shares(zip(texts, read, strict=True))
        usual = sum(said / rows for rows, said in found.values()) / max(1, len(found))
        spoken = {v for v, (rows, said) in found.items() if said + 2 * usual >= 0.5 * (rows + 2)}
        if not slots or usual < 0.5:
            spoken = set()
        most = max((sum(value in spoken for value in row) for row in read), default=0)
        return cls(name, tuple(sorted(found.keys() - spoken)), tuple(sorted(spoken)), most)

    @property
    def size(self) -> int:
        """Features: one for each category, and one for each slot."""
        return len(self.categories) + self.slots

    @cached_property
    def _category(self) -> dict[str, int]:
        return {value: number for number, value in enumerate(self.categories)}

    def check(self, read: Read) -> Values:
        """The values; numbers are taken as they are written."""
        if isinstance(read, Tensor):
            if read.dim() > 1:
                raise DataError(f"the column {self.name!r}: expected values as in training, got lists of numbers.")
            return [[written(number)] if number == number else [] for number in read.tolist()]
        return read

    def absent(self, rows: int) -> Values:
        """Rows without it."""
        return [[] for _ in range(rows)]

    def encode(self, read: Any) -> Tensor:
        """Rows of values as features [N, size]."""
        features = torch.zeros(len(read), self.size)
        for row, values in enumerate(read):
            for value in values:
                if value in self._category:
                    features[row, self._category[value]] = 1
            features[row, len(self.categories) : len(self.categories) + len(self.values(read, row))] = 1
        return features

    def values(self, read: Any, row: int) -> list[str]:
        """The values of a row that a sentence says."""
        return [value for value in read[row] if self.spoken and value not in self._category]

    def unknown(self, read: Any, row: int) -> list[str]:
        """Values that say nothing to the network: neither categories nor spoken."""
        return [] if self.spoken else [value for value in read[row] if value not in self._category]

    def __str__(self) -> str:
        count = len(self.categories)
        known = [f"{count} value{'s' * (count != 1)}"] if count or not self.spoken else []
        spoken = [f"a slot for any value, {len(self.spoken)} known"] if self.spoken else []
        return f"{self.name}: {', '.join(spoken + known)}"


@dataclass(frozen=True, eq=False)
class Inputs:
    """All that is read of a row.

    Attributes:
        parts: column by column.
        telling: values that no sentence has unless its row has them.
    """

    parts: tuple[Numbers | Attribute, ...]
    telling: frozenset[str]

    @classmethod
    def learned(cls, read: dict[str, Read], rows: Sequence[int], texts: Sequence[str], slots: bool) -> "Inputs":
        """What some rows hold.

        Args:
            read: the columns of the whole table.
            rows: those that are learned from.
            texts: the sentences of the whole table.
            slots: whether values that stand in the sentences get slots.
        """
        own = [texts[row] for row in rows]
        parts: list[Numbers | Attribute] = []
        for name, each in read.items():
            if isinstance(each, Tensor | Numerals):
                some: Read = each[list(rows)] if isinstance(each, Tensor) else [each[row] for row in rows]
                gaps = bool(numbers_of(each).isnan().any())  # type: ignore[union-attr]
                parts.append(Numbers.learned(name, some, own, slots, gaps))
            else:
                parts.append(Attribute.learned(name, [each[row] for row in rows], own, slots))
        found = cls(tuple(parts), frozenset())
        spoken = {value for part in parts if isinstance(part, Attribute) for value in part.spoken}
        return cls(found.parts, telling_values(spoken, [(texts[row], found.said(read, row)) for row in rows]))

    @property
    def size(self) -> int:
        """I, features of a row."""
        return sum(part.size for part in self.parts)

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the slots, in the order of their characters: "food", and "food 2" where a row may have two."""
        return tuple(
            part.name if turn == 0 else f"{part.name} {turn + 1}" for part in self.parts for turn in range(part.slots)
        )

    def check(self, read: dict[str, Read]) -> dict[str, Read]:
        """The columns in the order of the training, if they are like those; a missing attribute is absent in each row.

        Raises:
            DataError: an attribute that was not in training, numbers where there were values, or the reverse.
        """
        names = [part.name for part in self.parts]
        for name in read:
            if name not in names:
                close = get_close_matches(name, names, n=1, cutoff=0.5)
                hint = f"did you mean {close[0]!r}?" if close else f"there were {', '.join(map(repr, names[:12]))}."
                raise DataError(f"expected what was read in training, got {name!r}: {hint}")
        rows = len(next(iter(read.values())))
        checked = {part.name: part.check(read.get(part.name, part.absent(rows))) for part in self.parts}
        new = {f"{p.name}={v}": n for p in self.parts for n in range(rows) for v in p.unknown(checked[p.name], n)}
        if new:
            warnings.warn(f"{len(new)} values that were not in training say nothing: {_some_of(new)}.", stacklevel=4)
        for part in self.parts:
            values = checked[part.name]
            more = {value: row for row in range(rows) for value in part.values(values, row)[part.slots :]}
            if more:
                warnings.warn(
                    f"{part.name!r}: more than {part.slots} values, the most of a row in training; what comes after "
                    f"them is not said: {_some_of(more)}.",
                    stacklevel=4,
                )
        return checked

    def encode(self, read: dict[str, Read], rows: Sequence[int]) -> Tensor:
        """Some rows as features [n, I]."""
        return torch.cat(
            [
                part.encode(each[list(rows)] if isinstance(each, Tensor) else [each[row] for row in rows])
                for part, each in ((part, read[part.name]) for part in self.parts)
            ],
            1,
        )

    def said(self, read: dict[str, Read], row: int) -> list[tuple[str, str]]:
        """The slots of a row and what fills them."""
        found, number = [], 0
        for part in self.parts:
            values = part.values(read[part.name], row)
            found += [(slot_character(number + turn), value) for turn, value in enumerate(values[: part.slots])]
            number += part.slots
        return found

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {"parts": [vars_of(part) for part in self.parts], "telling": sorted(self.telling)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Inputs":
        """What `to_json` gave."""
        parts: list[dict[str, Any]] = [
            {name: tuple(value) if isinstance(value, list) else value for name, value in part.items()}
            for part in content["parts"]
        ]
        return cls(
            tuple(Numbers(**part) if "shape" in part else Attribute(**part) for part in parts),
            frozenset(content["telling"]),
        )


def _some_of(values: dict[str, int]) -> str:
    """A few values with their rows, in words."""
    return ", ".join(f"{value!r} (row {row})" for value, row in list(values.items())[:4])


def vars_of(part: Numbers | Attribute) -> dict[str, Any]:
    """The fields of a column as plain values."""
    return {name: getattr(part, name) for name in type(part).__dataclass_fields__}
