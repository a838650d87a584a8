"""What is learned of series before the network, the windows of a training, and what of them a model file keeps."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from elman.data import Panel, Series
from elman.errors import ArgumentError, DataError

from ..splits import at_most
from .recipe import Block, Lane, Recipe, Window
from .scaling import choose_kind, find_seasons, learn_scale

ENOUGH = 1500  # windows of a training; of longer series they begin further apart
CHECKED = 5000  # windows at most of the validation steps
HARMONICS = 2  # of a cycle: a day has a morning and an evening, which one sine does not tell apart
FEW = 24


def learn_recipe(
    training: Panel,
    distribution: str,
    scale: str,
    season: tuple[int, ...] | None,
    lags: int | None,
    window: int | None,
    blocks: tuple[Block, ...],
) -> Recipe:
    """What training series say of how they should be read; arguments as for `ForecastModel`."""
    seasons = find_seasons(training) if season is None else tuple(sorted(season))
    first = seasons[0] if seasons else 0
    counts = distribution == "negative_binomial"
    kind = "counts" if counts else choose_kind(training, first) if scale == "auto" else scale
    covariates = [np.concatenate([_of(each, "known"), _of(each, "past")], 1) for each in training.series]
    together = np.concatenate(covariates)
    mean, deviation = _mean(together), _mean((together - _mean(together)) ** 2) ** 0.5
    longest = max(len(each.y) for each in training.series)
    lengths = training.frequency.cycles()
    cycles = tuple(
        (name, max(1, min(HARMONICS, (round(length) - 1) // 2)))
        for name, length in lengths.items()
        if longest >= 2 * length and round(length) in seasons
    )
    return Recipe(
        columns=training.columns,
        frequency=training.frequency,
        kind=kind,
        seasons=seasons,
        lags=choose_lags(seasons, lags, training.observed, longest),
        cycles=cycles,
        window=window or min(max(2 * first, FEW), 168),
        history=blocks,
        names=tuple(each.name for each in training.series),
        scales=tuple(learn_scale(kind, each) for each in training.series),
        covariates=np.stack([mean, np.where(deviation > 0, deviation, 1.0)]),
    )


def choose_lags(seasons: tuple[int, ...], lags: int | None, values: int, longest: int) -> tuple[int, ...]:
    """The lags of the linear part: a season and one step, and those around the longer season; fewer of few values.

    Raises:
        ArgumentError: more lags are asked for than the longest series has steps.
    """
    if lags is not None:
        if lags > longest:
            raise ArgumentError(f"expected lags <= {longest}, the steps of the longest series, got {lags}.")
        return tuple(range(1, lags + 1))
    wanted = set(range(1, (seasons[0] if seasons else 7) + 2))
    wanted |= {season + near for season in seasons for near in (-1, 0, 1)}
    most = max(1, longest // 2)
    found = sorted(lag for lag in wanted if 1 <= lag <= most)
    return tuple(found) if len(found) * 3 <= values else tuple(found[: max(1, values // 3)])


def read_lags(recipe: Recipe) -> tuple[int, ...]:
    """The lags that layers read: all where they are few, else the last ones and those of the seasons."""
    if len(recipe.lags) <= 16:
        return recipe.lags
    wanted = {1, 2, 3} | {season + near for season in recipe.seasons for near in (-1, 0, 1)}
    return tuple(lag for lag in recipe.lags if lag in wanted)


def training_part(panel: Panel, held_out: int) -> tuple[Panel, list[int]]:
    """The series that can be learned from, without the steps that are held out, and which of the panel they are.

    Raises:
        DataError: no series is long enough.
    """
    cut = [each.until(max(0, len(each.y) - held_out)) for each in panel.series]
    kept = [row for row, each in enumerate(cut) if np.isfinite(each.y).all(1).sum() >= 3]
    if not kept:
        longest = max(len(each.y) for each in panel.series)
        held = f" beside the {held_out} that are held out" if held_out else ""
        raise DataError(
            f"expected a series of at least 3 values{held}, the longest has {longest} steps: give more history, or a "
            "smaller held_out."
        )
    series = tuple(cut[row] for row in kept)
    return Panel(panel.columns, panel.frequency, series, panel.report), kept


def make_windows(
    lanes: Sequence[Lane], ends: Sequence[int], window: int, validation: float
) -> tuple[list[Window], list[Window]]:
    """Windows of the training steps of lanes, and of their last share, which is for validation."""
    kept = [validation_start(end, validation) for end in ends]
    stride = max(1, min(window // 2, sum(kept) // ENOUGH))
    training, checking = [], []
    for lane, (end, until) in enumerate(zip(ends, kept, strict=True)):
        stops = range(until, min(window, until - 1), -stride) if until > window + 1 else [until]
        training += [Window(lane, max(1, stop - window), max(1, stop - window), stop) for stop in stops]
        for start in range(until, end, window):
            stop = min(start + window, end)
            checking.append(Window(lane, max(1, start - window), start, stop))
    return sorted(training), list(at_most(CHECKED, checking))


def validation_start(end: int, validation: float) -> int:
    """The first validation step of a series of `end` steps; `end` for one too short to be divided."""
    return end - round(end * validation) if end >= 8 else end


def tail_of(series: Series, steps: int) -> dict[str, Any]:
    """The last steps of a series as plain values, None for what is missing; they begin where nothing is missing."""
    whole = np.isfinite(np.concatenate([_of(series, part) for part in ("y", "known", "past")], 1)).all(1)
    first = max(0, len(series.y) - steps)
    first = int(np.flatnonzero(whole[: first + 1])[-1]) if whole[: first + 1].any() else 0

    def plain(values: np.ndarray) -> list[list[float | None]]:
        return [[value if np.isfinite(value) else None for value in row] for row in values[first:].tolist()]

    return {
        "name": series.name,
        "start": series.start + first,
        "y": plain(series.y),
        "known": plain(series.known),
        "past": plain(series.past),
    }


def series_of(tail: dict[str, Any], recipe: Recipe) -> Series:
    """What `tail_of` gave."""

    def numbers(rows: list[list[float | None]], columns: int) -> np.ndarray:
        return np.array(rows, dtype=float).reshape(len(rows), columns)

    columns = recipe.columns
    return Series(
        tail["name"],
        tail["start"],
        numbers(tail["y"], len(columns.y)),
        numbers(tail["known"], len(columns.known)),
        numbers(tail["past"], len(columns.past)),
    )


def _of(series: Series, covariates: str) -> np.ndarray:
    """Covariates of the observed steps."""
    return getattr(series, covariates)[: len(series.y)]


def _mean(values: np.ndarray) -> np.ndarray:
    """The mean of each column of what is there, 0 where nothing is."""
    count = np.isfinite(values).sum(0)
    return np.where(count > 0, np.nansum(values, 0) / np.maximum(count, 1), 0.0)
