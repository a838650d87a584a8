"""The cells that elman has, by name."""

from elman.errors import ArgumentError

from .cell import Cell


def known_cells() -> dict[str, type[Cell]]:
    """Every cell of this room, by the name of its class."""
    from elman import cells  # this room itself, once all of it is there

    named = {name: getattr(cells, name) for name in cells.__all__ if name != "Cell"}
    return {name: kind for name, kind in named.items() if isinstance(kind, type)}


def find_cell(name: str) -> type[Cell]:
    """The class of a cell by its name, in whatever case, with or without `_` and `-`.

    Raises:
        ArgumentError: there is no such cell.
    """
    known = {_plain(each): kind for each, kind in known_cells().items()}
    if _plain(name) not in known:
        raise ArgumentError(f"expected one of the cells {', '.join(sorted(known))}, got {name!r}.")
    return known[_plain(name)]


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
