"""Starting from a model that has been trained: the parts that match are loaded, groups of weights are frozen."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import Tensor, nn

from elman.errors import ArgumentError, ShapeError

from .names import matching, nearest, stored


@dataclass(frozen=True)
class Loaded:
    """What `load_matching` did.

    Attributes:
        matched: names of the model that now have the numbers of the state dict.
        left: names of the model that keep their own numbers, and why.
        unused: names of the state dict that the model has no place for, and why.
    """

    matched: tuple[str, ...]
    left: dict[str, str]
    unused: dict[str, str]

    def __str__(self) -> str:
        lines = [f"{len(self.matched)} matched: {', '.join(self.matched) or 'none'}"]
        lines += [f"left as it was: {name}: {why}" for name, why in self.left.items()]
        lines += [f"not used: {name}: {why}" for name, why in self.unused.items()]
        return "\n".join(lines)


def load_matching(
    model: nn.Module, state: Mapping[str, Tensor], rename: Callable[[str], str | None] | None = None
) -> Loaded:
    """Load what matches of a state dict, by name and shape, and say what did not and why.

    Args:
        model: any module; its parameters and buffers are looked at.
        state: a state dict.
        rename: the name in the model for a name in the state dict, None for what is not to be loaded.

    Returns:
        What matched, what did not, and why; print it.

    Raises:
        ArgumentError: nothing matched, or two names of the state dict are for one place.
    """
    own = model.state_dict()
    wanted: dict[str, Tensor] = {}
    unused: dict[str, str] = {}
    taken: set[str] = set()
    for name, value in state.items():
        target = name if rename is None else rename(name)
        if target is None:
            unused[name] = "it was not wanted"
            continue
        if target in taken:
            raise ArgumentError(f"rename gives {target!r} twice, the second time for {name!r}.")
        taken.add(target)
        if target not in own:
            unused[name] = f"the model has no {target!r}{nearest(target, own).rstrip('.')}"
        elif own[target].shape != value.shape:
            unused[name] = f"expected {list(own[target].shape)}, got {list(value.shape)}"
        else:
            wanted[target] = value
    if not wanted:
        raise ArgumentError(
            f"nothing matched: the model has {', '.join(list(own)[:5])}, the state dict {', '.join(list(state)[:5])}."
        )
    model.load_state_dict(wanted, strict=False)
    shapes = {name if rename is None else rename(name): list(value.shape) for name, value in state.items()}
    left = {
        name: f"expected {list(value.shape)}, got {shapes[name]}" if name in shapes else "the state dict has none"
        for name, value in own.items()
        if name not in wanted
    }
    return Loaded(tuple(wanted), left, unused)


def renumbered(
    model: nn.Module, state: Mapping[str, Tensor], old: Sequence[str], new: Sequence[str], *names: str
) -> dict[str, Tensor]:
    """A state dict for another vocabulary: the rows of the tokens that both have, each where its token now stands.

    Args:
        model: what will be loaded; tokens that only the new vocabulary has keep the model's own rows.
        state: a state dict, of a model with the old vocabulary.
        old: the tokens of the state dict, by number.
        new: the tokens of the model, by number.
        names: patterns (`*`, `?`, `[...]`) of the tensors [V, ...] that have a row for each token: embeddings, readouts
            and their biases.

    Returns:
        A state dict for `load_matching` or `load_state_dict`.

    Raises:
        ArgumentError: a token twice, no token in common, or a pattern that matches nothing.
        ShapeError: a tensor that does not have a row for each token.
    """
    for what, tokens in (("old", old), ("new", new)):
        if len(set(tokens)) < len(tokens):
            twice = next(token for token, count in Counter(tokens).items() if count > 1)
            raise ArgumentError(f"expected each token of the {what} vocabulary once, got {twice!r} more often.")
    place = {token: number for number, token in enumerate(old)}
    here = [number for number, token in enumerate(new) if token in place]
    there = [place[new[number]] for number in here]
    if not here:
        raise ArgumentError(f"the vocabularies share no token: {list(old[:5])} ... and {list(new[:5])} ...")
    found, own = dict(state), model.state_dict()
    for pattern in names:
        hits = [name for name in own if fnmatchcase(name, pattern)]
        if not hits:
            raise ArgumentError(f"no tensor of {type(model).__name__} matches {pattern!r}{nearest(pattern, own)}")
        for name in hits:
            if name not in state:
                raise ArgumentError(f"the state dict has no {name!r}{nearest(name, state)}")
            rest = own[name].shape[1:]
            for what, tensor, count in (("state dict", state[name], len(old)), ("model", own[name], len(new))):
                if tensor.shape != (count, *rest):
                    raise ShapeError(f"{name} of the {what}: expected {[count, *rest]}, got {list(tensor.shape)}.")
            found[name] = own[name].clone()
            found[name][here] = state[name][there].to(own[name])
    return found


def freeze(model: nn.Module, *patterns: str) -> tuple[str, ...]:
    """Train the matching weights no longer; give an optimiser those that are left.

    Args:
        model: any module.
        patterns: names (`*`, `?`, `[...]`), as `model.state_dict()` has them.

    Returns:
        The names of the weights.

    Raises:
        ArgumentError: a pattern that matches nothing.
    """
    return _train(model, patterns, False)


def unfreeze(model: nn.Module, *patterns: str) -> tuple[str, ...]:
    """Train the matching weights again; see `freeze`."""
    return _train(model, patterns, True)


def _train(model: nn.Module, patterns: tuple[str, ...], trained: bool) -> tuple[str, ...]:
    places = matching(model, patterns)
    for place in places.values():
        stored(place).requires_grad_(trained)
    return tuple(places)
