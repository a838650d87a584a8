"""An encoder reads a source, a decoder writes what follows from it."""

from typing import Any

import torch
from torch import Tensor, nn

from elman.compiler import Plan, planning
from elman.decoding import NextToken
from elman.errors import ArgumentError, ShapeError
from elman.layers import Layer
from elman.layers import lengths as rows

from .bridge import Bridge, HandOn, initial_states, same_shapes
from .decoders import Decoder


class EncoderDecoder(nn.Module):
    """Encoder, bridge and decoder: a step for `elman.decoding`, whose states `encode` makes of a source.

        m, s = encoder(embedding(source))         what it gave out at each step, its final states
        logits = decoder(tokens) from bridge(s), and from m where it attends

    The source may have any number of steps in each row, 0 included; what stands after a row's end does not matter.

        states = model.encode(source, lengths)
        logits, _ = decoding.teach(model, first, targets, policy, states=states)
        made = decoding.generate(model, first, states=states, max_length=50, eos=EOS)

    Args:
        embedding: of the source [S, B, ...] -> [S, B, I]; torch.nn.Identity() where it is vectors already.
        encoder: any layer of elman.layers, in one direction or in both.
        decoder: `decoding.NextToken`, which sees the final states alone, or `Conditioned`, `Attentive`, `InputFeeding`.
        bridge: from the encoder's final states and the decoder's own start to the decoder's states; None for `HandOn`
            where the sizes are the same, and `Bridge`, a network, where they differ.

    Raises:
        ArgumentError: parts of other kinds.

    Source: I. Sutskever, O. Vinyals, Q. V. Le, Sequence to Sequence Learning with Neural Networks, NeurIPS 2014;
        K. Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, EMNLP 2014.
    """

    def __init__(self, embedding: nn.Module, encoder: Layer, decoder: NextToken, bridge: Any = None) -> None:
        super().__init__()
        for name, part, kind in (("encoder", encoder, Layer), ("decoder", decoder, NextToken)):
            if not isinstance(part, kind):
                raise ArgumentError(f"expected the {name} to be a {kind.__name__}, got {type(part).__name__}.")
        if not isinstance(decoder.layer, Layer):
            raise ArgumentError(
                "expected a decoder over a layer of elman.layers (Recurrent, Stack, ...), got "
                f"{type(decoder.layer).__name__}."
            )
        self.embedding = embedding
        self.encoder = encoder
        self.decoder = decoder
        if bridge is None:
            same = same_shapes(initial_states(encoder, 1), initial_states(decoder.layer, 1))
            bridge = HandOn() if same else Bridge(encoder, decoder.layer)
        self.bridge = bridge

    def encode(self, source: Tensor, lengths: Any = None) -> Any:
        """The states from which the decoder starts.

        Args:
            source: [S, B] tokens, or [S, B, ...] whatever the embedding reads; S >= 1.
            lengths: number of steps of each row [B], any integer type, 0 is allowed; S by default.

        Returns:
            States with the rows on axis 0, for `generate`, `beam_search`, `teach`, and for this module itself.

        Raises:
            ShapeError, ArgumentError: a source or lengths that do not fit.
        """
        if not isinstance(source, Tensor) or source.dim() < 2:
            got = list(source.shape) if isinstance(source, Tensor) else type(source).__name__
            raise ShapeError(f"expected a source [S, B, ...], padded, and its lengths [B], got {got}.")
        steps, batch = source.shape[:2]
        if lengths is not None:
            lengths = rows.check_lengths(lengths, steps, batch).to(source.device)
            live = rows.live_rows(lengths, steps)
            source = torch.where(live.reshape(live.shape + (1,) * (source.dim() - 2)), source, 0)  # NaN, or no token
        x, first = self.embedding(source), self.encoder.batch_first
        y, final = self.encoder(x.transpose(0, 1) if first else x, lengths=lengths)
        assert isinstance(self.decoder.layer, Layer)
        state = self.bridge(final, initial_states(self.decoder.layer, batch))
        if isinstance(self.decoder, Decoder):
            return self.decoder.begin(state, y.transpose(0, 1) if first else y, lengths)
        return state

    def forward(self, tokens: Tensor, states: Any = None) -> tuple[Tensor, Any]:
        """Tokens [B] and states -> the logits of the next ones [B, V], and the states after them."""
        return self.decoder(tokens, self._begun(states))

    def sequence(self, tokens: Tensor, states: Any = None, lengths: Any = None) -> tuple[Tensor, Any]:
        """All steps of the decoder; see `NextToken.sequence`."""
        return self.decoder.sequence(tokens, self._begun(states), lengths)

    def plan(self, source: Tensor, tokens: Tensor, source_lengths: Any = None, lengths: Any = None) -> Plan:
        """What `encode(source, source_lengths)` and `sequence(tokens, states, lengths)` run, and why."""
        with torch.no_grad(), torch.random.fork_rng():
            with planning() as layers:
                states = self.encode(source, source_lengths)
            if isinstance(self.decoder, Decoder):
                return Plan((*layers, *self.decoder.plan(tokens, states, lengths).layers))
            with planning() as after:
                self.sequence(tokens, states, lengths)
        return Plan((*layers, *after))

    def _begun(self, states: Any) -> Any:
        """States, if there are any: without a source the decoder would write as if nothing had been asked."""
        if states is None:
            raise ArgumentError("expected the states of a source: give states=model.encode(source, lengths).")
        return states
