"""python -m elman.examples.turing increment 1011: a machine in the weights of a network, step by step."""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from elman.errors import ArgumentError, DataError, ElmanError, NumericsError
from elman.examples.pictures import COLOURS, INK, check_picture, new_axes
from elman.training.files import write_picture

from .machine import Configuration, Machine, parse_machine, simulate
from .network import PHASES, Network, compile_machine, encode
from .rounded import run_rounded
from .tables import INCREMENT, PALINDROME, beaver, random_machine

WIDEST = 60  # cells on a line
MANUAL = """
A Turing machine as one recurrent network of saturated-linear units, h(t) = σ(W h(t-1) + U x(t) + b), with rational
weights: prints what is read off the units after each step of the machine, to the halt, and compares each step with a
direct simulator.

  increment 1011        adds one to a binary number
  palindrome 0110       accepts or rejects
  beaver 4              the busy beaver of 2, 3 or 4 states
  random --seed 3       a machine of 4 states and 3 symbols, and a word, that are drawn
  FILE 0110             your own, from a table in text:

      start: right
      halt: done
      right 0 -> 0 R right      # state, symbol -> symbol, move (L, N, R), state; the blank is _
      right 1 -> 1 R right
      right _ -> 1 N done
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; what goes wrong is said in one message, and the exit code is 2."""
    parser = argparse.ArgumentParser(
        prog="python -m elman.examples.turing", description=MANUAL, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("machine", help="increment, palindrome, beaver, random, or the file of a table")
    parser.add_argument("word", nargs="?", help="what stands on the tape; for beaver the number of states")
    parser.add_argument("--steps", type=int, default=1000, help="the most steps that are taken (1000)")
    parser.add_argument("--float64", action="store_true", help="also run the weights in float64: how far is it right?")
    parser.add_argument("--seed", type=int, default=0, help="of random (0)")
    parser.add_argument("--picture", type=Path, metavar="PATH", help="draw the tape, and the two stacks as numbers")
    asked = parser.parse_args(arguments)
    try:
        check_picture(asked.picture)
        _run(asked)
    except ElmanError as error:
        parser.error(str(error))


def _run(asked: argparse.Namespace) -> None:
    if asked.steps < 0:
        raise ArgumentError(f"--steps: expected a number from 0 on, got {asked.steps}.")
    machine, word = _machine_and_word(asked.machine, asked.word, asked.seed)
    network = compile_machine(machine)
    expected = list(simulate(machine, word, asked.steps))
    seen: list[Configuration] = []
    width = max(len(state) for state in machine.states)
    for at in network.run(word, asked.steps):
        if len(seen) == len(expected) or at != expected[len(seen)]:
            raise NumericsError(f"step {len(seen)}: the network and the simulator differ: {at}.")
        print(f"{len(seen):5}  {at.state:{width}}  {show_tape(machine, at, expected)}")
        seen.append(at)
    print(_verdict(machine, network, seen, expected))
    if asked.float64:
        print(_float64(network, word, asked.steps))
    if asked.picture is not None:
        draw(machine, seen, network, asked.picture)


def _machine_and_word(name: str, word: str | None, seed: int) -> tuple[Machine, str]:
    if name == "beaver":
        if word not in ("2", "3", "4"):
            raise ArgumentError(f"beaver: expected a number of states, 2, 3 or 4, got {word}.")
        return beaver(int(word)), ""
    if name == "random":
        machine, draw_from = random_machine(4, 3, seed), random.Random(seed)
        return machine, "".join(draw_from.choices(machine.symbols, k=6)) if word is None else word
    if name in ("increment", "palindrome"):
        return (INCREMENT if name == "increment" else PALINDROME), word or ""
    try:
        return parse_machine(Path(name).read_text(encoding="utf-8"), name), word or ""
    except (OSError, UnicodeDecodeError) as error:
        known = "increment, palindrome, beaver, random, or a file with a table"
        raise DataError(f"{name}: expected {known}; it cannot be read as one: {error}.") from None


def show_tape(machine: Machine, at: Configuration, every: Sequence[Configuration]) -> str:
    """The tape with the head in brackets, on all lines the same cells; where it is wide, those around the head."""
    low = min(other.position - len(other.left) for other in every)
    high = max(other.position + max(len(other.right), 1) for other in every)
    if high - low > WIDEST:
        low = at.position - WIDEST // 2
        high = low + WIDEST
    cells = [_cell(machine, at, place) for place in range(low, high)]
    head = 2 * (at.position - low)
    line = list(" " + " ".join(cells) + " ")
    line[head], line[head + 2] = "[", "]"
    return "".join(line).rstrip()


def _cell(machine: Machine, at: Configuration, place: int) -> str:
    side, index = (at.right, place - at.position) if place >= at.position else (at.left[::-1], at.position - place - 1)
    return side[index] if index < len(side) else machine.blank


def _verdict(machine: Machine, network: Network, seen: list[Configuration], expected: list[Configuration]) -> str:
    if len(seen) != len(expected):
        raise NumericsError(
            f"the network stopped after {len(seen) - 1} steps, the simulator after {len(expected) - 1}."
        )
    steps, last = len(seen) - 1, seen[-1]
    if machine.rule(last) is not None:
        end = f"still running in {last.state} after {steps} steps: --steps sets the most that are taken"
    else:
        end = f"stopped in {last.state} after {steps} steps"
    weights = sum(len(row) for row in network.W)
    return (
        f"{machine.name}: {end}; {PHASES * steps + 1} steps of a network with {len(network.units)} units and {weights} "
        "recurrent weights, exact.\nState, head and tape are those of the direct simulator at every step."
    )


def _float64(network: Network, word: str, limit: int) -> str:
    run = run_rounded(network, word, limit)
    begin = f"The same weights in float64 (backend {run.backend}):"
    if run.acting == run.whole == run.total:
        return f"{begin} right at all {run.total} configurations, and in all that is written."
    return (
        f"{begin} of {run.total} configurations the first {run.acting} are right in state, head and the symbol under "
        f"it, the first {run.whole} in all that is written."
    )


def draw(machine: Machine, seen: Sequence[Configuration], network: Network, path: Path) -> None:
    """Draw the tape over time, and beside it the two stacks as the network holds them."""
    from matplotlib.colors import ListedColormap

    figure, (tape, stacks) = new_axes(2, (9, 4.8), ratios=(1.1, 1))
    low = min(at.position - len(at.left) for at in seen)
    high = max(at.position + max(len(at.right), 1) for at in seen)
    number = {symbol: place for place, symbol in enumerate(machine.symbols)}
    image = [[number[_cell(machine, at, place)] for place in range(low, high)] for at in seen]
    shades = ListedColormap(
        ["#f4f1ec", "#9db4c8", "#5d7f9e", "#34506b", *COLOURS, "#000000", INK][: max(len(number), 2)]
    )
    tape.grid(visible=False)
    tape.imshow(image, aspect="auto", cmap=shades, interpolation="nearest", extent=(low, high, len(seen), 0))
    tape.plot([at.position + 0.5 for at in seen], [t + 0.5 for t in range(len(seen))], color=COLOURS[0], lw=1.2)
    tape.set(xlabel="cell", ylabel="step of the machine", title="the tape, and the head in red")
    pairs = [
        [float(encode([number[s] for s in half], network.base)) for half in (at.left[::-1], at.right)] for at in seen
    ]
    left, right = zip(*pairs, strict=True)
    _draw_stacks(stacks, left, right)
    figure.suptitle(f"{machine.name}, as read off a network of {len(network.units)} units", color=INK, fontsize=11)
    write_picture(figure, path)


def _draw_stacks(axes: Any, left: Sequence[float], right: Sequence[float]) -> None:
    """Where the two stacks go, as points of the unit square."""
    axes.plot(left, right, color="#c9c9c9", lw=0.6)
    axes.scatter(left, right, c=range(len(left)), cmap="viridis", s=14, zorder=3)
    axes.set(xlabel="left stack", ylabel="right stack", title="the same tape, as two numbers", xlim=(-0.03, 1))
    axes.set_ylim(-0.03, 1)


if __name__ == "__main__":
    main()
