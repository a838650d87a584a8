"""The forward filter of a hidden Markov model, as a cell."""

import math

import torch
from torch import Tensor, nn

from elman.cells import Cell
from elman.cells.checks import check_sizes


class HMMFilter(Cell):
    """The distribution over the hidden states, step by step: a recurrent network whose state is deterministic.

        p(t) = Aᵀ f(t-1),    p(1) = π                    predicted: P(z(t) = k | x(1..t-1))
        l(t) = log Σ_k p_k(t) b_k(x(t))                  log P(x(t) | x(1..t-1))
        f(t) = p(t) b(x(t)) / exp l(t)                   filtered:  P(z(t) = k | x(1..t))

    The states are p(t+1), f(t) and l(t); the layer gives out f(t) and l(t) [K + 1]. What l(t) is over all t adds up to
    the log likelihood of the row. Each step ends in probabilities that sum to 1, and b stays a logarithm, so it does
    not underflow, however long the row is. Without x (`layer(None, state, steps=n)`) it looks ahead: f = p.

    Args:
        input_size: I, the size of x.
        hidden_size: K, the number of hidden states.
        emission: gives log b [B, K] for x [B, I]; `Categorical(input_size, hidden_size)` by default.

    Attributes:
        pi: π as logits [K]; the logarithms of probabilities are logits, and minus infinity is a probability of 0.
        A: the transitions as logits [K, K], from the row's state to the column's.

    Source: L. R. Rabiner, A Tutorial on Hidden Markov Models and Selected Applications in Speech Recognition,
        Proc. IEEE 77(2), 1989, section III.A, scaled as in V.A.
    Departs: probabilities are the softmax of free numbers, so that any step of an optimiser leaves them probabilities.
        They begin with a tendency to stay: from equal ones, training often ends in a local optimum.
    """

    references = (
        """@article{rabiner1989tutorial,
  author  = {Rabiner, Lawrence R.},
  title   = {A Tutorial on Hidden {Markov} Models and Selected Applications in Speech Recognition},
  journal = {Proceedings of the IEEE},
  volume  = {77}, number = {2}, year = {1989}
}""",
    )

    def __init__(self, input_size: int, hidden_size: int, emission: nn.Module | None = None) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.state_size = (hidden_size, hidden_size, 1)
        self.emission = Categorical(input_size, hidden_size) if emission is None else emission
        self.pi = nn.Parameter(torch.zeros(hidden_size))
        self.A = nn.Parameter(2 * torch.eye(hidden_size) + 0.1 * torch.randn(hidden_size, hidden_size))

    def initial_state(self, batch_size: int) -> tuple[Tensor, ...]:
        first = torch.softmax(self.pi, -1).expand(batch_size, -1)
        return first, first, first.new_zeros(batch_size, 1)

    def step(self, x: Tensor | None, predicted: Tensor, filtered: Tensor, said: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        if x is None:
            return predicted @ torch.softmax(self.A, -1), predicted, torch.zeros_like(said)
        joint = _log(predicted) + self.emission(x)
        said = torch.logsumexp(joint, -1, keepdim=True)
        filtered = torch.exp(joint - said)
        return filtered @ torch.softmax(self.A, -1), filtered, said

    def output(self, predicted: Tensor, filtered: Tensor, said: Tensor) -> Tensor:  # type: ignore[override]
        return torch.cat([filtered, said], -1)

    @torch.no_grad()
    def sample(self, steps: int, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw rows from the model.

        Returns:
            x [T, B, I], as the emission draws it, and the hidden states [T, B].
        """
        A = torch.softmax(self.A, -1)
        at = torch.multinomial(torch.softmax(self.pi, -1), batch, replacement=True, generator=generator)
        hidden = [at]
        for _ in range(steps - 1):
            hidden.append(torch.multinomial(A[hidden[-1]], 1, generator=generator).squeeze(1))
        z = torch.stack(hidden)
        return self.emission.sample(z, generator), z  # type: ignore[operator]


class Categorical(nn.Module):
    """One of V symbols, seen as a one-hot vector; a vector of zeros is a symbol that is missing, and says nothing.

    Args:
        input_size: V.
        hidden_size: K.

    Attributes:
        B: logits [K, V].
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.B = nn.Parameter(0.5 * torch.randn(hidden_size, input_size))

    def forward(self, x: Tensor) -> Tensor:
        """log b [B, K] for x [B, V]."""
        return _log(x @ torch.softmax(self.B, -1).T + (1 - x.sum(-1, keepdim=True)))

    @torch.no_grad()
    def sample(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """x [..., V] for hidden states [...]."""
        odds = torch.softmax(self.B, -1)[z.flatten()]
        drawn = torch.multinomial(odds, 1, generator=generator).reshape(z.shape)
        return nn.functional.one_hot(drawn, self.B.size(1)).to(self.B.dtype)


class Gaussian(nn.Module):
    """A normal distribution for each hidden state, its features apart; x with a NaN in it is missing, and says nothing.

    Args:
        input_size: I.
        hidden_size: K.

    Attributes:
        mean: [K, I].
        log_std: [K, I], so that each variance is positive.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.mean = nn.Parameter(torch.randn(hidden_size, input_size))
        self.log_std = nn.Parameter(torch.zeros(hidden_size, input_size))

    def forward(self, x: Tensor) -> Tensor:
        """log b [B, K] for x [B, I]."""
        there = x == x  # not where x is NaN
        missing = torch.sum(torch.where(there, 0.0, 1.0).to(x.dtype), -1, keepdim=True) > 0
        z = (torch.where(there, x, 0.0).unsqueeze(-2) - self.mean) * torch.exp(-self.log_std)
        log_b = -(z * z / 2 + self.log_std + math.log(2 * math.pi) / 2).sum(-1)
        return torch.where(missing, 0.0, log_b)

    @torch.no_grad()
    def sample(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """x [..., I] for hidden states [...]."""
        mean, std = self.mean[z], torch.exp(self.log_std)[z]
        return mean + std * torch.randn(mean.shape, generator=generator, dtype=mean.dtype)


def _log(p: Tensor) -> Tensor:
    """log p; minus infinity where p is 0, and then with the gradient 0, where that of torch.log has no bounds."""
    positive = p > 0
    return torch.where(positive, torch.log(torch.where(positive, p, 1.0)), -torch.inf)
