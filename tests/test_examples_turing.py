"""Turing machines in the weights of a network: equal to a direct simulator, and nothing but σ(W h + U x + b)."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import elman
from elman.errors import ArgumentError, DataError, NumericsError
from elman.examples import turing
from elman.examples.turing.__main__ import main
from elman.examples.turing.network import PHASES, decode, encode
from elman.examples.turing.rounded import Saturated, run_rounded


def both(machine, word, limit=10_000):
    """The configurations, by the network; those of the simulator must be the same."""
    got = list(turing.compile_machine(machine).run(word, limit))
    assert got == list(turing.simulate(machine, word, limit))
    return got


def tape(at):
    return at.left + at.right


@pytest.mark.parametrize("number", [0, 1, 2, 7, 11, 64, 255, 2**40 - 1])
def test_increment_adds_one(number):
    last = both(turing.INCREMENT, f"{number:b}")[-1]
    assert last.state == "done" and int(tape(last), 2) == number + 1


@pytest.mark.parametrize("word", ["", "0", "01", "010", "0110", "0111", "1001001", "10010011"])
def test_palindromes(word):
    assert both(turing.PALINDROME, word)[-1].state == ("accept" if word == word[::-1] else "reject")


@pytest.mark.slow
def test_all_short_words_are_palindromes_or_not():
    network = turing.compile_machine(turing.PALINDROME)
    for length in range(7):
        for number in range(2**length):
            word = f"{number:b}".zfill(length)[:length]
            last = list(network.run(word))[-1]
            assert last.state == ("accept" if word == word[::-1] else "reject"), word


@pytest.mark.parametrize(("states", "steps", "ones"), [(2, 6, 4), (3, 14, 6), (4, 107, 13)])
def test_busy_beavers(states, steps, ones):
    seen = both(turing.beaver(states), "")
    assert len(seen) - 1 == steps and tape(seen[-1]).count("1") == ones and seen[-1].state == "H"


@st.composite
def machines_and_words(draw):
    machine = turing.random_machine(draw(st.integers(1, 4)), draw(st.integers(2, 4)), draw(st.integers(0, 10**6)))
    return machine, draw(st.text(st.sampled_from(machine.symbols), max_size=6))


@given(machines_and_words())
def test_random_machines(case):
    machine, word = case
    both(machine, word, 15)


class Watched(Fraction):
    """A rational number that remembers what numbers are compared with."""

    against = frozenset()

    def _kept(self, value):
        return value if value is NotImplemented else Watched(value)

    def __add__(self, other):
        return self._kept(super().__add__(other))

    def __radd__(self, other):
        return self._kept(super().__radd__(other))

    def __mul__(self, other):
        return self._kept(super().__mul__(other))

    def __rmul__(self, other):
        return self._kept(super().__rmul__(other))

    def __lt__(self, other):
        Watched.against |= {other}
        return super().__lt__(other)

    def __gt__(self, other):
        Watched.against |= {other}
        return super().__gt__(other)

    def forbidden(self, *others):
        raise AssertionError("a step asked a number something else than whether it is below 0 or above 1")

    __le__ = __ge__ = __eq__ = __bool__ = __int__ = __float__ = __sub__ = __rsub__ = forbidden
    __truediv__ = __rtruediv__ = __floordiv__ = __mod__ = __abs__ = __floor__ = __round__ = forbidden
    __hash__ = Fraction.__hash__


def test_a_step_is_only_sums_of_products_within_0_and_1():
    network = turing.compile_machine(turing.beaver(3))
    h = [Watched(0)] * len(network.units)
    Watched.against = frozenset()
    for t in range(1 + PHASES * 14):
        h = network.step([Watched(v) for v in network.input("")] if t == 0 else [Watched(0)] * 3, h)
    assert {Fraction(v) for v in map(Fraction, Watched.against)} == {0, 1}
    assert network.decode([Fraction(value) for value in h], 2) == list(turing.simulate(network.machine, ""))[-1]


@given(machines_and_words())
def test_dense_matrices_give_the_same(case):
    """σ(W h + U x + b) once more, in five lines and with all the zeros."""
    machine, word = case
    network = turing.compile_machine(machine)
    size = len(network.units)
    assert all(isinstance(weight, Fraction) for row in (*network.W, *network.U) for weight in row.values())
    W, U = [[[row.get(j, 0) for j in range(n)] for row in rows] for rows, n in ((network.W, size), (network.U, 3))]
    x, h, position = network.input(word), [Fraction(0)] * size, 0
    for at in list(turing.simulate(machine, word, 2)):
        for _ in range(PHASES if any(h) else 1):
            z = [
                sum(w * v for w, v in zip((*W[i], *U[i], network.b[i]), (*h, *x, 1), strict=True)) for i in range(size)
            ]
            x, h = [0, 0, 0], [max(Fraction(0), min(Fraction(1), value)) for value in z]
        position += network.moved(h)
        assert network.decode(h, position) == at


def test_one_group_is_at_work_at_a_time():
    network = turing.compile_machine(turing.INCREMENT)
    group = [0 if n.split()[0] in ("state", "went", "halted") or "after" in n else 1 for n in network.units]
    h = network.step(network.input("11"), [Fraction(0)] * len(group))
    for t in range(9):
        assert {g == 0 for g, value in zip(group, h, strict=True) if value} == {t % PHASES == 0}
        h = network.step([0, 0, 0], h)


@given(st.integers(2, 9), st.lists(st.integers(0, 8), max_size=30))
def test_a_stack_is_a_number_and_back(symbols, digits):
    digits = [digit % symbols for digit in digits]
    number = encode(digits, 2 * symbols)
    assert 0 <= number < 1
    read = decode(number, 2 * symbols)
    assert read == digits[: len(read)] and not any(digits[len(read) :])
    assert decode(number, 2 * symbols, 3) == (digits + [0, 0, 0])[:3]


def test_wrong_weights_are_noticed():
    network = turing.compile_machine(turing.INCREMENT)
    h = network.step(network.input("1"), [Fraction(0)] * len(network.units))
    with pytest.raises(NumericsError, match="one state"):
        network.decode([Fraction(0)] * len(h), 0)
    h[network.units.index("right after N")] = Fraction(1, 6)
    with pytest.raises(NumericsError, match="even digits"):
        network.decode(h, 0)


def test_float64_is_the_same_while_it_is_exact():
    network, word = turing.compile_machine(turing.beaver(4)), ""
    layer = elman.Recurrent(Saturated(network))
    got, _ = layer(torch.zeros(1, 3, dtype=torch.float64).index_fill(1, torch.tensor([0]), 1.0), steps=100)
    x, h = network.input(word), [Fraction(0)] * len(network.units)
    for t in range(100):
        h, x = network.step(x, h), [Fraction(0)] * 3
        assert got[t, 0].tolist() == [float(value) for value in h]


def test_float64_is_right_until_its_bits_are_used_up():
    walker = turing.parse_machine("start: q\nq _ -> 1 R q\nq 1 -> 1 R q")
    network = turing.compile_machine(walker)
    run = run_rounded(network, "", 100)
    assert run.total == 101 and run.acting == 101  # it never looks back
    assert run.whole == 27, run  # 26 cells: q + 1 of a switch has steps of 2^-52, and 2 / 4^27 is less
    assert run_rounded(network, "", 100, torch.float32).whole == 13 and "expected" in run.got
    exact = run_rounded(turing.compile_machine(turing.beaver(4)), "")
    assert (exact.total, exact.acting, exact.whole, exact.got) == (108, 108, 108, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "rules such as"),
        ("q 0 -> 1 R q", "start: state"),
        ("start: q\nq 0 -> 1 R", "line 2: expected `state symbol"),
        ("start: q\nq 0 1 R q", "line 2: expected `state symbol"),
        ("start: q\nq 0 -> 1 R q\nq 0 -> 0 R q", "line 3: expected one rule for q on 0"),
        ("start: q\nstart: p\nq 0 -> 1 R q", "line 2: expected one line start:"),
        ("start: q\nq 0 -> 1 U q", "expected the move L, N or R, got 'U'"),
        ("start: q\nq 0 -> 1 R p", "leads to 'p'"),
        ("start: p\nq 0 -> 1 R q", "start: expected one of q, got 'p'"),
        ("start: q\nhalt: q\nq 0 -> 1 R q", "no rules of a state that halts"),
        ("start: q\nq 00 -> 1 R q", "symbols of one character"),
    ],
)
def test_tables_that_are_none(text, said):
    with pytest.raises(DataError, match=said) as error:
        turing.parse_machine(text, "mine.txt")
    assert "mine.txt" in str(error.value)


def test_comments_and_a_symbol_that_looks_like_one():
    text = "# a machine\nstart: q # here\n  blank: .\nhalt: a b # two\n\nq # -> # R q  # on\nq . -> # N a # stop\n"
    machine = turing.parse_machine(text)
    assert machine.symbols == (".", "#") and machine.halt == ("a", "b") and len(machine.rules) == 2
    assert tape(both(machine, "##")[-1]) == "###"


def test_words_and_machines_that_do_not_fit():
    with pytest.raises(ArgumentError, match="got 'x' at place 2"):
        both(turing.INCREMENT, "1x")
    with pytest.raises(ArgumentError, match="2, 3 or 4 states, got 5"):
        turing.beaver(5)
    with pytest.raises(ArgumentError, match="2 to 10 symbols"):
        turing.random_machine(2, 1, 0)
    with pytest.raises(ArgumentError, match="names of states without blanks"):
        turing.Machine("m", "a b", {("a b", "0"): turing.Rule("0", "R", "a b")})


def test_the_command(tmp_path, capsys):
    main(["increment", "11"])
    said = capsys.readouterr().out
    assert "    0  right   _[1]1 _\n" in said and "stopped in done after 6 steps" in said
    table = tmp_path / "mine.txt"
    table.write_text("start: q\nq a -> b R q  # a comment\nq _ -> _ L q\n", encoding="utf-8")
    main([str(table), "aa", "--steps", "5"])
    assert "stopped in q after 3 steps" in capsys.readouterr().out
    for wrong in (["beaver", "7"], ["increment", "2"], [str(tmp_path / "none.txt")], ["increment", "--steps", "-1"]):
        with pytest.raises(SystemExit) as left:
            main(wrong)
        assert left.value.code == 2
        assert "error:" in capsys.readouterr().err


@pytest.mark.slow
def test_the_picture(tmp_path):
    main(["random", "--seed", "3", "--steps", "30", "--float64", "--picture", str(tmp_path / "tape.png")])
    assert (tmp_path / "tape.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(SystemExit):
        main(["increment", "--picture", str(tmp_path / "no" / "tape.png")])
