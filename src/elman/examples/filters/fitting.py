"""Log likelihoods, and their gradient through time."""

import torch
from torch import Tensor

from elman.cells import Cell
from elman.errors import ArgumentError, NumericsError
from elman.layers import Recurrent

Rows = tuple[Tensor, Tensor | None]


def log_likelihood(cell: Cell, x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """log p(x(1..T)) of each row under a filter, with its gradient.

    Args:
        cell: an `HMMFilter`, a `KalmanFilter`, or any cell whose last output is log p(x(t) | x(1..t-1)).
        x: the rows [T, B, I].
        lengths: the number of steps of each row [B].

    Returns:
        [B]; 0 for a row without steps.

    Raises:
        NumericsError: the model gives an observation the probability 0, or x holds infinity.
    """
    said = Recurrent(cell)(x, lengths=lengths)[0][..., -1]
    wrong = (~torch.isfinite(said)).nonzero()
    if len(wrong):
        step, row = wrong[0].tolist()
        raise NumericsError(
            f"log p(x(t) | x(1..t-1)) is {said[step, row].item()} at step {step} of row {row}: the model takes what is "
            "seen there for impossible, or x is infinite there."
        )
    return said.sum(0)


def mean_log_likelihood(cell: Cell, rows: Rows) -> Tensor:
    """The log likelihood of rows for each of their steps, so that sets of rows can be compared."""
    x, lengths = rows
    count = x.size(0) * x.size(1) if lengths is None else int(lengths.sum())
    return log_likelihood(cell, x, lengths).sum() / count


def fit(cell: Cell, rows: Rows, iterations: int = 300, rate: float = 0.05, held_out: Rows | None = None) -> list[float]:
    """Train a filter by back-propagation through time and Adam, on all rows at once.

    The rate falls to 0 along a half cosine.

    Args:
        cell: see `log_likelihood`; it is changed.
        rows: x [T, B, I], and the lengths [B] or None.
        iterations: steps of the optimiser.
        rate: the rate at the start.
        held_out: rows that are only looked at.

    Returns:
        The mean log likelihood for each step of a row, before each iteration and after the last, of the rows held out
        if there are some, else of those trained on.

    Raises:
        ArgumentError: no iterations, or rows without any step.
        NumericsError: see `log_likelihood`.
    """
    if iterations < 1 or not rate > 0:
        raise ArgumentError(f"expected iterations >= 1 and rate > 0, got {iterations} and {rate}.")
    if rows[0].numel() == 0 or (rows[1] is not None and not rows[1].any()):
        raise ArgumentError("expected rows with at least one step, got none.")
    optimizer = torch.optim.Adam(cell.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations)
    curve = []
    for _ in range(iterations):
        if held_out is not None:
            curve.append(_seen(cell, held_out))
        now = mean_log_likelihood(cell, rows)
        if held_out is None:
            curve.append(now.item())
        optimizer.zero_grad()
        (-now).backward()
        optimizer.step()
        schedule.step()
    return [*curve, _seen(cell, rows if held_out is None else held_out)]


def _seen(cell: Cell, rows: Rows) -> float:
    with torch.no_grad():
        return mean_log_likelihood(cell, rows).item()
