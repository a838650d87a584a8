"""Weights that are equal, and linear equations between weights, which hold whatever the optimiser does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from elman.errors import ArgumentError, ShapeError

from .dependent import check_loaded, is_marked, mark, replace_entries
from .names import Place, place_of, places_of, stored, value_of
from .solve import Solved, merge, solve

Entries = str | tuple[str, Any]


@dataclass(frozen=True, eq=False)
class Equal:
    """w1 = w2 = ...: entries of weights that are equal, one by one.

    Attributes:
        weights: each the name of a weight, or a name and an index: ("cell.W.weight", (0, slice(None))).
    """

    weights: tuple[Entries, ...]


@dataclass(frozen=True, eq=False)
class Linear:
    """A w = b over w, the entries of weights one after the other.

    Attributes:
        weights: each the name of a weight (all its entries, row by row), or a name and an index.
        A: [m, n].
        b: [m], or one number for all.
    """

    weights: tuple[Entries, ...]
    A: Any
    b: Any = 0.0


@dataclass(frozen=True)
class Constrained:
    """What `constrain` did.

    Attributes:
        dependent: how many entries are now computed from others, by weight.
        moved: how far the weights were moved to meet the constraints: the largest change of an entry.
    """

    dependent: dict[str, int]
    moved: float


def equal(*weights: Entries) -> Equal:
    """w1 = w2 = ...: see `constrain`."""
    return Equal(weights)


def linear(weights: Sequence[Entries], A: Any, b: Any = 0.0) -> Linear:
    """A w = b: see `constrain`."""
    return Linear(tuple(weights), A, b)


def tie(model: nn.Module, *weights: Entries) -> Constrained:
    """Make weights of a model equal, and keep them so; they take the value of the first.

    Its gradient is the sum of the gradients of all. See `constrain`.
    """
    return constrain(model, Equal(weights))


def constrain(model: nn.Module, *equations: Equal | Linear) -> Constrained:
    """Hold weights of a model to linear equations, for any optimiser and any weight decay.

        A w = b    is kept as    w[p] = c + M w[f]

    Some entries, as many as there are independent equations, are computed from the others at each use; only the
    others are trained, each with the sum of its own gradient and of those of the entries that are computed from it
    (for w1 = w2: ∂E/∂w1 + ∂E/∂w2). So A w = b holds to rounding after every step. Weights that are not there yet
    are moved first: equal ones to the first of them, all to the nearest point where the equations hold.

    `state_dict` and model files hold the weights as they are, under their usual names. Give the parameters to the
    optimiser after this call. Momentum and Adam's averages belong to the entries that are trained.

    Args:
        model: any module.
        equations: `equal(...)` and `linear(...)`, which hold together.

    Returns:
        What was done.

    Raises:
        ArgumentError: a weight that is not there, or is constrained already; equations that contradict each other.
        ShapeError: sizes that do not fit.

    Source: the notes on linear constraints between weights: G. Hinton, Neural Networks for Machine Learning,
        lecture 7, 2012.
    """
    if not equations:
        raise ArgumentError("expected at least one of equal(...) and linear(...), got none.")
    numbers = _Numbers(model)
    groups, systems = [], []
    for equation in equations:
        found = [numbers.find(entries) for entries in equation.weights]
        if isinstance(equation, Equal):
            groups.append(_columns(equation, found))
        else:
            systems.append((torch.cat(found) if found else torch.zeros(0).long(), *_matrix(equation, found)))
    first = merge(numbers.count, groups)
    solved = solve(first, systems)
    if not len(solved.dependent):
        return Constrained({}, 0.0)
    return _bind(numbers, first, solved)


class _Numbers:
    """The entries of all weights that are named, numbered one weight after the other in the order of the names."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.names: dict[str, int] = {}
        self.places: list[Place] = []
        self.starts: list[int] = []
        self.count = 0

    def find(self, entries: Entries) -> Tensor:
        """The numbers of some entries, row by row."""
        name, index = (entries, ...) if isinstance(entries, str) else entries
        which = self._which(name)
        shape = value_of(self.places[which]).shape
        every = torch.arange(shape.numel()).reshape(shape)
        try:
            return (self.starts[which] + every[index]).flatten()
        except (IndexError, TypeError) as error:
            raise ShapeError(f"{name} {list(shape)} has no entries {index!r}: {error}.") from error

    def _which(self, name: str) -> int:
        if name in self.names:
            return self.names[name]
        place = place_of(self.model, name)
        if parametrize.is_parametrized(*place) or is_marked(*place):
            raise ArgumentError(
                f"{name} is constrained, or computed from other numbers, already: give all equations in one call."
            )
        same = [n for n, other in enumerate(self.places) if value_of(other) is value_of(place)]
        if same:  # one tensor under two names
            self.names[name] = same[0]
            return same[0]
        self.names[name] = len(self.places)
        self.places.append(place)
        self.starts.append(self.count)
        self.count += value_of(place).numel()
        return self.names[name]

    def name_of(self, which: int) -> str:
        return next(name for name, number in self.names.items() if number == which)

    def same(self, which: int) -> list[Place]:
        """Every place of the model at which a weight stands."""
        weight = value_of(self.places[which])
        others = [place for place in dict.fromkeys(places_of(self.model).values()) if value_of(place) is weight]
        return others or [self.places[which]]

    def values(self) -> Tensor:
        """All entries, in float64 on the CPU."""
        return torch.cat([value_of(place).detach().flatten().double().cpu() for place in self.places])


def _columns(equation: Equal, found: list[Tensor]) -> Tensor:
    if len({len(each) for each in found}) > 1:
        sizes = ", ".join(f"{_called(w)} {len(f)}" for w, f in zip(equation.weights, found, strict=True))
        raise ShapeError(f"equal: expected as many entries of each weight, got {sizes}.")
    if len(found) < 2:
        raise ArgumentError(f"equal: expected at least two weights, got {len(found)}.")
    return torch.stack(found)


def _matrix(equation: Linear, found: list[Tensor]) -> tuple[Tensor, Tensor]:
    """A [m, n] and b [m] in float64."""
    A, count = torch.as_tensor(equation.A).detach().double().cpu(), sum(map(len, found))
    A = A.unsqueeze(0) if A.dim() == 1 else A
    if A.dim() != 2 or A.shape[1] != count:
        sizes = " + ".join(f"{len(f)} of {_called(w)}" for w, f in zip(equation.weights, found, strict=True))
        raise ShapeError(f"linear: expected A [m, n] with n = {count} ({sizes}), got {list(A.shape)}.")
    b = torch.as_tensor(equation.b).detach().double().cpu()
    if b.dim() > 1 or (b.dim() == 1 and len(b) != len(A)):
        raise ShapeError(f"linear: expected b [m] = [{len(A)}], or one number, got {list(b.shape)}.")
    if not (A.isfinite().all() and b.isfinite().all()):
        raise ArgumentError("linear: expected finite numbers in A and b.")
    return A, b.expand(len(A))


def _called(entries: Entries) -> str:
    return entries if isinstance(entries, str) else f"{entries[0]}[{entries[1]}]"


def _bind(numbers: _Numbers, first: Tensor, solved: Solved) -> Constrained:
    """Put what is computed in the place of the weights."""
    before = numbers.values()
    after = _nearest(before[first], first, solved)
    ends = [*numbers.starts[1:], numbers.count]
    _write(numbers, after, ends)
    owner = torch.bucketize(torch.arange(numbers.count), torch.tensor(ends), right=True)
    counts = {}
    bound = []
    for which in torch.unique(owner[solved.dependent]).tolist():
        mine = owner[solved.dependent] == which
        row_of = torch.cumsum(mine, 0) - 1
        entries = mine[solved.rows]
        rows, free, factors = row_of[solved.rows[entries]], solved.free[entries], solved.factors[entries]
        terms = []
        for source in torch.unique(owner[free]).tolist():
            here = owner[free] == source
            terms.append((numbers.places[source], rows[here], free[here] - numbers.starts[source], factors[here]))
        bound.append((which, solved.dependent[mine] - numbers.starts[which], solved.constant[mine], terms))
        counts[numbers.name_of(which)] = int(mine.sum())
    for which, *what in bound:
        for place in numbers.same(which):
            replace_entries(place, *what)
    for module, name in numbers.places:
        mark(module, name)
    numbers.model.register_load_state_dict_post_hook(check_loaded)
    return Constrained(counts, (after - before).abs().max().item())


def _write(numbers: _Numbers, values: Tensor, ends: list[int]) -> None:
    with torch.no_grad():
        for place, start, end in zip(numbers.places, numbers.starts, ends, strict=True):
            weight = stored(place)
            weight.copy_(values[start:end].reshape(weight.shape))


def _nearest(w: Tensor, first: Tensor, solved: Solved) -> Tensor:
    """The point nearest to w where the equations hold; w itself, to rounding, if they hold there.

    With K z = c, K = [1, -M] over w[p] and w[f], that is z = w - D Kᵀ (K D Kᵀ)⁻¹ (K w - c); D is one over the number
    of entries that are equal to each.
    """
    ruled = first[solved.dependent] == solved.dependent  # equal entries follow the first of them
    p = solved.dependent[ruled]
    if not len(p):
        return w
    entries = ruled[solved.rows]
    f, column = torch.unique(solved.free[entries], return_inverse=True)
    M = torch.zeros(len(p), len(f), dtype=torch.float64)
    M[(torch.cumsum(ruled, 0) - 1)[solved.rows[entries]], column] = solved.factors[entries]
    w, c = w.clone(), solved.constant[ruled]
    off = w[p] - c - M @ w[f]
    if len(f) and off.abs().max() > 1e-5 * max(1.0, w.abs().max().item()):
        D = 1 / torch.bincount(first, minlength=len(first)).double()
        step = torch.linalg.solve(torch.diag(D[p]) + (M * D[f]) @ M.t(), off)
        w[f] += D[f] * (M.t() @ step)
    w[p] = c + M @ w[f]
    return w[first]
