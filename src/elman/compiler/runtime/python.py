"""Graphs and loops as Python functions over torch: the reference that says what a program means.

The text is short enough to read: `layer.plan(x).python` is what runs.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import pad

from elman.axes import TIME
from elman.compiler.graph import Graph, Node

from .products import BY_TORCH, Products
from .torch_ops import TORCH, VIEWS, is_linear, is_straight, linear, writing

_CACHE = 2**19  # bytes


def render(
    name: str,
    graph: Graph,
    places: Sequence[Node] = (),
    weights: Collection[Node] = (),
    sliced: Mapping[Node, Sequence[Node]] | None = None,
    returned: int | None = None,
    free: bool = True,
) -> str:
    """A graph as the text of a Python function: inputs by position, outputs as a tuple.

    Args:
        name: of the function.
        graph: what it computes.
        places: nodes whose results go into memory that is there already, given after the inputs.
        weights: those that are given as `mm` and `addmm` read them, see `step_weights`.
        sliced: nodes and their slices; the memory of each and of its slices is given after the places.
        returned: how many of the outputs are returned; the others are in their places.
        free: give back the memory of each result after its last use.
    """
    variables: dict[Node, str] = {node: f"i{number}" for number, node in enumerate(graph.inputs)}
    place_of = {node: f"o{number}" for number, node in enumerate(places)}
    rooms = {n: f"s{number}" for number, n in enumerate(n for w, parts in (sliced or {}).items() for n in (w, *parts))}
    given = [*variables.values(), *place_of.values(), *rooms.values()]
    lines = [f"def {name}({', '.join(['T', 'B', 'device', *given])}):"]
    lines += [f"    # {variables[node]} = {node.value}" for node in graph.inputs]
    for whole, parts in (sliced or {}).items():
        place_of[whole] = rooms[whole]
        variables |= {part: rooms[part] for part in parts}
        lines += [f"    # {rooms[part]} = {TORCH['slice'](part, [rooms[whole]])}" for part in parts]
    lines += [f"    {place_of[node]}.copy_({variables[node]})" for node in graph.inputs if node in place_of]
    nodes = graph.nodes
    fused = fused_products(nodes, graph.outputs.values())
    last = _last_use(nodes, fused, graph.outputs.values()) if free else {}
    for place, node in enumerate(nodes):
        if node.op == "const":
            variables[node] = _literal(node.value)
        elif node not in variables and node not in fused.values():
            variables[node] = f"v{place}"
            lines.append(f"    v{place} = {expression(node, fused.get(node), variables, place_of.get(node), weights)}")
            gone = [variables[n] for n in last.get(node, ())]
            lines += [f"    del {', '.join(gone)}"] if gone else []
    results = [_tensor(node, variables[node]) for node in list(graph.outputs.values())[:returned]]
    return "\n".join([*lines, f"    return ({''.join(f'{result}, ' for result in results)})"])


def expression(
    node: Node, product: Node | None, variables: Mapping[Node, str], place: str | None, weights: Collection[Node]
) -> str:
    """The right side of a node's line; a product that only this addition reads is part of it."""
    out = "" if place is None else f", out={place}"
    if product is None:
        args = [variables[i] for i in node.inputs]
        if len(args) == 2 and node.inputs[1] in weights:
            return f"mm({args[0]}, {args[1]}{out})"
        return TORCH[node.op](node, args) if place is None else writing(node, args, place)
    if node.op == "sum" or (len(product.shape) != 2 and product.op == "einsum"):
        text = _call(node, product, variables)
        return text if place is None else f"{place}.copy_({text})"
    added = variables[next(i for i in node.inputs if i is not product)]
    x, w = (variables[i] for i in product.inputs)
    if product.op == "mul":
        return f"torch.addcmul({added}, {x}, {w}{out})"
    return f"addmm({added}, {x}, {w if product.inputs[1] in weights else f'{w}.t()'}{out})"


def _call(node: Node, product: Node, variables: Mapping[Node, str]) -> str:
    """A sum of products over all steps, or x Wᵀ + b on more than two axes: torch has no call that writes these."""
    a, b = (variables[i] for i in product.inputs)
    if node.op == "sum":
        return f"sum_of_products({a}, {b}, {node.value})"
    return f"{linear(product)}({a}, {b}, {variables[next(i for i in node.inputs if i is not product)]})"


def step_weights(graph: Graph, invariants: Sequence[Node]) -> dict[Node, bool]:
    """Weights that only enter products x W or only products x Wᵀ with x [B, K], and whether the latter.

    They are laid out once before the loop, W [K, N], as they are read fastest at every step.
    """
    uses: dict[Node, set[bool | None]] = {}
    for node in graph.nodes:
        for place, source in enumerate(node.inputs):
            product = place == 1 and len(node.shape) == 2 and (is_linear(node) or is_straight(node))
            uses.setdefault(source, set()).add(is_linear(node) if product else None)
    read = {node: uses.get(node, set()) for node in invariants if node not in graph.outputs.values()}
    return {node: True in how for node, how in read.items() if how in ({True}, {False})}


def sliced_nodes(graph: Graph, places: Collection[Node]) -> dict[Node, tuple[Node, ...]]:
    """Nodes of which only slices are read, and these: one memory serves all steps, so its slices are made once.

    It is written anew at each step, so that nothing that outlives a step may be a view of it.
    """
    users: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        for source in dict.fromkeys(node.inputs):
            users.setdefault(source, []).append(node)
    lasting = {*graph.outputs.values(), *places}
    inner = {part for part in users if part.op == "slice" and part not in lasting}
    inner -= {source for node in graph.nodes if node.op in VIEWS for source in node.inputs}
    made = [node for node in users if node.op not in VIEWS | {"input", "const"} and node not in lasting]
    return {node: tuple(users[node]) for node in made if inner.issuperset(users[node])}


def fused_products(nodes: Sequence[Node], results: Collection[Node]) -> dict[Node, Node]:
    """Additions and sums, each with the product that is computed in the same call."""
    uses = Counter([*results, *(source for node in nodes for source in node.inputs)])
    fused: dict[Node, Node] = {}
    for node in nodes:
        if node.op == "sum" and uses[node.inputs[0]] == 1 and _all_steps_summed(node):
            fused[node] = node.inputs[0]
        if node.op == "add" and node.dtype == node.inputs[0].dtype == node.inputs[1].dtype:
            for product, added in (node.inputs, node.inputs[::-1]):
                if node not in fused and uses[product] == 1 and _fits(product, added):
                    fused[node] = product
    return fused


def _all_steps_summed(node: Node) -> bool:
    """Whether a sum goes over the steps of an entry-by-entry product, which then need not be kept for all steps."""
    product = node.inputs[0]
    same = [i.shape == product.shape and i.dtype == product.dtype for i in product.inputs]
    return product.op == "mul" and all(same) and product.shape[0] == TIME and 0 in node.value


def _fits(product: Node, added: Node) -> bool:
    """Whether one call computes a product and the sum with `added`.

    a b + c entry by entry, or x Wᵀ with a bias, or on [B, H] with anything of the same shape.
    """
    if added.op == "const" or product is added:
        return False
    if product.op == "mul":
        return all(i.op != "const" and i.dtype == added.dtype for i in product.inputs)
    rows = len(product.shape) == 2 and added.shape == product.shape
    return is_linear(product) and (rows or added.shape == product.shape[-1:])


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


def sum_of_products(a: Tensor, b: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The sum of a b over axes, the first among them, some steps at a time."""
    at_once = max(1, _CACHE * a.size(0) // max(1, a.numel() * a.element_size()))
    parts = zip(torch.split(a, at_once), torch.split(b, at_once), strict=True)
    return torch.stack([(x * y).sum(axes) for x, y in parts]).sum(0)


def build(
    name: str, text: str, products: Products = BY_TORCH, mm: Any = torch.mm, addmm: Any = torch.addmm
) -> Callable[..., tuple[Tensor, ...]]:
    """The function that a text defines."""
    space: dict[str, Any] = {"torch": torch, "F": functional, "pad": pad, "aten": torch.ops.aten}
    space |= {"sum_of_products": sum_of_products, "mm": mm, "addmm": addmm}
    space |= {field.name: getattr(products, field.name) for field in fields(products)}
    exec(compile(text, f"<elman {name}>", "exec"), space)
    return space[name]  # type: ignore[no-any-return]
