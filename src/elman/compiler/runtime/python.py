"""Graphs and loops as Python functions over torch: the reference that says what a program means.

The text is short enough to read: `layer.plan(x).python` is what runs.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, pad

from elman.compiler.graph import Graph, Node
from elman.compiler.unfold import Loop, Stages

from .torch_ops import TORCH

Tensors = dict[str, Tensor]


def render(name: str, graph: Graph, free: bool = True) -> str:
    """A graph as the text of a Python function: inputs by position, outputs as a tuple.

    Args:
        name: of the function.
        graph: what it computes.
        free: give back the memory of each result after its last use.
    """
    variables: dict[Node, str] = {node: f"i{number}" for number, node in enumerate(graph.inputs)}
    lines = [f"def {name}(T, B, device{''.join(f', {v}' for v in variables.values())}):"]
    lines += [f"    # {variables[node]} = {node.value}" for node in graph.inputs]
    nodes, last = graph.nodes, _last_use(graph)
    for place, node in enumerate(nodes):
        if node.op == "const":
            variables[node] = repr(node.value) if node.value == node.value and abs(node.value) != _INF else f"float('{node.value}')"
            variables[node] = f"({variables[node]})" if variables[node].startswith("-") else variables[node]
        elif node not in variables:
            variables[node] = f"v{place}"
            lines.append(f"    v{place} = {TORCH[node.op](node, [variables[i] for i in node.inputs])}")
            gone = [variables[n] for n in last.get(node, ()) if variables[n][0] in "iv"] if free else []
            lines += [f"    del {', '.join(gone)}"] if gone else []
    results = [_tensor(node, variables[node]) for node in graph.outputs.values()]
    return "\n".join([*lines, f"    return ({''.join(f'{result}, ' for result in results)})"])


_INF = float("inf")


def _tensor(node: Node, variable: str) -> str:
    """A result that is a number as a tensor."""
    return variable if node.op != "const" else f"torch.tensor({variable}, dtype=torch.{node.dtype}, device=device)"


def _last_use(graph: Graph) -> dict[Node, list[Node]]:
    """For each node, what is needed by no later one and is no result."""
    last: dict[Node, Node] = {}
    for node in graph.nodes:
        for source in node.inputs:
            last[source] = node
    gone: dict[Node, list[Node]] = {}
    for source, user in last.items():
        if source not in graph.outputs.values() and source.op not in ("const", "input"):
            gone.setdefault(user, []).append(source)
    return gone


def rows(x: Tensor) -> Tensor:
    """x [..., H] as [rows, H]."""
    return x.reshape(-1, x.size(-1))


def build(name: str, text: str) -> Callable[..., tuple[Tensor, ...]]:
    """The function that a text defines."""
    space: dict[str, Any] = {"torch": torch, "linear": linear, "pad": pad, "rows": rows}
    exec(compile(text, f"<elman {name}>", "exec"), space)
    return space[name]  # type: ignore[no-any-return]


class Program:
    """A hoisted loop that runs on torch.

    Args:
        stages: what to run.
    """

    def __init__(self, stages: Stages) -> None:
        self.stages = stages
        self.text = {"before": render("before", stages.before), "after": render("after", stages.after)}
        if stages.inside is not None:
            self.text["inside"] = render("inside", _as_graph(stages.inside), free=False)
        self._run = {name: build(name, text) for name, text in self.text.items()}

    def __call__(self, given: Tensors, states: tuple[Tensor, ...], steps: int, batch: int, device: Any) -> Any:
        """Run all steps.

        Args:
            given: sequences [T, ...] and invariants by name.
            states: what enters the first step, one per carry of the loop.
            steps: T.
            batch: B.
            device: where new tensors are made.

        Returns:
            The results by name, and what leaves the last step.
        """
        size = (steps, batch, device)
        values = dict(given)
        before, after = self.stages.before, self.stages.after
        made = self._run["before"](*size, *(values[str(i.value)] for i in before.inputs))
        values.update(zip(before.outputs, made, strict=True))
        if self.stages.inside is not None:
            states = self._loop(self.stages.inside, values, states, size)
        results = self._run["after"](*size, *(values[str(i.value)] for i in after.inputs))
        return dict(zip(after.outputs, results, strict=True)), states

    def _loop(
        self, loop: Loop, values: Tensors, states: tuple[Tensor, ...], size: tuple[int, int, Any]
    ) -> tuple[Tensor, ...]:
        """The steps one after the other; what is wanted of each is put into `values`."""
        body, carried = self._run["inside"], len(loop.carries)
        same = [values[str(i.value)] for i in loop.invariants]
        sequences = [values[str(s.value)].unbind(0) for s in loop.sequences]
        order = range(size[0] - 1, -1, -1) if loop.reverse else range(size[0])
        entering: list[tuple[Tensor, ...]] = []
        kept: list[tuple[Tensor, ...]] = []
        for t in order:
            entering.append(states)
            results = body(*size, *(s[t] for s in sequences), *states, *same)
            states = results[:carried]
            kept.append(results[carried:])
        entering.append(states)
        if loop.reverse:
            kept.reverse()
        self._stack(loop, entering, kept, values)
        return states

    def _stack(
        self, loop: Loop, entering: list[tuple[Tensor, ...]], kept: list[tuple[Tensor, ...]], values: Tensors
    ) -> None:
        """What is wanted of each step, as [T, ...]; a state and the state before it share one block of memory."""
        blocks: dict[int, Tensor] = {}
        for place, (name, node) in enumerate(loop.each.items()):
            number = _number_of(loop, node)
            if number is None or loop.reverse:
                values[name] = torch.stack([results[place] for results in kept])
                continue
            if number not in blocks:
                blocks[number] = torch.stack([states[number] for states in entering])
            values[name] = blocks[number][:-1] if node is loop.carries[number].entering else blocks[number][1:]


def _as_graph(loop: Loop) -> Graph:
    """The body of a loop as a graph: what leaves the step first, then what is wanted of it."""
    inputs = (*loop.sequences, *(c.entering for c in loop.carries), *loop.invariants)
    leaving = {f"{c.entering.value} leaving": c.leaving for c in loop.carries}
    return Graph(inputs, {**leaving, **loop.each})


def _number_of(loop: Loop, node: Node) -> int | None:
    """Which carry a node enters or leaves, if any."""
    for number, carry in enumerate(loop.carries):
        if node is carry.entering or node is carry.leaving:
            return number
    return None


