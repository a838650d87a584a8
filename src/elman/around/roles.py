"""What a weight of a cell is for: recurrent, input, output, bias; and the gates whose blocks are stacked in it.

The role is read from the name, in the words of the house: U reads x, W reads a state (or what is fed), V gives out,
b is a bias; torch.nn's weight_ih, weight_hh, bias_ih and bias_hh likewise, also with what follows an underscore.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from elman import cells
from elman.cells import Cell
from elman.errors import ArgumentError

from .names import Place, places_of, value_of
from .wrapper import Wrapper

ROLES = ("recurrent", "input", "output", "bias")
_ROLES = (
    ("bias", re.compile(r"(.*\.)?(bias|b)(_.*)?")),
    ("input", re.compile(r"(U(_\w+)?(\.\d+)?(\.weight)?|weight_ih(_.*)?)")),
    ("recurrent", re.compile(r"(W(_\w+)?(\.\d+)?(\.weight)?|weight_hh(_.*)?)")),
    ("output", re.compile(r"(V(_\w+)?(\.\d+)?(\.weight)?|weight_hr(_.*)?)")),
)
_TORCHS = (nn.RNNBase, nn.RNNCellBase)
_IFGO, _RZN = ("i", "f", "g", "o"), ("r", "z", "n")
_GATES: tuple[tuple[Any, dict[str, tuple[str, ...]]], ...] = (
    ((cells.LSTM, nn.LSTM, nn.LSTMCell), {"*": _IFGO}),
    ((cells.PeepholeLSTM, cells.MultiplicativeLSTM, cells.WMCLSTM), {"U": _IFGO, "W": _IFGO}),
    (cells.LayerNormLSTM, {"U": _IFGO, "W": _IFGO, "N_x": _IFGO, "N_h": _IFGO}),
    (cells.GRU, {"U": _RZN, "W": ("r", "z"), "W_n": ("n",)}),
    ((cells.GRUResetAfter, nn.GRU, nn.GRUCell), {"*": _RZN}),
    (cells.JANET, {"*": ("f", "n")}),
    (cells.RAN, {"U": ("i", "f"), "W": ("i", "f")}),
    (cells.UGRNN, {"*": ("g", "n")}),
    (cells.LiGRU, {"*": ("z", "n")}),
    (cells.CFN, {"U": ("θ", "η"), "W": ("θ", "η")}),
    ((cells.BRC, cells.NBRC), {"U": ("a", "c"), "W": ("a", "c")}),
    (cells.SLSTM, {"*": ("i", "f", "z", "o")}),
    (cells.MinLSTM, {"*": ("f", "i", "n")}),
    (cells.MinGRU, {"*": ("z", "n")}),
    (cells.MGU, {"U": ("f", "n"), "W": ("f",), "W_n": ("n",)}),
)
_KEEPS: tuple[tuple[Any, tuple[str | None, str | None]], ...] = (
    ((cells.LSTM, nn.LSTM, nn.LSTMCell), ("f", "i")),
    ((cells.PeepholeLSTM, cells.MultiplicativeLSTM, cells.WMCLSTM, cells.LayerNormLSTM), ("f", "i")),
    ((cells.GRU, cells.GRUResetAfter, nn.GRU, nn.GRUCell), ("z", None)),
    (cells.JANET, ("f", None)),
    (cells.RAN, ("f", "i")),
    (cells.UGRNN, ("g", None)),
    (cells.LiGRU, ("z", None)),
    (cells.CFN, ("θ", "η")),
    ((cells.BRC, cells.NBRC), ("c", None)),
    (cells.MinGRU, (None, "z")),
    (cells.MGU, (None, "f")),
)


@dataclass(frozen=True, eq=False)
class Weight:
    """One weight of a cell.

    Attributes:
        name: its name in the module that was asked.
        own: its name in the cell.
        role: "recurrent", "input", "output" or "bias".
        place: where it stands.
        cell: the cell, or the module of torch.nn, that it belongs to.
        blocks: the parts that are stacked along its first axis, as (gate or "", first row, end).
    """

    name: str
    own: str
    role: str
    place: Place
    cell: nn.Module
    blocks: tuple[tuple[str, int, int], ...]


def weights_of(module: nn.Module, role: str) -> dict[str, Weight]:
    """The weights of one role in all cells of a module, by name.

    Raises:
        ArgumentError: there is no such role, or no weight of it.
    """
    if role not in ROLES:
        raise ArgumentError(f"expected a role among {', '.join(ROLES)}, got {role!r}.")
    found = {weight.name: weight for weight in _weights(module) if weight.role == role}
    if not found:
        names = ", ".join(places_of(module)) or "no parameters"
        raise ArgumentError(f"{type(module).__name__} has no {role} weight: it has {names}.")
    return found


def _weights(module: nn.Module) -> Iterator[Weight]:
    owners = {
        path: part
        for path, part in module.named_modules()
        if isinstance(part, (Cell, *_TORCHS)) and not isinstance(part, Wrapper)
    }
    for name, place in places_of(module).items():
        inside = [path for path in owners if not path or name.startswith(f"{path}.")]
        if not inside:
            continue
        path = max(inside, key=len)
        own = name[len(path) + 1 :] if path else name
        role = next((role for role, pattern in _ROLES if pattern.fullmatch(own)), None)
        value = value_of(place)
        if role is not None and value.dim() == (1 if role == "bias" else 2):
            yield Weight(name, own, role, place, owners[path], _blocks(owners[path], own, role, value))


def _blocks(cell: nn.Module, own: str, role: str, value: Tensor) -> tuple[tuple[str, int, int], ...]:
    """The gates of a weight and their rows; one block where nothing says that it is made of several."""
    rows, gates = value.shape[0], gates_of(cell, own)
    if role == "output":
        return (("", 0, rows),)
    size = _hidden_size(cell)
    count = len(gates) or (rows // size if size and rows % size == 0 else 1)
    if rows % count:
        raise ArgumentError(f"{type(cell).__name__}: expected {own} to hold the gates {gates} alike, got {rows} rows.")
    height = rows // count
    names = gates or ("",) * count
    return tuple((gate, n * height, (n + 1) * height) for n, gate in enumerate(names))


def gates_of(cell: nn.Module, own: str) -> tuple[str, ...]:
    """The gates whose blocks a weight holds, in order: those that the cell names in `gates`, or those we know."""
    declared: Any = getattr(cell, "gates", None)
    if not isinstance(declared, dict):
        declared = next((gates for kind, gates in _GATES if isinstance(cell, kind)), {})
    return tuple(declared.get(own.partition(".")[0], declared.get("*", ())))


def keeping_gates(cell: nn.Module) -> tuple[str | None, str | None] | None:
    """The gate by which a unit keeps what it holds, and the gate by which it takes in what is new; None: unknown.

    Where there is one gate for both, it is named for what its σ does, and None stands for the other.
    """
    return next((gates for kinds, gates in _KEEPS if isinstance(cell, kinds)), None)


def _hidden_size(cell: nn.Module) -> int:
    """H, or 0 where the cell has no state of one axis."""
    if not isinstance(cell, Cell):
        return int(cell.hidden_size)  # type: ignore[arg-type]
    sizes = [size for size in cell.state_size if isinstance(size, int)]
    return sizes[0] if sizes else 0
