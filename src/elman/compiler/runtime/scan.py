"""A linear recurrence for all steps at once."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from elman.axes import numbers
from elman.compiler.graph import Node
from elman.compiler.unfold import Linear, Loop, linear

Tensors = tuple[Tensor, ...]
Key = tuple[int, int]
Found = tuple[dict[str, Tensor], Tensors]
AllSteps = Callable[[Node | None, Sequence[int]], Tensor]

_STEPS, _NUMBERS = 64, 1024  # measured on a CPU: docs/log.md
_MOST = 1e3  # of products of slopes: three digits may be lost beside what the states hold


def scan(
    slopes: Tensors,
    rest: Tensors,
    times: Callable[[Tensors, Tensors], Tensors],
    join: Callable[[Tensors, Tensors], Tensors],
) -> Tensors:
    """s(t) = A(t) s(t-1) + b(t) from s(0) = 0, for all t at once: pairs of steps are one step of half as many.

    Args:
        slopes: A, tensors [T, ...]; A(1) is not used.
        rest: b, tensors [T, ...].
        times: A s of A and s.
        join: A(t) A(t-1) of A(t) and A(t-1).

    Returns:
        s, like b, in O(log T) operations one after the other and O(T) in all.

    Source: G. E. Blelloch, Prefix Sums and Their Applications, 1990.
    """
    steps = len(rest[0])
    if steps == 1:
        return rest
    even, odd = slice(0, steps - steps % 2, 2), slice(1, None, 2)
    at_odd = _at(slopes, odd)
    joined = _sum(times(at_odd, _at(rest, even)), _at(rest, odd))
    second = scan(join(at_odd, _at(slopes, even)), joined, times, join)
    later = slice(2, None, 2)
    before = _at(second, slice(0, len(range(2, steps, 2))))
    found = tuple(torch.empty_like(b) for b in rest)
    for into, b, s in zip(found, rest, second, strict=True):
        into[0], into[odd] = b[0], s
    for into, s in zip(found, _sum(times(_at(slopes, later), before), _at(rest, later)), strict=True):
        into[later] = s
    return found


def _at(tensors: Tensors, steps: slice | int) -> Tensors:
    return tuple(t[steps] for t in tensors)


def _sum(one: Tensors, two: Tensors) -> Tensors:
    return tuple(a + b for a, b in zip(one, two, strict=True))


class Scan:
    """The inside of a hoisted loop that is linear in what it carries, as a scan.

    Args:
        loop: the inside.
        found: its slopes and rests, each an input of the loop or a number.
    """

    def __init__(self, loop: Loop, found: Linear) -> None:
        self.loop, self.found = loop, found
        self._keys = _closed(found.slopes)
        place = {key: number for number, key in enumerate(self._keys)}
        self._pairs = [(place[i, k], place[k, j], place[i, j]) for i, k in place for other, j in place if other == k]
        self._cut = any(slope.kept is not None for slope in found.slopes.values())

    def __call__(self, values: dict[str, Tensor], states: Tensors, steps: int, batch: int) -> Found | None:
        """What is wanted of each step by name, and what leaves the last; None where the steps must run one by one.

        That is where products of slopes grow beyond what the states bear: then the sums lose digits that the steps, one
        after the other, do not.

        Args:
            values: the inputs of the loop, all steps.
            states: what enters the first step.
            steps: T.
            batch: B.
        """
        carries, reverse = self.loop.carries, self.loop.reverse
        sizes = [(steps, *numbers(carry.entering.shape, steps, batch)) for carry in carries]

        def all_steps(node: Node | None, size: Sequence[int]) -> Tensor:
            if node is None or node.op == "const":
                some = states[0].new_full((), 0.0 if node is None else float(node.value))
            else:
                some = values[str(node.value)]
            return _turned(some.expand(size), reverse)

        grown: list[Tensor] = []
        slopes = tuple(self._slope(key, sizes[key[0]], all_steps, grown) for key in self._keys)
        rests = tuple(all_steps(rest, size).clone() for rest, size in zip(self.found.rests, sizes, strict=True))
        for rest, first in zip(rests, self._times(_at(slopes, 0), states), strict=True):
            rest[0] += first
        left = scan(slopes, rests, self._times, lambda later, sooner: self._join(later, sooner, grown))
        if not bool(torch.stack([*(s.sum().isfinite() for s in left), *(g <= _MOST for g in grown)]).all()):
            return None
        named = {}
        for carry, first, s in zip(carries, states, left, strict=True):
            named[carry.leaving] = _turned(s, reverse)
            named[carry.entering] = _turned(torch.cat([first.unsqueeze(0), s[:-1]]), reverse)
        return {name: named[node] for name, node in self.loop.each.items()}, tuple(s[-1].clone() for s in left)

    def _slope(self, key: Key, size: Sequence[int], all_steps: AllSteps, grown: list[Tensor]) -> Tensor:
        """A slope at all steps; where some are cut, NaN stands for what is not kept."""
        slope = self.found.slopes.get(key)
        if slope is None:
            return torch.full_like(all_steps(None, size), torch.nan if self._cut else 0.0)
        factor = all_steps(slope.factor, size)
        if not self._cut:
            return factor
        if slope.kept is None:
            grown.append(factor.abs().max())  # a NaN of its own must not be taken for a cut
            return factor
        kept = all_steps(slope.kept, size)
        grown.append(torch.where(kept, factor, 0).abs().max())
        return torch.where(kept, factor, torch.nan)

    def _times(self, slopes: Tensors, states: Tensors) -> Tensors:
        """Σ_j a_ij s_j."""
        terms = ((i, self._product(a, states[j])) for (i, j), a in zip(self._keys, slopes, strict=True))
        return _added(terms, states)

    def _product(self, slope: Tensor, state: Tensor) -> Tensor:
        """a s, and 0 where s is not kept, whatever it is."""
        product = slope * state
        return torch.where(slope.isnan(), 0, product) if self._cut else product

    def _join(self, later: Tensors, sooner: Tensors, grown: list[Tensor]) -> Tensors:
        """Σ_k a_ik b_kj; how large they are is added to `grown`."""
        if not self._cut:
            found = _added(((place, later[one] * sooner[two]) for one, two, place in self._pairs), later)
            grown += [a.abs().max() for a in found]
            return found
        made: dict[int, Tensor] = {}
        for one, two, place in self._pairs:
            term = later[one] * sooner[two]  # NaN where either is not kept
            known = made.get(place)
            made[place] = (
                term
                if known is None
                else torch.where(term.isnan(), known, torch.where(known.isnan(), term, known + term))
            )
        cut = tuple(made[n] if n in made else torch.full_like(a, torch.nan) for n, a in enumerate(later))
        grown += [a.abs().nan_to_num(0.0, torch.inf, torch.inf).max() for a in cut]
        return cut


def _added(terms: Iterable[tuple[int, Tensor]], like: Tensors) -> Tensors:
    """The sum of the terms of each place; 0 where there are none."""
    found: dict[int, Tensor] = {}
    for place, term in terms:
        found[place] = found[place] + term if place in found else term
    return tuple(found[n] if n in found else torch.zeros_like(t) for n, t in enumerate(like))


def _turned(tensor: Tensor, reverse: bool) -> Tensor:
    """In the order of the loop, and back."""
    return tensor.flip(0) if reverse else tensor


def scan_of(loop: Loop) -> Scan | None:
    """A hoisted loop as a scan; None where it is not linear, or more is wanted of a step than its states."""
    found = linear(loop)
    if found is None:
        return None
    states = {node for carry in loop.carries for node in (carry.entering, carry.leaving)}
    parts = [part for slope in found.slopes.values() for part in (slope.factor, slope.kept)]
    ready = all(node is None or node.op in ("input", "const") for node in (*parts, *found.rests))
    return Scan(loop, found) if ready and set(loop.each.values()) <= states else None


def _closed(keys: Iterable[Key]) -> tuple[Key, ...]:
    """The entries that products of matrices with these entries have, too."""
    found = set(keys)
    while more := {(i, j) for i, k in found for other, j in found if other == k} - found:
        found |= more
    return tuple(sorted(found))


def pays(states: Tensors, steps: int) -> bool:
    """Whether a scan beats the steps one after the other; on a CPU only where a step has little to do."""
    if not states[0].is_cpu:
        return steps > 1
    return steps >= _STEPS and sum(state.numel() for state in states) <= _NUMBERS
