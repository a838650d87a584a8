"""Entries of a weight that are computed from trained ones; and state dicts that hold weights as they are."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from elman.errors import ArgumentError

from .names import Place, stored

Term = tuple[Place, Tensor, Tensor, Tensor]


class Plain(nn.Module):
    """A parametrization whose weight stands in state dicts under its own name."""

    def saved(self, original: Tensor) -> Tensor:
        """What stands in a state dict."""
        return original

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight

    def loaded(self, weight: Tensor) -> None:
        """A state dict gives this weight."""


class Dependent(Plain):
    """Some entries as sums of trained entries of the same or other weights.

    w[p] = c + Σ factor w'[f]
    """

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[Any, tuple[Any, ...]] = {}
        self.entries, self.constant = torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.float64)
        self.given: Tensor | None = None
        self.terms: tuple[Term, ...] = ()  # a tuple holds no submodules: the weights belong elsewhere

    def bind(self, entries: Tensor, constant: Tensor, terms: list[Term]) -> None:
        """From now on compute.

        Args:
            entries: p [n], the entries of this weight that are computed, row by row.
            constant: c [n], float64.
            terms: a weight, and rows of p, its entries, and factors, one for each summand.
        """
        self.entries, self.constant, self.terms = entries, constant, tuple(terms)
        self._made.clear()

    def forward(self, original: Tensor) -> Tensor:
        if not len(self.entries):
            return original
        entries, constant, terms, copied = self._on(original)
        if copied:
            return stored(self.terms[0][0]).to(original).reshape(original.shape)
        value = constant
        for place, rows, taken, factors in terms:
            value = value.index_add(0, rows, factors * stored(place).reshape(-1)[taken].to(original))
        return original.reshape(-1).index_copy(0, entries, value).reshape(original.shape)

    def saved(self, original: Tensor) -> Tensor:
        return self(original)

    def loaded(self, weight: Tensor) -> None:
        self.given = weight

    def check(self, original: Tensor, name: str) -> None:
        """Raise where the weights of a state dict are not those that are computed from the others.

        Raises:
            ArgumentError: the constraint does not hold for them.
        """
        given, self.given = self.given, None
        if given is None:
            return
        with torch.no_grad():
            off = (self(original) - given.to(original)).abs().max().item()
            if off > 1e3 * torch.finfo(original.dtype).eps * max(1.0, given.abs().max().item()):
                raise ArgumentError(
                    f"the constraints on {name} do not hold in this state dict, by {off:.3g}: load it before you call "
                    "elman.around.constrain, which moves weights to where they hold."
                )

    def _on(self, like: Tensor) -> tuple[Any, ...]:
        """The numbers on the device and in the dtype of a weight; float64 stays here, so that none is rounded twice."""
        key = (like.dtype, like.device)
        if key not in self._made:
            device = like.device
            terms = [
                (place, rows.to(device), taken.to(device), factors.to(like))
                for place, rows, taken, factors in self.terms
            ]
            self._made[key] = (self.entries.to(device), self.constant.to(like), terms, self._copies(like.numel()))
        return self._made[key]

    def _copies(self, count: int) -> bool:
        """Whether the whole weight is another one, entry by entry."""
        if len(self.terms) != 1 or len(self.entries) != count or self.constant.any():
            return False
        place, rows, taken, factors = self.terms[0]
        whole = stored(place).numel() == count == len(rows)
        return whole and bool((self.entries[rows] == taken).all()) and bool((factors == 1).all())

    def extra_repr(self) -> str:
        return f"{len(self.entries)} entries of {sum(len(term[1]) for term in self.terms)} others"


def replace_entries(place: Place, entries: Tensor, constant: Tensor, terms: list[Term]) -> None:
    """From now on some entries of a weight are computed; see `Dependent.bind`."""
    module, name = place
    stand_in_state(module)
    dependent = Dependent()
    parametrize.register_parametrization(module, name, dependent, unsafe=True)
    dependent.bind(entries, constant, terms)
    original = stored(place)
    if len(entries) == original.numel():  # nothing of it is trained any more
        original.requires_grad_(False)


def mark(module: nn.Module, name: str) -> None:
    """Remember that a weight takes part in constraints."""
    module.__dict__["constrained"] = module.__dict__.get("constrained", frozenset()) | {name}


def is_marked(module: nn.Module, name: str) -> bool:
    """Whether a weight takes part in constraints."""
    return name in module.__dict__.get("constrained", ())


def stand_in_state(module: nn.Module) -> None:
    """Let state dicts of a module, saved and loaded, hold its weights under their own names."""
    if _save not in module._state_dict_hooks.values():
        module.register_state_dict_post_hook(_save)
        module.register_load_state_dict_pre_hook(_load)


def _plain_ones(module: nn.Module) -> list[tuple[str, Any]]:
    """The computed weights of a module all of whose parametrizations are ours."""
    if not parametrize.is_parametrized(module):
        return []
    every = module.parametrizations.items()  # type: ignore[operator, union-attr]
    return [(name, made) for name, made in every if all(isinstance(part, Plain) for part in made)]


def check_loaded(model: nn.Module, _: Any) -> None:
    """After a state dict has been loaded: do the constraints hold in it?"""
    for path, module in model.named_modules():
        for name, made in _plain_ones(module):
            for part in made:
                if isinstance(part, Dependent):
                    part.check(made.original, f"{path}.{name}".lstrip("."))


def _save(module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    for name, made in _plain_ones(module):
        if state.pop(f"{prefix}parametrizations.{name}.original", None) is not None:
            with torch.no_grad():
                value = made.original
                for part in made:
                    value = part.saved(value)
            state[f"{prefix}{name}"] = value.detach()


def _load(
    module: nn.Module,
    state: dict[str, Any],
    prefix: str,
    metadata: Any,
    strict: bool,
    missing: list[str],
    unexpected: list[str],
    errors: list[str],
) -> None:
    for name, made in _plain_ones(module):
        if f"{prefix}{name}" in state:
            value = state.pop(f"{prefix}{name}")
            if isinstance(value, Tensor) and value.shape == made.original.shape:  # else torch says what is wrong
                for part in made:
                    part.loaded(value)
            state[f"{prefix}parametrizations.{name}.original"] = value
