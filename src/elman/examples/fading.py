"""Memory that fades: a label shown in the first four steps, and asked for 5,000 distracting steps later.

    python -m elman.examples.fading [--tail 5000] [--seeds 0 1] [--out fading.png] [--quick]

"I loved this movie", and then everything that could have been better. Four networks are trained in three ways: on tails
of up to 20 steps, on tails that grow to 1,000 steps as fast as the network follows, and on tails of 1,000 steps from
the start. Then each is asked at every step of a tail of 5,000.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import elman
from elman.data.problems import Sample, label_and_tail
from elman.training.settings import require_libraries

__all__ = ["NETWORKS", "WAYS", "Way", "curve", "trained"]

LABELS, SHOWN, DISTRACTORS, UNITS, BATCH, ASKED, RATE = 8, 4, 4, 32, 32, 300, 3e-3
INPUTS = LABELS + DISTRACTORS


def chrono() -> elman.Cell:
    """An LSTM whose gates begin open for up to 1,000 steps."""
    cell = elman.LSTM(INPUTS, UNITS)
    elman.init.chrono_(cell, 1000)
    return cell


NETWORKS: dict[str, Callable[[], elman.Cell]] = {
    "tanh": lambda: elman.Elman(INPUTS, UNITS),
    "LSTM": lambda: elman.LSTM(INPUTS, UNITS),
    "GRU": lambda: elman.GRU(INPUTS, UNITS),
    "LSTM, chrono": chrono,
}
"""The networks as they begin."""


@dataclass(frozen=True)
class Way:
    """How long the tails of a training are.

    Attributes:
        first: the longest tail at the start.
        longest: what it grows to, by a fifth each time that the network is right in 95 of 100 cases.
        shortest: the shortest tail, as a part of the longest at the time.
        updates: of the weights.
    """

    first: int
    longest: int
    shortest: float
    updates: int


WAYS: dict[str, Way] = {
    "up to 20 steps": Way(4, 20, 0.5, 400),
    "growing to 1,000 steps": Way(4, 1000, 0.5, 600),
    "1,000 steps from the start": Way(1000, 1000, 1.0, 300),
}
"""The ways to train."""


def draw(tail: int, batch: int, generator: torch.Generator) -> Sample:
    """A batch of this example's problem."""
    return label_and_tail(tail, batch, generator, LABELS, SHOWN, DISTRACTORS)


def trained(cell: elman.Cell, way: Way, seed: int = 0) -> nn.ModuleDict:
    """Train a cell and a readout; asked is only at the last step of each tail.

    Returns:
        The modules "layer" and "readout".
    """
    generator = torch.Generator().manual_seed(seed)
    network = nn.ModuleDict({"layer": elman.Recurrent(cell), "readout": nn.Linear(UNITS, LABELS)})
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    longest, right = float(way.first), 0.0
    for _ in range(way.updates):
        tail = int(torch.randint(int(way.shortest * longest), int(longest) + 1, (), generator=generator))
        sample = draw(tail, BATCH, generator)
        logits = network["readout"](network["layer"](sample.x)[0][-1])
        loss = cross_entropy(logits, sample.targets[-1])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        right = 0.9 * right + 0.1 * float((logits.argmax(-1) == sample.targets[-1]).float().mean())
        if right > 0.95 and longest < way.longest:
            longest, right = min(float(way.longest), 1.2 * longest), 0.9
    return network


def curve(network: nn.ModuleDict, tail: int, seed: int = 1_000_000) -> Tensor:
    """The part of the labels that are still known after 0, 1, .. `tail` distracting steps [tail + 1].

    One run says all, since each beginning of a tail is a tail.
    """
    sample = draw(tail, ASKED, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        said = network["readout"](network["layer"](sample.x)[0][SHOWN - 1 :]).argmax(-1)
    return (said == sample.targets[SHOWN - 1 :]).float().mean(dim=1)


Curves = dict[tuple[str, str], list[Tensor]]


def measure(ways: dict[str, Way], tail: int, seeds: Sequence[int]) -> Curves:
    """The curves of each network trained in each way, one for each seed."""
    found: Curves = {}
    marks = [length for length in (0, 10, 100, 1000, 2000, 5000) if length <= tail]
    print(f"still known after so many steps:{'':26}{'  '.join(f'{length:5}' for length in marks)}")
    for label, way in ways.items():
        for name, make in NETWORKS.items():
            for seed in seeds:
                torch.manual_seed(seed)
                start = time.perf_counter()
                known = curve(trained(make(), way, seed), tail)
                found.setdefault((label, name), []).append(known)
                shown = "  ".join(f"{known[length]:5.0%}" for length in marks)
                took = time.perf_counter() - start
                print(f"{label:26}  {name:12}  seed {seed:2}  {'':6}{shown}  {took:4.0f} s", flush=True)
    return found


def picture(curves: Curves, ways: Sequence[str], out: Path) -> None:
    """A panel for each way: the mean over the seeds in bold, each seed faint."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(ways), figsize=(5.2 * len(ways), 4), sharey=True, squeeze=False)
    for label, axes in zip(ways, panels[0], strict=True):
        for number, name in enumerate(NETWORKS):
            colour, each = f"C{number}", curves[label, name]
            for known in each:
                axes.plot(range(1, len(known) + 1), known, color=colour, alpha=0.25, linewidth=0.8)
            mean = torch.stack(each).mean(0)
            axes.plot(range(1, len(mean) + 1), mean, color=colour, linewidth=2, label=name)
        axes.axhline(1 / LABELS, color="black", linewidth=0.8, linestyle=":")
        axes.set(xscale="log", ylim=(0, 1.04), xlabel="1 + steps of the tail", title=f"trained on tails {label}")
        axes.grid(alpha=0.3)
    panels[0][0].set_ylabel(f"known, of {LABELS} labels")
    panels[0][-1].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(out, dpi=90)
    pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, ask, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tail", type=int, default=5000, help="the longest tail that is asked")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--out", type=Path, default=Path("fading.png"))
    parser.add_argument("--quick", action="store_true", help="short tails and few updates, to see that it runs")
    a = parser.parse_args(arguments)
    if not a.out.parent.is_dir():
        parser.error(f"--out {a.out}: expected a folder that is there, {a.out.parent} is not")
    require_libraries()
    ways = {label: Way(4, 20, way.shortest, 3) for label, way in WAYS.items()} if a.quick else WAYS
    curves = measure(ways, 100 if a.quick else a.tail, a.seeds)
    picture(curves, list(ways), a.out)
    print(f"the picture: {a.out}")


if __name__ == "__main__":
    main()
