"""Attention: at each step of a decoder, a mean over what an encoder gave out, weighted by how well it fits.

    α(t, s) = softmax_s(score(h(t), m(s)))        over the steps s that the row has
    c(t)    = Σ_s α(t, s) m(s)

Steps of a decoder may come one at a time, [B, Q], or all at once, [T, B, Q]: the scores are then products of matrices.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from elman.errors import ArgumentError, ShapeError

from .masked import live_steps, masked_softmax, zeroed


class Memory(NamedTuple):
    """What an encoder gave out, made ready once for all steps of a decoder; rows on axis 0, as in any state.

    Attributes:
        values: m [B, S, M], zeros where a row has ended.
        keys: what the scores read of it [B, S, K].
        live: [B, S] bool, True while a row lasts.
    """

    values: Tensor
    keys: Tensor
    live: Tensor


class Attention(nn.Module):
    """Base of the scores: subclass, write `score` and, if something of it does not wait for the decoder, `keys`.

    A row without any source step has no weights and the context 0.
    """

    def prepare(self, values: Tensor, lengths: Any = None) -> Memory:
        """What is done once for each source.

        Args:
            values: what an encoder gave out [S, B, M], S >= 1.
            lengths: number of source steps of each row [B]; S by default.

        Raises:
            ShapeError, ArgumentError: values or lengths that do not fit.
        """
        live = live_steps(values, lengths)
        rows = zeroed(values, live).transpose(0, 1)
        return Memory(rows, self.keys(rows), live.t())

    def forward(self, query: Tensor, memory: Memory) -> Tensor:
        """The contexts c.

        Args:
            query: h, [B, Q] at one step or [T, B, Q] at all.
            memory: what `prepare` made.

        Returns:
            [B, M] or [T, B, M].
        """
        weights = self.weights(query, memory)
        if query.dim() == 2:
            return torch.bmm(weights.unsqueeze(1), memory.values).squeeze(1)
        return torch.bmm(weights.transpose(0, 1), memory.values).transpose(0, 1)

    def weights(self, query: Tensor, memory: Memory) -> Tensor:
        """α [B, S] at one step or [T, B, S] at all; each sums to 1 over s, or is 0 throughout for an empty source."""
        if query.dim() not in (2, 3) or query.size(-2) != len(memory.values):
            raise ShapeError(
                f"expected a query [B, Q] or [T, B, Q] with B = {len(memory.values)} rows as the memory, "
                f"got {list(query.shape)}."
            )
        if query.dim() == 2:
            return self.weights(query.unsqueeze(0), memory).squeeze(0)
        scores = self.score(query.transpose(0, 1), memory.keys)
        return masked_softmax(scores, memory.live.unsqueeze(1), -1).transpose(0, 1)

    def keys(self, values: Tensor) -> Tensor:
        """[B, S, K] of values [B, S, M]; the values themselves by default."""
        return values

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        """[B, T, S] of queries [B, T, Q] and keys [B, S, K]."""
        raise TypeError(f"{type(self).__name__} must define score(self, query, keys)")


class Dot(Attention):
    """score(h, m) = h · m

    The encoder must give out as many features as the decoder, Q = M.

    Source: M.-T. Luong, H. Pham, C. D. Manning, Effective Approaches to Attention-based Neural Machine Translation,
        EMNLP 2015, equation 8.
    """

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        if query.size(-1) != keys.size(-1):
            raise ShapeError(
                f"Dot: expected as many features from the decoder (Q = {query.size(-1)}) as from the encoder "
                f"(M = {keys.size(-1)}): use General({query.size(-1)}, {keys.size(-1)})."
            )
        return torch.bmm(query, keys.transpose(1, 2))


class General(Attention):
    """score(h, m) = h · W m

    Args:
        query_size: Q, what the decoder gives out.
        memory_size: M, what the encoder gives out.

    Source: M.-T. Luong et al., 2015 (see `Dot`), equation 8.
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.W = nn.Linear(memory_size, query_size, bias=False)

    def keys(self, values: Tensor) -> Tensor:
        return self.W(values)

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        return torch.bmm(query, keys.transpose(1, 2))


class Additive(Attention):
    """score(h, m) = v · tanh(W h + U m)

    For all steps at once it needs memory for B T S A numbers.

    Args:
        query_size: Q, what the decoder gives out.
        memory_size: M, what the encoder gives out.
        hidden_size: A.

    Source: D. Bahdanau, K. Cho, Y. Bengio, Neural Machine Translation by Jointly Learning to Align and Translate,
        ICLR 2015, appendix A.1.2; M.-T. Luong et al., 2015 (see `Dot`), equation 8, call it "concat".
    Departs: h is the state after the step, as Luong et al. have it, and not before it, so that all steps of a decoder
        can be taken at once.
    """

    def __init__(self, query_size: int, memory_size: int, hidden_size: int) -> None:
        super().__init__()
        if hidden_size < 1:
            raise ArgumentError(f"Additive: expected hidden_size >= 1, got {hidden_size}.")
        self.W = nn.Linear(query_size, hidden_size, bias=False)
        self.U = nn.Linear(memory_size, hidden_size, bias=False)
        self.v = nn.Linear(hidden_size, 1, bias=False)

    def keys(self, values: Tensor) -> Tensor:
        return self.U(values)

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        return self.v(torch.tanh(self.W(query).unsqueeze(2) + keys.unsqueeze(1))).squeeze(-1)
