"""Machines to try: binary increment, palindromes, busy beavers, and random ones."""

import random

from elman.errors import ArgumentError

from .machine import MOVES, Machine, Rule, parse_machine

INCREMENT = parse_machine(
    """
    start: right
    halt: done
    right 0 -> 0 R right        # to the end of the number
    right 1 -> 1 R right
    right _ -> _ L carry
    carry 1 -> 0 L carry        # 1 + 1 = 0, carry 1
    carry 0 -> 1 N done
    carry _ -> 1 N done
    """,
    "increment",
)

PALINDROME = parse_machine(
    """
    start: first
    halt: accept reject
    first 0 -> _ R seek0        # take the first symbol, remember it in the state
    first 1 -> _ R seek1
    first _ -> _ N accept
    seek0 0 -> 0 R seek0
    seek0 1 -> 1 R seek0
    seek0 _ -> _ L last0
    seek1 0 -> 0 R seek1
    seek1 1 -> 1 R seek1
    seek1 _ -> _ L last1
    last0 0 -> _ L back         # the last one is the same: take it too
    last0 1 -> 1 N reject
    last0 _ -> _ N accept
    last1 1 -> _ L back
    last1 0 -> 0 N reject
    last1 _ -> _ N accept
    back 0 -> 0 L back
    back 1 -> 1 L back
    back _ -> _ R first
    """,
    "palindrome",
)

# In the usual notation: for each state, what it does on 0 and on 1, as symbol, move, next state; H halts.
BEAVERS = {
    2: "1RB1LB 1LA1RH",
    3: "1RB1RH 0RC1RB 1LC1LA",
    4: "1RB1LB 1LA0LC 1RH1LD 1RD0RA",
}


def beaver(states: int) -> Machine:
    """The busy beaver: of all machines with so many states and two symbols the one that leaves the most ones and stops.

    Args:
        states: 2 (6 steps, 4 ones), 3 (14 steps, 6 ones) or 4 (107 steps, 13 ones). Its blank is 0: start it on "".

    Raises:
        ArgumentError: another number.

    Source: T. Radó, On Non-Computable Functions, 1962; for 4 states A. H. Brady, 1983.
    """
    if states not in BEAVERS:
        raise ArgumentError(f"the busy beaver: expected 2, 3 or 4 states, got {states}.")
    rules = {}
    for state, both in zip("ABCD", BEAVERS[states].split(), strict=False):
        for read, done in (("0", both[:3]), ("1", both[3:])):
            rules[state, read] = Rule(done[0], done[1], done[2])
    return Machine(f"busy beaver of {states} states", "A", rules, ("H",), "0")


def random_machine(states: int, symbols: int, seed: int) -> Machine:
    """A machine whose table is drawn: each pair has a rule with probability 0.95, and stops the machine without one.

    Args:
        states: how many states, from 1 on.
        symbols: how many symbols, from 2 to 10, the digits from 0 on; 0 is the blank.
        seed: the same seed gives the same machine.

    Raises:
        ArgumentError: no states, or too few or too many symbols.
    """
    if states < 1 or not 2 <= symbols <= 10:
        raise ArgumentError(f"expected states >= 1 and 2 to 10 symbols, got {states} and {symbols}.")
    draw = random.Random(seed)
    named = [f"q{number}" for number in range(states)]
    pairs = [(state, str(symbol)) for state in named for symbol in range(symbols)]
    rules = {
        pair: Rule(str(draw.randrange(symbols)), draw.choice(list(MOVES)), draw.choice(named))
        for pair in pairs
        if draw.random() < 0.95
    }
    without = tuple(state for state in named if not any(state == ruled for ruled, _ in rules))
    return Machine(f"random machine {seed}", named[0], rules, without, "0")
