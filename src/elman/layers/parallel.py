"""All steps at once: the loop solved as one system of equations, in O(log T) depth."""

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from elman.around.lend import check_plain
from elman.cells import Cell
from elman.compiler import fill_ended, one_step, scan, where_rows
from elman.errors import ArgumentError

from .layer import Layer, Marks
from .recurrent import Recurrent

States = tuple[Tensor, ...]


class ConvergenceWarning(UserWarning):
    """Newton's method did not reach the states of the loop: they were computed one after the other."""


class Parallel(Layer):
    """A cell, unfolded through time by Newton's method, all steps at once.

        s(t) = f(s(t-1), x(t))   for all t     is solved for all s by iterating
        s(t) = f(z(t-1), x(t)) + J(t) (s(t-1) - z(t-1)),   J(t) = ∂f/∂s at z(t-1),  z the s of the iteration before

    Each iteration is a linear recurrence, which a scan solves in O(log T) steps. A cell that is linear in its state is
    solved by the first. The gradient is one more scan, from the last step to the first. It takes T B S² numbers for a
    state of S numbers, and T B S³ operations an iteration: it pays where there are many processors and few states.

    Args:
        cell: the step; what it computes must be smooth in its states.
        tolerance: largest difference between s(t) and f(s(t-1), x(t)), relative to the largest state or 1.
        iterations: how many are tried.
        batch_first: sequences come and go as [B, T, ...].

    Where the iterations do not converge the layer says so (ConvergenceWarning) and runs the loop.

    Source: Y. H. Lim et al., Parallelizing Non-Linear Sequential Models over the Sequence Length, ICLR 2024.
    """

    def __init__(
        self, cell: Cell, *, tolerance: float | None = None, iterations: int = 50, batch_first: bool = False
    ) -> None:
        super().__init__(batch_first)
        check_plain(cell, "all steps are solved at once")
        if iterations < 1 or (tolerance is not None and tolerance <= 0):
            raise ArgumentError(f"expected iterations >= 1 and tolerance > 0, got {iterations} and {tolerance}.")
        self.loop = Recurrent(cell)
        self.tolerance, self.iterations = tolerance, iterations
        self.used = 0
        """Iterations of the last call; 0 before the first, and where the loop ran instead."""

    @property
    def cell(self) -> Cell:
        """The step."""
        return self.loop.cell

    def run(self, x: Tensor | None, state: Any, marks: Marks, steps: int, batch: int) -> tuple[Tensor, Any]:
        """Run over [T, B, I]; see `Layer.forward`."""
        for name in ("reset", "targets", "emit", "generator"):
            if getattr(marks, name) is not None:
                raise ArgumentError(f"all steps are solved at once without `{name}`: use Recurrent, or drop it.")
        if steps == 0:
            raise ArgumentError("expected at least one step, got T = 0.")
        first = self.loop._states(state, batch, x)
        if not first or not all(s.is_floating_point() for s in first):
            raise ArgumentError(f"{type(self.cell).__name__} carries no real numbers from step to step: use Recurrent.")
        start = torch.cat([s.flatten(1) for s in first], 1)
        live = marks.live
        problem = _Problem(self.cell, first, x if x is None or live is None else fill_ended(x, live), live, steps)
        found = self._solved(problem, start)
        if found is None:
            self.used = 0
            warnings.warn(
                f"{type(self.cell).__name__}: Newton's method did not converge in {self.iterations} iterations; "
                "the steps ran one after the other",
                ConvergenceWarning,
                stacklevel=4,
            )
            return self.loop.run(x, state, marks, steps, batch)
        before = torch.cat([start.unsqueeze(0), found[:-1]])
        states = _SentBack.apply(problem.step(before), problem.slopes(before))
        y = problem.output(states)
        ends = problem.split(states[-1])
        return y, ends[0] if len(ends) == 1 else ends

    @torch.no_grad()
    def _solved(self, problem: "_Problem", start: Tensor) -> Tensor | None:
        """The states after each step [T, B, S]; None where the iterations do not converge."""
        tolerance = self.tolerance or 100 * torch.finfo(start.dtype).eps
        before = start.expand(problem.steps, *start.shape)
        after = problem.step(before)
        for number in range(1, self.iterations + 1):
            slopes = problem.slopes(before)
            rest = after - (slopes @ before.unsqueeze(-1)).squeeze(-1)
            rest[0] = after[0]  # what enters the first step is known
            found = _solved_at_once(slopes, rest)
            before = torch.cat([start.unsqueeze(0), found[:-1]])
            after = problem.step(before)
            error = (after - found).abs().max()
            if not torch.isfinite(error):
                return None
            if error <= tolerance * max(1.0, float(found.abs().max())):
                self.used = number
                return after
        return None


class _Problem:
    """One step of all rows at all steps, on states as one vector."""

    def __init__(self, cell: Cell, first: States, x: Tensor | None, live: Tensor | None, steps: int) -> None:
        self.cell, self.steps, self.live = cell, steps, live
        self.shapes = [s.shape[1:] for s in first]
        self.x = x

    def split(self, states: Tensor) -> States:
        """[..., S] as the states of the cell."""
        sizes = [shape.numel() for shape in self.shapes]
        parts = states.split(sizes, -1)
        return tuple(part.reshape(*states.shape[:-1], *shape) for part, shape in zip(parts, self.shapes, strict=True))

    def step(self, before: Tensor) -> Tensor:
        """From the states before each step [T, B, S] to those after it."""
        x = None if self.x is None else self.x.flatten(0, 1)
        after = self._rows(before.flatten(0, 1), x).view(before.shape)
        return after if self.live is None else where_rows(self.live, after, before)

    def output(self, after: Tensor) -> Tensor:
        """What is given out after each step, zero where a row has ended."""
        states = self.split(after.flatten(0, 1))
        fed = self.cell.feedback_size is not None
        y = states[-1] if fed else self.cell.output(*states)
        y = y.view(*after.shape[:2], *y.shape[1:])
        return y if self.live is None else where_rows(self.live, y, torch.zeros_like(y))

    @torch.no_grad()
    def slopes(self, before: Tensor) -> Tensor:
        """∂s(t)/∂s(t-1) [T, B, S, S]."""
        x = None if self.x is None else self.x.flatten(0, 1)

        def alone(state: Tensor, x: Tensor | None) -> Tensor:
            return self._rows(state.unsqueeze(0), None if x is None else x.unsqueeze(0)).squeeze(0)

        found = vmap(jacrev(alone), in_dims=(0, None if x is None else 0))(before.flatten(0, 1), x)
        found = found.view(*before.shape, before.shape[-1])
        if self.live is None:
            return found
        return where_rows(self.live, found, torch.eye(found.shape[-1]).to(found))

    def _rows(self, states: Tensor, x: Tensor | None) -> Tensor:
        """One step of some rows [N, S]."""
        leaving, _, _ = one_step(self.cell, x, None, self.split(states))
        return torch.cat([s.flatten(1) for s in leaving], 1)


class _SentBack(torch.autograd.Function):
    """The identity on all states; the way back sends each step's cotangent through all steps before it."""

    @staticmethod
    def forward(ctx: Any, after: Tensor, slopes: Tensor) -> Tensor:
        ctx.save_for_backward(slopes)
        return after.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        (slopes,) = ctx.saved_tensors
        turned = slopes.transpose(-1, -2)
        later = torch.cat([turned[1:], torch.zeros_like(turned[:1])])
        return _solved_at_once(later.flip(0), g.flip(0)).flip(0), None


def _solved_at_once(slopes: Tensor, rest: Tensor) -> Tensor:
    """s(t) = A(t) s(t-1) + b(t) for A [T, B, S, S] and b [T, B, S]; A(1) is not used."""
    (found,) = scan(
        (slopes,),
        (rest,),
        times=lambda a, s: ((a[0] @ s[0].unsqueeze(-1)).squeeze(-1),),
        join=lambda later, sooner: (later[0] @ sooner[0],),
    )
    return found
