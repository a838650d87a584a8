"""What can be decoded: a step from tokens and states to the logits of the next tokens."""

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from elman.errors import ArgumentError, ShapeError
from elman.layers import Bidirectional
from elman.layers import lengths as rows

from .checks import check_integers, check_logits
from .states import check_states


class Step(Protocol):
    """Any callable `step(tokens [B], states) -> (logits [B, V], states)`.

    States are None before the first step unless others are given, and tensors, tuples, lists and dicts of them after
    it, with the rows on axis 0. A step whose states have them elsewhere says so by an attribute `batch_axis`, or the
    caller by an argument. Whatever belongs to a row (the outputs of an encoder, say) goes along as a state.
    """

    def __call__(self, tokens: Tensor, states: Any, /) -> tuple[Tensor, Any]:
        """One step."""


class NextToken(nn.Module):
    """Embedding, layer, readout: a model of the next token, as a step and over whole sequences.

        logits(t) = readout(layer(embedding(token(t))))

    Args:
        embedding: tokens [...] -> [..., I].
        layer: any layer that runs ahead: Recurrent, Stack, or one of elman.nn and torch.nn.
        readout: [..., H] -> [..., V].

    Attributes:
        batch_axis: where the rows stand in the states: 0 for layers, 1 for the `hx` of elman.nn.

    Raises:
        ArgumentError: the layer, or one within it, runs backwards.
    """

    def __init__(self, embedding: nn.Module, layer: nn.Module, readout: nn.Module) -> None:
        super().__init__()
        for part in layer.modules():
            if isinstance(part, Bidirectional) or getattr(part, "reverse", False) or getattr(part, "bidirectional", 0):
                raise ArgumentError(
                    f"expected a layer that runs ahead, got {type(part).__name__} in {type(layer).__name__}, "
                    "which runs backwards: the tokens to come are not known yet."
                )
        self.embedding = embedding
        self.layer = layer
        self.readout = readout
        self.batch_axis = 1 if isinstance(layer, nn.RNNBase) else 0

    def forward(self, tokens: Tensor, states: Any = None) -> tuple[Tensor, Any]:
        """Tokens [B] and states -> the logits of the next ones [B, V], and the states after them."""
        logits, states = self.sequence(tokens.unsqueeze(0), states)
        return logits.squeeze(0), states

    def sequence(self, tokens: Tensor, states: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        """All steps in one call of the layer.

        Args:
            tokens: [T, B].
            states: the initial states, in the form of the layer; None for its own.
            lengths: number of steps of each row [B].

        Returns:
            Logits [T, B, V] and the states at each row's own end.
        """
        x, first = self.embedding(tokens), getattr(self.layer, "batch_first", False)
        options = {} if lengths is None else {"lengths": lengths}
        y, states = self.layer(x.transpose(0, 1) if first else x, states, **options)
        return self.readout(y.transpose(0, 1) if first else y), states

    def read(self, tokens: Tensor, lengths: Tensor | None = None, states: Any = None) -> tuple[Tensor, Any]:
        """Read a prompt, all but its last token, so that generation can begin with that one.

        Args:
            tokens: [T, B], T >= 1.
            lengths: number of tokens of each row [B], at least 1; T by default.
            states: before the prompt.

        Returns:
            The last token of each row [B], and the states before it.
        """
        tokens = check_integers("the prompt", tokens)
        if tokens.dim() != 2 or not tokens.numel():
            raise ShapeError(f"expected a prompt [T, B] with T, B >= 1, got {list(tokens.shape)}.")
        steps, batch = tokens.shape
        if lengths is None:
            return tokens[-1], states if steps == 1 else self.sequence(tokens[:-1], states)[1]
        lengths = rows.check_lengths(lengths, steps, batch).to(tokens.device)
        if int(lengths.min()) < 1:
            raise ArgumentError(f"expected at least one token in each prompt, got lengths {lengths.tolist()}.")
        last = tokens.gather(0, (lengths - 1).unsqueeze(0)).squeeze(0)
        before = torch.where(rows.live_rows(lengths, steps), tokens, tokens[0])  # what pads may be no token at all
        return last, states if steps == 1 else self.sequence(before[:-1], states, lengths - 1)[1]


def axis_of(step: Any, batch_axis: int | None) -> int:
    """Where the rows stand in the states of a step."""
    axis = getattr(step, "batch_axis", 0) if batch_axis is None else batch_axis
    if axis < 0:
        raise ArgumentError(f"expected batch_axis >= 0, got {axis}.")
    return int(axis)


def ask(step: Step, tokens: Tensor, states: Any, axis: int, t: int, live: Tensor | None = None) -> tuple[Tensor, Any]:
    """One step, checked; the logits of rows that are not live are zeros.

    Raises:
        ShapeError: logits or states that do not have B rows.
        NumericsError: logits without a largest one, in a live row.
    """
    answer = step(tokens, states)
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], Tensor)):
        raise ArgumentError(f"expected the step to return (logits, states), got {_kind(answer)}.")
    logits, states = answer
    if logits.dim() != 2 or logits.size(0) != len(tokens):
        raise ShapeError(
            f"expected logits [B, V] with B = {len(tokens)} from the step, got {list(logits.shape)}: "
            "one row of logits for each token."
        )
    check_states(states, len(tokens), axis)
    check_logits(logits, live, where=f" at step {t}")
    return (logits if live is None else torch.where(live.unsqueeze(1), logits, 0)), states


def _kind(answer: Any) -> str:
    return f"a {type(answer).__name__}" + (f" of {len(answer)}" if isinstance(answer, tuple) else "")
