"""Conditional random field: tags are chosen together, because some follow each other and others never do."""

import torch
from torch import Tensor, nn

import elman


class Forward(elman.Cell):
    """One step of the forward algorithm: how likely all ways to each tag are.

        α(t)_j = log Σ_i exp(α(t-1)_i + A_ij) + z(t)_j

    Args:
        transitions: A [C, C], which belongs to the field.
    """

    def __init__(self, transitions: nn.Parameter) -> None:
        super().__init__()
        self.state_size = (len(transitions),)
        self.transitions = transitions

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        most = h.amax(-1, keepdim=True)
        largest = self.transitions.amax()
        ways = torch.exp(h - most) @ torch.exp(self.transitions - largest)
        return torch.log(ways) + most + largest + x


class ConditionalRandomField(nn.Module):
    """A score for each sequence of tags: of each tag at its step, and of each pair that follows each other.

        score(s) = b_s(1) + Σ_t z(t)_s(t) + Σ_t A_s(t-1),s(t) + e_s(τ)
        p(s) = exp(score(s)) / Σ_s' exp(score(s'))

    The sum over all sequences is a recurrence, and runs as a cell.

    Args:
        tags: C.

    Source: J. Lafferty, A. McCallum, F. Pereira, Conditional Random Fields, ICML 2001; over recurrent networks:
        Z. Huang, W. Xu, K. Yu, Bidirectional LSTM-CRF Models for Sequence Tagging, 2015.
    """

    def __init__(self, tags: int) -> None:
        super().__init__()
        self.transitions = nn.Parameter(0.1 * torch.randn(tags, tags))
        self.begin = nn.Parameter(torch.zeros(tags))
        self.end = nn.Parameter(torch.zeros(tags))
        self.layer = elman.Recurrent(Forward(self.transitions))

    def loss(self, z: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """-log p(tags) of each row [B]; 0 for a row without steps.

        Args:
            z: scores [T, B, C].
            tags: [T, B]; what stands after a row's end does not matter.
            lengths: [B].
        """
        live = torch.arange(len(z), device=z.device).unsqueeze(1) < lengths
        z, tags = torch.where(live.unsqueeze(2), z, 0), torch.where(live, tags, 0)
        return torch.where(lengths > 0, self._all(z, lengths) - self._one(z, tags, lengths, live), 0)

    def best(self, z: Tensor, lengths: Tensor) -> Tensor:
        """The likeliest tags [T, B], by Viterbi's algorithm; zeros after a row's end."""
        return best_tags(z, lengths, self.begin, self.transitions, self.end)

    def _all(self, z: Tensor, lengths: Tensor) -> Tensor:
        """log Σ exp(score) over all sequences [B]."""
        ways = self.begin + z[0]
        if len(z) > 1:
            _, ways = self.layer(z[1:], ways, lengths=(lengths - 1).clamp(min=0))
        return torch.logsumexp(ways + self.end, 1)

    def _one(self, z: Tensor, tags: Tensor, lengths: Tensor, live: Tensor) -> Tensor:
        """The score of one sequence of each row [B]."""
        each = torch.where(live, z.gather(2, tags.unsqueeze(2)).squeeze(2), 0).sum(0)
        pairs = torch.where(live[1:], self.transitions[tags[:-1], tags[1:]], 0).sum(0)
        last = tags.gather(0, (lengths - 1).clamp(min=0).unsqueeze(0)).squeeze(0)
        return each + pairs + self.begin[tags[0]] + self.end[last]


@torch.no_grad()
def best_tags(z: Tensor, lengths: Tensor, begin: Tensor, transitions: Tensor, end: Tensor) -> Tensor:
    """The tags with the largest score [T, B], by Viterbi's algorithm; zeros after a row's end.

    Args:
        z: scores of the tags at each step [T, B, C].
        lengths: [B].
        begin: of a `ConditionalRandomField` [C], as the other two.
        transitions: [C, C].
        end: [C].
    """
    steps = len(z)
    scores, backs = begin + z[0], []
    for t in range(1, steps):
        ways = scores.unsqueeze(2) + transitions
        best, back = ways.max(1)
        live = (t < lengths).unsqueeze(1)
        scores = torch.where(live, best + z[t], scores)
        backs.append(torch.where(live, back, torch.arange(z.size(2), device=z.device)))
    now = (scores + end).argmax(1)
    found = [now]
    for back in reversed(backs):
        now = back.gather(1, now.unsqueeze(1)).squeeze(1)
        found.append(now)
    live = torch.arange(steps, device=z.device).unsqueeze(1) < lengths
    return torch.where(live, torch.stack(found[::-1]), 0)
