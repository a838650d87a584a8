"""Time and memory of each way to differentiate a layer, against T: a training step of an LSTM.

python -m bench.gradients --steps 1000 10000 100000
"""

import argparse
import contextlib
from dataclasses import dataclass
from pathlib import Path

import torch

import elman

from .harness import Times, interleaved, ratio
from .report import Table, show

DOCS = Path(__file__).parents[1] / "docs"
BUDGET = "64MiB"
WAYS = {
    "full": None,
    f"checkpointed, {BUDGET}": elman.Checkpointed(BUDGET),
    "checkpointed, about sqrt(T)": elman.Checkpointed(),
    "truncated, k1 = k2 = 100": elman.Truncated(100, 100),
    "truncated, k1 = 50, k2 = 100": elman.Truncated(50, 100),
}
ASKED = 1.6


@dataclass(frozen=True)
class Measured:
    """One way at one length: its times, those of the full gradient, and the bytes kept from forward to backward."""

    way: str
    steps: int
    times: Times
    full: Times
    kept: int

    @property
    def slower(self):
        """How many times the full gradient's time."""
        return ratio(self.full, self.times)


def under(way):
    """The context in which a layer is differentiated in this way."""
    return contextlib.nullcontext() if way is None else elman.using(gradient=way)


def measure(steps, batch, hidden, rounds, say=print):
    """All ways at one length."""
    torch.manual_seed(0)
    layer = elman.nn.LSTM(hidden, hidden)
    x = torch.randn(steps, batch, hidden)

    def step(way):
        def run():
            layer.zero_grad()
            with under(way):
                y, _ = layer(x)
            y.square().mean().backward()

        return run

    def kept(way):
        sizes = []
        with under(way), torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.nbytes) or t, lambda t: t):
            layer(x)
        return sum(sizes) - x.nbytes

    times = interleaved({name: step(way) for name, way in WAYS.items()}, rounds)
    found = [Measured(name, steps, times[name], times["full"], kept(way)) for name, way in WAYS.items()]
    say(f"T = {steps}: " + ", ".join(f"{m.way} {m.times.median:.3g} s" for m in found))
    return found


def draw(done, batch, hidden, path):
    """Memory and time against T."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(10, 4))
    for way in WAYS:
        some = [m for m in done if m.way == way]
        panels[0].loglog([m.steps for m in some], [m.kept / 2**20 for m in some], marker="o", label=way)
        panels[1].loglog([m.steps for m in some], [m.times.median for m in some], marker="o", label=way)
    for panel, what in zip(panels, ("kept for the gradient, MiB", "training step, s"), strict=True):
        panel.set_xlabel("T, steps")
        panel.set_ylabel(what)
        panel.grid(alpha=0.3, which="both")
    panels[0].legend(fontsize=8)
    figure.suptitle(f"LSTM, B = {batch}, H = {hidden}: what the gradient keeps, and what it costs", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main(arguments=None):
    """Print the table, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=[100, 1000, 10_000, 100_000])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=DOCS / "gradients.png")
    a = parser.parse_args(arguments)
    torch.set_num_threads(a.threads)
    done = [m for steps in a.steps for m in measure(steps, a.batch, a.hidden, a.rounds)]
    rows = tuple(
        (
            str(m.steps), m.way, f"{1e3 * m.times.median:.4g}", f"±{m.times.spread:.0%}", f"{m.slower:.2f}",
            f"{ASKED:g} {'met' if m.slower < ASKED else 'MISSED'}" if m.way.startswith("checkpointed") else "",
            f"{m.kept / 2**20:.4g}",
        )
        for m in done
    )  # fmt: skip
    header = ("T", "gradient", "median ms", "spread", "x full", "asked, less than", "kept MiB")
    title = f"LSTM, training step, B = {a.batch}, H = {a.hidden}, {a.threads} threads"
    show(Table(title, header, rows))
    draw(done, a.batch, a.hidden, a.out)
    print(f"picture: {a.out}")


if __name__ == "__main__":
    main()
