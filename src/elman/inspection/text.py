"""Drawings of a cell in characters."""

from itertools import pairwise

from .structure import Edge, Structure, delayed, ends, moments, outputs, parameters, shared, within

DOTS = "…"


class Canvas:
    """Characters at rows and columns."""

    def __init__(self) -> None:
        self.cells: dict[tuple[int, int], str] = {}

    def put(self, row: int, column: int, text: str) -> None:
        """Write to the right of a place."""
        self.cells.update({(row, column + i): letter for i, letter in enumerate(text)})

    def down(self, column: int, top: int, bottom: int) -> None:
        """A vertical line from row `top` to row `bottom`, both included."""
        for row in range(top, bottom + 1):
            self.put(row, column, "│")

    def text(self) -> str:
        """All rows, without blanks at their ends."""
        last_row = max(row for row, _ in self.cells)
        last_column = max(column for _, column in self.cells)
        rows = ("".join(self.cells.get((r, c), " ") for c in range(last_column + 1)) for r in range(last_row + 1))
        return "\n".join(row.rstrip() for row in rows)


class Column:
    """One step: the output above, the states in a box, the inputs below.

    Attributes:
        left, right, middle: columns of the two walls and between them.
        feedback, recurrence: the rows at which what comes from the step before enters the box.
        bottom: the last row.
    """

    def __init__(self, structure: Structure, moment: str, width: int = 0) -> None:
        self.structure = structure
        self.moment = moment
        self.states = _at(structure.states, moment)
        self.inputs = ", ".join(_at(structure.inputs, moment))
        self.outputs = ", ".join(_at(outputs(structure), moment))
        self.top = 2 if self.outputs else 0
        self.feedback = self.top + 1
        self.recurrence = self.feedback + int(structure.feedback and _labels_between(structure) is not None)
        self.height = max(len(self.states), self.recurrence - self.feedback + 1)
        longest = max(len(text) for text in (*self.states, self.inputs, self.outputs))
        self.width = max(width, longest + 4 + (longest + 1) % 2)  # odd, so that there is a middle
        self.bottom = self.top + 1 + self.height + (2 if self.inputs else 0)

    def draw(self, canvas: Canvas, left: int) -> None:
        """Draw with the left wall at a column."""
        self.left, self.right = left, left + self.width - 1
        self.middle = left + self.width // 2
        floor = self.top + 1 + self.height
        canvas.put(self.top, left, "┌" + "─" * (self.width - 2) + "┐")
        canvas.put(floor, left, "└" + "─" * (self.width - 2) + "┘")
        for row in range(self.top + 1, floor):
            canvas.put(row, left, "│" + " " * (self.width - 2) + "│")
        for number, state in enumerate(self.states):
            self._centred(canvas, self.top + 1 + number, state)
        if self.outputs:
            self._centred(canvas, 0, self.outputs)
            canvas.put(1, self.middle, f"▲ {self._label(outputs(self.structure))}")
            canvas.put(self.top, self.middle, "┴")
        if self.inputs:
            canvas.put(floor, self.middle, "▲")
            canvas.put(floor + 1, self.middle, f"│ {self._label(self.structure.states, self.structure.inputs)}")
            self._centred(canvas, floor + 2, self.inputs)

    def end_of_output(self) -> int:
        """The first column to the right of the output's name."""
        return self.middle - (len(self.outputs) - 1) // 2 + len(self.outputs)

    def _centred(self, canvas: Canvas, row: int, text: str) -> None:
        canvas.put(row, self.middle - (len(text) - 1) // 2, text)

    def _label(self, targets: tuple[str, ...], sources: tuple[str, ...] | None = None) -> str:
        edges = [e for e in within(self.structure) if e[1] in targets and (sources is None or e[0] in sources)]
        return _joined(edges)


def rolled(structure: Structure) -> str:
    """The graph of one step with its loop; ■ is a delay of one step."""
    canvas, column = Canvas(), Column(structure, "t")
    edges = delayed(structure)
    column.draw(canvas, 7 if edges else 2)
    if edges:
        _loop(canvas, column, structure)
    lines = [structure.name, "", canvas.text(), ""]
    return "\n".join([*lines, *(["■ one step later"] if edges else []), *_legend(structure)])


def _loop(canvas: Canvas, column: Column, structure: Structure) -> None:
    """Lines from the right of a step, below it, to its left."""
    left, right, row = 2, column.right + 6, column.recurrence
    starts = [column.recurrence] if _labels_between(structure) is not None else []
    if structure.feedback:
        canvas.put(0, column.end_of_output() + 1, "─" * (right - column.end_of_output() - 1))
        starts.append(0)
    if column.recurrence in starts:
        canvas.put(row, column.right + 1, "─" * (right - column.right - 1))
    below = column.bottom + 1
    canvas.down(right, min(starts), below)
    canvas.down(left, row, below)
    for start in starts:
        canvas.put(start, right, "┐" if start == min(starts) else "┤")
    canvas.put(row, left, "┌" + "─" * (column.left - left - 2) + "▶")
    canvas.put(below, left, "└" + "─" * (right - left - 1) + f"┘ {_joined(delayed(structure))}")
    canvas.put(below, column.middle, "■")


def unfolded(structure: Structure, steps: int) -> str:
    """The steps side by side, in the order of time."""
    canvas, times = Canvas(), moments(steps)
    width = max(Column(structure, time).width for time in times)
    columns = [Column(structure, time, width) for time in times]
    entering, _ = ends(structure)
    gap = len(max(_labels_between(structure) or "", _labels_fed(structure), key=len)) + (
        10 if structure.feedback else 6
    )
    place = _before(canvas, columns[0], structure, entering)
    for column in columns:
        column.draw(canvas, place)
        place = column.right + 1 + gap
    for column, later in pairwise(columns):
        _connect(canvas, column, structure, later.left)
    if entering:
        _after(canvas, columns[-1], structure, place)
    return "\n".join([structure.name, "", canvas.text(), "", shared(structure), *_legend(structure)])


def _before(canvas: Canvas, first: Column, structure: Structure, names: list[str]) -> int:
    """Draw what enters the first step; return the column of its left wall."""
    rows = {}
    if _labels_between(structure) is not None:
        states = [name for name in names if name in structure.states]
        rows[first.recurrence] = (", ".join(_at(states, DOTS)), _labels_between(structure) or "")
    if structure.feedback:
        rows[first.feedback] = (f"{structure.output}({DOTS})", _labels_fed(structure))
    wall = max((len(name) + len(label) + 9 for name, label in rows.values()), default=2)
    for row, (name, label) in rows.items():
        canvas.put(row, 2, f"{name} {_arrow(label, wall - len(name) - 3)}")
    return wall


def _connect(canvas: Canvas, column: Column, structure: Structure, target: int) -> None:
    """Draw what goes from one step to the next, whose left wall is at column `target`."""
    if (label := _labels_between(structure)) is not None:
        canvas.put(column.recurrence, column.right + 1, _arrow(label, target - column.right - 1))
    if structure.feedback:
        start, label = column.end_of_output() + 1, _labels_fed(structure)
        corner = target - 4
        canvas.put(0, start, _arrow(label, corner - start, "─") + "┐")
        canvas.down(corner, 1, column.feedback - 1)
        canvas.put(column.feedback, corner, "└──▶")


def _after(canvas: Canvas, last: Column, structure: Structure, place: int) -> None:
    """Draw what goes on after the last step."""
    _connect(canvas, last, structure, place)
    names = ", ".join(_at(ends(structure)[1], DOTS))
    canvas.put(last.recurrence if _labels_between(structure) is not None else last.feedback, place + 1, names)
    if last.recurrence != last.feedback:
        canvas.put(last.feedback, place + 1, names)


def _arrow(label: str, length: int, head: str = "▶") -> str:
    """A line of some length with its label in the middle."""
    return f" {label} ".center(length - 1, "─") + head if label else "─" * (length - 1) + head


def _at(names: list[str] | tuple[str, ...], moment: str) -> list[str]:
    return [f"{name}({moment})" for name in names]


def _joined(edges: list[Edge]) -> str:
    return ", ".join(parameters(edges))


def _labels_between(structure: Structure) -> str | None:
    """The labels of the edges from states to the next states; None without such edges."""
    edges = [edge for edge in delayed(structure) if edge[0] in structure.states]
    return _joined(edges) if edges else None


def _labels_fed(structure: Structure) -> str:
    """The labels of the edges from the output to the next states."""
    return _joined([edge for edge in delayed(structure) if edge[0] == structure.output])


def _legend(structure: Structure) -> list[str]:
    """Which state reads what, where the box holds several."""
    if len(structure.states) < 2:
        return []
    return [f"{target} reads {_read(structure, target)}" for target in structure.states]


def _read(structure: Structure, target: str) -> str:
    """What one state reads, each with its parameters."""
    terms = []
    for edge in (edge for edge in structure.edges if edge[1] == target):
        moment = "t-1" if edge in delayed(structure) else "t"
        terms.append(f"{edge[0]}({moment})" + (f" through {edge[2]}" if edge[2] else ""))
    return ", ".join(terms)
