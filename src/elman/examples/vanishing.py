"""Vanishing and exploding gradients: what reaches each state of what is lost at the end, and what is learned of it.

    python -m elman.examples.vanishing [--steps 1000] [--lengths 100 300 1000] [--updates 600] [--picture FILE]

First the norm of dL/ds(t) of networks as they begin, then short trainings on the adding problem: with plain gradient
descent, with its gradient clipped, and with Adam and clipping.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

import elman
from elman.around.wrapper import Wrapper, visible
from elman.data.problems import adding
from elman.training.settings import require_libraries

__all__ = ["NETWORKS", "WAYS", "Probed", "Trained", "norms", "trained"]

UNITS, BATCH, CHECKED, SEED = 32, 32, 500, 0


class Probed(Wrapper):
    """A cell that adds to its states what comes in beside x: the gradient of that is the gradient of the states.

        s(t) = step(x(t), s(t-1) + e(t)),   so   dL/de(t) = dL/ds(t-1)

    What a cell is fed of its own output is a state here.

    Args:
        cell: any cell.
        input_size: I of the cell, 0 if it takes no input; the input is then [T, B, I + the sizes of all states].
    """

    def __init__(self, cell: elman.Cell, input_size: int) -> None:
        super().__init__(cell)
        shapes = [*([] if cell.feedback_size is None else [cell.feedback_size]), *visible(cell)]
        self.sizes = [math.prod(shape) if isinstance(shape, tuple) else shape for shape in shapes]
        self.input_size = input_size

    def step(self, x: Tensor, *entering: Tensor) -> Any:  # type: ignore[override]
        own = x[:, : self.input_size] if self.input_size else None
        added = x[:, self.input_size :].split(self.sizes, dim=-1)
        count = len(self.sizes)
        moved = [state + e.reshape(state.shape) for state, e in zip(entering[:count], added, strict=True)]
        return self.cell.step(own, *moved, *entering[count:])


def norms(cell: elman.Cell, x: Tensor, v: Tensor) -> Tensor:
    """The mean over rows of |dL/ds(t)|, all states together, for t = 0 to T - 1 [T], with L = v·y(T-1).

    Args:
        cell: any cell.
        x: the inputs [T, B, I]; I = 0 for a cell without input.
        v: what weighs the last output [O].
    """
    probed = Probed(cell, x.shape[-1])
    silent = x.new_zeros(*x.shape[:2], sum(probed.sizes)).requires_grad_()
    y, _ = elman.Recurrent(probed)(torch.cat([x, silent], dim=-1))
    (found,) = torch.autograd.grad((y[-1] @ v).sum(), silent)
    return found.norm(dim=-1).mean(dim=1)


def tanh(scale: float) -> elman.Cell:
    """A tanh network whose recurrent weights are normal with standard deviation scale / √H."""
    cell = elman.Elman(2, UNITS)
    nn.init.normal_(cell.W.weight, std=scale / math.sqrt(UNITS))
    return cell


def orthogonal() -> elman.Cell:
    """A tanh network whose recurrent matrix begins orthogonal."""
    cell = elman.Elman(2, UNITS)
    elman.init.orthogonal_(cell)
    return cell


def linear() -> elman.Cell:
    """The same without tanh."""
    cell = elman.Elman(2, UNITS, activation=lambda z: z)
    elman.init.orthogonal_(cell)
    return cell


def unit_forget() -> elman.Cell:
    """An LSTM whose forget gates begin with bias 1."""
    cell = elman.LSTM(2, UNITS)
    elman.init.unit_forget_(cell)
    return cell


def chrono(longest: int) -> elman.Cell:
    """An LSTM whose gates begin open for up to `longest` steps."""
    cell = elman.LSTM(2, UNITS)
    elman.init.chrono_(cell, longest)
    return cell


NETWORKS: dict[str, Callable[[int], elman.Cell]] = {
    "tanh, small weights": lambda steps: tanh(0.5),
    "tanh, large weights": lambda steps: tanh(2.0),
    "tanh, orthogonal": lambda steps: orthogonal(),
    "orthogonal, no tanh": lambda steps: linear(),
    "LSTM, forget bias 1": lambda steps: unit_forget(),
    "LSTM, chrono": chrono,
}
"""The networks as they begin, each made for a number of steps."""


@dataclass(frozen=True)
class Way:
    """How weights are changed."""

    optimizer: Callable[..., torch.optim.Optimizer]
    options: dict[str, float]
    clip: float


WAYS: dict[str, Way] = {
    "SGD": Way(torch.optim.SGD, {"lr": 0.05, "momentum": 0.9}, math.inf),
    "SGD, clipped": Way(torch.optim.SGD, {"lr": 0.05, "momentum": 0.9}, 1.0),
    "Adam, clipped": Way(torch.optim.Adam, {"lr": 0.01}, 1.0),
}
"""The ways to train; the gradient is made no longer than 1 where it is clipped."""


@dataclass(frozen=True)
class Trained:
    """A training.

    Attributes:
        losses: of each update; it ends where they are no numbers any more.
        longest: the longest gradient that came, before it was clipped; infinite where float32 cannot hold it.
        error: the mean square error on fresh sequences at the end; NaN where the weights are no numbers.
    """

    losses: tuple[float, ...]
    longest: float
    error: float


def trained(cell: elman.Cell, way: Way, steps: int, updates: int, seed: int = SEED) -> Trained:
    """Train a cell and a readout on the adding problem, on fresh sequences of T = `steps`."""
    generator = torch.Generator().manual_seed(seed)
    layer, readout = elman.Recurrent(cell), nn.Linear(UNITS, 1)
    weights = [*layer.parameters(), *readout.parameters()]
    optimizer = way.optimizer(weights, **way.options)

    def error(batch: int) -> Tensor:
        sample = adding(steps, batch, generator)
        return mse_loss(readout(layer(sample.x)[0][-1]), sample.targets[-1])

    losses, longest = [], 0.0
    for _ in range(updates):
        loss = error(BATCH)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            break
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(weights, way.clip).item()
        longest = max(longest, math.inf if math.isnan(norm) else norm)
        optimizer.step()
    with torch.no_grad():
        return Trained(tuple(losses), longest, error(CHECKED).item())


def measure_norms(steps: int) -> dict[str, Tensor]:
    """The norms of each network on sequences of the adding problem, in float64, which has room for what explodes."""
    x = adding(steps, BATCH, torch.Generator().manual_seed(SEED)).x.double()
    found = {}
    for name, make in NETWORKS.items():
        torch.manual_seed(SEED)
        cell = make(steps).double()
        found[name] = norms(cell, x, torch.randn(UNITS, dtype=torch.float64) / math.sqrt(UNITS))
    return found


Trainings = dict[tuple[int, str, str], Trained]


def measure_trainings(lengths: Sequence[int], updates: int) -> Trainings:
    """Each network trained on each length in each way, from the same weights; by length, way and network."""
    found: Trainings = {}
    for (steps, (name, make)), (label, way) in product(product(lengths, NETWORKS.items()), WAYS.items()):
        torch.manual_seed(SEED)
        start = time.perf_counter()
        result = found[steps, label, name] = trained(make(steps), way, steps, updates)
        print(
            f"T = {steps:4}  {name:20}  {label:13}  MSE {result.error:8.3g}  longest gradient {result.longest:8.2g}"
            f"  {len(result.losses)} updates, {time.perf_counter() - start:.0f} s",
            flush=True,
        )
    return found


def draw(flow: dict[str, Tensor], trainings: Trainings, out: Path) -> None:
    """The norms over t, and a panel for each length and way to train."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lengths = list(dict.fromkeys(steps for steps, _, _ in trainings))
    places = [["flow", *(f"{steps} {label}" for label in WAYS)] for steps in lengths]
    figure, panels = pyplot.subplot_mosaic(places, figsize=(17, 1.5 + 2.6 * len(lengths)), width_ratios=(1.5, 1, 1, 1))
    for name, values in flow.items():
        panels["flow"].plot(range(len(values)), values.clamp_min(1e-60), label=name)
    panels["flow"].set(yscale="log", ylim=(1e-30, 1e50), xlabel="t", ylabel="|dL/ds(t)|")
    panels["flow"].set_title("gradient of the last output, before training")
    panels["flow"].legend(fontsize=9)
    for steps, label in product(lengths, WAYS):
        axes = panels[f"{steps} {label}"]
        _draw_losses(axes, {name: trainings[steps, label, name] for name in NETWORKS})
        axes.set_title(f"adding, T = {steps}: {label}", fontsize=10)
        if steps == lengths[-1]:
            axes.set_xlabel("update; x: infinite from here on")
    for axes in panels.values():
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out, dpi=80)
    pyplot.close(figure)


def _draw_losses(axes: Any, results: dict[str, Trained]) -> None:
    """The losses of each network, and where one ended in infinity."""
    for number, result in enumerate(results.values()):
        axes.plot(_smooth(result.losses), color=f"C{number}")
        if not math.isfinite(result.error):
            axes.plot(len(result.losses), 5 * 0.6**number, "x", color=f"C{number}", markersize=9, markeredgewidth=2)
    axes.axhline(1 / 6, color="black", linewidth=0.8, linestyle=":")
    axes.set(yscale="log", ylim=(1e-3, 10), ylabel="mean square error")


def _smooth(losses: Sequence[float], width: int = 20) -> list[float]:
    """The mean over the last `width` losses."""
    return [sum(part) / len(part) for part in (losses[max(0, n - width) : n] for n in range(1, len(losses) + 1))]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000, help="T of the sequences whose gradients are measured")
    parser.add_argument("--lengths", type=int, nargs="+", default=[100, 300, 1000], help="T of the trainings")
    parser.add_argument("--updates", type=int, default=600, help="updates of each training")
    parser.add_argument("--picture", type=Path, default=Path("vanishing.png"))
    parser.add_argument("--quick", action="store_true", help="T = 20 and 3 updates, to see that it runs")
    a = parser.parse_args(arguments)
    if not a.picture.parent.is_dir():
        parser.error(f"--picture {a.picture}: expected a folder that is there, {a.picture.parent} is not")
    require_libraries()
    steps, lengths, updates = (100, [20], 3) if a.quick else (a.steps, a.lengths, a.updates)
    flow = measure_norms(steps)
    back = [k for k in (1, 10, 30, 100, 300, 1000) if k <= steps]
    print(f"|dL/ds| so many steps before the end: {'  '.join(f'{k:8}' for k in back)}")
    for name, values in flow.items():
        print(f"{name:37} {'  '.join(f'{values[-k].item():8.1e}' for k in back)}")
    draw(flow, measure_trainings(lengths, updates), a.picture)
    print(f"the picture: {a.picture}")


if __name__ == "__main__":
    main()
