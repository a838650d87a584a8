"""What a network says of the next value: a distribution, how surprising a value is under it, and draws from it."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Gamma
from torch.nn import functional


class Head(nn.Module):
    """Base of the distributions of values z [..., D] around 0, made of numbers [..., D, size] of the network.

    Args:
        base: how wide it is before training [D]; see each.

    Attributes:
        size: how many numbers a value takes; the first one moves it.
        base: see above.
        spread: a factor on how wide it is, 1 in training [1].
    """

    size: int = 2
    base: Tensor
    spread: Tensor

    def __init__(self, base: Tensor) -> None:
        super().__init__()
        self.register_buffer("base", base)
        self.register_buffer("spread", torch.ones(1))

    def loss(self, raw: Tensor, place: Tensor, z: Tensor, scale: Tensor) -> Tensor:
        """How surprising values are [..., D].

        Args:
            raw: what the network adds [..., D, size].
            place: where the linear part expects the value [..., D].
            z: the values [..., D].
            scale: mean and deviation by which values were brought to 0 [..., 2, D].
        """
        raise TypeError(f"{type(self).__name__} must define loss(self, raw, place, z, scale)")

    def draw(self, raw: Tensor, place: Tensor, scale: Tensor) -> Tensor:
        """A value for each row [N, D]; of symmetric distributions the second half mirrors the first."""
        raise TypeError(f"{type(self).__name__} must define draw(self, raw, place, scale)")

    def first_base(self, deviation: Tensor) -> Tensor:
        """`base` where the errors of the linear part have a deviation [D]."""
        return deviation.log()


class Gaussian(Head):
    """N(μ, σ²) with μ = place + raw₀ and log σ = base + raw₁.

    Args:
        base: log σ at the start [D].
    """

    def parts(self, raw: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """μ and log σ, [..., D] each."""
        return place + raw[..., 0] * self.base.exp(), self.base + bounded(raw[..., 1]) + self.spread.log()

    def loss(self, raw: Tensor, place: Tensor, z: Tensor, scale: Tensor) -> Tensor:
        """-log N(z; μ, σ²)."""
        mean, log_deviation = self.parts(raw, place)
        return 0.5 * ((z - mean) * torch.exp(-log_deviation)) ** 2 + log_deviation + 0.5 * math.log(2 * math.pi)

    def draw(self, raw: Tensor, place: Tensor, scale: Tensor) -> Tensor:
        """μ + σ ε."""
        mean, log_deviation = self.parts(raw, place)
        return mean + log_deviation.exp() * mirrored_normal(mean)


class StudentT(Gaussian):
    """Student's t with ν degrees of freedom, ν > 2 learned for each coordinate: heavier tails than a Gaussian."""

    def __init__(self, base: Tensor) -> None:
        super().__init__(base)
        self.freedom = nn.Parameter(torch.full_like(base, 4.0))

    @property
    def nu(self) -> Tensor:
        """ν [D]."""
        return 2.1 + functional.softplus(self.freedom)

    def loss(self, raw: Tensor, place: Tensor, z: Tensor, scale: Tensor) -> Tensor:
        """-log t(z; μ, σ, ν)."""
        mean, log_deviation = self.parts(raw, place)
        nu = self.nu
        normed = torch.lgamma((nu + 1) / 2) - torch.lgamma(nu / 2) - 0.5 * torch.log(nu * math.pi)
        return (nu + 1) / 2 * torch.log1p(((z - mean) * torch.exp(-log_deviation)) ** 2 / nu) + log_deviation - normed

    def draw(self, raw: Tensor, place: Tensor, scale: Tensor) -> Tensor:
        """μ + σ ε / sqrt(χ²(ν) / ν), χ² the same for both of a mirrored pair."""
        mean, log_deviation = self.parts(raw, place)
        half = (len(mean) + 1) // 2
        nu = self.nu.expand(half, -1)
        chi = 2 * Gamma(nu / 2, 1.0).sample()
        spread = torch.sqrt(nu / chi.clamp_min(1e-6))
        return mean + log_deviation.exp() * mirrored_normal(mean) * torch.cat([spread, spread])[: len(mean)]


class NegativeBinomial(Head):
    """Counts of mean μ and variance μ + α μ²; log(1 + μ) is what the network places, smoothly kept above 0.

    Args:
        base: log α at the start [D].
    """

    def first_base(self, deviation: Tensor) -> Tensor:
        """Whatever the linear part says of logarithms, α begins at 0.22."""
        return torch.full_like(deviation, -1.5)

    def parts(self, raw: Tensor, place: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """μ and α."""
        bent = (place + raw[..., 0]) * scale[..., 1, :] + scale[..., 0, :]
        mean = torch.expm1(functional.softplus(8 * bent) / 8).clamp(1e-4, 1e9)
        return mean, self.spread**2 * torch.exp(self.base + bounded(raw[..., 1]))

    def loss(self, raw: Tensor, place: Tensor, z: Tensor, scale: Tensor) -> Tensor:
        """-log of the probability of the count."""
        mean, alpha = self.parts(raw, place, scale)
        count = torch.expm1(z * scale[..., 1, :] + scale[..., 0, :]).round().clamp_min(0)
        size = 1 / alpha
        likely = torch.lgamma(count + size) - torch.lgamma(size) - torch.lgamma(count + 1)
        return -(likely - size * torch.log1p(alpha * mean) + count * (torch.log(mean) - torch.log(size + mean)))

    def draw(self, raw: Tensor, place: Tensor, scale: Tensor) -> Tensor:
        """A Poisson count whose rate is drawn from a gamma distribution."""
        mean, alpha = self.parts(raw, place, scale)
        rate = Gamma(1 / alpha, 1.0).sample() * alpha * mean
        return (torch.log1p(torch.poisson(rate)) - scale[..., 0, :]) / scale[..., 1, :]


class Quantiles(Head):
    """The quantiles at fixed levels, by the pinball loss; between them the distribution is linear, beyond exponential.

    Args:
        base: log of the deviation at the start [D].
    """

    LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
    size = len(LEVELS)

    def __init__(self, base: Tensor) -> None:
        super().__init__(base)
        self.levels: Tensor
        self.register_buffer("levels", torch.tensor(self.LEVELS), persistent=False)
        apart = torch.special.ndtri(self.levels.double()).diff().float()
        self.apart: Tensor
        self.register_buffer("apart", torch.log(torch.expm1(apart)), persistent=False)

    def parts(self, raw: Tensor, place: Tensor) -> Tensor:
        """The quantiles [..., D, Q], ascending."""
        deviation = self.base.exp().unsqueeze(-1)
        steps = functional.softplus(raw[..., 1:] + self.apart) * deviation * self.spread
        middle = len(self.LEVELS) // 2
        above = steps[..., middle:].cumsum(-1)
        below = -steps[..., :middle].flip(-1).cumsum(-1).flip(-1)
        median = (place.unsqueeze(-1)) + raw[..., :1] * deviation
        return torch.cat([median + below, median, median + above], -1)

    def loss(self, raw: Tensor, place: Tensor, z: Tensor, scale: Tensor) -> Tensor:
        """Σ over the levels of max(τ e, (τ - 1) e), e = z - quantile, in deviations."""
        error = (z.unsqueeze(-1) - self.parts(raw, place)) / self.base.exp().unsqueeze(-1)
        return torch.maximum(self.levels * error, (self.levels - 1) * error).sum(-1)

    def draw(self, raw: Tensor, place: Tensor, scale: Tensor) -> Tensor:
        """The quantile of a uniform draw."""
        quantiles, tau = self.parts(raw, place), self.levels
        half = torch.rand_like(place[: (len(place) + 1) // 2]).clamp(1e-6, 1 - 1e-6)
        u = torch.cat([half, 1 - half])[: len(place)]
        at = torch.bucketize(u, tau).clamp(1, len(tau) - 1)
        low, high = (quantiles.gather(-1, (at - shift).unsqueeze(-1)).squeeze(-1) for shift in (1, 0))
        slope = (high - low) / (tau[at] - tau[at - 1])
        inside = low + (u - tau[at - 1]) * slope
        # Beyond the last levels the density falls exponentially, and is continuous there.
        under = quantiles[..., 0] + slope * tau[0] * torch.log((u / tau[0]).clamp(1e-9, 1))
        over = quantiles[..., -1] - slope * (1 - tau[-1]) * torch.log(((1 - u) / (1 - tau[-1])).clamp(1e-9, 1))
        return torch.where(u < tau[0], under, torch.where(u > tau[-1], over, inside))


HEADS: dict[str, type[Head]] = {
    "student_t": StudentT,
    "gaussian": Gaussian,
    "negative_binomial": NegativeBinomial,
    "quantiles": Quantiles,
}


def bounded(raw: Tensor) -> Tensor:
    """A number of the network that no step can make extreme: within ±4, and itself near 0."""
    return 4 * torch.tanh(raw / 4)


def mirrored_normal(like: Tensor) -> Tensor:
    """Standard normal draws [N, D]; the second half are the first ones with the other sign, so that means are sharp."""
    half = torch.randn_like(like[: (len(like) + 1) // 2])
    return torch.cat([half, -half])[: len(like)]
