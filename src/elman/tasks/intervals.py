"""Intervals of what is measured on a sample."""

import math

Z = 1.959964  # of a normal distribution, 95 % lie within so many standard deviations


def wilson(right: int, rows: int) -> tuple[float, float]:
    """The 95 % interval of a share.

    Args:
        right: how many of the rows are.
        rows: of which.

    Source: E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 22, 1927.
    """
    p, n = right / rows, rows
    middle, half = p + Z**2 / (2 * n), Z * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return (middle - half) / (1 + Z**2 / n), (middle + half) / (1 + Z**2 / n)
