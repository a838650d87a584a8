"""Which rows are learned, and which are kept to check with: drawn label by label, or group by group."""

import sys
from collections.abc import Hashable, Sequence
from typing import TypeVar

import torch

from elman.data import Table, texts
from elman.errors import DataError

Item = TypeVar("Item")


def split_rows(count: int, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Rows to learn from, and a share of them to check with, drawn.

    Raises:
        DataError: there are too few.
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    kept = round(count * share)
    if (share and not kept) or kept == count:
        raise DataError(
            f"expected rows to learn from and to check with, got {count}, too few for a share of {share:g}: "
            "give more, or validation 0."
        )
    return order[kept:], order[:kept]


def split_groups(groups: Sequence[Hashable], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Rows to learn from, and about a share of them to check with: the rows of a group stay together.

    Groups are drawn one after the other; each is kept if it brings the number of rows kept nearer to the share.

    Args:
        groups: the group of each row.
        share: of the rows that are to be kept; 0 for none.
        seed: of the order in which groups are drawn.

    Raises:
        DataError: there are fewer than two groups to divide.
    """
    rows: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        rows.setdefault(group, []).append(row)
    if not share:
        return list(range(len(groups))), []
    if len(rows) < 2:
        raise DataError(
            f"expected two groups or more, to learn from some and to check with others, got {len(rows)}: "
            "give another column of groups, or validation 0."
        )
    found, wanted, kept = list(rows.values()), share * len(groups), set[int]()
    for number in torch.randperm(len(found), generator=torch.Generator().manual_seed(seed)).tolist():
        if abs(len(kept) + len(found[number]) - wanted) < abs(len(kept) - wanted):
            kept.update(found[number])
    smallest = min(found, key=len)
    if len(kept) == len(groups):
        kept.difference_update(smallest)
    kept = kept or set(smallest)  # groups so large that it was nearer to keep none
    return [row for row in range(len(groups)) if row not in kept], sorted(kept)


def split_labels(labels: Sequence[Hashable], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Rows to learn from and rows to check with, drawn label by label; a label with one row is learned.

    Raises:
        DataError: there are too few rows.
    """
    draw = torch.Generator().manual_seed(seed)
    rows: dict[Hashable, list[int]] = {}
    for row, label in enumerate(labels):
        rows.setdefault(label, []).append(row)
    learned: list[int] = []
    kept: list[int] = []
    for some in rows.values():
        order = [some[n] for n in torch.randperm(len(some), generator=draw).tolist()]
        count = min(round(len(some) * share), len(some) - 1)
        kept += order[:count]
        learned += order[count:]
    if share and not kept:  # no label has enough rows to give one: of all together
        return split_rows(len(labels), share, seed)
    return sorted(learned), sorted(kept)


def at_most(count: int, rows: Sequence[Item]) -> Sequence[Item]:
    """So many of some rows, from all over them."""
    return rows[:: max(1, -(-len(rows) // count))]


def groups_in(table: Table, name: str) -> list[str]:
    """The group of each row.

    Raises:
        DataError: the column is missing, or a row has no group.
    """
    found = [sys.intern(group) for group in texts(table.column(name, "the groups"))]
    if "" in found:
        raise DataError(f"the column {name!r}: expected a group in every row, got none in row {found.index('')}.")
    return found
