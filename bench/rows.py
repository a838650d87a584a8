"""From times to rows: ratios, floors, means. Pure."""

import math
import statistics
from dataclasses import dataclass

from .cases import ASKED, RATE_ASKED, Job
from .harness import Times, ratio
from .report import Table

OWN, SECOND, PRODUCTS = "elman.nn", "elman.Recurrent", "products"


@dataclass(frozen=True)
class Measured:
    """A job, the times of its contenders, and the machine's operations a second."""

    job: Job
    times: dict[str, Times]
    rate: float

    @property
    def ours(self):
        return self.times[OWN]

    @property
    def peers(self):
        return {name: t for name, t in self.times.items() if name not in (OWN, SECOND, PRODUCTS)}

    @property
    def best(self):
        """The name of the quickest peer."""
        return min(self.peers, key=lambda name: self.peers[name].median)

    @property
    def ratio(self):
        """How many times longer the best peer takes."""
        return ratio(self.ours, self.times[self.best])

    @property
    def room(self):
        """0.9 x the best peer's time / the products' time: no more can be asked than this."""
        return 0.9 * ratio(self.times[PRODUCTS], self.times[self.best])

    @property
    def least(self):
        """The floor asked of each case."""
        return ASKED[self.job.kind, self.job.cell].least

    @property
    def floor(self):
        return min(self.least, self.room)

    @property
    def met(self):
        return self.ratio >= self.floor

    @property
    def achieved(self):
        """Operations of the products a second, over all of our time."""
        return self.job.operations / self.ours.median

    @property
    def of_products(self):
        """Our rate as a part of the products' rate."""
        return 1 / ratio(self.times[PRODUCTS], self.ours)

    @property
    def rate_asked(self):
        """The part of the products' rate that was asked for, or None."""
        c = self.job.case
        return RATE_ASKED if self.job.kind == "training" and c.hidden >= 256 and c.batch >= 32 else None

    def __str__(self):
        times = ", ".join(f"{name} {1e3 * t.median:.4g}" for name, t in self.times.items())
        return f"{self.job.kind} {self.job.cell} ({self.job.case}): {self.ratio:.2f} times; ms: {times}"


def geometric_mean(values):
    """The n-th root of the product of n numbers."""
    return math.exp(statistics.fmean(map(math.log, values)))


HEADER = (
    "T, B, H", "ms", "spread", "GFLOP/s", "of rate", "of products", "Recurrent ms", "best peer", "its ms",
    "ratio", "asked", "room", "",
)  # fmt: skip


def row(m):
    """One case."""
    share = f"{m.of_products:.0%}"
    if m.rate_asked:
        share += f" (asked {m.rate_asked:.0%}{'' if m.of_products >= m.rate_asked else ', MISSED'})"
    second = f"{1e3 * m.times[SECOND].median:.3g}" if SECOND in m.times else ""
    return (
        str(m.job.case), f"{1e3 * m.ours.median:.3g}", f"±{m.ours.spread:.0%}", f"{m.achieved / 1e9:.1f}",
        f"{m.achieved / m.rate:.0%}", share, second, m.best, f"{1e3 * m.times[m.best].median:.3g}",
        f"{m.ratio:.2f}", f"{m.least:g}", f"{m.room:.2f}", "met" if m.met else "MISSED",
    )  # fmt: skip


def by_job(done):
    """Groups of a kind and a cell, in order."""
    groups = {}
    for m in done:
        groups.setdefault((m.job.kind, m.job.cell), []).append(m)
    return groups


def ratios_tables(done):
    """A table for each kind and cell, the losing cases first."""
    return [
        Table(f"{cell.upper()}, {kind}", HEADER, tuple(row(m) for m in sorted(group, key=lambda m: m.ratio / m.floor)))
        for (kind, cell), group in by_job(done).items()
    ]


def means_table(done):
    """Geometric means of ratios, of what was asked, and of what there is room for."""
    rows = []
    for (kind, cell), group in by_job(done).items():
        asked = ASKED[kind, cell].mean
        mean = geometric_mean([m.ratio for m in group])
        room = geometric_mean([min(asked, m.room) for m in group])
        missed = sum(not m.met for m in group)
        verdict = "met" if mean >= room else "MISSED"
        rows.append((f"{cell.upper()}, {kind}", f"{mean:.2f}", f"{asked:g}", f"{room:.2f}", verdict, str(missed)))
    header = ("", "geometric mean", "asked", "with room", "", "cases missed")
    rates = sorted({f"{m.rate / 1e9:.0f}" for m in done})
    note = f"The machine's matrix-product rate: {', '.join(rates)} GFLOP/s."
    return Table("Best peer's time / ours, over the grid", header, tuple(rows), note)


def peers_table(done):
    """Milliseconds of every contender."""
    names = list(dict.fromkeys(name for m in done for name in m.times))
    rows = [
        (f"{m.job.cell.upper()}, {m.job.kind}", str(m.job.case))
        + tuple(f"{1e3 * m.times[name].median:.3g}" if name in m.times else "" for name in names)
        for m in done
    ]
    return Table("Every contender, median milliseconds", ("", "T, B, H", *names), tuple(rows))
