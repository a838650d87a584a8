"""How a loop is differentiated, if not in full and all at once."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from elman.errors import ArgumentError, ShapeError


@dataclass(frozen=True)
class Truncated:
    """Truncated backpropagation through time, BPTT(k1, k2): after every k1 steps, k2 steps back.

        dθ = Σ_j  Σ_{(j-1) k1 < t <= j k1}  dL(t)/dθ  through the steps  j k1 - k2 < t <= j k1

    Only with k1 = k2 is it what cutting the sequence in windows gives. The steps are counted in the order of the
    layer, from its first one: in a layer that runs backwards from t = T, also for rows that begin later. What is given
    out does not change, and the state goes on from block to block; the loss of a row's final state belongs to its last
    step.

    Args:
        k1: steps of a block.
        k2: steps back from the end of a block; k1 or more.

    Raises:
        ArgumentError: k1 < 1 or k2 < k1.

    Source: R. J. Williams, J. Peng, An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent Network
        Trajectories, Neural Computation 2, 1990: BPTT(h; h') with h = k2, h' = k1.
    """

    k1: int
    k2: int

    def __post_init__(self) -> None:
        if not 1 <= self.k1 <= self.k2:
            raise ArgumentError(
                f"expected 1 <= k1 <= k2, got k1 = {self.k1} and k2 = {self.k2}: what is given out in a block of k1 "
                "steps is sent back over k2 steps."
            )


@dataclass(frozen=True)
class Checkpointed:
    """The full gradient in little memory: states are kept at some steps, and the steps between run once more.

    Args:
        memory: how many bytes may be kept for the gradient beside inputs and outputs, as a number or a text such as
            "64MiB"; None for parts of about sqrt(T) steps.

    Raises:
        ArgumentError: a text that is no number of bytes.

    Source: T. Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016.
    """

    memory: int | str | None = None

    def __post_init__(self) -> None:
        _ = self.budget

    @property
    def budget(self) -> int | None:
        """Bytes; None for parts of about sqrt(T) steps."""
        if self.memory is None:
            return None
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKMGT]i?)?B?", str(self.memory).strip())
        if found is None:
            raise ArgumentError(f'expected memory as bytes or a text such as "64MiB" or "2GB", got {self.memory!r}.')
        number, unit = found.groups()
        return int(float(number) * (1024 if "i" in (unit or "") else 1000) ** " KMGT".index((unit or " ")[0].upper()))


@dataclass(frozen=True, eq=False)
class PerStep:
    """The gradient of each shared parameter at each step, and what is made of them; their sum is BPTT.

        dθ = how(dL/dθ(1), ..., dL/dθ(T)),  θ(t) being the copy of θ that step t reads

    A parameter that T steps share then needs memory for T of them.

    Args:
        how: "sum", "mean" (over T), "last" (the last of T in the order of the layer), a tensor [T] of weights, or a
            function of the name of the parameter in its cell and the gradients [T, ...], in the order of x, that
            returns one of its shape.

    Raises:
        ArgumentError: another word, or a tensor of another shape.
    """

    how: str | Tensor | Callable[[str, Tensor], Tensor] = "sum"

    def __post_init__(self) -> None:
        word, weights = isinstance(self.how, str), isinstance(self.how, Tensor)
        if word and self.how not in _WORDS:
            raise ArgumentError(f"expected {', '.join(_WORDS)}, weights [T] or a function, got {self.how!r}.")
        if isinstance(self.how, Tensor) and self.how.dim() != 1:
            raise ArgumentError(f"expected one weight for each step, [T], got {list(self.how.shape)}.")
        if not (word or weights or callable(self.how)):
            raise ArgumentError(f"expected a word, weights [T] or a function, got {type(self.how).__name__}.")

    def of(self, name: str, gradients: Tensor, reverse: bool) -> Tensor:
        """One gradient of those of all steps [T, ...].

        Raises:
            ArgumentError: the weights are not one for each step.
            ShapeError: a function returned something of another shape.
        """
        if isinstance(self.how, Tensor):
            if len(self.how) != len(gradients):
                raise ArgumentError(f"expected a weight for each of T = {len(gradients)} steps, got {len(self.how)}.")
            weighted: Tensor = torch.tensordot(self.how.to(gradients), gradients, dims=1)
            return weighted
        if not callable(self.how):
            return _WORDS[self.how](gradients, reverse)
        made: Tensor = self.how(name, gradients)
        if made.shape != gradients.shape[1:]:
            raise ShapeError(f"the gradient of {name}: expected {list(gradients.shape[1:])}, got {list(made.shape)}.")
        return made


_WORDS: dict[str, Callable[[Tensor, bool], Tensor]] = {
    "sum": lambda gradients, reverse: gradients.sum(0),
    "mean": lambda gradients, reverse: gradients.mean(0),
    "last": lambda gradients, reverse: gradients[0 if reverse else -1],
}


@dataclass(frozen=True)
class Full:
    """The full gradient, all at once: the default, and the way back to it inside of another one."""


Way = Truncated | Checkpointed | PerStep | Full
