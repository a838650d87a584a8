"""The Kalman filter, as a cell."""

import math

import torch
from torch import Tensor, nn

from elman.cells import Cell
from elman.cells.checks import check_sizes
from elman.errors import ArgumentError, ShapeError


class KalmanFilter(Cell):
    """The distribution over the hidden state of a linear dynamical system, step by step.

        z(1) ~ N(m0, P0),    z(t+1) = A z(t) + w,  w ~ N(0, Q)
        x(t) = C z(t) + v,   v ~ N(0, R)

        predicted:  z(t) | x(1..t-1) ~ N(m, P)
        filtered:   z(t) | x(1..t)   ~ N(m + K (x(t) - C m), P - K C P),   K = P Cᵀ (C P Cᵀ + R)⁻¹

    The states are the predicted mean m(t+1) [n] and covariance P(t+1) [n, n], the filtered mean [n] and covariance
    [n, n] and l(t) = log p(x(t) | x(1..t-1)) [1]. The layer gives out the filtered mean, the mean that was predicted
    for the next step, and l(t), one after the other [2 n + 1]; `elman.around.Readout` gives out any of the states. The
    l(t) of a row add up to its log likelihood. Without x (`layer(None, state, steps=n)`) it forecasts; a step whose x
    has a NaN in it is one without observation.

    No matrix is inverted: v is first made independent, M v with M unit lower triangular and M R Mᵀ diagonal; then the
    features are taken one after the other, each by a division.

    Args:
        input_size: p, the size of x.
        hidden_size: n, the size of z.

    Attributes:
        A, C, m0: as above, free.
        G, G0: Q = G Gᵀ and P0 = G0 G0ᵀ, so that they are covariances whatever an optimiser does.
        M, log_r: what is below the diagonal of M, and the logarithm of the diagonal of M R Mᵀ.

    Source: R. E. Kalman, A New Approach to Linear Filtering and Prediction Problems, J. Basic Eng. 82, 1960; feature by
        feature: B. D. O. Anderson, J. B. Moore, Optimal Filtering, 1979, chapter 6.
    Departs: nothing.
    """

    references = (
        """@article{kalman1960new,
  author  = {Kalman, Rudolf E.},
  title   = {A New Approach to Linear Filtering and Prediction Problems},
  journal = {Journal of Basic Engineering},
  volume  = {82}, number = {1}, year = {1960}
}""",
    )
    below: Tensor

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        n, p = hidden_size, input_size
        self.input_size, self.hidden_size = p, n
        self.state_size = (n, (n, n), n, (n, n), 1)
        self.A = nn.Parameter(0.5 * torch.eye(n) + 0.1 * torch.randn(n, n))
        self.C = nn.Parameter(torch.randn(p, n))
        self.G = nn.Parameter(torch.eye(n))
        self.M = nn.Parameter(torch.zeros(p, p))
        self.log_r = nn.Parameter(torch.zeros(p))
        self.m0 = nn.Parameter(torch.zeros(n))
        self.G0 = nn.Parameter(torch.eye(n))
        self.register_buffer("below", torch.ones(p, p).tril(-1), persistent=False)

    def initial_state(self, batch_size: int) -> tuple[Tensor, ...]:
        mean, covariance = self.m0.expand(batch_size, -1), (self.G0 @ self.G0.T).expand(batch_size, -1, -1)
        return mean, covariance, mean, covariance, mean.new_zeros(batch_size, 1)

    def step(self, x: Tensor | None, m: Tensor, P: Tensor, *before: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        said = torch.zeros_like(before[-1])
        if x is not None:
            m, P, said = self._updated(x, m, P)
        return m @ self.A.T, self.A @ P @ self.A.T + self.G @ self.G.T, m, P, said

    def _updated(self, x: Tensor, m: Tensor, P: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and covariance once x is seen, and the log density of x."""
        there = x == x  # not where x is NaN
        seen = 1 - torch.amax(torch.where(there, 0.0, 1.0).to(x.dtype), -1)
        M = self.M * self.below
        x = torch.where(there, x, 0.0)
        x, C, r = x + x @ M.T, self.C + M @ self.C, torch.exp(self.log_r)
        said = torch.zeros_like(seen)
        for i in range(self.input_size):
            v = P @ C[i]
            error, variance = x[:, i] - m @ C[i], v @ C[i] + r[i]
            gain = v * (seen / variance).unsqueeze(-1)
            m, P = m + gain * error.unsqueeze(-1), P - gain.unsqueeze(-1) * v.unsqueeze(-2)
            said = said - seen * (torch.log(2 * math.pi * variance) + error * error / variance) / 2
        return m, P, said.unsqueeze(-1)

    def output(self, m: Tensor, P: Tensor, filtered: Tensor, covariance: Tensor, said: Tensor) -> Tensor:  # type: ignore[override]
        return torch.cat([filtered, m, said], -1)

    def matrices(self) -> dict[str, Tensor]:
        """A, C, Q, R, m0 and P0, with gradients."""
        eye = torch.eye(self.input_size, dtype=self.M.dtype, device=self.M.device)
        root = torch.linalg.inv(eye + self.M * self.below) * torch.exp(self.log_r / 2)
        Q, P0 = self.G @ self.G.T, self.G0 @ self.G0.T
        return {"A": self.A, "C": self.C, "Q": Q, "R": root @ root.T, "m0": self.m0, "P0": P0}

    @torch.no_grad()
    def assign(self, **matrices: Tensor) -> None:
        """Take over any of A, C, Q, R, m0 and P0.

        Raises:
            ArgumentError: a name that is none of these, or a covariance that is none (R must be positive definite).
            ShapeError: a size that does not fit.
        """
        now = self.matrices()
        for name, given in matrices.items():
            if name not in now:
                raise ArgumentError(f"expected matrices among {', '.join(now)}, got {name}.")
            if given.shape != now[name].shape:
                raise ShapeError(f"{name}: expected {list(now[name].shape)}, got {list(given.shape)}.")
            given = given.to(self.A)
            if name in ("A", "C", "m0"):
                getattr(self, name).copy_(given)
                continue
            root = _root(name, given, singular=name != "R")
            if name == "R":
                self.log_r.copy_(2 * root.diagonal().log())
                self.M.copy_(torch.linalg.inv(root / root.diagonal()))
            else:
                (self.G if name == "Q" else self.G0).copy_(root)

    @torch.no_grad()
    def sample(self, steps: int, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw rows from the model: x [T, B, p], and the hidden states [T, B, n]."""
        said = self.matrices()
        noise = torch.randn(steps, batch, self.hidden_size, generator=generator, dtype=self.A.dtype)
        hidden = [self.m0 + noise[0] @ self.G0.T]
        for t in range(1, steps):
            hidden.append(hidden[-1] @ self.A.T + noise[t] @ self.G.T)
        z = torch.stack(hidden)
        seen = torch.randn(steps, batch, self.input_size, generator=generator, dtype=self.A.dtype)
        return z @ self.C.T + seen @ torch.linalg.cholesky(said["R"]).T, z


def _root(name: str, covariance: Tensor, singular: bool) -> Tensor:
    """A factor L with L Lᵀ = the covariance; lower triangular where it may not be singular."""
    size = covariance.abs().amax()
    if not torch.allclose(covariance, covariance.T, atol=1e-6 * float(size)):
        raise ArgumentError(f"{name}: expected a covariance, got a matrix that is not symmetric.")
    values, vectors = torch.linalg.eigh(covariance)
    least = float(values.min())
    if least < -1e-6 * float(size) or (least <= 0 and not singular):
        raise ArgumentError(f"{name}: expected a covariance, got one with the eigenvalue {least:.3g}.")
    return vectors * values.clamp(min=0).sqrt() if singular else torch.linalg.cholesky(covariance)
