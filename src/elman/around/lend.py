"""Weights that are computed from other numbers (torch.nn.utils.parametrize), computed once for each call of a layer.

A step that read them itself would compute, and draw, them anew at every step, and the compiler would have to read
how. So the layer computes them, and lends them to a twin of the cell, in which they are plain parameters.
"""

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from elman.cells.cell import Cell
from elman.compiler import register
from elman.errors import ArgumentError

_TWINS: "weakref.WeakKeyDictionary[nn.Module, dict[bool, dict[str, nn.Module]]]" = weakref.WeakKeyDictionary()


def is_parametrized(module: nn.Module) -> bool:
    """Whether a weight somewhere in a module is computed from other numbers."""
    parts = module._modules
    return "parametrizations" in parts or any(is_parametrized(part) for part in parts.values() if part is not None)


def lend(cell: Cell) -> tuple[Any, dict[str, Tensor]]:
    """A twin of a cell without parametrizations, and all its parameters and buffers by name.

    The twin is the same at each call, so that it is compiled once; its attributes are those that the cell has now.
    """
    if torch.compiler.is_compiling():
        return _Named(_handle_of_twin(cell)), tensors_of(cell)
    return _twin_of(cell), tensors_of(cell)


@dataclass(frozen=True)
class _Named:
    """What torch.compile sees of a twin: the number under which the compiler knows it."""

    handle: int


def _handle_of_twin(cell: Cell) -> int:
    return _twin_of(cell).handle


# What torch.compiler.assume_constant_result does; it would load torch._dynamo, a second at every import of elman.
_handle_of_twin._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _twin_of(cell: Cell) -> Cell:
    known = _TWINS.setdefault(cell, {}).setdefault(cell.training, {})  # torch.compile keeps both
    twin = _twin("", cell, known, {})
    assert isinstance(twin, Cell)
    return twin


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of a module by name, in the order in which the compiler has them.

    A parameter that stands in two places comes once; a weight that is computed comes under each of its names.
    """
    modules, found = list(_walk("", module, set())), {}
    for kind in ("_parameters", "_buffers"):
        met: set[Tensor] = set()
        for path, part in modules:
            for name, tensor in getattr(part, kind).items():
                if tensor is not None and tensor not in met:
                    met.add(tensor)
                    found[path + name] = tensor
            if kind == "_parameters":
                found |= {path + name: getattr(part, name) for name in computed(part)}
    return found


def computed(module: nn.Module) -> tuple[str, ...]:
    """The names of the weights of a module, without its parts, that are computed from other numbers."""
    return tuple(module._modules["parametrizations"]._modules) if "parametrizations" in module._modules else ()  # type: ignore[union-attr]


def _walk(path: str, module: nn.Module, met: set[nn.Module]) -> Iterator[tuple[str, nn.Module]]:
    """The modules by path, without those that compute weights."""
    met.add(module)
    yield path, module
    for name, part in module._modules.items():
        if part is not None and name != "parametrizations" and part not in met:
            yield from _walk(f"{path}{name}.", part, met)


def _twin(path: str, module: nn.Module, known: dict[str, nn.Module], made: dict[nn.Module, nn.Module]) -> nn.Module:
    """The twin of a module: the same attributes, and places for the computed weights among its parameters."""
    if module in made:
        return made[module]
    kind = type(module).__bases__[0] if computed(module) else type(module)
    twin = known.get(path)
    if twin is None or type(twin) is not kind:
        twin = known[path] = object.__new__(kind)
        object.__setattr__(twin, "__dict__", {"handle": register(twin)})
    made[module] = twin
    places = {name: torch.empty(0, device="meta") for name in computed(module)}
    parts = {
        name: part if part is None else _twin(f"{path}{name}.", part, known, made)
        for name, part in module._modules.items()
        if name != "parametrizations"
    }
    own: dict[str, Any] = {"_parameters": module._parameters | places, "_buffers": dict(module._buffers)}
    # In one move: another thread may be running the twin.
    object.__setattr__(twin, "__dict__", module.__dict__ | own | {"_modules": parts, "handle": twin.__dict__["handle"]})
    return twin


def check_plain(cell: Cell, what: str) -> None:
    """Raise ArgumentError for a cell with something around it that belongs to a call over all steps.

    Those are masks that are drawn once for a call, and weights that are computed once for it.
    """
    if cell.held or is_parametrized(cell):
        raise ArgumentError(f"{what} only for a cell as it is: take off what goes around {type(cell).__name__}.")
