"""Schedules of scheduled sampling: the probability p(i) that the target is fed, after i steps of training.

Source: S. Bengio, O. Vinyals, N. Jaitly, N. Shazeer, Scheduled Sampling for Sequence Prediction with Recurrent Neural
    Networks, NeurIPS 2015, section 2.4.
"""

import math
from collections.abc import Callable

from elman.errors import ArgumentError

Schedule = Callable[[float], float]


def linear(steps: float, start: float = 1.0, end: float = 0.0) -> Schedule:
    """From `start` down to `end` in so many steps, and `end` from there on.

    p(i) = max(end, start - (start - end) i / steps)
    """
    if not 0 <= end <= start <= 1:
        raise ArgumentError(f"expected 1 >= start >= end >= 0, got start {start} and end {end}.")
    if not 0 < steps < math.inf:
        raise ArgumentError(f"expected steps > 0, got {steps}: after them p stays at {end}.")
    return lambda i: max(end, start - (start - end) * _counted(i) / steps)


def exponential(k: float) -> Schedule:
    """Falls by the same factor at each step.

    p(i) = k^i
    """
    if not 0 < k < 1:
        raise ArgumentError(f"expected 0 < k < 1, got {k}: p(i) = k^i halves in log(1/2) / log(k) steps.")
    return lambda i: k ** _counted(i)


def inverse_sigmoid(k: float) -> Schedule:
    """Stays near 1, falls fastest about i = k log k, and goes to 0.

    p(i) = k / (k + exp(i / k))
    """
    if not 1 <= k < math.inf:
        raise ArgumentError(f"expected k >= 1, got {k}: p(i) falls through 1/2 at i = k log k.")
    return lambda i: k * math.exp(-_counted(i) / k) / (k * math.exp(-i / k) + 1)


def _counted(i: float) -> float:
    """i, if it counts steps."""
    if not i >= 0:
        raise ArgumentError(f"expected i >= 0, the steps of training so far, got {i}.")
    return i
