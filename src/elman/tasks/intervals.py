"""Intervals of what is measured on a sample."""

import math

import numpy as np

LEAST = 5  # groups, of which fewer say nothing of the uncertainty
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


def ratio_interval(values: np.ndarray, sizes: np.ndarray) -> tuple[float, float] | None:
    """The 95 % interval of Σ values / Σ sizes, from how the ratio differs between groups; None of fewer than five.

    Args:
        values: the sum of each group [n]; what is alike stands in one group.
        sizes: likewise.

    Source: W. G. Cochran, Sampling Techniques, 1977, section 6.3 (the ratio of two sums); Student's t after R. A.
        Fisher, E. A. Cornish, The Percentile Points of Distributions Having Known Cumulants, Technometrics 2, 1960.
    """
    values, sizes = values[sizes > 0], sizes[sizes > 0]
    groups = len(values)
    if groups < LEAST:
        return None
    ratio, free = float(values.sum() / sizes.sum()), groups - 1
    student = Z + (Z**3 + Z) / (4 * free) + (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * free**2)
    error = student * math.sqrt(groups / free * float(((values - ratio * sizes) ** 2).sum())) / float(sizes.sum())
    return ratio - error, ratio + error
