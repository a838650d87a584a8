"""The rolled graph of a cell as SVG: one step, and the loop with its delay."""

import math
from collections.abc import Sequence

from .structure import Edge, Structure, delayed, outputs, parameters, within
from .svg import Point, between, circle, colour_of, curve, delay, document, part, write

ROW = 125.0


def svg(structure: Structure) -> str:
    """The graph of one step; a square on an edge is a delay of one step."""
    radius = radius_for([*structure.inputs, *structure.states, *outputs(structure)])
    places, width, height = _places(structure, radius)
    labels = parameters(structure.edges)
    shapes = [write((20, 26), structure.name, "ink", "start")]
    for edge in within(structure):
        line = between(places[edge[0]], places[edge[1]], radius)
        colour = colour_of(edge[2], labels)
        shapes += [curve(line, colour), write(part(line[0], line[1], 0.45), edge[2], "halo", colour=colour)]
    for edge in delayed(structure):
        shapes += _way_back(structure, places, edge, radius, colour_of(edge[2], labels))
    for name, place in places.items():
        shapes += [circle(place, radius, kind_of(structure, name)), write(place, name)]
    if delayed(structure):
        shapes += [delay((26, height - 24), "#7d8590"), write((38, height - 24), "one step later", "soft", "start")]
    return document(width, height, f"{structure.name}, rolled", shapes)


def radius_for(names: Sequence[str]) -> float:
    """The radius of circles that hold the longest of some names."""
    return max(26.0, 3.8 * max(len(name) for name in names) + 5)


def kind_of(structure: Structure, name: str) -> str:
    """Input, state or output."""
    if name in structure.inputs:
        return "input"
    return "state" if name in structure.states else "output"


def _places(structure: Structure, radius: float) -> tuple[dict[str, Point], float, float]:
    """Where each node stands, and the size of the page: inputs below, states in a row, the output above."""
    rows = [row for row in (outputs(structure), structure.states, structure.inputs) if row]
    distance = 2 * radius + 95
    width = distance * (max(len(row) for row in rows) - 1) + 2 * radius + 220
    top = 60 + radius + (0 if structure.output else 25)
    places = {}
    for depth, row in enumerate(rows):
        for number, name in enumerate(row):
            places[name] = (width / 2 + distance * (number - (len(row) - 1) / 2), top + depth * ROW)
    return places, width, top + ROW * (len(rows) - 1) + radius + 60 + (0 if structure.inputs else 25)


def _way_back(structure: Structure, places: dict[str, Point], edge: Edge, radius: float, colour: str) -> list[str]:
    """An edge that arrives one step later: a loop, an arc beside the states, or an arc down from the output."""
    source, target, label = edge
    if source == target:
        points = _loop(places[source], radius, _side(structure, source))
    elif source == structure.output:
        points = _from_output(places[source], places[target], radius)
    else:
        points = _arc(places[source], places[target], radius)
    middle, beside = _middle(points), _beside(points)
    return [curve(points, colour), delay(middle, colour), write(beside, label, "halo", colour=colour)]


def _side(structure: Structure, name: str) -> float:
    """The direction of a state's own loop: out of the row at its ends, upwards within."""
    number, last = structure.states.index(name), len(structure.states) - 1
    if number == last:
        return 0.0
    return math.pi if number == 0 else -0.3 * math.pi


def _loop(centre: Point, radius: float, direction: float) -> list[Point]:
    def at(angle: float, distance: float) -> Point:
        return (centre[0] + distance * math.cos(angle), centre[1] + distance * math.sin(angle))

    return [
        at(direction - 0.6, radius),
        at(direction - 0.75, radius + 70),
        at(direction + 0.75, radius + 70),
        at(direction + 0.6, radius + 3),
    ]


def _arc(start: Point, end: Point, radius: float) -> list[Point]:
    """Above the row on the way to the right, below it on the way to the left."""
    sign = math.copysign(1.0, end[0] - start[0])
    dx, dy = radius * math.cos(0.6) * sign, -radius * math.sin(0.6) * sign
    bend = 0.28 * abs(end[0] - start[0]) * -sign
    return [
        (start[0] + dx, start[1] + dy),
        (start[0] + 2 * dx, start[1] + dy + bend),
        (end[0] - 2 * dx, end[1] + dy + bend),
        (end[0] - dx - 2 * sign, end[1] + 1.1 * dy),
    ]


def _from_output(start: Point, end: Point, radius: float) -> list[Point]:
    """Down the left side, or the right one for a state that stands further right."""
    sign = 1.0 if end[0] > start[0] + 1 else -1.0
    out = min(start[0], end[0]) - radius - 75 if sign < 0 else max(start[0], end[0]) + radius + 75
    return [
        (start[0] + sign * radius, start[1]),
        (out, start[1]),
        (out, end[1] - 10),
        (end[0] + sign * (radius + 2) * math.cos(0.3), end[1] - radius * math.sin(0.3)),
    ]


def _middle(points: Sequence[Point]) -> Point:
    """The point half way along a cubic curve."""
    a, b, c, d = points
    return ((a[0] + 3 * b[0] + 3 * c[0] + d[0]) / 8, (a[1] + 3 * b[1] + 3 * c[1] + d[1]) / 8)


def _beside(points: Sequence[Point]) -> Point:
    """A place for a label, on the outer side of the middle of a curve."""
    middle, chord = _middle(points), part(points[0], points[-1], 0.5)
    away = math.dist(middle, chord) or 1.0
    return (middle[0] + (middle[0] - chord[0]) / away * 20, middle[1] + (middle[1] - chord[1]) / away * 18)
