"""The unfolded graph of a cell as SVG: steps side by side, one colour for each shared parameter."""

from .rolled import kind_of, radius_for
from .structure import Structure, delayed, ends, moments, outputs, parameters, shared, within
from .svg import Point, between, circle, colour_of, curve, document, towards, write

ROW = 105.0
STAGGER = 0.9  # in distances of two columns over the number of states: so that no line runs through a node


def svg(structure: Structure, steps: int) -> str:
    """The graph of some steps around t."""
    times = moments(steps)
    radius = radius_for([f"{name}({times[-1]})" for name in (*structure.inputs, *structure.states)])
    grid = _Grid(structure, radius)
    shapes = [write((20, 26), f"{structure.name}, unfolded", "ink", "start")]
    shapes += _edges(structure, grid, steps)
    for step, time in enumerate(times):
        for name in grid.rows:
            place = grid.at(name, step)
            shapes += [circle(place, radius, kind_of(structure, name)), write(place, f"{name}({time})")]
    for step, names in zip((-1, steps), ends(structure), strict=True):
        for name in names:
            place = grid.at(name, step)
            shapes += [circle(place, radius, "ghost"), write(place, f"{name}(…)", "soft")]
    width, height = grid.at("", steps)[0] + grid.stagger * (len(structure.states) - 1) + radius + 25, grid.bottom + 60
    shapes.append(write((20, height - 22), shared(structure), "soft", "start"))
    return document(width, height, f"{structure.name}, unfolded for {steps} steps", shapes)


class _Grid:
    """Where each node stands: a column per step, the output above, the states, the inputs below."""

    def __init__(self, structure: Structure, radius: float) -> None:
        count = len(structure.states)
        self.distance = max(2 * radius + 80 + 45 * (count - 1), (2 * radius + 10) * len(structure.inputs) + 30)
        self.stagger = 0.0 if count == 1 else STAGGER * self.distance / count
        centre = self.stagger * (count - 1) / 2
        self.rows: dict[str, int] = {}
        self.shift: dict[str, float] = {"": 0.0}
        for name in outputs(structure):
            self.rows[name], self.shift[name] = 0, centre
        for number, name in enumerate(structure.states):
            self.rows[name], self.shift[name] = len(outputs(structure)) + number, number * self.stagger
        for number, name in enumerate(structure.inputs):
            spread = (2 * radius + 10) * (number - (len(structure.inputs) - 1) / 2)
            self.rows[name], self.shift[name] = len(outputs(structure)) + count, centre + spread
        self.radius = radius
        self.left = radius + 25
        self.top = radius + 50
        self.bottom = self.top + ROW * max(self.rows.values()) + radius

    def at(self, name: str, step: int) -> Point:
        """The centre of a node; step -1 is what came before, the number of steps what goes on."""
        x = self.left + self.distance * (step + 1) + self.shift[name]
        return (x, self.top + ROW * self.rows.get(name, 0))


def _edges(structure: Structure, grid: _Grid, steps: int) -> list[str]:
    labels, shapes, texts = parameters(structure.edges), [], []
    for step in range(steps + 1):
        lines = [(grid.at(s, step - 1), grid.at(t, step), label) for s, t, label in delayed(structure)]
        if step < steps:
            lines += [(grid.at(s, step), grid.at(t, step), label) for s, t, label in within(structure)]
        for start, end, label in lines:
            line, colour = between(start, end, grid.radius), colour_of(label, labels)
            shapes.append(curve(line, colour))
            # Near the source: lines meet in their middle.
            texts.append(write(towards(line[0], line[1], 30), label, "halo", colour=colour))
    return shapes + texts
