"""Rows of unequal lengths, uniform between 1 and T: training steps against our padded time and torch's packed path.

python -m bench.uneven --cell lstm --cases 100,32,128
"""

from dataclasses import dataclass, replace

from .cases import GATES, PACKED_ASKED, UNEVEN_ASKED, Case, Job
from .custom_grid import verdict
from .grid import parser
from .harness import Times, ratio
from .numbers import sequences
from .report import Table, show
from .turns import Company

CASES = (Case(100, 16, 64), Case(100, 32, 128), Case(100, 64, 256))
WHO = {"lengths": ("ours", "nn"), "padded": ("ours", "padded"), "packed": ("torch_nn", "packed")}


@dataclass(frozen=True)
class Uneven:
    """Times, and the part of the T B steps that are live."""

    job: Job
    times: dict[str, Times]
    live: float

    @property
    def own(self):
        """Our time against (live steps / T B) x our padded time."""
        return ratio(self.times["padded"], self.times["lengths"]) / self.live


def measure(company, cells, cases, say=print):
    """All cells at all cases."""
    done = []
    for cell in cells:
        for case in cases:
            job = Job("training", cell, case, uneven=True)
            times = company.measure(job, WHO, {"padded": replace(job, uneven=False)})
            live = sequences(job)["lengths"].sum() / (case.steps * case.batch)
            done.append(Uneven(job, times, float(live)))
            say(f"{cell} ({case}): " + ", ".join(f"{n} {1e3 * t.median:.3g} ms" for n, t in times.items()))
    return done


def uneven_table(done):
    """The rows, the losing ones first."""
    rows = []
    for m in sorted(done, key=lambda m: m.own, reverse=True):
        ours, padded, packed = (m.times[name] for name in WHO)
        rows.append((
            m.job.cell.upper(), str(m.job.case), f"{m.live:.0%}", f"{1e3 * ours.median:.3g}", f"±{ours.spread:.0%}",
            f"{1e3 * padded.median:.3g}", verdict(m.own, UNEVEN_ASKED, least=False),
            f"{1e3 * packed.median:.3g}", verdict(ratio(ours, packed), PACKED_ASKED),
        ))  # fmt: skip
    header = (
        "", "T, B, H", "live", "ms", "spread", "padded ms", f"of live x padded (asked {UNEVEN_ASKED:g})",
        "torch packed ms", f"ratio (asked {PACKED_ASKED:g})",
    )  # fmt: skip
    return Table("Unequal lengths, training", header, tuple(rows))


def main(arguments=None):
    """Print the table."""
    made = parser(__doc__)
    made.add_argument("--cell", choices=list(GATES), nargs="+", default=list(GATES))
    a = made.parse_args(arguments)
    with Company(a.threads, a.rounds) as company:
        show(uneven_table(measure(company, a.cell, a.cases or CASES)))


if __name__ == "__main__":
    main()
