"""What will run, and why: the stages of the compiler, to be looked at."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from elman.errors import ArgumentError, TraceError

from .codegen import Schedule, light
from .graph import Graph, Node, show_graph, topological
from .listing import Shown, formula_of, listing
from .runtime.build import host
from .runtime.compiled import Compiled
from .runtime.job import programs_of
from .runtime.native import kernel_of
from .runtime.program import body_of
from .runtime.programs import Backend, Programs
from .unfold import Loop, Stages, linear, show_loop, show_stages

DRAWN = ("trace", "unfold", "gradient", "hoist")
STAGES = (*DRAWN, "schedule", "c")
Edge = tuple[str, str, str]
Box = tuple[str, str, str, str]


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """What one layer runs.

    Attributes:
        cell: the class of the cell.
        backend: "c" (kernels), "reference" (before | inside | after, on torch) or "step by step" (a Python loop).
        reason: why.
        programs: what runs; None where the layer runs step by step.
        formula: what the class of the cell says that it computes.
    """

    cell: str
    backend: str
    reason: str
    programs: Programs | None
    formula: str = ""

    @property
    def compiled(self) -> Compiled | None:
        """The stages of the compiler; None where the layer runs step by step."""
        return None if self.programs is None else self.programs.compiled

    def show(self, stage: str) -> str:
        """A stage as text: "trace", "unfold", "gradient", "hoist", "schedule" or "c"."""
        compiled = self._stages()
        match stage:
            case "trace":
                return show_graph(compiled.traced.graph)
            case "unfold":
                return show_loop(compiled.loop)
            case "gradient":
                return show_loop(compiled.gradient.loop)
            case "hoist":
                forward, backward = (show_stages(stages) for stages in self._hoisted())
                return f"FORWARD\n\n{forward}\n\nGRADIENT\n\n{backward}"
            case "schedule":
                return f"{self.schedule.explained()}\n\n{self.cell}: {self.backend} backend, {self.reason}"
            case "c":
                return self._listing()
        raise ArgumentError(f"expected a stage among {', '.join(STAGES)}, got {stage!r}.")

    @property
    def schedule(self) -> Schedule:
        """How the kernels are cut up; where none run, how they would be."""
        schedule = None if self.programs is None else self.programs.backend.schedule
        return schedule or Schedule(target=host().name)

    @property
    def python(self) -> str:
        """The Python functions that run on torch on the reference backend, with what the gradient needs."""
        compiled = self._stages()
        programs = programs_of(compiled, Backend(None, "to be shown"), compiled.inputs)
        texts = {"forward": programs.forward_kept.text, "gradient": programs.backward(compiled.inputs).text}
        return "\n\n".join(f"# {name}, {stage}\n{text}" for name, part in texts.items() for stage, text in part.items())

    @property
    def c(self) -> str:
        """The files that are built: forward with what the gradient needs, and the loop of the gradient."""
        return "\n\n".join(f"/* {shown.name} */\n{shown.kernel.text}" for shown in self._kernels())

    def _listing(self) -> str:
        """The kernels for people to read."""
        made = self._kernels()
        if not made:
            return f"/* {self.cell}: no step waits for another, so there is no loop left, and no kernel. */"
        return listing(self.cell, self.formula, made)

    def _kernels(self) -> list[Shown]:
        """The kernels of a training step: text alone, which needs no compiler."""
        compiled = self._stages().under(self.schedule)
        forward, gradient = compiled.hoisted_kept(light), compiled.gradient_hoisted(compiled.inputs, light)
        try:
            return [
                Shown(name, stages, kernel_of(stages, self.schedule, compiled.kept_names), compiled.kept_names)
                for name, stages in (("forward", forward), ("gradient", gradient))
                if stages.inside is not None
            ]
        except TraceError as error:
            raise ArgumentError(f"{self.cell} has no kernel: {error}") from error

    def _hoisted(self) -> tuple[Stages, Stages]:
        """The loop and that of its gradient, hoisted as far as it pays on this backend."""
        compiled = self._stages()
        if self.backend != "c" or not compiled.loop.carries:
            return compiled.stages, compiled.gradient_stages
        return compiled.hoisted(light), compiled.gradient_hoisted(compiled.inputs, light)

    def wiring(self) -> tuple[Edge, ...]:
        """Which of x, the states and the output is computed from which, through which parameters."""
        return wiring(self._stages())

    def boxes(self, stage: str) -> tuple[list[Box], list[Edge]]:
        """A stage as boxes (id, label, kind, group) and arrows (from, to, label)."""
        compiled = self._stages()
        picture = _Boxes({str(node.value) for node in compiled.traced.parameters.values()})
        match stage:
            case "trace":
                picture.draw([("", compiled.traced.graph, None)])
            case "unfold":
                picture.draw([("", body_of(compiled.loop), compiled.loop)])
            case "gradient":
                picture.draw([("", body_of(compiled.gradient.loop), compiled.gradient.loop)])
            case "hoist":
                forward, gradient = self._hoisted()
                picture.draw(_parts(forward, ""))
                picture.draw(_parts(gradient, "gradient "))
            case "schedule" | "c":
                raise ArgumentError(f"the stage {stage} is text alone: one that can be drawn is {', '.join(DRAWN)}.")
            case _:
                raise ArgumentError(f"expected a stage among {', '.join(STAGES)}, got {stage!r}.")
        read = {end for arrow in picture.arrows for end in arrow[:2]}
        return [box for box in picture.boxes if box[0] in read], picture.arrows

    def _stages(self) -> Compiled:
        if self.compiled is None:
            raise ArgumentError(f"{self.cell} runs step by step, so there are no stages to show: {self.reason}")
        return self.compiled

    def __str__(self) -> str:
        backwards = ", from t = T to 1" if self.compiled is not None and self.compiled.binding.reverse else ""
        head = f"{self.cell}{backwards}: {self.backend} backend, {self.reason}"
        if self.compiled is None:
            return head
        both = zip(("forward", "gradient"), self._hoisted(), strict=True)
        return "\n".join([head, *(f"  {name:8}  {_summary(stages, self.backend)}" for name, stages in both)])


@dataclass(frozen=True, eq=False)
class Plan:
    """What a module runs, layer by layer, in the order of the call."""

    layers: tuple[LayerPlan, ...]

    @property
    def backend(self) -> str:
        """The backend of all layers, or "mixed"."""
        backends = {layer.backend for layer in self.layers}
        return backends.pop() if len(backends) == 1 else "mixed"

    def show(self, stage: str) -> str:
        """A stage of every layer as text: "trace", "unfold", "gradient", "hoist", "schedule" or "c"."""
        return "\n\n".join(layer.show(stage) for layer in self.layers)

    @property
    def python(self) -> str:
        """The Python functions that run on torch, for every layer."""
        return "\n\n".join(layer.python for layer in self.layers)

    def __str__(self) -> str:
        return "\n".join(str(layer) for layer in self.layers)


_NOTES: ContextVar[list[LayerPlan] | None] = ContextVar("elman_plan", default=None)


@contextlib.contextmanager
def planning() -> Iterator[list[LayerPlan]]:
    """While this lasts, every layer that runs writes its plan into the list."""
    notes: list[LayerPlan] = []
    token = _NOTES.set(notes)
    try:
        yield notes
    finally:
        _NOTES.reset(token)


def note(cell: object, programs: Programs | None, reason: str = "") -> None:
    """Write down what a layer runs, if anybody asks."""
    notes = _NOTES.get()
    if notes is None:
        return
    if programs is None:
        notes.append(LayerPlan(type(cell).__name__, "step by step", reason, None))
    else:
        backend = "c" if programs.native else "reference"
        reason = "; ".join(filter(None, (programs.refused or programs.backend.reason, reason)))
        notes.append(LayerPlan(type(cell).__name__, backend, reason, programs, formula_of(cell)))


def _summary(stages: Stages, backend: str) -> str:
    inside = "nothing" if stages.inside is None else _counted(body_of(stages.inside))
    if stages.inside is not None and linear(stages.inside) is not None:
        inside += ", linear" if backend == "c" else ", linear: a scan"
    return f"before: {_counted(stages.before)} | inside: {inside} | after: {_counted(stages.after)}"


def _counted(graph: Graph) -> str:
    """How many products and other operations a graph holds."""
    ops = Counter(node.op == "einsum" for node in graph.nodes if node.op not in ("input", "const"))
    named = [f"{n} {word}{'s' * (n > 1)}" for n, word in ((ops[True], "product"), (ops[False], "operation")) if n]
    return " + ".join(named) or "nothing"


def wiring(compiled: Compiled) -> tuple[Edge, ...]:
    """The edges of the drawing of a step.

    An edge leads from what enters a step (x, a state, what is fed) to what leaves it. Its label names the
    parameters of the products that it meets first on its way.
    """
    traced = compiled.traced
    labels = {node: str(node.value).rpartition(".")[0] or str(node.value) for node in traced.parameters.values()}
    names = {node: str(node.value) for node in traced.states}
    targets = [(str(s.value), node) for s, node in zip(traced.states, traced.leaving, strict=True) if s.value != "fed"]
    if not targets:
        targets = [("h", node) for node in traced.values[:1]]
    edges: list[Edge] = []
    hidden = [node for _, node in targets]
    for name, node in targets:
        for source in (n for n in (traced.x, *traced.states, traced.fed) if n is not None):
            if source in topological([node]):
                called = "y" if names.get(source, str(source.value)) == "fed" else str(source.value)
                edges.append((called, name, _through(source, node, labels, ())))
    if traced.y not in hidden:
        reached = topological([traced.y], stop=hidden)
        edges += [(n, "y", _through(node, traced.y, labels, hidden)) for n, node in targets if node in reached]
        if traced.x is not None and traced.x in reached:
            edges.append(("x", "y", _through(traced.x, traced.y, labels, hidden)))
    return tuple(dict.fromkeys(edges))


def _through(source: Node, target: Node, labels: dict[Node, str], stop: object) -> str:
    """The parameters of the first products on the way from a source to a target."""
    barrier = [n for n in stop if n is not source] if isinstance(stop, list) else []
    nodes = topological([target], stop=barrier)
    reached, found = {source}, []
    for node in nodes:
        if node is source or not any(i in reached for i in node.inputs):
            continue
        weights = (
            [labels[w] for w in topological(node.inputs, stop=reached) if w in labels] if node.op == "einsum" else []
        )
        if weights:
            found += weights
        else:
            reached.add(node)
    return ", ".join(dict.fromkeys(found))


def _parts(stages: Stages, prefix: str) -> list[tuple[str, Graph, Loop | None]]:
    inside = [] if stages.inside is None else [(f"{prefix}inside", body_of(stages.inside), stages.inside)]
    return [(f"{prefix}before", stages.before, None), *inside, (f"{prefix}after", stages.after, None)]


class _Boxes:
    """Boxes and arrows of stages that hand values to each other by name."""

    def __init__(self, parameters: set[str]) -> None:
        self.parameters = parameters
        self.boxes: list[Box] = []
        self.arrows: list[Edge] = []
        self.by_name: dict[str, str] = {}

    def draw(self, parts: list[tuple[str, Graph, Loop | None]]) -> None:
        """Add the boxes and arrows of some parts, one after the other."""
        self.by_name = {}
        for place, (group, graph, loop) in enumerate(parts):
            ids: dict[Node, str] = {}
            carried = set() if loop is None else {c.entering for c in loop.carries}
            for node in graph.nodes:
                self._box(node, group, ids, node in carried)
            for carry in () if loop is None else loop.carries:
                if carry.leaving in ids:
                    self.arrows.append((ids[carry.leaving], ids[carry.entering], "next t"))
            self.by_name |= {name: ids[node] for name, node in graph.outputs.items() if node in ids}
            if place == len(parts) - 1:
                self._results(graph, group, ids)

    def _box(self, node: Node, group: str, ids: dict[Node, str], carried: bool) -> None:
        if node.op == "const":
            return
        if node.op == "input":
            name = str(node.value)
            if name in self.by_name and not carried:
                ids[node] = self.by_name[name]
                return
            kind = "state" if carried else "weight" if name in self.parameters else "input"
            ids[node] = self.by_name[name] = self._new(name, kind, group)
            return
        label = f"{node.op} {node.value}" if node.op == "einsum" else node.op
        numbers = [f"{i.value:g}" for i in node.inputs if i.op == "const" and isinstance(i.value, float)]
        ids[node] = self._new(" ".join([label, *numbers]), "product" if node.op == "einsum" else "", group)
        self.arrows += [(ids[i], ids[node], "") for i in dict.fromkeys(node.inputs) if i in ids]

    def _results(self, graph: Graph, group: str, ids: dict[Node, str]) -> None:
        for name, node in graph.outputs.items():
            if node in ids and not name.endswith(" leaving"):
                self.arrows.append((ids[node], self._new(name, "output", group), ""))

    def _new(self, label: str, kind: str, group: str) -> str:
        self.boxes.append((f"n{len(self.boxes)}", label, kind, group))
        return self.boxes[-1][0]
