"""How likely a frame is, given what the network says of it: channels that are on or off, channels of real numbers."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from elman.data import total

from .score import Switches

_WIDEST = 7.0  # of log σ: deviations from 0.0009 to 1100 of the channel's own
_NARROWEST = 0.1  # before training
_TINY = 1e-12


class Head(nn.Module):
    """Base of the distributions of a frame v [..., I] of I channels, made of numbers [..., size] of the network.

    Attributes:
        size: how many numbers a frame takes.
        drops: whether channels of the frame before may be dropped in training: one that is off is nothing strange, a
            real one that is 0 is.
    """

    size: int
    drops = True

    def nats(self, raw: Tensor, frames: Tensor) -> Tensor:
        """-log of the probability (of real channels, of its density) of frames [..., I], given raw [..., size]."""
        raise TypeError(f"{type(self).__name__} must define nats(self, raw, frames)")

    def expected(self, raw: Tensor, frames: Tensor) -> Tensor:
        """What each channel is expected to be [..., I]: its probability to be on, or its mean."""
        raise TypeError(f"{type(self).__name__} must define expected(self, raw, frames)")

    def draw(self, raw: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
        """A frame [I] of raw [size], both on the CPU."""
        raise TypeError(f"{type(self).__name__} must define draw(self, raw, temperature, generator)")

    def begun(self, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """What the network says before it has learned anything: c + V v(t-1), and of the first frame of a piece, first.

        Args:
            rows: the pieces of the training [T, I].

        Returns:
            c [size], V [size, I] and first [size].
        """
        raise TypeError(f"{type(self).__name__} must define begun(self, rows)")


class Independent(Head):
    """Channels that are on or off, each alone: P(v) = Π_i σ(z_i) where v_i is 1, and 1 - σ(z_i) where it is 0.

    Args:
        channels: I.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.size = channels

    def logits(self, raw: Tensor, frames: Tensor) -> Tensor:
        """z [..., I], of frames as they are."""
        return raw

    def nats(self, raw: Tensor, frames: Tensor) -> Tensor:
        z = self.logits(raw, frames)
        return functional.binary_cross_entropy_with_logits(z, frames, reduction="none").sum(-1)

    def expected(self, raw: Tensor, frames: Tensor) -> Tensor:
        return self.logits(raw, frames).sigmoid()

    def draw(self, raw: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
        chance = (raw / temperature).sigmoid()
        return torch.bernoulli(chance, generator=generator)

    def begun(self, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Each channel as often on as it is after it was off, or on; at first as often as anywhere."""
        simple = Switches.learned(rows)
        off, on = simple.after.logit()
        return off, (on - off).diag(), simple.often.logit()


class Chained(Independent):
    """Channels that are on or off, each given those before it in its frame: a chord is drawn note by note.

        z_i = raw_i + Σ_{j < i} L_ij v_j

    L begins at zero, where it is `Independent`.

    Args:
        channels: I.

    Source: B. J. Frey, G. E. Hinton, P. Dayan, Does the Wake-sleep Algorithm Produce Good Density Estimators?, NIPS
        1995 (the fully visible sigmoid belief network), here with biases that a recurrent network says.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.L = nn.Parameter(torch.zeros(channels, channels))

    def logits(self, raw: Tensor, frames: Tensor) -> Tensor:
        return raw + functional.linear(frames, self.L.tril(-1))

    def draw(self, raw: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
        z, coins = raw.clone(), torch.rand(self.size, generator=generator).tolist()
        columns, frame = self.L.detach().tril(-1).T.cpu(), torch.zeros_like(raw)
        for channel, coin in enumerate(coins):
            if coin < 1 / (1 + math.exp(min(50.0, -float(z[channel]) / temperature))):
                frame[channel] = 1
                z += columns[channel]
        return frame


class Mixture(Head):
    """Real channels, each brought to mean 0 and deviation 1: K Gaussians without correlation within each.

        p(v) = Σ_k π_k Π_i N(v_i; μ_ki, σ_ki²)

    Args:
        channels: I.
        components: K; 1 is a single Gaussian.
        units: log of the deviations of the channels in their own units, summed: so nats are those of the data as given.

    Source: C. M. Bishop, Mixture Density Networks, 1994; A. Graves, Generating Sequences With Recurrent Neural
        Networks, 2013, section 4.
    """

    drops = False

    def __init__(self, channels: int, components: int, units: float) -> None:
        super().__init__()
        self.channels, self.components, self.units = channels, components, units
        self.size = components * (1 + 2 * channels)

    def parts(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log π [..., K], μ [..., K, I] and log σ [..., K, I]."""
        weights, rest = raw[..., : self.components], raw[..., self.components :]
        mean, width = rest.unflatten(-1, (2, self.components, self.channels)).unbind(-3)
        return weights.log_softmax(-1), mean, _WIDEST * torch.tanh(width / _WIDEST)

    def nats(self, raw: Tensor, frames: Tensor) -> Tensor:
        weights, mean, width = self.parts(raw)
        scaled = (frames.unsqueeze(-2) - mean) * torch.exp(-width)
        each = -(0.5 * scaled.square() + width + 0.5 * math.log(2 * math.pi)).sum(-1)
        return self.units - torch.logsumexp(weights + each, -1)

    def expected(self, raw: Tensor, frames: Tensor) -> Tensor:
        weights, mean, _ = self.parts(raw)
        return (weights.exp().unsqueeze(-1) * mean).sum(-2)

    def draw(self, raw: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
        weights, mean, width = self.parts(raw)
        chosen = int(torch.multinomial((weights / temperature).softmax(-1), 1, generator=generator))
        noise = torch.randn(self.channels, generator=generator, dtype=raw.dtype)
        return mean[chosen] + temperature * width[chosen].exp() * noise

    def begun(self, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Each channel around so much of its last value as is best, at first around its mean."""
        pairs = [(row[:-1], row[1:]) for row in rows]
        count = sum(len(now) for _, now in pairs)
        both = total((before.double() * now).sum(0) for before, now in pairs)
        much = both / total(before.double().square().sum(0) for before, _ in pairs).clamp(min=_TINY)
        squares = total((now - much * before).square().sum(0) for before, now in pairs)
        left = (squares / count).sqrt() if count else torch.ones_like(much)
        weight = torch.zeros(self.size, self.channels, dtype=torch.float64)
        for start in range(self.components, self.components * (1 + self.channels), self.channels):
            weight[start : start + self.channels] = much.diag()
        return self._around(left.clamp(min=_NARROWEST, max=1.0)), weight, self._around(torch.ones_like(much))

    def _around(self, deviation: Tensor) -> Tensor:
        """raw [size] of so wide a distribution around 0 [I], its components side by side."""
        apart = torch.linspace(-1, 1, self.components) if self.components > 1 else torch.zeros(1)
        mean = apart.unsqueeze(1) * deviation
        width = (_WIDEST * torch.atanh(deviation.log() / _WIDEST)).expand(self.components, -1)
        return torch.cat([torch.zeros(self.components), mean.flatten(), width.flatten()])


def make_head(content: dict[str, Any]) -> Head:
    """The distribution that plain values say: its kind, the number of channels, and what else it takes."""
    match content["kind"]:
        case "independent":
            return Independent(content["channels"])
        case "chained":
            return Chained(content["channels"])
    return Mixture(content["channels"], content["components"], content["units"])
