"""A layered drawing of any graph of operations: depth runs down, each group has a frame of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .structure import Edge
from .svg import Point, bent, box, curve, document, write

ROW, HEIGHT, GAP, MARGIN, FRAME = 62.0, 30.0, 22.0, 34.0, 26.0
SWEEPS = 12
VIA = 14.0  # the width that a line takes where it passes through a layer


@dataclass(frozen=True)
class GraphNode:
    """One box of a drawing.

    Attributes:
        id: names it in edges.
        label: what stands in the box.
        kind: its colour: input, weight, product, state, output, or anything else for a plain box.
        group: the frame that it stands in; "" for none.
    """

    id: str
    label: str
    kind: str = ""
    group: str = ""


@dataclass(frozen=True)
class _Layout:
    """Layers from top to bottom, each an ordered list of ids; where each stands; the route of each edge."""

    layers: list[list[str]]
    x: dict[str, float]
    y: list[float]
    routes: list[list[str]]


def draw_layers(nodes: Sequence[GraphNode], edges: Sequence[Edge], groups: Sequence[str], title: str) -> str:
    """The drawing as SVG; see `draw_graph`."""
    widths = {node.id: 7.4 * len(node.label) + 22 for node in nodes}
    layout = _lay_out(nodes, edges, groups, widths, top=44.0 if title else 12.0)
    left = min(layout.x[node.id] - widths[node.id] / 2 for node in nodes) - MARGIN - FRAME
    right = max(layout.x[node.id] + widths[node.id] / 2 for node in nodes) + MARGIN + FRAME
    depth = {name: number for number, layer in enumerate(layout.layers) for name in layer}
    at = {name: (layout.x[name] - left, layout.y[depth[name]]) for name in depth}
    backward = [edge for edge in edges if depth[edge[0]] >= depth[edge[1]]]
    backward.sort(key=lambda edge: depth[edge[0]] - depth[edge[1]])  # the shortest loop lies innermost
    lane = 7.4 * max((len(label) for _, _, label in backward), default=0) + 16  # so that no label lies on a line
    width = right - left + (lane * len(backward) + 10 if backward else 0)
    shapes = [write((20, 26), title, "ink", "start")] if title else []
    shapes += _frames(nodes, groups, at, right - left)
    for edge, route in zip(edges, layout.routes, strict=True):
        shapes += _line([at[name] for name in route], edge[2])
    for number, edge in enumerate(backward):
        shapes += _back(at, edge, number, right - left - MARGIN / 2 + lane * (number + 0.6))
    for node in nodes:
        kind = f"node {node.kind}".rstrip()
        shapes += [box(at[node.id], widths[node.id], HEIGHT, kind), write(at[node.id], node.label, "ink code")]
    return document(width, layout.y[-1] + HEIGHT / 2 + FRAME + 20, title or "graph", shapes)


def _lay_out(
    nodes: Sequence[GraphNode], edges: Sequence[Edge], groups: Sequence[str], widths: Mapping[str, float], top: float
) -> _Layout:
    depth, starts = _depths(nodes, edges, groups)
    layers: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for node in nodes:
        layers[depth[node.id]].append(node.id)
    routes: list[list[str]] = []
    links: list[tuple[str, str]] = []
    for number, (source, target, _) in enumerate(edges):
        route = [source]
        # A line over several layers keeps a place free for itself in each.
        for layer in range(depth[source] + 1, depth[target]):
            layers[layer].append(f"via {number} {layer}")
            route.append(layers[layer][-1])
        route.append(target)
        routes.append(route if depth[source] < depth[target] else [])
        links += pairwise(routes[-1])
    x = _positions(layers, links, widths)
    y, height = [], top
    for layer in range(len(layers)):
        height += FRAME + 24 if layer in starts else 0
        y.append(height + HEIGHT / 2)
        height += ROW
    return _Layout(layers, x, y, routes)


def _depths(
    nodes: Sequence[GraphNode], edges: Sequence[Edge], groups: Sequence[str]
) -> tuple[dict[str, int], set[int]]:
    """The layer of each node, and the layers at which a frame begins."""
    order = {node.id: number for number, node in enumerate(nodes)}
    group = {node.id: node.group for node in nodes}
    depth: dict[str, int] = {}
    starts, first = set(), 0
    for name in ["", *groups]:
        inside = [node.id for node in nodes if node.group == name]
        if not inside:
            continue
        local = [(s, t) for s, t, _ in edges if group[s] == group[t] == name and order[s] < order[t]]
        for node in inside:
            depth[node] = max((depth[s] + 1 for s, t in local if t == node), default=first)
        _sink(inside, local, depth)
        starts.update({first} if name else set())
        first = max(depth[node] for node in inside) + 1
    return depth, starts


def _sink(inside: Sequence[str], local: Sequence[tuple[str, str]], depth: dict[str, int]) -> None:
    """Move what has nothing above it in its frame down to just above its first reader."""
    for node in inside:
        readers = [depth[t] for s, t in local if s == node]
        if readers and all(t != node for _, t in local):
            depth[node] = min(readers) - 1


def _positions(
    layers: list[list[str]], links: Sequence[tuple[str, str]], widths: Mapping[str, float]
) -> dict[str, float]:
    """x of everything: sweeps down and up, each puts a layer near what it is linked to."""
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for source, target in links:
        above.setdefault(target, []).append(source)
        below.setdefault(source, []).append(target)
    x: dict[str, float] = {}
    for layer in layers:
        x.update(_spread(layer, {name: 100.0 * i for i, name in enumerate(layer)}, widths))
    for sweep in range(SWEEPS):
        near = above if sweep % 2 == 0 else below
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            wanted = {}
            for name in layer:
                linked = near.get(name) or [name]
                wanted[name] = sum(x[other] for other in linked) / len(linked)
            layer.sort(key=wanted.__getitem__)
            x.update(_spread(layer, wanted, widths))
    return x


def _spread(layer: Sequence[str], wanted: Mapping[str, float], widths: Mapping[str, float]) -> dict[str, float]:
    """Places near the wanted ones, in this order and without overlap: the nearest in the sense of least squares."""
    offset, offsets = 0.0, []
    for i, name in enumerate(layer):
        if i:
            offset += (widths.get(layer[i - 1], VIA) + widths.get(name, VIA)) / 2 + GAP
        offsets.append(offset)
    # Pool adjacent violators: blocks of neighbours that touch move as one.
    blocks: list[tuple[float, int]] = []
    for name, shift in zip(layer, offsets, strict=True):
        mean, count = wanted[name] - shift, 1
        while blocks and blocks[-1][0] > mean:
            other, many = blocks.pop()
            mean, count = (mean * count + other * many) / (count + many), count + many
        blocks.append((mean, count))
    means = [mean for mean, count in blocks for _ in range(count)]
    return {name: mean + shift for name, mean, shift in zip(layer, means, offsets, strict=True)}


def _frames(nodes: Sequence[GraphNode], groups: Sequence[str], at: Mapping[str, Point], width: float) -> list[str]:
    shapes = []
    for group in groups:
        rows = [at[node.id][1] for node in nodes if node.group == group]
        if rows:
            top, bottom = min(rows) - HEIGHT / 2 - FRAME, max(rows) + HEIGHT / 2 + FRAME / 2
            shapes.append(box((width / 2, (top + bottom) / 2), width - MARGIN, bottom - top, "frame"))
            shapes.append(write((MARGIN / 2 + 12, top + 14), group, "soft", "start"))
    return shapes


def _line(route: Sequence[Point], label: str) -> list[str]:
    """A smooth line from the lower edge of a box to the upper edge of another."""
    if not route:
        return []
    first, last = (route[0][0], route[0][1] + HEIGHT / 2), (route[-1][0], route[-1][1] - HEIGHT / 2 - 2)
    stops = [first, *route[1:-1], last]
    points = [stops[0]]
    for start, end in pairwise(stops):
        middle = (start[1] + end[1]) / 2
        points += [(start[0], middle), (end[0], middle), end]
    centre = ((stops[0][0] + stops[1][0]) / 2, (stops[0][1] + stops[1][1]) / 2)
    return [curve(points), *([write(centre, label, "soft halo code")] if label else [])]


def _back(at: Mapping[str, Point], edge: Edge, number: int, far: float) -> list[str]:
    """The way back of a loop: down, out to the right, up, and in from above; each loop on lines of its own."""
    source, target, label = at[edge[0]], at[edge[1]], edge[2]
    below = source[1] + HEIGHT / 2 + 8 + 3 * number
    above = target[1] - HEIGHT / 2 - 12 - 3 * number
    points = [
        (source[0] + 8, source[1] + HEIGHT / 2),
        (source[0] + 8, below),
        (far, below),
        (far, above),
        (target[0] + 8, above),
        (target[0] + 8, target[1] - HEIGHT / 2 - 2),
    ]
    middle = (far, (above + below) / 2)
    return [bent(points), *([write(middle, label, "soft halo code")] if label else [])]
