"""Learning rates over a training: each a function from (steps taken, steps in all) to a factor."""

import math
from collections.abc import Callable

Schedule = Callable[[int, int], float]

WARMUP = 0.03
FLOOR = 0.02


def warmup_cosine(step: int, steps: int) -> float:
    """Rise in a line over the first 3 % of the steps, then fall along half a cosine to 2 %.

    Source: I. Loshchilov, F. Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, ICLR 2017,
        equation 5, with one period.
    """
    rise = max(1, round(WARMUP * steps))
    if step < rise:
        return (step + 1) / rise
    done = min(1.0, (step - rise) / max(1, steps - rise))
    return FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * done)) / 2


def constant(step: int, steps: int) -> float:
    """The same learning rate throughout."""
    return 1.0
