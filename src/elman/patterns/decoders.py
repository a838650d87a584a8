"""Models of the next token that also read what an encoder gave out."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from elman.compiler import Plan, planning
from elman.decoding import NextToken
from elman.decoding.states import choose_rows
from elman.errors import ArgumentError, ShapeError
from elman.layers import Layer
from elman.layers import lengths as rows

from .attention import Attention
from .pooling import Last, Pool
from .vector import at_every_step


class Decoder(NextToken):
    """Base of models of the next token that read something of a source: a step for `elman.decoding`.

    Its states are a dict: "layer", the states of the layer, and what belongs to the source.

    Args:
        embedding: tokens [...] -> [..., E].
        layer: any layer of elman.layers that runs ahead.
        readout: [..., A] -> [..., V].

    Raises:
        ArgumentError: a layer that runs backwards, or of another kind.
    """

    def __init__(self, embedding: nn.Module, layer: Layer, readout: nn.Module) -> None:
        super().__init__(embedding, layer, readout)
        if not isinstance(layer, Layer):
            raise ArgumentError(
                f"{type(self).__name__}: expected a layer (elman.Recurrent, elman.Stack, ...), got "
                f"{type(layer).__name__}: its states would have their rows on another axis."
            )

    def begin(self, state: Any, values: Tensor, lengths: Any = None) -> dict[str, Any]:
        """The states before the first step.

        Args:
            state: what the layer starts from; None for its own.
            values: what the encoder gave out [S, B, M].
            lengths: number of source steps of each row [B].
        """
        raise TypeError(f"{type(self).__name__} must define begin(self, state, values, lengths)")

    def plan(self, tokens: Tensor, states: dict[str, Any], lengths: Any = None) -> Plan:
        """What `sequence` with these arguments runs, and why."""
        with torch.no_grad(), torch.random.fork_rng(), planning() as layers:
            self.sequence(tokens, states, lengths)
        return Plan(tuple(layers))

    def _called(self, x: Tensor, state: Any, lengths: Any) -> tuple[Tensor, Any]:
        """The layer over x [T, B, I], in whatever order it takes its axes."""
        assert isinstance(self.layer, Layer)
        if not self.layer.batch_first:
            return self.layer(x, state, lengths)
        y, state = self.layer(x.transpose(0, 1), state, lengths)
        return y.transpose(0, 1), state

    def _own(self, states: Any, *names: str) -> dict[str, Any]:
        """States, if they are those of this decoder."""
        if not isinstance(states, dict) or not {"layer", *names} <= states.keys():
            raise ArgumentError(
                f"{type(self).__name__}: expected states with {', '.join(('layer', *names))}, got "
                f"{type(states).__name__}: begin with `begin(...)`, or `EncoderDecoder.encode(source, lengths)`."
            )
        return states


class Conditioned(Decoder):
    """A vector stands beside each token that is fed: of a source, of an image, of anything.

        y(t) = layer((embedding(token(t)), v))
        logits(t) = readout(y(t))

    Args:
        embedding: tokens [...] -> [..., E].
        layer: of inputs E + M.
        readout: [..., H] -> [..., V].
        pool: makes v [B, M] of what an encoder gave out; `Last()` by default.

    Source: K. Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, EMNLP 2014.
    Departs: the readout reads the layer alone.
    """

    def __init__(self, embedding: nn.Module, layer: Layer, readout: nn.Module, pool: Pool | None = None) -> None:
        super().__init__(embedding, layer, readout)
        self.pool = Last() if pool is None else pool

    def begin(self, state: Any, values: Tensor, lengths: Any = None) -> dict[str, Any]:
        return self.about(self.pool(values, lengths), state)

    def about(self, v: Tensor, state: Any = None) -> dict[str, Any]:
        """The states before the first step, for a vector [B, M] without an encoder."""
        return {"layer": state, "vector": v}

    def sequence(self, tokens: Tensor, states: Any = None, lengths: Any = None) -> tuple[Tensor, Any]:
        """All steps in one call of the layer; see `NextToken.sequence`."""
        states = self._own(states, "vector")
        x = torch.cat([self.embedding(tokens), at_every_step(states["vector"], len(tokens))], -1)
        y, state = self._called(x, states["layer"], lengths)
        return self.readout(y), {**states, "layer": state}


class Attentive(Decoder):
    """A decoder that attends: its output and the context of it make the logits.

        h(t) = layer(embedding(token(t)))
        c(t) = attention(h(t), what the encoder gave out)
        a(t) = tanh(mix((c(t), h(t))))
        logits(t) = readout(a(t))

    Nothing here waits for attention, so `sequence` is one call of the layer for all steps, and attention follows it
    for all of them at once.

    Args:
        embedding: tokens [...] -> [..., E].
        layer: of inputs E, which gives out H.
        attention: `Dot()`, `General(H, M)`, `Additive(H, M, A)`, or your own.
        mix: torch.nn.Linear(M + H, A).
        readout: [..., A] -> [..., V].

    Raises:
        ArgumentError: parts of other kinds.

    Source: M.-T. Luong, H. Pham, C. D. Manning, Effective Approaches to Attention-based Neural Machine Translation,
        EMNLP 2015, equations 5 and 6, global attention.
    """

    def __init__(
        self, embedding: nn.Module, layer: Layer, attention: Attention, mix: nn.Linear, readout: nn.Module
    ) -> None:
        super().__init__(embedding, layer, readout)
        for name, part, kind in (("attention", attention, Attention), ("mix", mix, nn.Linear)):
            if not isinstance(part, kind):
                raise ArgumentError(f"expected {name} to be a {kind.__name__}, got {type(part).__name__}.")
        self.attention = attention
        self.mix = mix

    def begin(self, state: Any, values: Tensor, lengths: Any = None) -> dict[str, Any]:
        return {"layer": state, "memory": self.attention.prepare(values, lengths)}

    def sequence(self, tokens: Tensor, states: Any = None, lengths: Any = None) -> tuple[Tensor, Any]:
        """All steps in one call of the layer; see `NextToken.sequence`."""
        states = self._own(states, "memory")
        h, state = self._called(self.embedding(tokens), states["layer"], lengths)
        return self.readout(self._attentional(h, states["memory"])), {**states, "layer": state}

    def weights(self, tokens: Tensor, states: Any, lengths: Any = None) -> Tensor:
        """How much each step attends to each source step, [T, B, S], when these tokens [T, B] are fed."""
        h, _ = self._called(self.embedding(tokens), self._own(states, "memory")["layer"], lengths)
        return self.attention.weights(h, states["memory"])

    def _attentional(self, h: Tensor, memory: Any) -> Tensor:
        """a of h, at one step [B, H] or at all [T, B, H]."""
        return torch.tanh(self.mix(torch.cat([self.attention(h, memory), h], -1)))


class InputFeeding(Attentive):
    """An attentive decoder that is fed, beside each token, what it attended to one step before.

        h(t) = layer((embedding(token(t)), a(t-1))),  a(0) = 0

    and everything else as in `Attentive`. a(t-1) is known only after the whole step before, attention included. So the
    layer is called once for each step, in Python; embeddings before the loop and logits after it are taken at once.

    Args:
        embedding, attention, mix, readout: as for `Attentive`.
        layer: of inputs E + A.

    Source: M.-T. Luong et al., 2015 (see `Attentive`), section 3.3.
    """

    def begin(self, state: Any, values: Tensor, lengths: Any = None) -> dict[str, Any]:
        states = super().begin(state, values, lengths)
        memory = states["memory"]
        return {**states, "fed": memory.values.new_zeros(len(memory.values), self.mix.out_features)}

    def sequence(self, tokens: Tensor, states: Any = None, lengths: Any = None) -> tuple[Tensor, Any]:
        """The steps one after the other; see `NextToken.sequence`."""
        _, attended, states = self._loop(tokens, states, lengths)
        return self.readout(attended), states

    def weights(self, tokens: Tensor, states: Any, lengths: Any = None) -> Tensor:
        h, _, states = self._loop(tokens, states, lengths)
        return self.attention.weights(h, states["memory"])

    def plan(self, tokens: Tensor, states: dict[str, Any], lengths: Any = None) -> Plan:
        """What each step of `sequence` runs, and why it is no more than one step."""
        first = None if lengths is None else torch.as_tensor(lengths).clamp(max=1)
        why = "called for each step by itself: it is fed what attention made of the step before"
        plan = super().plan(tokens[:1], states, first)
        return Plan(tuple(replace(layer, reason=f"{layer.reason}; {why}") for layer in plan.layers))

    def _loop(self, tokens: Tensor, states: Any, lengths: Any) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """h [T, B, H] and a [T, B, A] of all steps, and the states at each row's own end."""
        states = self._own(states, "memory", "fed")
        x, memory = self.embedding(tokens), states["memory"]
        live = None if lengths is None else rows.live_rows(self._checked(lengths, tokens), len(tokens))
        given, hs, attended = (states["layer"], states["fed"]), [], []
        for t, step in enumerate(x.unbind(0)):
            ends = None if live is None else live[t].long()
            h, state = self._called(torch.cat([step, given[1]], -1).unsqueeze(0), given[0], ends)
            a = self._attentional(h.squeeze(0), memory)
            hs.append(h.squeeze(0))
            attended.append(a)
            given = state, a if live is None else choose_rows(live[t], a, given[1], 0)
        return torch.stack(hs), torch.stack(attended), {**states, "layer": given[0], "fed": given[1]}

    def _checked(self, lengths: Any, tokens: Tensor) -> Tensor:
        if tokens.dim() != 2:
            raise ShapeError(f"expected tokens [T, B], got {list(tokens.shape)}.")
        return rows.check_lengths(lengths, *tokens.shape).to(tokens.device)
