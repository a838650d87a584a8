"""A step bound to a call: the loop, its gradient, and what is hoisted out of both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from elman.axes import numbers
from elman.compiler.codegen import Schedule
from elman.compiler.graph import Builder, Node, topological
from elman.compiler.sequences import Sequences
from elman.compiler.trace import Traced
from elman.compiler.unfold import Backward, Binding, Loop, Stages, Step, as_scan, bptt, hoist, substitute, unfold

from .program import Program, Tensors

Light = Callable[[Node], bool] | None


def _hoisted(
    loop: Loop,
    keep: Mapping[str, Node] | None = None,
    finish: Mapping[str, Node] | None = None,
    light: Light = None,
) -> Stages:
    """A loop, hoisted; kernels, for which operations may be light, run a scan step by step: see docs/decisions.md."""
    if light is None:
        loop, keep = as_scan(loop, keep)
    return hoist(loop, keep, finish, light)


@dataclass(frozen=True, eq=False)
class Compiled:
    """All stages of a traced step under a binding; each is made when it is first wanted.

    Attributes:
        traced: the step as a graph.
        binding: what the call binds.
        recompute: whether the gradient makes again what takes one operation of what is kept anyway.
    """

    traced: Traced
    binding: Binding
    recompute: bool = True

    @cached_property
    def step(self) -> Step:
        """The nodes of the step by their part in the loop."""
        t, own = self.traced, self.binding.own_feedback
        fed = () if t.fed is None else (t.fed,)
        given = () if own else fed
        sequences = (*(() if t.x is None else (t.x,)), *given, *t.draws)
        return Step(sequences, t.states, t.leaving, (*t.parameters.values(), *t.captured), t.y)

    @cached_property
    def loop(self) -> Loop:
        """The step, unfolded."""
        return unfold(self.step, self.binding)

    @cached_property
    def gradient(self) -> Backward:
        """The loop of the gradient."""
        return bptt(self.loop, self.recompute)

    @cached_property
    def stages(self) -> Stages:
        """The loop, hoisted; nothing is kept for a gradient."""
        return self.hoisted()

    @cached_property
    def training_stages(self) -> Stages:
        """The loop, hoisted; what the gradient needs is kept."""
        return self.hoisted_kept()

    @cached_property
    def gradient_stages(self) -> Stages:
        """The loop of the gradient, hoisted."""
        return self.gradient_hoisted(frozenset(self.inputs))

    def hoisted(self, light: Light = None) -> Stages:
        """The loop, hoisted as far as it pays: operations that are `light` inside may stay there.

        Where none may, a loop that is linear in what it carries is written as a scan; so are the next three.
        """
        return _hoisted(self.loop, light=light)

    def hoisted_kept(self, light: Light = None) -> Stages:
        """The loop, hoisted; what the gradient needs is kept."""
        keep = {name: node for name, node in self.gradient.kept.items() if not self._is_input(node)}
        return _hoisted(self.loop, keep, light=light)

    def gradient_hoisted(self, wanted: frozenset[str], light: Light = None) -> Stages:
        """The loop of the gradient, as far as the cotangents of the named inputs need it, hoisted."""
        finish = {name: node for name, node in self.gradient.finish.items() if name in wanted}
        read = {str(node.value) for node in topological(finish.values()) if node.op == "input"}
        loop = replace(
            self.gradient.loop,
            each={name: node for name, node in self.gradient.loop.each.items() if name.removeprefix("d ") in wanted},
            total={name: node for name, node in self.gradient.loop.total.items() if name in read},
        )
        return _hoisted(loop, finish=finish, light=light)

    def gradient_by_step(self, wanted: frozenset[str], light: Light = None) -> Stages:
        """The loop of the gradient, hoisted; what would be summed over the steps is a result of each."""
        loop, build = self.gradient.loop, Builder()
        each = {name: node for name, node in loop.each.items() if name.removeprefix("d ") in wanted}
        for name, node in self.gradient.finish.items():
            if name in wanted:
                read = {n: loop.total[str(n.value)] for n in topological([node]) if str(n.value) in loop.total}
                each[f"d {name}"] = substitute(build, node, read)
        return _hoisted(replace(loop, each=each, total={}), light=light)

    @cached_property
    def with_live(self) -> "Compiled":
        """The same step where rows may end before T."""
        return replace(self, binding=replace(self.binding, live=True))

    @cached_property
    def without_live(self) -> "Compiled":
        """The same step where all rows have T steps."""
        return replace(self, binding=replace(self.binding, live=False))

    def under(self, schedule: Schedule | None) -> "Compiled":
        """The same step as a schedule wants it."""
        return self if schedule is None or schedule.recompute == self.recompute else self._other

    @cached_property
    def _other(self) -> "Compiled":
        return replace(self, recompute=not self.recompute)

    @cached_property
    def differentiable(self) -> Program:
        """Runs the loop so that autograd can follow, for the gradient of the gradient."""
        return Program(self.stages, write=False)

    @cached_property
    def inputs(self) -> frozenset[str]:
        """The names of all inputs of the loop."""
        return frozenset(str(node.value) for node in (*self.loop.sequences, *self.loop.invariants))

    @cached_property
    def counts(self) -> bool:
        """Whether whole numbers are given."""
        given = (*self.loop.sequences, *self.loop.invariants, *self.step.states)
        return any("int" in node.dtype for node in given)

    @cached_property
    def programs(self) -> dict[Any, Any]:
        """What runs, by backend; kept for whoever runs it."""
        return {}

    @cached_property
    def kept_names(self) -> tuple[str, ...]:
        """What the forward loop hands to the gradient, beside its own inputs."""
        return tuple(name for name, node in self.gradient.kept.items() if not self._is_input(node))

    def _is_input(self, node: Node) -> bool:
        return node in self.loop.sequences or node in self.loop.invariants

    @cached_property
    def carried(self) -> tuple[int, ...]:
        """Which states are carried; the others are looked up at the end."""
        entering = [carry.entering for carry in self.loop.carries]
        return tuple(number for number, state in enumerate(self.step.states) if state in entering)

    def named(
        self,
        given: Sequences,
        parameters: Mapping[str, Tensor],
        states: Sequence[Tensor],
        generator: torch.Generator | None,
    ) -> Tensors:
        """Sequences and invariants by the names of the graph."""
        marks = {"x": given.x, "fed": given.fed, "live": given.live, "reset": given.reset}
        tensors = {name: tensor for name, tensor in marks.items() if tensor is not None}
        traced = self.traced
        if traced.draws or traced.captured:
            some = next(iter((*states, *tensors.values(), *parameters.values())), None)
            device = torch.device("cpu") if some is None else some.device
            tensors |= self.drawn(given.steps, given.batch, device, generator)
            tensors |= {str(node.value): tensor.to(device) for node, tensor in traced.captured.items()}
        for name, node in traced.parameters.items():
            tensors[str(node.value)] = parameters[name]
        return tensors

    def drawn(self, steps: int, batch: int, device: Any, generator: torch.Generator | None) -> Tensors:
        """The random inputs of all steps."""
        found: Tensors = {}
        for node, draw in self.traced.draws.items():
            size = (steps, *numbers(draw.shape, steps, batch))
            make = torch.rand if draw.kind == "uniform" else torch.randn
            options: Mapping[str, Any] = {"dtype": getattr(torch, draw.dtype), "device": device, "generator": generator}
            found[str(node.value)] = make(size, **options)
        return found
