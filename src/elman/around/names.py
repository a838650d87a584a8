"""Weights by the names under which a user knows them, also where they are computed from other numbers."""

from collections.abc import Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase

from torch import Tensor, nn
from torch.nn.utils import parametrize

from elman.errors import ArgumentError

Place = tuple[nn.Module, str]


def places_of(model: nn.Module) -> dict[str, Place]:
    """The module and the attribute of each parameter, by its plain name; one that stands twice comes twice."""
    found: dict[str, Place] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        if "parametrizations" in path.split("."):
            continue
        prefix = f"{path}." if path else ""
        found |= {f"{prefix}{name}": (module, name) for name, p in module._parameters.items() if p is not None}
        if parametrize.is_parametrized(module):
            found |= {f"{prefix}{name}": (module, name) for name in module.parametrizations}  # type: ignore[union-attr]
    return found


def place_of(model: nn.Module, name: str) -> Place:
    """Where a parameter stands.

    Raises:
        ArgumentError: there is none of this name; the nearest one is named.
    """
    places = places_of(model)
    if name not in places:
        raise ArgumentError(f"{type(model).__name__} has no parameter {name!r}{nearest(name, places)}")
    return places[name]


def matching(model: nn.Module, patterns: Iterable[str]) -> dict[str, Place]:
    """The parameters whose names match one of the patterns (`*`, `?`, `[...]`).

    Raises:
        ArgumentError: a pattern that no parameter matches.
    """
    places = places_of(model)
    found: dict[str, Place] = {}
    for pattern in patterns:
        hits = {name: place for name, place in places.items() if fnmatchcase(name, pattern)}
        if not hits:
            raise ArgumentError(f"no parameter of {type(model).__name__} matches {pattern!r}{nearest(pattern, places)}")
        found |= hits
    return found


def nearest(name: str, among: Iterable[str]) -> str:
    """The end of a message: what may have been meant."""
    among = list(among)
    close = get_close_matches(name, among, n=1, cutoff=0.4)
    return f": did you mean {close[0]!r}?" if close else f": it has {', '.join(among[:8]) or 'none'}."


def stored(place: Place) -> nn.Parameter:
    """The numbers that are trained behind a weight: itself, or what it is computed from."""
    module, name = place
    if parametrize.is_parametrized(module, name):
        value = getattr(module.parametrizations[name], "original")  # type: ignore[index]  # noqa: B009
    else:
        value = getattr(module, name)
    assert isinstance(value, nn.Parameter)
    return value


def value_of(place: Place) -> Tensor:
    """The weight as the network reads it."""
    value = getattr(*place)
    assert isinstance(value, Tensor)
    return value
