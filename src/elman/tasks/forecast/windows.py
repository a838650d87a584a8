"""What is learned of series before the network, the windows of a training, and what of them a model file keeps."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from elman.data import Frequency, Panel, Series
from elman.errors import ArgumentError, DataError

from ..splits import at_most
from .recipe import Block, Lane, Recipe, Window
from .scaling import choose_kind, find_seasons, learn_moves, learn_scale

ENOUGH = 1500  # windows of a training; of longer series they begin further apart
CHECKED = 5000  # windows at most of the validation steps
SPANS = (1, 2, 4, 7)  # seasons of lags: the linear part is the mean of one of each span
LONGEST = 400  # lags of all coordinates beyond one season
HARMONICS = 2  # of a cycle: a day has a morning and an evening, which one sine does not tell apart
FEW = 24
LONG = 300  # steps of a season above which the calendar alone tells where in it a step is, not the values of the last


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
    read = read_seasons(seasons, cycles, training.frequency)
    first = read[0] if read else 0
    counts = distribution == "negative_binomial"
    kind = "counts" if counts else choose_kind(training, first) if scale == "auto" else scale
    moves = learn_moves(kind, training)
    return Recipe(
        columns=training.columns,
        frequency=training.frequency,
        kind=kind,
        seasons=seasons,
        lags=choose_lags(training, read, lags),
        cycles=cycles,
        window=window or min(max(2 * first, FEW), 168),
        history=blocks,
        names=tuple(each.name for each in training.series),
        scales=tuple(learn_scale(kind, each, moves) for each in training.series),
        moves=moves,
        covariates=np.stack([mean, np.where(deviation > 0, deviation, 1.0)]),
    )


def read_seasons(
    seasons: tuple[int, ...], cycles: tuple[tuple[str, int], ...], frequency: Frequency
) -> tuple[int, ...]:
    """The seasons of which values are read: all but long ones that the calendar tells."""
    lengths = frequency.cycles()
    told = {round(lengths[name]) for name, _ in cycles}
    return tuple(season for season in seasons if season <= LONG or season not in told)


def choose_lags(training: Panel, seasons: tuple[int, ...], lags: int | None) -> tuple[int, ...]:
    """The lags of the linear part: some seasons and one step, and those around the longer season; fewer of few values.

    Raises:
        ArgumentError: more lags are asked for than the longest series has steps.
    """
    lengths = [len(each.y) for each in training.series]
    if lags is not None:
        if lags > max(lengths):
            raise ArgumentError(f"expected lags <= {max(lengths)}, the steps of the longest series, got {lags}.")
        return tuple(range(1, lags + 1))
    first, *longer = _spans(seasons)
    wanted = set(range(1, first + 1)) | _beside(seasons)
    found = sorted(lag for lag in wanted if 1 <= lag <= max(1, max(lengths) // 2))
    if len(found) * 3 > training.observed:
        return tuple(found[: max(1, training.observed // 3)])
    size = len(training.columns.y)
    # Ten times as many steps as lags, in all and in the usual series: series side by side often share what moves them.
    for span in longer:
        steps = sum(max(0, length - span) for length in lengths)
        if span * size <= LONGEST and 10 * span <= np.median(lengths) and 10 * span * size <= steps:
            found = sorted({*found, *range(1, span + 1)})
    return tuple(found)


def spans_of(recipe: Recipe) -> list[list[int]]:
    """Which of the lags of a recipe each of the linear parts reads that are averaged, by their places; all are in one.

    The mean of forecasts that read shorter and longer pasts errs less than each (Bates and Granger, "The combination of
    forecasts", 1969); of linear ones it is again one.
    """
    seasons = read_seasons(recipe.seasons, recipe.cycles, recipe.frequency)
    near, spans = _beside(seasons), (*_spans(seasons), recipe.lags[-1])
    found = {tuple(at for at, lag in enumerate(recipe.lags) if lag <= span or lag in near) for span in spans}
    return [list(each) for each in sorted(found, key=len)]


def _spans(seasons: tuple[int, ...]) -> list[int]:
    """Some seasons and one step."""
    return [times * (seasons[0] if seasons else 7) + 1 for times in SPANS]


def _beside(seasons: tuple[int, ...]) -> set[int]:
    """The lags of a season, and those beside it."""
    return {season + near for season in seasons for near in (-1, 0, 1)}


def read_lags(recipe: Recipe) -> tuple[int, ...]:
    """The lags that layers read: all where they are few, else the last ones and those of the seasons."""
    if len(recipe.lags) <= 16:
        return recipe.lags
    wanted = {1, 2, 3} | _beside(read_seasons(recipe.seasons, recipe.cycles, recipe.frequency))
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


def picked_origins(lanes: Sequence[Lane], starts: Sequence[int], horizon: int, most: int) -> list[tuple[int, int]]:
    """Steps at which forecasts over the whole horizon, or as much as there is, can begin, (lane, step).

    Args:
        lanes: the training series.
        starts: the first validation step of each.
        horizon: H.
        most: how many, evenly picked.
    """
    there = [len(lane.z) - start for lane, start in zip(lanes, starts, strict=True) if len(lane.z) > start]
    if not there:
        return []
    ahead = min(horizon, int(np.median(there)))  # so that one long series does not speak for all
    ends = np.cumsum([max(0, len(lane.z) - ahead + 1 - start) for lane, start in zip(lanes, starts, strict=True)])
    picked = np.arange(0, ends[-1], -(-ends[-1] // most))
    numbers = np.searchsorted(ends, picked, side="right").tolist()
    return [
        (number, len(lanes[number].z) - ahead + 1 - int(ends[number] - place))
        for number, place in zip(numbers, picked, strict=True)
    ]


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
