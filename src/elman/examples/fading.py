"""Memory that fades: a label shown in the first four steps, and asked for up to 5,000 distracting steps later.

    python -m elman.examples.fading [--tail 5000] [--seeds 0 1] [--picture fading.png] [--quick]

"I loved this movie", and then everything that could have been better. First what the states of four networks still
hold before any training, found by a linear probe; then who still knows after a training on tails of 1,000 steps, and
after one on tails that grow to 1,000 steps as fast as the network follows.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

import elman
from elman.data.problems import Sample, label_and_tail
from elman.training.settings import require_libraries

__all__ = ["NETWORKS", "WAYS", "Way", "curve", "probed", "trained"]

LABELS, SHOWN, DISTRACTORS, UNITS, BATCH, ASKED, RATE = 2, 4, 4, 32, 32, 400, 3e-3
INPUTS, TESTED = LABELS + DISTRACTORS, 1_000_000


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
    "trained on tails of 1,000 steps": Way(1000, 1000, 1.0, 300),
    "trained on tails growing to 1,000 steps": Way(4, 1000, 0.5, 500),
}
"""The ways to train."""

UNTRAINED = "untrained, found by a linear probe"


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


def curve(network: nn.ModuleDict, lengths: Sequence[int], seed: int = TESTED) -> Tensor:
    """The part of the labels that a network knows after each of so many distracting steps, in rising order.

    One run says all, since each beginning of a tail is a tail.
    """
    sample = draw(lengths[-1], ASKED, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        said = network["readout"](network["layer"](sample.x)[0]).argmax(-1)
    right = (said == sample.targets).float().mean(dim=1)
    return right[[SHOWN - 1 + length for length in lengths]]


def probed(cell: elman.Cell, lengths: Sequence[int], seed: int = TESTED) -> Tensor:
    """As `curve`, of what a linear function of all states finds, fitted anew for each length by ridge regression.

    Fitted to as many rows as are then asked.
    """
    sample = draw(lengths[-1], 2 * ASKED, torch.Generator().manual_seed(seed))
    label = sample.x[0].argmax(-1)
    layer, state, at, known = elman.Recurrent(cell), None, 0, []
    with torch.no_grad():
        for length in lengths:
            _, state = layer(sample.x[at : SHOWN + length], state)
            at = SHOWN + length
            states = torch.cat(
                [s.flatten(1) for s in (state if isinstance(state, tuple) else (state,))], dim=1
            ).double()
            states = (states - states.mean(0)) / (states.std(0) + 1e-30)
            seen, new = states[:ASKED], states[ASKED:]
            targets = one_hot(label[:ASKED], LABELS).double() - 1 / LABELS
            ridge = 1e-3 * ASKED * torch.eye(states.shape[1], dtype=torch.float64)
            weights = torch.linalg.solve(seen.T @ seen + ridge, seen.T @ targets)
            known.append(((new @ weights).argmax(-1) == label[ASKED:]).float().mean())
    return torch.stack(known)


def lengths_up_to(tail: int) -> list[int]:
    """Lengths of tails at which is asked: 0, and some that grow by a quarter up to the last."""
    found = [0, *(round(1.25**n) - 1 for n in range(4, 200))]
    return sorted({length for length in found if length < tail} | {tail})


Curves = dict[tuple[str, str], list[Tensor]]


def measure(ways: dict[str, Way], lengths: Sequence[int], seeds: Sequence[int]) -> Curves:
    """The curves of each network, untrained and trained in each way, one for each seed."""
    found: Curves = {}
    marks = [min(range(len(lengths)), key=lambda n: abs(lengths[n] - near)) for near in (0, 10, 100, 1000, lengths[-1])]
    marks = sorted(set(marks))
    print(f"{'still known after so many steps':62}  {'  '.join(f'{lengths[n]:5}' for n in marks)}")
    for label in (UNTRAINED, *ways):
        for name, make in NETWORKS.items():
            for seed in seeds:
                torch.manual_seed(seed)
                start, cell = time.perf_counter(), make()
                known = curve(trained(cell, ways[label], seed), lengths) if label in ways else probed(cell, lengths)
                found.setdefault((label, name), []).append(known)
                shown = "  ".join(f"{known[n]:5.0%}" for n in marks)
                print(f"{label:39}  {name:12}  seed {seed}  {shown}  {time.perf_counter() - start:4.0f} s", flush=True)
    return found


def picture(curves: Curves, lengths: Sequence[int], out: Path) -> None:
    """A panel for each label: the mean over the seeds in bold, each seed faint."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    labels = list(dict.fromkeys(label for label, _ in curves))
    figure, panels = pyplot.subplots(1, len(labels), figsize=(5.2 * len(labels), 4), sharey=True)
    places = [1 + length for length in lengths]
    for label, axes in zip(labels, panels, strict=True):
        for number, name in enumerate(NETWORKS):
            style = {"color": f"C{number}", "linestyle": ("-", "--", "-.", ":")[number]}
            for known in curves[label, name]:
                axes.plot(places, known, alpha=0.3, linewidth=0.8, **style)
            axes.plot(places, torch.stack(curves[label, name]).mean(0), linewidth=2.5, label=name, **style)
        axes.axhline(1 / LABELS, color="black", linewidth=0.8)
        axes.set(xscale="log", ylim=(-0.03, 1.03), xlabel="1 + steps of the tail", title=label)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel(f"known, of {LABELS} labels")
    panels[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(out, dpi=90)
    pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, ask, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tail", type=int, default=5000, help="the longest tail that is asked")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--picture", type=Path, default=Path("fading.png"))
    parser.add_argument("--quick", action="store_true", help="short tails and few updates, to see that it runs")
    a = parser.parse_args(arguments)
    if not a.picture.parent.is_dir():
        parser.error(f"--picture {a.picture}: expected a folder that is there, {a.picture.parent} is not")
    require_libraries()
    ways = {label: Way(4, 20, way.shortest, 3) for label, way in WAYS.items()} if a.quick else WAYS
    lengths = lengths_up_to(100 if a.quick else a.tail)
    picture(measure(ways, lengths, a.seeds), lengths, a.picture)
    print(f"the picture: {a.picture}")


if __name__ == "__main__":
    main()
