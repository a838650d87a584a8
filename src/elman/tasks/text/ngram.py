"""What a text model is measured beside: how often what followed the last few symbols, counted and smoothed."""

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from elman.errors import DataError

HIGHEST = 8  # order
HELD_OUT = 0.1  # of the training text, to choose the order by
AT_ONCE = 1 << 20  # symbols that are looked up at once
PACKED = 1 << 62  # what an int64 holds, with room

Numbers = np.ndarray


@dataclass(frozen=True, eq=False)
class NGram:
    """Interpolated Kneser-Ney smoothing with three discounts.

        p(w | c) = (n(c, w) - D(n(c, w)) + γ(c) p(w | c')) / n(c)

    c are the symbols before w, up to order - 1 of them, and c' is c without its oldest. γ(c) is what all D take away,
    so that the sum over w is 1. n counts how often in the longest context, and in the others how many different symbols
    were seen before. With no context left, all V symbols are as likely.

    Attributes:
        grams: the different sequences of `order` symbols in the training text [m, order], sorted.
        counts: how often each occurs [m].
        symbols: V.

    Source: R. Kneser, H. Ney, Improved Backing-off for M-gram Language Modeling, ICASSP 1995; S. F. Chen, J. Goodman,
        An Empirical Study of Smoothing Techniques for Language Modeling, Harvard TR-10-98, 1998, section 3.
    """

    grams: Numbers
    counts: Numbers
    symbols: int

    @classmethod
    def learned(cls, numbers: Tensor | Numbers, symbols: int) -> "NGram":
        """Count a training text, to the order that foresees its last tenth best when the rest is counted.

        Args:
            numbers: the training text [n], n >= 1.
            symbols: V.
        """
        text = np.asarray(numbers)
        kept = round(len(text) * HELD_OUT)
        if not kept:
            return cls.counted(text, 1, symbols)
        tried = cls.counted(text[:-kept], min(HIGHEST, len(text) - kept), symbols)
        nats = [each[-kept:].mean() for each in tried.orders(text[-kept - HIGHEST :])]
        return cls.counted(text, 1 + int(np.argmin(nats)), symbols)

    @classmethod
    def counted(cls, text: Numbers, order: int, symbols: int) -> "NGram":
        """The counts of a text [n] of at least `order` symbols."""
        windows = np.lib.stride_tricks.sliding_window_view(text, order)
        _, first, counts = np.unique(_keys(windows, symbols), return_index=True, return_counts=True)
        return cls(np.ascontiguousarray(windows[first]), counts, symbols)

    @property
    def order(self) -> int:
        """How many symbols a sequence has that is counted."""
        return int(self.grams.shape[1])

    def nats(self, text: Tensor | Numbers) -> Numbers:
        """-ln p of each symbol of a text [n], given those before it."""
        numbers, before = np.asarray(text), self.order - 1
        starts = range(0, len(numbers), AT_ONCE)
        parts = [self.orders(numbers[max(0, at - before) : at + AT_ONCE])[-1][min(at, before) :] for at in starts]
        return np.concatenate(parts)

    def chances(self, context: Sequence[int]) -> Numbers:
        """The probabilities of what may follow a context [V]."""
        before = np.asarray(context, dtype=np.int64)
        return np.exp([-self.nats(np.append(before, symbol))[-1] for symbol in range(self.symbols)])

    def orders(self, text: Numbers) -> list[Numbers]:
        """-ln p of each symbol of a text [n], by models of order 1, 2, ... up to this one."""
        text = text.astype(np.int64)
        lower, found = np.full(len(text), 1 / self.symbols), []
        node = np.zeros(len(text), dtype=np.int64)
        for level in self._levels:
            node = level.nodes_of(text, node)
            found.append(-np.log(level.interpolated(level.times, text, node, lower)))
            lower = level.interpolated(level.kinds, text, node, lower)
        return found

    @cached_property
    def _levels(self) -> list["_Level"]:
        """The counts of order 1 and up."""
        return _levels(self.grams.astype(np.int64), self.counts, self.counts, self.symbols)[0]

    def to_json(self) -> dict[str, Any]:
        """The counts as plain values, packed."""
        grams = self.grams.astype(np.min_scalar_type(self.symbols - 1))
        return {
            "order": self.order,
            "symbols": self.symbols,
            "grams": [grams.dtype.str, _packed(grams.T)],  # one column after the other is packed best
            "counts": _packed(self.counts.astype("<u4")),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "NGram":
        """What `to_json` gave.

        Raises:
            DataError: the counts are damaged.
        """
        dtype, grams = content["grams"]
        try:
            columns = np.frombuffer(_unpacked(grams), dtype=dtype).reshape(content["order"], -1)
            counts = np.frombuffer(_unpacked(content["counts"]), dtype="<u4").astype(np.int64)
        except (ValueError, zlib.error) as error:
            raise DataError(f"expected the counts of an n-gram, got damaged ones ({error}).") from None
        if len(counts) != columns.shape[1] or not len(counts) or int(columns.max()) >= content["symbols"]:
            raise DataError("expected the counts of an n-gram, got damaged ones (sizes that do not fit).")
        return cls(np.ascontiguousarray(columns.T), counts, content["symbols"])


@dataclass(frozen=True, eq=False)
class _Level:
    """The counts of one order k.

    Attributes:
        order: k.
        symbols: V.
        contexts: known contexts of k - 1 symbols, sorted, as (number of the context without its oldest symbol) * V +
            that symbol; the place of each is its own number.
        grams: known sequences, sorted, as (number of the context) * V + symbol.
        times: how often each occurs.
        kinds: of how many sequences of order k + 1 each is the end; in the highest order as `times`.
    """

    order: int
    symbols: int
    contexts: Numbers
    grams: Numbers
    times: Numbers
    kinds: Numbers

    def nodes_of(self, text: Numbers, shorter: Numbers) -> Numbers:
        """The number of the context before each symbol [n], -1 if unknown; `shorter` are those of the level below."""
        if self.order == 1:
            return shorter
        node = np.full(len(text), -1, dtype=np.int64)
        oldest = text[: max(0, len(text) - self.order + 1)]
        node[self.order - 1 :] = _found(self.contexts, shorter[self.order - 1 :], oldest, self.symbols)
        return node

    def interpolated(self, counts: Numbers, text: Numbers, node: Numbers, lower: Numbers) -> Numbers:
        """The probability of each symbol [n] behind its context; `lower` where that is unknown."""
        taken = _discounts(counts)[np.minimum(counts, 3)]
        owner = self.grams // self.symbols
        whole, freed = np.bincount(owner, counts), np.bincount(owner, taken)
        place = _found(self.grams, node, text, self.symbols)
        left = np.where(place < 0, 0.0, (counts - taken)[place])
        return np.where(node < 0, lower, (left + freed[node] * lower) / whole[node])


def _levels(rows: Numbers, times: Numbers, kinds: Numbers, symbols: int) -> tuple[list[_Level], Numbers]:
    """The levels of different sequences [m, k] and of their ends, and the number of the context of each [m]."""
    order = rows.shape[1]
    below: list[_Level] = []
    contexts, node = np.zeros(1, dtype=np.int64), np.zeros(len(rows), dtype=np.int64)
    if order > 1:
        _, first, end = np.unique(_keys(rows[:, 1:], symbols), return_index=True, return_inverse=True)
        often = np.bincount(end, times).astype(np.int64)
        below, shorter = _levels(rows[first, 1:], often, np.bincount(end), symbols)
        contexts, node = np.unique(shorter[end] * symbols + rows[:, 0], return_inverse=True)
    grams = node * symbols + rows[:, -1]
    places = np.argsort(grams)
    return [*below, _Level(order, symbols, contexts, grams[places], times[places], kinds[places])], node


def _found(known: Numbers, node: Numbers, symbol: Numbers, symbols: int) -> Numbers:
    """The place of (node, symbol) among what is known, sorted [n]; -1 where it is not, or the node is -1."""
    wanted = np.where(node < 0, -1, node * symbols + symbol)
    place = np.searchsorted(known, wanted).clip(max=len(known) - 1)
    return np.where(known[place] == wanted, place, -1)


def _discounts(counts: Numbers) -> Numbers:
    """D of what occurs 0, 1, 2 and 3 or more times, by how many do; never nothing, so that no symbol is impossible."""
    once, twice, thrice, four = (float(np.count_nonzero(counts == n)) or 0.5 for n in (1, 2, 3, 4))
    y = once / (once + 2 * twice)
    found = [0.0, 1 - 2 * y * twice / once, 2 - 3 * y * thrice / twice, 3 - 4 * y * four / thrice]
    return np.clip(found, [0, 0.1, 0.1, 0.1], [0, 1, 2, 3])


def _keys(rows: Numbers, symbols: int) -> Numbers:
    """A number for each of some sequences [m, k]: the same for the same, and in their order."""
    keys, most = rows[:, 0].astype(np.int64), symbols
    for column in range(1, rows.shape[1]):
        if most > PACKED // symbols:
            known, keys = np.unique(keys, return_inverse=True)
            most = len(known)
        keys, most = keys * symbols + rows[:, column], most * symbols
    return keys


def _packed(array: Numbers) -> str:
    return base64.b64encode(zlib.compress(array.tobytes(), 6)).decode("ascii")


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))
