"""Paths into the future: each step is drawn, and fed back as the value that the next step reads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.tasks.job import Evaluating

from .network import ForecastNetwork
from .recipe import Batch, Lane, Recipe, Window, make_batch

PATHS_AT_ONCE = 16_384
NUMBERS_AT_ONCE = 40_000_000


@dataclass(frozen=True, eq=False)
class Paths:
    """Drawn futures.

    Attributes:
        names: of the series.
        starts: the number of the first step of each path in the calendar.
        values: [N, S, H, D], in the units of the data.
    """

    names: tuple[str, ...]
    starts: tuple[int, ...]
    values: np.ndarray


def draw_paths(
    network: ForecastNetwork,
    recipe: Recipe,
    lanes: Sequence[Lane],
    origins: Sequence[tuple[int, int]],
    horizon: int,
    samples: int,
    seed: int,
) -> Iterator[tuple[int, Tensor]]:
    """Paths of z from every origin, some origins at a time.

    Args:
        network: a trained network; used as it is.
        recipe: by which the lanes were made.
        lanes: the series, with what is known of their future.
        origins: (lane, step): the first step that is forecast; the lane is read up to the one before it.
        horizon: H, steps to draw.
        samples: S, paths of each origin, an even number.
        seed: the same seed draws the same paths.

    Yields:
        The number of the first origin of each portion, and its paths [R, S, H, D].
    """
    device = next(network.parameters()).device
    room = max(1, min(PATHS_AT_ONCE, NUMBERS_AT_ONCE // (recipe.context * network.size)) // samples)
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad(), Evaluating(network):
        torch.manual_seed(seed)
        for first in range(0, len(origins), room):
            yield first, _draw(network, recipe, lanes, origins[first : first + room], horizon, samples, device)


def states_before(
    network: ForecastNetwork, recipe: Recipe, lanes: Sequence[Lane], origins: Sequence[tuple[int, int]]
) -> Tensor:
    """What the last layer gives out in the window before each origin [T, R, H]; arguments as for `draw_paths`."""
    device = next(network.parameters()).device
    windows = [Window(lane, step - recipe.window, step, step) for lane, step in origins]
    batch = Batch(*(part.to(device) for part in make_batch(recipe, lanes, windows)))
    with torch.no_grad(), Evaluating(network):
        return network.read_steps(batch.z, batch.extra, batch.who)[0]


def _draw(
    network: ForecastNetwork,
    recipe: Recipe,
    lanes: Sequence[Lane],
    origins: Sequence[tuple[int, int]],
    horizon: int,
    samples: int,
    device: torch.device,
) -> Tensor:
    """Paths [R, S, H, D] from a few origins."""
    windows = [Window(lane, step - recipe.window, step, step) for lane, step in origins]
    batch = Batch(*(part.to(device) for part in make_batch(recipe, lanes, windows)))
    state: Any = None
    # What the layers have read up to the origin is the same for all paths of an origin: it is read once.
    _, _, state = network(batch.z, batch.extra, batch.who)
    rows, memory = len(origins), recipe.memory
    ahead = known_ahead(recipe, lanes, origins, horizon).to(device)
    # [.., S · R, ..]: path s of origin r is row s R + r, so that the second half mirrors the first.
    z = torch.zeros(memory + horizon, samples * rows, network.size, device=device)
    z[:memory] = batch.z[-memory:].repeat(1, samples, 1)
    state = repeated(state, samples)
    who, scale = batch.who.repeat(samples), batch.scale.repeat(samples, 1, 1)
    for step in range(horizon):
        extra = ahead[step : step + 1].repeat(1, samples, 1)
        raw, place, state = network(z[step : step + memory + 1], extra, who, None, state)
        z[memory + step] = network.head.draw(raw[0], place[0], scale)
    return z[memory:].unflatten(1, (samples, rows)).permute(2, 1, 0, 3)


def known_ahead(recipe: Recipe, lanes: Sequence[Lane], origins: Sequence[tuple[int, int]], horizon: int) -> Tensor:
    """What is known of the steps that are forecast from origins [H, R, E]; arguments as for `draw_paths`."""
    found = torch.stack([lanes[lane].extra[step : step + horizon] for lane, step in origins], 1)
    found[1:, :, -1] = 0  # the value before is there: it has been drawn
    found[1:, :, recipe.only_past] = found[0, :, recipe.only_past]  # the last that was known
    return found


def repeated(state: Any, times: int) -> Any:
    """States with their rows, on axis 0, repeated one after the other."""
    if isinstance(state, Tensor):
        return state.repeat(times, *([1] * (state.dim() - 1)))
    return tuple(repeated(part, times) for part in state)
