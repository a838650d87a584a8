"""Contenders measured in turn, so that a busy moment of the machine hits all of them."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table


@dataclass(frozen=True)
class Times:
    """Seconds of one contender, round by round."""

    seconds: tuple[float, ...]

    @property
    def median(self):
        return statistics.median(self.seconds)

    @property
    def spread(self):
        """Half the distance between the quartiles, relative to the median."""
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return (high - low) / 2 / self.median


def interleaved(contenders: dict[str, Callable[[], object]], rounds: int, warm_up: int = 1) -> dict[str, Times]:
    """Each contender once a round, in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(warm_up + rounds):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if number >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return {name: Times(tuple(values)) for name, values in seconds.items()}


def ratio(ours: Times, other: Times) -> float:
    """How many times longer the other takes: the median over the rounds of the ratio within a round."""
    return statistics.median(b / a for a, b in zip(ours.seconds, other.seconds, strict=True))


def table(title: str, ours: str, times: dict[str, Times], floors: dict[str, float]) -> Table:
    """Milliseconds, spread, the ratio to ours, and the ratio that was asked for."""
    shown = Table("", "median ms", "spread", "times ours", "asked", title=title, title_justify="left")
    for name, measured in times.items():
        r = ratio(times[ours], measured)
        asked = f"{floors[name]:g} {'met' if r >= floors[name] else 'MISSED'}" if name in floors else ""
        shown.add_row(escape(name), f"{1e3 * measured.median:.1f}", f"±{measured.spread:.0%}", f"{r:.2f}", asked)
    return shown


def show(shown: Table) -> None:
    """Print a table."""
    Console().print(shown)
