"""Linear equations between numbers, solved for some of them: the rest stay free.

    A w = b    becomes    w[p] = c + M w[f],    p and f apart, and together all of w

Equal numbers are merged first; what is left is eliminated with full pivoting in float64, one group of equations that
share numbers after the other.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from elman.errors import ArgumentError


@dataclass(frozen=True, eq=False)
class Solved:
    """Numbers as sums of free ones.

    Attributes:
        dependent: which numbers are computed [p], in order.
        constant: c [p].
        rows, free, factors: M as a list of entries: row of `dependent`, free number, factor.
    """

    dependent: Tensor
    constant: Tensor
    rows: Tensor
    free: Tensor
    factors: Tensor


def merge(count: int, equal: Iterable[Tensor]) -> Tensor:
    """For each of `count` numbers the one it is equal to: the first of its group as the groups name it.

    Args:
        count: how many numbers there are.
        equal: [k, n] each: the numbers of a column are equal.
    """
    first = torch.arange(count)
    pairs = [torch.stack([group[:1].expand_as(group[1:]), group[1:]]).flatten(1) for group in equal if len(group) > 1]
    if not pairs:
        return first
    a, b = torch.cat(pairs, dim=1)
    while True:
        least = torch.minimum(first[a], first[b])
        new = first.scatter_reduce(0, first[a], least, "amin").scatter_reduce(0, first[b], least, "amin")
        new = new[new]
        if torch.equal(new, first):
            return first
        first = new


def solve(first: Tensor, systems: Iterable[tuple[Tensor, Tensor, Tensor]]) -> Solved:
    """Solve equations between numbers, some of which are the same.

    Args:
        first: see `merge`.
        systems: numbers [n], A [m, n], b [m] each.

    Raises:
        ArgumentError: the equations contradict each other.
    """
    count = len(first)
    rules: dict[int, tuple[float, dict[int, float]]] = {}
    for equations in _groups(_rows_of(first, systems)):
        rules |= _eliminate(equations)
    is_dependent = first != torch.arange(count)
    is_dependent[list(rules)] = True
    simple = torch.nonzero(is_dependent & ~torch.isin(first, torch.tensor(list(rules), dtype=torch.long))).flatten()
    ruled = [(n, *rules[int(first[n])]) for n in _ruled(first, rules)]
    dependent = torch.cat([simple, torch.tensor([n for n, _, _ in ruled], dtype=torch.long)])
    entries = [
        (len(simple) + row, free, factor) for row, (_, _, terms) in enumerate(ruled) for free, factor in terms.items()
    ]
    rows, free, factors = zip(*entries, strict=True) if entries else ((), (), ())
    return Solved(
        dependent,
        torch.cat([torch.zeros(len(simple)).double(), torch.tensor([c for _, c, _ in ruled], dtype=torch.float64)]),
        torch.cat([torch.arange(len(simple)), torch.tensor(rows, dtype=torch.long)]),
        torch.cat([first[simple], torch.tensor(free, dtype=torch.long)]),
        torch.cat([torch.ones(len(simple)).double(), torch.tensor(factors, dtype=torch.float64)]),
    )


def _ruled(first: Tensor, rules: dict[int, tuple[float, dict[int, float]]]) -> list[int]:
    """The numbers that are, or are equal to, one that the equations determine."""
    return torch.nonzero(torch.isin(first, torch.tensor(list(rules), dtype=torch.long))).flatten().tolist()


Row = tuple[str, dict[int, float], float]


def _rows_of(first: Tensor, systems: Iterable[tuple[Tensor, Tensor, Tensor]]) -> list[Row]:
    """Each equation as its name, its factors by number, and its right side."""
    found = []
    for which, (numbers, A, b) in enumerate(systems):
        for line in range(len(A)):
            factors: dict[int, float] = {}
            for column in torch.nonzero(A[line]).flatten().tolist():
                number = int(first[numbers[column]])
                factors[number] = factors.get(number, 0.0) + float(A[line, column])
            found.append((f"row {line} of equation {which}", factors, float(b[line])))
    return found


def _groups(rows: list[Row]) -> list[list[Row]]:
    """Equations that share numbers stand together."""
    group_of: dict[int, list[Row]] = {}  # by number
    every: dict[int, list[Row]] = {}
    for row in rows:
        met = {id(group_of[n]): group_of[n] for n in row[1] if n in group_of}
        members = [other for group in met.values() for other in group] + [row]
        for gone in met:
            del every[gone]
        every[id(members)] = members
        for number in [*row[1], *(n for group in met.values() for other in group for n in other[1])]:
            group_of[number] = members
    return list(every.values())


def _eliminate(equations: list[Row]) -> dict[int, tuple[float, dict[int, float]]]:
    """Gauss and Jordan: the pivots as sums of the other numbers."""
    numbers = sorted({n for _, factors, _ in equations for n in factors})
    column = {number: place for place, number in enumerate(numbers)}
    M = torch.zeros(len(equations), len(numbers) + 1, dtype=torch.float64)
    for line, (_, factors, right) in enumerate(equations):
        M[line, -1] = right
        for number, factor in factors.items():
            M[line, column[number]] = factor
    sizes = M[:, :-1].abs().amax(1, keepdim=True) if numbers else torch.zeros(len(M), 1).double()
    M /= torch.where(sizes > 0, sizes, 1.0)
    small = 4 * max(M.shape) * torch.finfo(torch.float64).eps
    todo, pivots = list(range(len(equations))), {}
    while todo and numbers:
        flat = int(M[todo, :-1].abs().argmax())
        line, place = todo[flat // len(numbers)], flat % len(numbers)
        if M[line, place].abs() <= small:
            break
        M[line] /= M[line, place].clone()
        others = torch.arange(len(M)) != line
        M[others] -= M[others, place].unsqueeze(1) * M[line]
        todo.remove(line)
        pivots[place] = line
    _check(equations, M, todo, small)
    return {
        numbers[place]: (
            M[line, -1].item(),
            {
                numbers[p]: -M[line, p].item()
                for p in torch.nonzero(M[line, :-1].abs() > small).flatten().tolist()
                if p not in pivots
            },
        )
        for place, line in pivots.items()
    }


def _check(equations: list[Row], M: Tensor, left: list[int], small: float) -> None:
    """Raise where nothing is left of an equation but a right side that is not 0."""
    largest = max([1.0, M[:, -1].abs().max().item()])
    for line in left:
        if abs(M[line, -1].item()) > 1e3 * small * largest:
            raise ArgumentError(
                f"the constraints contradict each other: with the others, {equations[line][0]} says "
                f"0 = {M[line, -1].item():.6g}."
            )
