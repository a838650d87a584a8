"""A small writer of SVG: shapes in, text out; readable on light and on dark pages."""

import math
from collections.abc import Sequence
from html import escape

Point = tuple[float, float]

# Okabe and Ito's colours that stand out on both white and near-black; told apart by colour-blind readers.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b08900", "#56a0d3", "#8a5cc2")
GREY = "#7d8590"

STYLE = """
    .page { fill: #ffffff } .ink { fill: #1f2328 } .soft { fill: #59636e }
    .node { fill: #f6f8fa; stroke: #1f2328; stroke-width: 1.5 } .ghost { stroke-dasharray: 3 3; stroke: #7d8590 }
    .halo { stroke: #ffffff; stroke-width: 5; paint-order: stroke; stroke-linejoin: round }
    .frame { fill: #7d85900f; stroke: #7d8590; stroke-dasharray: 6 4 }
    .input { fill: #ddf4ff } .weight { fill: #fff8c5 } .product { fill: #ffe2d1 } .state { fill: #dafbe1 }
    .output { fill: #fbefff }
    text { font-family: system-ui, "DejaVu Sans", sans-serif; font-size: 14px }
    .code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 12px }
    @media (prefers-color-scheme: dark) {
      .page { fill: #0d1117 } .ink { fill: #e6edf3 } .soft { fill: #9198a1 }
      .node { fill: #161b22; stroke: #c9d1d9 } .ghost { stroke: #7d8590 } .halo { stroke: #0d1117 }
      .input { fill: #0c2d4a } .weight { fill: #3b2f00 } .product { fill: #4d1f07 } .state { fill: #0f3a1c }
      .output { fill: #3a1d4f }
    }
"""


def document(width: float, height: float, title: str, shapes: Sequence[str]) -> str:
    """A whole SVG file around some shapes."""
    body = "\n  ".join(shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img">\n'
        f"  <title>{escape(title)}</title>\n  <style>{STYLE}  </style>\n"
        f'  <rect class="page" width="100%" height="100%" rx="8"/>\n  {body}\n</svg>\n'
    )


def colour_of(label: str, labels: Sequence[str]) -> str:
    """The colour of a parameter among all parameters; grey for an edge without any."""
    return PALETTE[labels.index(label) % len(PALETTE)] if label else GREY


def circle(centre: Point, radius: float, kind: str = "") -> str:
    """A node."""
    return f'<circle class="node {kind}" cx="{centre[0]:.1f}" cy="{centre[1]:.1f}" r="{radius:.1f}"/>'


def box(centre: Point, width: float, height: float, kind: str = "node") -> str:
    """A rectangle around a centre."""
    x, y = centre[0] - width / 2, centre[1] - height / 2
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="6"/>'


def write(place: Point, text: str, kind: str = "ink", anchor: str = "middle", colour: str = "") -> str:
    """Text whose middle line runs through a place."""
    fill = f' style="fill: {colour}"' if colour else ""
    return (
        f'<text class="{kind}" x="{place[0]:.1f}" y="{place[1]:.1f}" dy="0.35em" '
        f'text-anchor="{anchor}"{fill}>{escape(text)}</text>'
    )


def curve(points: Sequence[Point], colour: str = GREY) -> str:
    """A line with an arrow head at its end, straight for two points, else cubic Bézier pieces (1 + 3n points)."""
    line = f'<path d="{_path(points)}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
    return line + _head(points[-2], points[-1], colour)


def bent(points: Sequence[Point], colour: str = GREY) -> str:
    """A dashed line with corners and an arrow head at its end."""
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    line = f'<polyline points="{corners}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-dasharray="5 4"/>'
    return line + _head(points[-2], points[-1], colour)


def delay(place: Point, colour: str) -> str:
    """The small square that stands for one step of time."""
    return f'<rect x="{place[0] - 5:.1f}" y="{place[1] - 5:.1f}" width="10" height="10" fill="{colour}"/>'


def between(start: Point, end: Point, radius: float, gap: float = 3.0) -> list[Point]:
    """The straight line from the rim of one circle to the rim of another."""
    return [towards(start, end, radius), towards(end, start, radius + gap)]


def towards(start: Point, end: Point, distance: float) -> Point:
    """The point at some distance from the start on the way to the end."""
    length = math.dist(start, end) or 1.0
    return (start[0] + (end[0] - start[0]) * distance / length, start[1] + (end[1] - start[1]) * distance / length)


def part(start: Point, end: Point, share: float) -> Point:
    """The point at some share of the way."""
    return (start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share)


def _path(points: Sequence[Point]) -> str:
    text = [f"{x:.1f},{y:.1f}" for x, y in points]
    return f"M{text[0]} " + (f"L{text[1]}" if len(points) == 2 else "C" + " ".join(text[1:]))


def _head(before: Point, tip: Point, colour: str) -> str:
    """A filled triangle at the tip; not a <marker>, which some viewers draw in the wrong colour."""
    angle = math.atan2(tip[1] - before[1], tip[0] - before[0])
    sides = [(tip[0] - 9 * math.cos(a), tip[1] - 9 * math.sin(a)) for a in (angle - 0.42, angle + 0.42)]
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in (tip, *sides))
    return f'<polygon points="{corners}" fill="{colour}"/>'
