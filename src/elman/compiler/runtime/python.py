"""Graphs and loops as Python functions over torch: the reference that says what a program means.

The text is short enough to read: `layer.plan(x).python` is what runs.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, pad

from elman.compiler.graph import Graph, Node
from elman.compiler.unfold import Loop, Stages

from .torch_ops import TORCH

Tensors = dict[str, Tensor]
Result = tuple[Tensors, tuple[Tensor, ...]]


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
    nodes = graph.nodes
    fused = fused_products(nodes, graph.outputs.values())
    last = _last_use(nodes, fused, graph.outputs.values()) if free else {}
    for place, node in enumerate(nodes):
        if node.op == "const":
            variables[node] = _literal(node.value)
        elif node not in variables and node not in fused.values():
            variables[node] = f"v{place}"
            lines.append(f"    v{place} = {expression(node, fused.get(node), variables)}")
            gone = [variables[n] for n in last.get(node, ())]
            lines += [f"    del {', '.join(gone)}"] if gone else []
    results = [_tensor(node, variables[node]) for node in graph.outputs.values()]
    return "\n".join([*lines, f"    return ({''.join(f'{result}, ' for result in results)})"])


def expression(node: Node, product: Node | None, variables: Mapping[Node, str]) -> str:
    """The right side of a node's line; a product that only this addition reads is part of it."""
    if product is None:
        return TORCH[node.op](node, [variables[i] for i in node.inputs])
    added = variables[next(i for i in node.inputs if i is not product)]
    x, w = (variables[i] for i in product.inputs)
    return f"linear({x}, {w}, {added})" if len(product.shape) > 2 else f"torch.addmm({added}, {x}, {w}.t())"


def fused_products(nodes: Sequence[Node], results: Collection[Node]) -> dict[Node, Node]:
    """Additions, each with the product that torch computes in the same call."""
    uses = Counter([*results, *(source for node in nodes for source in node.inputs)])
    fused: dict[Node, Node] = {}
    for node in nodes:
        if node.op == "add" and node.dtype == node.inputs[0].dtype == node.inputs[1].dtype:
            for product, added in (node.inputs, node.inputs[::-1]):
                if node not in fused and uses[product] == 1 and _fits(product, added):
                    fused[node] = product
    return fused


def _fits(product: Node, added: Node) -> bool:
    """Whether `added` can go into the call that computes `x Wᵀ`: a bias, or on [B, H] anything of the same shape."""
    if product.op != "einsum" or added.op == "const":
        return False
    (a, b), result = product.value.split("->")[0].split(","), product.value.split("->")[1]
    linear = len(a) > 1 and len(b) == 2 and result[:-1] == a[:-1] and b == result[-1] + a[-1]
    return linear and (added.shape == product.shape[-1:] or (len(a) == 2 and added.shape == product.shape))


def _literal(value: float | int | bool) -> str:
    """A number as Python writes it, in brackets if it has a sign."""
    text = repr(value) if isinstance(value, bool | int) or math.isfinite(value) else f"float('{value}')"
    return f"({text})" if text.startswith("-") else text


def _tensor(node: Node, variable: str) -> str:
    """A result that is a number as a tensor."""
    return variable if node.op != "const" else f"torch.tensor({variable}, dtype=torch.{node.dtype}, device=device)"


def _last_use(nodes: Sequence[Node], fused: Mapping[Node, Node], results: Collection[Node]) -> dict[Node, list[Node]]:
    """For each node, what no later one needs and is no result."""
    last: dict[Node, Node] = {}
    for node in nodes:
        for source in node.inputs:
            if source in fused.values():
                continue
            last[source] = node
        for source in fused[node].inputs if node in fused else ():
            last[source] = node
    gone: dict[Node, list[Node]] = {}
    for source, user in last.items():
        if source not in results and source.op not in ("const", "input") and user not in fused.values():
            gone.setdefault(user, []).append(source)
    return gone


def rows(x: Tensor) -> Tensor:
    """x [..., H] as [rows, H]."""
    return x.reshape(-1, x.size(-1))


def build(name: str, text: str) -> Callable[..., tuple[Tensor, ...]]:
    """The function that a text defines."""
    space: dict[str, Any] = {"torch": torch, "linear": linear, "pad": pad, "rows": rows, "aten": torch.ops.aten}
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

    def __call__(self, given: Tensors, states: tuple[Tensor, ...], steps: int, batch: int, device: Any) -> Result:
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
