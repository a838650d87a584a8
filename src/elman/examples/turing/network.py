"""A Turing machine as one recurrent network of saturated-linear units, with rational weights.

    h(t) = σ(W h(t-1) + U x(t) + b),    σ(z) = min(max(z, 0), 1)

The tape is two stacks: the cells left of the head, and the cells from the head on. A stack of the symbols s1 s2 ..., of
k, is the number Σ 2 s_i / β^i with β = 2 k. Its digits are even, so numbers that differ in the first symbol lie apart
(a Cantor set), and one unit tells whether the first symbol is at least a: σ(β q - (2 a - 1)) is 1 or 0, and nothing
between. The blank is symbol 0, so a stack goes on in blanks by itself. To pop is to multiply, β q - 2 s1, to push to
divide, (q + 2 s) / β.

Each step of the machine takes three of the network, in three groups of units that read each other in a ring:

    act      the state, one unit each; each stack, once for each move: at most one of the three is not 0
    read     is the first symbol of a stack at least a?
    choose   which pair of state and symbol is it; the stacks without their first symbols

What depends on the pair is switched by saturation: σ(q + m - 1) is q where m = 1, and 0 where m = 0. A ring in which
all is 0 stays at 0, so only one group is at work at any step, and no clock is needed.

Source: H. T. Siegelmann, E. D. Sontag, On the Computational Power of Neural Nets, J. Comput. Syst. Sci. 50(1), 1995.
Departs: there the word comes in symbol by symbol, here as x(1), already as a number; there digits are 1 and 3, so that
a stack can be empty, here 0 and 2 (and on), because a tape never is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from elman.errors import NumericsError

from .machine import MOVES, Configuration, Machine, Rule

Row = dict[int, Fraction]
Sum = dict[str, Fraction]
PHASES = 3  # steps of the network for one step of the machine
ONE = "one"  # in a sum the name of what is no unit: the bias


@dataclass(frozen=True)
class Network:
    """The weights of one network, and what its units are called.

    Attributes:
        machine: the machine that it is.
        units: a name for each unit.
        W: for each unit the weights of the units that it reads, by number; all others are 0.
        U: for each unit the weights of x; only x(1) = (1, left stack, right stack) is not 0.
        b: for each unit the bias.
    """

    machine: Machine
    units: tuple[str, ...]
    W: tuple[Row, ...]
    U: tuple[Row, ...]
    b: tuple[Fraction, ...]

    def step(self, x: Sequence[Fraction], h: Sequence[Fraction]) -> list[Fraction]:
        """h(t) from x(t) and h(t-1), and nothing but the formula."""
        return [_saturated(_dot(w, h) + _dot(u, x) + bias) for w, u, bias in zip(self.W, self.U, self.b, strict=True)]

    def run(self, word: str, limit: int = 10_000) -> Iterator[Configuration]:
        """The configurations of the machine on a word, as they are read off the units, until the unit `halted` is 1.

        Args:
            word: what stands on the tape; the head begins on its first symbol.
            limit: the most steps of the machine that are taken.

        Raises:
            ArgumentError: a symbol of the word is none of the machine's.
        """
        x, nothing = self.input(word), [Fraction(0)] * 3
        h, position = self.step(x, [Fraction(0)] * len(self.units)), 0
        yield self.decode(h, 0)
        for _ in range(limit):
            for _ in range(PHASES):
                h = self.step(nothing, h)
            position += self.moved(h)
            if h[self.units.index("halted")] == 1:
                return
            yield self.decode(h, position)

    def input(self, word: str) -> list[Fraction]:
        """x(1) for a word.

        Raises:
            ArgumentError: a symbol of the word is none of the machine's.
        """
        at = self.machine.begin(word)
        return [Fraction(1), Fraction(0), encode([self.machine.symbols.index(s) for s in at.right], self.base)]

    @property
    def base(self) -> int:
        """β, twice the number of symbols."""
        return 2 * len(self.machine.symbols)

    def stacks(self, h: Sequence[Fraction]) -> tuple[Fraction, Fraction]:
        """The left and the right stack as numbers, read off the units of the group `act`."""
        value = dict(zip(self.units, h, strict=True))
        left, right = (
            sum((value[f"{side} after {move}"] for move in MOVES), Fraction(0)) for side in ("left", "right")
        )
        return left, right

    def moved(self, h: Sequence[Fraction]) -> int:
        """Where the head went in the last step: -1, 0 or 1."""
        value = dict(zip(self.units, h, strict=True))
        return int(value["went R"] - value["went L"])

    def decode(self, h: Sequence[Fraction], position: int, cells: tuple[int, int] | None = None) -> Configuration:
        """What the units of the group `act` say.

        Args:
            h: the units, 1, 4, 7, ... steps after the start.
            position: where the head stands.
            cells: how many cells of the left and the right stack are read; all by default. For units that are not
                exact: a number that has been rounded goes on in symbols that nobody has written.

        Raises:
            NumericsError: not exactly one state is on, or a number is none that a stack can be.
        """
        value = dict(zip(self.units, h, strict=True))
        on = [state for state in self.machine.states if value[f"state {state}"] > Fraction(1, 2)]
        if len(on) != 1:
            raise NumericsError(f"expected one state that is on, got {', '.join(on) or 'none'}.")
        symbols, blank = self.machine.symbols, self.machine.blank
        read = (None, None) if cells is None else cells
        left, right = (
            "".join(symbols[digit] for digit in decode(stack, self.base, count)).rstrip(blank)
            for stack, count in zip(self.stacks(h), read, strict=True)
        )
        return Configuration(on[0], left[::-1], right, position)


def encode(digits: Sequence[int], base: int) -> Fraction:
    """A stack as a number, Σ 2 s_i / β^i, its first symbol first."""
    number = Fraction(0)
    for digit in reversed(digits):
        number = (number + 2 * digit) / base
    return number


def decode(number: Fraction, base: int, count: int | None = None) -> list[int]:
    """The symbols of a stack; the first `count` of a number that may have been rounded, or all of an exact one.

    Raises:
        NumericsError: the number is none that a stack can be.
    """
    digits: list[int] = []
    rest, whole = number.numerator, number.denominator
    while rest != 0 if count is None else len(digits) < count:
        digit = (2 * base * rest + whole) // (4 * whole)  # where it was rounded, the nearer one
        digits.append(digit)
        rest = base * rest - 2 * digit * whole
        if not 0 <= digit < base // 2 or (count is None and not 0 <= rest < whole):
            raise NumericsError(f"expected a number with even digits in base {base}, got {float(number)}.")
    return digits


def compile_machine(machine: Machine) -> Network:
    """The network of a machine: three groups of units, each a sum of units of the group before, and a bias."""
    rows = _read(machine) | _choose(machine) | _act(machine)
    given = {f"state {machine.start}": 0, "left after N": 1, "right after N": 2}
    number = {name: place for place, name in enumerate(rows)}
    W, U, b = [], [], []
    for name, row in rows.items():
        W.append({number[source]: weight for source, weight in row.items() if source != ONE and weight})
        U.append({given[name]: Fraction(1)} if name in given else {})
        if name.endswith("after N"):
            U[-1][0] = Fraction(1)  # against the -1 that closes the switch
        b.append(row.get(ONE, Fraction(0)))
    return Network(machine, tuple(rows), tuple(W), tuple(U), tuple(b))


def _read(machine: Machine) -> dict[str, Sum]:
    """The second group: from the units of `act` to what stands first on each stack."""
    k = len(machine.symbols)
    rows = {f"read {state}": _sum((1, f"state {state}")) for state in machine.states}
    for side in ("left", "right"):
        stack = _sum(*((1, f"{side} after {move}") for move in MOVES))
        rows[f"{side} read"] = stack
        for a in range(1, k):
            rows[f"{side} >= {a}"] = _sum((2 * k, stack), (1 - 2 * a, ONE))
    return rows


def _choose(machine: Machine) -> dict[str, Sum]:
    """The third group: which pair it is, and the stacks without their first symbols."""
    k = len(machine.symbols)
    rows = {}
    for state in machine.states:
        for a, symbol in enumerate(machine.symbols):
            terms: list[tuple[int, str]] = [(1, f"read {state}")]
            if a > 0:
                terms += [(1, f"right >= {a}"), (-1, ONE)]
            if a < k - 1:
                terms += [(-1, f"right >= {a + 1}")]
            rows[f"{state} on {symbol}"] = _sum(*terms)
    for side in ("left", "right"):
        first = _sum(*((1, f"{side} >= {a}") for a in range(1, k)))
        rows[f"{side} popped"] = _sum((2 * k, f"{side} read"), (-2, first))
    rows["left kept"] = _sum((1, "left read"))
    rows["left first"] = _sum(*((Fraction(1, k), f"left >= {a}") for a in range(1, k)))  # 2 s / β, as it is pushed
    return rows


def _act(machine: Machine) -> dict[str, Sum]:
    """The first group: the next state, and each stack for each move, switched on by the pairs that make this move."""
    base = 2 * len(machine.symbols)
    states: dict[str, Sum] = {f"state {state}": {} for state in machine.states}
    moves: dict[str, Sum] = {move: {} for move in MOVES}
    written, halted = Sum(), Sum()
    for state in machine.states:
        for symbol in machine.symbols:
            rule, pair = machine.rules.get((state, symbol)), f"{state} on {symbol}"
            if rule is None:
                halted[pair] = Fraction(1)
                rule = Rule(symbol, "N", state)  # where it has stopped, it stays as it is
            states[f"state {rule.state}"][pair] = Fraction(1)
            moves[rule.move][pair] = Fraction(1)
            written[pair] = Fraction(machine.symbols.index(rule.write))
    pushed = {  # left: the symbol that was written goes there; right: it takes the place of the one that was read
        "left": _sum((Fraction(1, base), "left kept"), (Fraction(2, base), written)),
        "right": _sum((Fraction(1, base), "right popped"), (Fraction(2, base), written)),
    }
    uncovered = _sum((Fraction(1, base), pushed["right"]), (1, "left first"))  # it comes back from the left
    stacks = {
        "left": {"L": _sum((1, "left popped")), "N": _sum((1, "left kept")), "R": pushed["left"]},
        "right": {"L": uncovered, "N": pushed["right"], "R": _sum((1, "right popped"))},
    }
    rows = states
    for side, by_move in stacks.items():
        for move, stack in by_move.items():
            rows[f"{side} after {move}"] = _sum((1, stack), (1, moves[move]), (-1, ONE))
    return rows | {"went L": moves["L"], "went R": moves["R"], "halted": halted}


def _sum(*terms: tuple[Fraction | int, str | Sum]) -> Sum:
    """Factors times units, or times sums of them, added up."""
    total: Sum = {}
    for factor, part in terms:
        for name, weight in ({part: Fraction(1)} if isinstance(part, str) else part).items():
            total[name] = total.get(name, Fraction(0)) + factor * weight
    return total


def _dot(weights: Row, values: Sequence[Fraction]) -> Fraction:
    return sum((weight * values[place] for place, weight in weights.items()), Fraction(0))


def _saturated(z: Fraction) -> Fraction:
    return min(max(z, Fraction(0)), Fraction(1))
