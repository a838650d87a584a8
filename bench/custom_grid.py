"""Cells that nobody ships a kernel for: training steps against eager loops and JAX, and against our built-in cells.

python -m bench.custom_grid --seed 1 --cases 100,32,128
"""

import random
from dataclasses import dataclass

from .cases import GATES, JAX_ASKED, LOOP_ASKED, OWN_ASKED, Case, Job
from .grid import parser
from .harness import Times, ratio
from .recipes import FIXED, recipe
from .report import Table, show
from .turns import Company

CASES = (Case(100, 16, 64), Case(100, 32, 128))
WHO = {
    "ours": ("custom_torch", "elman"),
    "step loop": ("custom_torch", "step"),
    "hoisted loop": ("custom_torch", "loop"),
    "JAX": ("custom_jax", ""),
}
NEAR = {"built-in": ("ours", "recurrent"), "products": ("products", "layer")}  # of the built-in cell that is nearest


@dataclass(frozen=True)
class Custom:
    """A cell's times, and that of the nearest built-in one in the same rounds."""

    job: Job
    times: dict[str, Times]

    @property
    def own(self):
        """Our time for a multiply-add against that of the nearest built-in cell."""
        made = recipe(self.job.cell)
        return ratio(self.times["built-in"], self.times["ours"]) * GATES[made.nearest] / made.gates

    def against(self, name):
        return ratio(self.times["ours"], self.times[name])

    def floor(self, name, asked):
        """What was asked against a peer, or what the bare products of as many gates leave room for."""
        made = recipe(self.job.cell)
        room = 0.9 * ratio(self.times["products"], self.times[name]) * GATES[made.nearest] / made.gates
        return min(asked, room)

    def verdict(self, name, asked):
        """How far we are from a peer, and whether that is what was asked."""
        floor = self.floor(name, asked)
        less = f" of {floor:.2f}" if floor < asked else ""
        return verdict(self.against(name), floor) + less


def measure(company, cases, seed, say=print):
    """All cells at all cases."""
    done = []
    for case in cases:
        for cell in (*FIXED, f"drawn {seed}"):
            job = Job("training", cell, case)
            near = Job("training", recipe(cell).nearest, case)
            times = company.measure(job, WHO | NEAR, dict.fromkeys(NEAR, near))
            done.append(Custom(job, times))
            say(f"{cell} ({case}): " + ", ".join(f"{n} {1e3 * t.median:.3g} ms" for n, t in times.items()))
    return done


def verdict(value, asked, least=True):
    """A figure, and whether it is what was asked."""
    return f"{value:.2f} {'met' if (value >= asked) == least else 'MISSED'}"


def custom_table(done, seed):
    """The rows, and the text of the cell drawn."""
    rows = []
    for m in sorted(done, key=lambda m: min(m.against("step loop") / LOOP_ASKED, m.against("JAX") / JAX_ASKED)):
        ours, near = m.times["ours"], recipe(m.job.cell).nearest
        rows.append((
            m.job.cell, str(m.job.case), f"{1e3 * ours.median:.3g}", f"±{ours.spread:.0%}",
            m.verdict("step loop", LOOP_ASKED), f"{m.against('hoisted loop'):.2f}",
            m.verdict("JAX", JAX_ASKED), f"{verdict(m.own, OWN_ASKED, least=False)} ({near})",
        ))  # fmt: skip
    header = (
        "cell", "T, B, H", "ms", "spread", f"eager loop (asked {LOOP_ASKED:g})", "loop, all hoisted",
        f"JAX (asked {JAX_ASKED:g})", f"time a multiply-add, of built-in (asked {OWN_ASKED:g})",
    )  # fmt: skip
    note = f"The cell that seed {seed} draws:\n\n```python\n{recipe(f'drawn {seed}').text}\n```"
    return Table("Cells that nobody ships a kernel for, training", header, tuple(rows), note)


def main(arguments=None):
    """Print the table."""
    made = parser(__doc__)
    made.add_argument("--seed", type=int, default=random.randrange(10**6))
    a = made.parse_args(arguments)
    with Company(a.threads, a.rounds) as company:
        show(custom_table(measure(company, a.cases or CASES, a.seed), a.seed))


if __name__ == "__main__":
    main()
