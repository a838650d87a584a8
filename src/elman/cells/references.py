"""The papers behind cells, as BibTeX; references.bib holds them, and a cell holds their keys."""

import re
from functools import cache
from importlib.resources import files

from torch import nn

from elman.errors import ArgumentError

from .catalogue import find_cell
from .cell import Cell


@cache
def entries() -> dict[str, str]:
    """The entries of references.bib, by key."""
    text = files(__package__).joinpath("references.bib").read_text(encoding="utf-8")
    return {key: entry for entry, key in re.findall(r"^(@\w+\{([^,]+),.*?^\}$)", text, flags=re.MULTILINE | re.DOTALL)}


def paper(key: str) -> dict[str, str]:
    """The fields of an entry, without what BibTeX needs beside the words."""
    fields = re.findall(r"^  (\w+) = \{(.*)\},$", entries()[key], flags=re.MULTILINE)
    return {name: value.translate({ord(letter): None for letter in "{}\\"}) for name, value in fields}


def cite(what: nn.Module | type[Cell] | str) -> str:
    """The papers of all cells in a model as BibTeX, each once.

    Args:
        what: a model, a layer, a cell, a class of cells, or the name of one that elman has.

    Raises:
        ArgumentError: nothing in there names a paper.
    """
    found = find_cell(what) if isinstance(what, str) else what
    parts = found.modules() if isinstance(found, nn.Module) else [found]
    keys = dict.fromkeys(key for part in parts for key in getattr(part, "references", ()))
    if not keys:
        raise ArgumentError(f"expected a cell, or a model with a cell that has references, got {what!r}.")
    return "\n\n".join(key if key.startswith("@") else entries()[key] for key in keys)
