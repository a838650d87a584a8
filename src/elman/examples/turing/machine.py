"""Turing machines with one tape: their tables, and a direct simulator."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile

from elman.errors import ArgumentError, DataError

MOVES = {"L": -1, "N": 0, "R": 1}
"""Where the head goes: one cell to the left, nowhere, one cell to the right."""


@dataclass(frozen=True)
class Rule:
    """What a machine does in a state on a symbol.

    Attributes:
        write: the symbol that it leaves in the cell.
        move: "L", "N" or "R".
        state: the next state.
    """

    write: str
    move: str
    state: str


@dataclass(frozen=True)
class Configuration:
    """A machine between two steps: all that decides how it goes on.

    Attributes:
        state: the state.
        left: the symbols to the left of the head, the nearest one last; without the blanks at the far end.
        right: the symbols from the head on, to the right; without the blanks at the far end.
        position: the cell under the head; the first symbol of the word stood in cell 0.
    """

    state: str
    left: str
    right: str
    position: int


@dataclass(frozen=True)
class Machine:
    """A deterministic Turing machine with one tape that is endless on both sides.

    It stops where its table has no rule: in the states `halt`, and in any other where a pair is left out.

    Args:
        name: what it is called in messages.
        start: the first state.
        rules: by state and symbol.
        halt: states without rules.
        blank: the symbol of cells that nobody has written.

    Raises:
        ArgumentError: a symbol that is not one character, a move that is none, a state that has no rules and is not
            said to halt, or a halting state that has some.
    """

    name: str
    start: str
    rules: Mapping[tuple[str, str], Rule]
    halt: tuple[str, ...] = ()
    blank: str = "_"

    def __post_init__(self) -> None:
        ruled = {state for state, _ in self.rules}
        known = f"one of {', '.join(sorted(ruled | set(self.halt))) or '(none)'}"
        if self.start not in ruled | set(self.halt):
            raise ArgumentError(f"start: expected {known}, got {self.start!r}.")
        for state in self.states:
            if not state or any(letter.isspace() for letter in state):
                raise ArgumentError(f"expected names of states without blanks, got {state!r}.")
        for symbol in self.symbols:
            if len(symbol) != 1 or symbol.isspace():
                raise ArgumentError(f"expected symbols of one character that can be seen, got {symbol!r}.")
        for (state, symbol), rule in self.rules.items():
            where = f"the rule of {state} on {symbol}"
            if rule.move not in MOVES:
                raise ArgumentError(f"{where}: expected the move L, N or R, got {rule.move!r}.")
            if rule.state not in ruled | set(self.halt):
                raise ArgumentError(f"{where} leads to {rule.state!r}: expected {known}; does `halt` leave it out?")
            if state in self.halt:
                raise ArgumentError(f"{where}: expected no rules of a state that halts: take it out of `halt`.")

    @property
    def states(self) -> tuple[str, ...]:
        """All states, the first one first."""
        named = [state for (before, _), rule in self.rules.items() for state in (before, rule.state)]
        return tuple(dict.fromkeys([self.start, *named, *self.halt]))

    @property
    def symbols(self) -> tuple[str, ...]:
        """All symbols, the blank first."""
        named = [symbol for (_, read), rule in self.rules.items() for symbol in (read, rule.write)]
        return tuple(dict.fromkeys([self.blank, *named]))

    def rule(self, at: Configuration) -> Rule | None:
        """What the machine does next, or None where it stops."""
        return self.rules.get((at.state, at.right[:1] or self.blank))

    def begin(self, word: str) -> Configuration:
        """The head on the first symbol of a word, in the first state.

        Raises:
            ArgumentError: a symbol of the word is none of the machine's.
        """
        for place, symbol in enumerate(word, start=1):
            if symbol not in self.symbols:
                known = " ".join(self.symbols)
                raise ArgumentError(
                    f"the word of {self.name}: expected symbols among {known}, got {symbol!r} at place {place}."
                )
        return Configuration(self.start, "", word.rstrip(self.blank), 0)


def simulate(machine: Machine, word: str, limit: int = 10_000) -> Iterator[Configuration]:
    """The configurations of a machine on a word, from the first to where it stops, by the table and a list of cells.

    Args:
        machine: the table.
        word: what stands on the tape; the head begins on its first symbol.
        limit: the most steps that are taken.

    Raises:
        ArgumentError: a symbol of the word is none of the machine's.
    """
    at = machine.begin(word)
    tape, state, head = dict(enumerate(word)), at.state, 0
    yield at
    for _ in range(limit):
        rule = machine.rules.get((state, tape.get(head, machine.blank)))
        if rule is None:
            return
        tape[head] = rule.write
        head, state = head + MOVES[rule.move], rule.state
        yield _configuration(machine, tape, state, head)


def _configuration(machine: Machine, tape: dict[int, str], state: str, head: int) -> Configuration:
    low, high = min(*tape, head), max(*tape, head)
    left = "".join(tape.get(cell, machine.blank) for cell in range(low, head))
    right = "".join(tape.get(cell, machine.blank) for cell in range(head, high + 1))
    return Configuration(state, left.lstrip(machine.blank), right.rstrip(machine.blank), head)


def parse_machine(text: str, name: str = "machine") -> Machine:
    """A machine from a table in text.

        start: right                 the first state
        halt: done                   states without rules, if there are any
        blank: _                     _ by default
        right 0 -> 0 R right         state, symbol -> symbol to write, move (L, N or R), next state
        right 1 -> 1 R right         # the rest of a line is a comment

    Raises:
        DataError: a line that is none of these, two rules for one pair, no rules, or what `Machine` refuses.
    """
    said: dict[str, list[str]] = {}
    rules: dict[tuple[str, str], Rule] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        where = f"{name}, line {number}"
        match words:
            case ["start:" | "blank:" as key, _, *rest] if _is_comment(rest):
                _say_once(said, key, words[1:2], where)
            case ["halt:", *_]:
                _say_once(said, "halt:", list(takewhile(lambda word: not word.startswith("#"), words[1:])), where)
            case [state, symbol, "->", write, move, after, *rest] if _is_comment(rest):
                if (state, symbol) in rules:
                    raise DataError(f"{where}: expected one rule for {state} on {symbol}, got a second one.")
                rules[state, symbol] = Rule(write, move, after)
            case _ if not _is_comment(words):
                raise DataError(
                    f"{where}: expected `state symbol -> symbol move state`, such as `q 0 -> 1 R q`, "
                    f"or start:, halt: or blank:, got {line.strip()!r}."
                )
    if not rules or "start:" not in said:
        missing = "a line `start: state`" if rules else "rules such as `q 0 -> 1 R q`"
        raise DataError(f"{name}: expected {missing}, got none.")
    try:
        return Machine(name, said["start:"][0], rules, tuple(said.get("halt:", ())), said.get("blank:", ["_"])[0])
    except ArgumentError as error:
        raise DataError(f"{name}: {error}") from None


def _is_comment(words: list[str]) -> bool:
    return not words or words[0].startswith("#")


def _say_once(said: dict[str, list[str]], key: str, words: list[str], where: str) -> None:
    if key in said:
        raise DataError(f"{where}: expected one line {key} got a second one.")
    said[key] = words
