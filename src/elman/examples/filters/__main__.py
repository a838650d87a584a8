"""python -m elman.examples.filters: two filters trained by back-propagation through time, beside EM and the truth."""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from elman.cells import Cell
from elman.errors import ArgumentError, ElmanError
from elman.examples.pictures import COLOURS, INK, check_picture, new_axes
from elman.layers import Recurrent
from elman.training.files import write_picture

from .em import Arrays, baum_welch, shumway_stoffer
from .fitting import Rows, fit, mean_log_likelihood
from .hmm import HMMFilter
from .kalman import KalmanFilter

MANUAL = """
Draws rows from a hidden Markov model and from a linear dynamical system, and trains filters of the same form on them,
from the same start by back-propagation through time and by expectation maximisation. Prints the log likelihood of rows
held out, for each step of a row, in nats: the model that has drawn them is at the top, up to chance.
"""


@dataclass(frozen=True)
class Compared:
    """What was found for one kind of model, in mean log likelihoods of rows held out.

    Attributes:
        name: the kind of model.
        backend: what the filter ran on.
        bptt: before each iteration and after the last.
        em: the same, for expectation maximisation.
        true: the model that has drawn the rows.
    """

    name: str
    backend: str
    bptt: list[float]
    em: list[float]
    true: float


def compare_hmm(seed: int, iterations: int, em_iterations: int = 100) -> Compared:
    """Three hidden states, six symbols, 60 rows of 20 to 100 steps to learn from, as many held out."""
    generator = torch.Generator().manual_seed(seed)
    true, learner, other = HMMFilter(6, 3).double(), HMMFilter(6, 3).double(), HMMFilter(6, 3).double()
    with torch.no_grad():
        true.A.copy_(torch.log(8 * torch.eye(3) + 1))  # it stays with 9 to 1 to 1
        true.get_parameter("emission.B").copy_(1.5 * torch.randn(3, 6, generator=generator))
        for cell in (learner, other):
            cell.A.copy_(2 * torch.eye(3) + 0.1 * torch.randn(3, 3, generator=generator))
            cell.get_parameter("emission.B").copy_(0.5 * torch.randn(3, 6, generator=generator))
        other.load_state_dict(learner.state_dict())

    def draw() -> tuple[Tensor, Tensor]:
        x, _ = true.sample(100, 60, generator)
        return x, torch.randint(20, 101, (60,), generator=generator)

    train, held_out = draw(), draw()
    parameters = {"pi": other.pi, "A": other.A, "B": other.get_parameter("emission.B")}
    model = {name: torch.softmax(p, -1).detach().numpy() for name, p in parameters.items()}
    symbols, lengths = train[0].argmax(-1).numpy(), train[1].numpy()

    def em() -> None:
        model.update(baum_welch(model, symbols, lengths))
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(torch.from_numpy(model[name]).log())

    return _compared("hidden Markov model", (true, learner, other), (train, held_out), iterations, em, em_iterations)


def compare_kalman(seed: int, iterations: int, em_iterations: int = 100) -> Compared:
    """A turning vector of two numbers, seen through noise: 40 rows of 60 steps to learn from, as many held out."""
    generator = torch.Generator().manual_seed(seed)
    true, learner, other = KalmanFilter(2, 2).double(), KalmanFilter(2, 2).double(), KalmanFilter(2, 2).double()
    c, s = 0.97 * math.cos(0.3), 0.97 * math.sin(0.3)
    true.assign(
        A=torch.tensor([[c, -s], [s, c]]),
        C=torch.tensor([[1.0, 0.3], [0.2, 1.0]]),
        Q=torch.tensor([[0.10, 0.02], [0.02, 0.10]]),
        R=torch.tensor([[0.5, 0.2], [0.2, 0.4]]),
        m0=torch.tensor([2.0, 0.0]),
    )
    for cell in (learner, other):
        cell.assign(A=0.5 * torch.eye(2), C=torch.randn(2, 2, generator=generator))
    other.load_state_dict(learner.state_dict())
    train, held_out = true.sample(60, 40, generator)[0], true.sample(60, 40, generator)[0]
    model: Arrays = {name: matrix.detach().numpy().copy() for name, matrix in other.matrices().items()}

    def em() -> None:
        model.update(shumway_stoffer(model, train.numpy()))
        other.assign(**{name: torch.from_numpy(matrix) for name, matrix in model.items()})

    rows = ((train, None), (held_out, None))
    return _compared("linear dynamical system", (true, learner, other), rows, iterations, em, em_iterations)


def _compared(
    name: str,
    cells: tuple[Cell, Cell, Cell],
    rows: tuple[Rows, Rows],
    iterations: int,
    em: Callable[[], None],
    em_iterations: int,
) -> Compared:
    """Two copies of a filter trained, one by `fit`, one by as many calls of `em`, which changes it."""
    (true, learner, other), (train, held_out) = cells, rows
    backend = Recurrent(learner).plan(held_out[0], lengths=held_out[1]).layers[0].backend
    bptt = fit(learner, train, iterations, rate=0.1, held_out=held_out)
    with torch.no_grad():
        curve = [mean_log_likelihood(other, held_out).item()]
        for _ in range(em_iterations):
            em()
            curve.append(mean_log_likelihood(other, held_out).item())
        return Compared(name, backend, bptt, curve, mean_log_likelihood(true, held_out).item())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; what goes wrong is said in one message, and the exit code is 2."""
    parser = argparse.ArgumentParser(prog="python -m elman.examples.filters", description=MANUAL)
    parser.add_argument("--seed", type=int, default=0, help="of the models, the rows and the start (0)")
    parser.add_argument("--iterations", type=int, default=300, help="of back-propagation through time (300)")
    parser.add_argument("--picture", type=Path, metavar="PATH", help="draw what was held out over the iterations")
    asked = parser.parse_args(arguments)
    try:
        check_picture(asked.picture)
        if asked.iterations < 1:
            raise ArgumentError(f"--iterations: expected a number from 1 on, got {asked.iterations}.")
        found = [compare(asked.seed, asked.iterations) for compare in (compare_hmm, compare_kalman)]
    except ElmanError as error:
        parser.error(str(error))
    print("held-out log likelihood a step    at the start    by BPTT      by EM    true model    backend")
    for one in found:
        print(
            f"{one.name:<30}    {one.bptt[0]:12.4f}    {one.bptt[-1]:7.4f}    {one.em[-1]:7.4f}    {one.true:10.4f}    "
            f"{one.backend}"
        )
    if asked.picture is not None:
        draw(found, asked.picture)


def draw(found: Sequence[Compared], path: Path) -> None:
    """Draw what was held out over the iterations, for each kind of model."""
    figure, every = new_axes(len(found), (9, 4))
    for axes, one in zip(every, found, strict=True):
        axes.axhline(one.true, color=INK, lw=1, ls="--", label="the model that drew the rows")
        axes.plot(one.em, color=COLOURS[1], lw=1.6, label="expectation maximisation")
        axes.plot(one.bptt, color=COLOURS[0], lw=1.6, label="back-propagation through time")
        axes.set(xlabel="iteration", xlim=(0, min(len(one.bptt), 120)))
        axes.set_ylim(one.true - 0.6 * (one.true - min(one.bptt[0], one.em[0])), one.true + 0.02)
        axes.set_title(one.name, loc="left", color=INK, fontsize=11)
    every[0].set_ylabel("log likelihood of a step, held out")
    every[-1].legend(frameon=False, labelcolor=INK, loc="lower right")
    write_picture(figure, path)


if __name__ == "__main__":
    main()
