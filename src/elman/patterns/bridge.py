"""From the final states of an encoder to those that a decoder starts from."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from elman.decoding.states import map_states
from elman.errors import ArgumentError, ShapeError
from elman.layers import Bidirectional, Highway, Layer, Parallel, Recurrent, Residual, Stack


def initial_states(layer: Layer, batch: int) -> Any:
    """The states that a layer itself starts from, in the form in which it takes and returns them.

    Args:
        layer: Recurrent, Parallel, Stack, Bidirectional, Residual, Highway, or one of these around others.
        batch: B.

    Raises:
        ArgumentError: a layer of another kind.
    """
    match layer:
        case Recurrent(cell=cell) | Parallel(cell=cell):
            states = cell.initial_state(batch)
            states = states[: len(states) - cell.held]
            if cell.feedback_size is not None:
                states = (*states, cell.start(batch))
            return states[0] if len(states) == 1 else tuple(states)
        case Stack(layers=layers):
            return tuple(initial_states(each, batch) for each in layers)  # type: ignore[arg-type]
        case Bidirectional(ahead=ahead, back=back):
            return initial_states(ahead, batch), initial_states(back, batch)
        case Residual(layer=inner) | Highway(layer=inner):
            return initial_states(inner, batch)
    raise ArgumentError(
        f"expected Recurrent, Parallel, Stack, Bidirectional, Residual or Highway, got {type(layer).__name__}, "
        "whose states are not known: wrap elman's cells in these."
    )


def flat(states: Any) -> Iterator[Tensor]:
    """The tensors of states, one after the other."""
    if isinstance(states, Tensor):
        yield states
    else:
        for part in states:
            yield from flat(part)


def same_shapes(one: Any, other: Any) -> bool:
    """Whether two trees of states have the same form and sizes."""
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return isinstance(one, Tensor) and isinstance(other, Tensor) and one.shape == other.shape
    return len(one) == len(other) and all(same_shapes(*pair) for pair in zip(one, other, strict=True))


class HandOn(nn.Module):
    """The decoder starts from the encoder's final states as they are."""

    def forward(self, final: Any, own: Any) -> Any:
        """The states of the decoder.

        Args:
            final: the final states of the encoder, [B, ...] each.
            own: those that the decoder would start from by itself.

        Raises:
            ShapeError: they have other forms or sizes.
        """
        if not same_shapes(final, own):
            raise ShapeError(
                f"HandOn: expected final states like those of the decoder, {shown(own)}, got {shown(final)}: "
                "use Bridge(encoder, decoder)."
            )
        return final


class Bridge(nn.Module):
    """A network from the encoder's final states to the decoder's, whatever their number and sizes.

        v = all final states of the encoder, side by side
        s(0) = s_own + tanh(V v + c), one V and c for each state of the decoder

    s_own is what the decoder would start from by itself: zeros for most cells, a learned start, or what keeps a
    stabiliser out of the way (`SLSTM`).

    Args:
        encoder: the layer that reads.
        decoder: the layer that writes.

    Source: K. Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, EMNLP 2014, appendix A.1.2.
    Departs: from all final states, and to all states of the decoder; added to the decoder's own start.
    """

    def __init__(self, encoder: Layer, decoder: Layer) -> None:
        super().__init__()
        final, own = list(flat(initial_states(encoder, 1))), list(flat(initial_states(decoder, 1)))
        size = sum(state.numel() for state in final)
        self.V = nn.ModuleList(nn.Linear(size, each.numel(), dtype=each.dtype, device=each.device) for each in own)

    def forward(self, final: Any, own: Any) -> Any:
        """The states of the decoder; arguments as for `HandOn`."""
        v = torch.cat([state.flatten(1) for state in flat(final)], -1)
        networks = iter(self.V)
        return map_states(lambda state: state + torch.tanh(next(networks)(v)).reshape(state.shape), own)


def shown(states: Any) -> str:
    """The shapes of states, for messages."""
    if isinstance(states, Tensor):
        return str(list(states.shape))
    return f"({', '.join(shown(part) for part in states)})"
