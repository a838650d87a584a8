"""A text model at work: it reads, writes on, and remembers where it is."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from elman import decoding
from elman.data import UNKNOWN, Vocabulary
from elman.training.settings import at_least

from ..job import Evaluating
from .network import TextNetwork


class Writer:
    """A model in the middle of a text.

    Args:
        network: of the model.
        symbols: of the model.
        choice: from logits to the next symbol; may be replaced at any time.

    What was read and written so far is held in a state, not as text, so that it costs the same after any length.
    """

    def __init__(self, network: TextNetwork, symbols: Vocabulary, choice: decoding.Choice) -> None:
        self.network, self.symbols, self.choice = network, symbols, choice
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._state: Any = None
        self._last: Tensor | None = None  # the symbol [1] that the state does not know of yet

    def read(self, text: str) -> None:
        """Go on behind a text that stands behind all before."""
        self._follow(self.symbols.encode(text))

    def write(self, length: int) -> Iterator[str]:
        """Choose so many symbols, and give the text of each as soon as its characters are whole."""
        at_least("length", length, 0)
        return self.symbols.texts(self._chosen(length))

    def search(self, length: int, width: int) -> str:
        """The likeliest text of so many symbols that a beam finds, and go on behind it.

        Args:
            length: symbols.
            width: K, how many beginnings go on side by side.
        """
        at_least("length", length, 0)
        at_least("beam", width, 1)
        if not length:
            return ""
        # No text ends: the unknown symbol, which never comes, stands for an end.
        found = decoding.beam_search(
            self._step, self._first(), states=self._state, width=width, max_length=length, eos=UNKNOWN, pad=UNKNOWN
        )
        best = found.tokens[0, 0]
        self._follow(best.cpu())
        return self.symbols.decode(best.tolist())

    def _chosen(self, length: int) -> Iterator[int]:
        moves = decoding.stream(self._step, self._first(), lambda logits: self.choice(logits), states=self._state)
        for move in islice(moves, length):
            self._state, self._last = move.states, move.tokens
            yield int(move.tokens)

    def _first(self) -> Tensor:
        """What is fed next [1]; at the start of everything the end of a line, so that a line begins."""
        if self._last is None:
            self.read("\n")
        assert self._last is not None
        return self._last

    @torch.no_grad()
    def _follow(self, numbers: Tensor) -> None:
        """Feed all but the last of some symbols [n]."""
        device = next(self.network.parameters()).device
        numbers = numbers.to(device) if self._last is None else torch.cat([self._last, numbers.to(device)])
        if len(numbers) > 1:
            with Evaluating(self.network):
                _, self._state = self.network(numbers[:-1].unsqueeze(1), self._state)
        self._last = numbers[-1:] if len(numbers) else self._last

    def _step(self, numbers: Tensor, state: Any) -> tuple[Tensor, Any]:
        with Evaluating(self.network):
            logits, state = self.network(numbers.unsqueeze(0), state)
        return decoding.without(logits[0], UNKNOWN), state
