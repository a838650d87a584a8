"""Loop -> groups: which operations run in one pass over the units, which values pass in registers, which by memory.

    before   nodes in topological order
    after    groups in the order in which they run; each is one sweep over rows and units:
               products whose result stays in registers | entry-by-entry operations | stores
             or one reduction, or one product that is no sweep (a product of two things that differ from row to row)

A value has a level: it waits for what is read across units (products, reductions, other shapes), so what reads
it is one level higher. One group holds all of a level and a shape.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from elman.axes import BATCH, Shape
from elman.compiler.graph import OPS, Node, topological
from elman.compiler.graph.ops import MOVES
from elman.compiler.unfold import Loop

from .places import Memory, View, check_rows, whole
from .slices import sink_slices


@dataclass(frozen=True, eq=False)
class Product:
    """x Wᵀ with weights that are the same at all steps and rows.

    Attributes:
        x: what differs from row to row; its axis `along` is summed over.
        w: the weights.
        across, along: the axis of w that counts units, and the one that is summed over.
        x_along: the axis of x that is summed over.
        outer: for each axis of the result but the last: the axis of x that it is.
    """

    x: Node
    w: Node
    across: int
    along: int
    x_along: int
    outer: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Piece:
    """The units of a product that one group takes, from `start` on; `node` is what stands for them."""

    node: Node
    product: Node
    start: int


@dataclass(frozen=True)
class Store:
    """A value that is written to memory; a node, or None for zeros."""

    node: Node | None
    to: View


@dataclass(eq=False)
class Group:
    """One sweep.

    Attributes:
        level: what it waits for.
        shape: of all that it computes.
        pieces: of products, computed here.
        nodes: operations of one entry, in order.
        stores: what is written.
        alone: the one reduction or product that this group is.
    """

    level: int
    shape: Shape
    pieces: list[Piece] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)
    alone: Node | None = None


class Layout:
    """The plan of one loop.

    Args:
        loop: the loop.
        twice: names of results at every step that are written to two places, one of them the caller's.
        outer: names of sequences and results whose rows stand as the caller has them.

    Attributes:
        loop: the loop, slices first.
        results: what is written at every step, in the order of the places.
        memories: every tensor in memory, by the node that it holds.
        rows: what products read, entry after entry along an axis: where it is, and from which level on.
    """

    def __init__(self, loop: Loop, twice: Sequence[str] = (), outer: Collection[str] = ()) -> None:
        self.outer = frozenset(outer)
        self.loop = sink_slices(loop)
        self.nodes = self.loop.nodes
        self.results = (*dict.fromkeys(self.loop.each.values()), *(self.loop.each[name] for name in twice))
        self.products = {n: p for n in self.nodes if n.op == "einsum" and (p := _product(self.loop, n))}
        self.memories: dict[Node, Memory] = {}
        self.extra: list[Memory] = []
        self.levels: dict[Node, int] = {}
        self.pieces: dict[Node, Piece] = {}
        self.rows: dict[tuple[Node, int], tuple[View, int]] = {}
        self._groups: dict[tuple[int, Shape, Node | None], Group] = {}
        self._views: dict[Node, View] = {}
        self._names: dict[str, int] = {}
        self._inputs()
        self._pieces()
        for node in self.nodes:
            if node not in self.loop.total.values():
                self._place(node)
        self._write_roots()

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """In the order in which they run; what nothing reads is left out."""
        return tuple(sorted(self._groups.values(), key=lambda group: group.level))

    @property
    def every_memory(self) -> tuple[Memory, ...]:
        """All tensors in memory."""
        return tuple(dict.fromkeys([*self.memories.values(), *self.extra]))

    # what is there from the start

    def _inputs(self) -> None:
        for number, node in enumerate(self.loop.sequences):
            self._hold(node, "sequence", f"s{number}")
        for number, carry in enumerate(self.loop.carries):
            self._hold(carry.entering, "state", f"h{number}")
        for number, node in enumerate(self.loop.invariants):
            self._hold(node, "invariant", f"w{number}")

    def _hold(self, node: Node, kind: str, name: str) -> None:
        outer = kind == "sequence" and str(node.value) in self.outer
        self.memories[node] = Memory(name, kind, node.shape, node.dtype == "bool", outer)
        self.levels[node] = -1

    def _pieces(self) -> None:
        """Slices of a product are computed where they are read; what reads all of it makes it one piece."""
        readers: dict[Node, list[Node]] = {}
        for node in self.nodes:
            for source in node.inputs:
                readers.setdefault(source, []).append(node)
        roots = set(self.loop.roots)
        for product in self.products:
            last = len(product.shape) - 1
            cuts = [n for n in readers.get(product, []) if n.op == "slice" and n.value[0] == last]
            if product in roots or len(cuts) < len(readers.get(product, [])):
                self.pieces[product] = Piece(product, product, 0)
            else:
                self.pieces |= {cut: Piece(cut, product, cut.value[1]) for cut in cuts}

    # which level and group

    def _place(self, node: Node) -> None:
        """Level and group of a node whose inputs have theirs."""
        if node in self.levels or self.constant(node):
            return
        if node in self.pieces:
            self._place_piece(self.pieces[node])
        elif node in self.products:
            return  # only its pieces are computed
        elif OPS[node.op].pointwise:
            self._place_pointwise(node)
        elif node.op in MOVES:
            self._place_move(node)
        elif node.op in ("concat", "pad"):
            self._assemble(node)
        else:
            self._place_alone(node)

    def _place_piece(self, piece: Piece) -> None:
        """The units of a product, at the level at which x can be read, entry after entry along what is summed."""
        product = self.products[piece.product]
        self._need(product.x, None)
        self._lay_out(product)
        level = self.rows[product.x, product.x_along][1]
        self.levels[piece.node] = level
        self._group(level, piece.node.shape).pieces.append(piece)

    def _lay_out(self, product: Product) -> None:
        """Find x in memory of the kernel's own; copy it there if it is elsewhere or in another order."""
        x, along = product.x, product.x_along
        if (x, along) in self.rows:
            return
        seen, level = self.view(x), self._ready(x)
        if not seen.memory.local or (seen.strides[along] != 1 and x.shape[along] != 1):
            order = (*(axis for axis in range(len(x.shape)) if axis != along), along)
            memory = self._scratch("copy", tuple(x.shape[axis] for axis in order), x.dtype)
            seen = whole(memory).turned(tuple(order.index(axis) for axis in range(len(order))))
            self._group(level, x.shape).stores.append(Store(x, seen))
            level += 1
        self.rows[x, along] = (seen, level)

    def _place_pointwise(self, node: Node) -> None:
        level = max((self._ready(i, node.shape) for i in node.inputs if not self.constant(i)), default=0)
        self.levels[node] = level
        group = self._group(level, node.shape)
        for source in node.inputs:
            self._need(source, group)
        group.nodes.append(node)

    def _place_move(self, node: Node) -> None:
        """Another look at memory, or a copy where there is no other look."""
        self.levels[node] = self._ready(node.inputs[0]) - 1
        self._need(node.inputs[0], None)
        seen = _moved(node, self.view(node.inputs[0]))
        if seen is None:
            source = node.inputs[0]
            memory = self._scratch("copy", source.shape, source.dtype)
            level = self._ready(source)
            self._group(level, source.shape).stores.append(Store(source, whole(memory)))
            self.levels[node] = level
            seen = whole(memory).reshaped(node.shape)
            assert seen is not None
        self._views[node] = seen

    def _assemble(self, node: Node) -> None:
        """Parts that are put side by side: each is written to its place when it is computed."""
        self.levels[node] = max((self._written_at(part) for part, _, _ in _parts(node) if part), default=0)
        if any(node in other.inputs for other in self.nodes):
            self.memories[node] = self._scratch(node.op, node.shape, node.dtype)
            self._write_parts(node, whole(self.memories[node]))

    def _written_at(self, part: Node) -> int:
        """The level of the group that writes a part into a larger whole."""
        return 0 if self.constant(part) else self.levels[part] if self.in_registers(part) else self._ready(part)

    def _write_parts(self, node: Node, to: View) -> None:
        axis = node.value if node.op == "concat" else node.value[0]
        for part, start, stop in _parts(node):
            self._write(part, to.cut(axis, start, stop), self.levels[node])

    def _write(self, node: Node | None, to: View, level: int) -> None:
        """Have a value written: by the group that computes it, or by one that copies it."""
        if node is not None and not self.constant(node):
            level = self._written_at(node)
            if not self.in_registers(node):
                self._need(node, None)
        self._group(level, to.shape).stores.append(Store(node, to))

    def _place_alone(self, node: Node) -> None:
        """A reduction, or a product of two things that differ from row to row."""
        level = max((self._ready(i) for i in node.inputs if not self.constant(i)), default=0)
        for source in node.inputs:
            self._need(source, None)
        self.levels[node] = level
        self.memories[node] = self._scratch(node.op, node.shape, node.dtype)
        self._groups[level, node.shape, node] = Group(level, node.shape, alone=node)

    def _write_roots(self) -> None:
        """What leaves the step, and what is wanted of it."""
        for number, carry in enumerate(self.loop.carries):
            self._write_root(carry.leaving, Memory(f"n{number}", "next", carry.entering.shape, _bool(carry.entering)))
        outer, once = {self.loop.each[name] for name in self.outer & set(self.loop.each)}, set(self.loop.each.values())
        for number, node in enumerate(self.results):
            own = node in outer or number >= len(once)
            self._write_root(node, Memory(f"o{number}", "result", node.shape, _bool(node), own))
        for number, node in enumerate(self.loop.total.values()):
            self._write_root(node.inputs[0], Memory(f"t{number}", "total", node.inputs[0].shape))

    def _write_root(self, node: Node, memory: Memory) -> None:
        self.extra.append(memory)
        if node.op in ("concat", "pad") and not self.constant(node):
            self._write_parts(node, whole(memory))
        else:
            self._write(node, whole(memory), 0)

    # helpers

    def constant(self, node: Node) -> bool:
        """Whether a node is a number, perhaps repeated."""
        return node.op == "const" or (node.op in MOVES and self.constant(node.inputs[0]))

    def in_registers(self, node: Node) -> bool:
        """Whether some group computes it, entry by entry."""
        return node in self.pieces or OPS[node.op].pointwise

    def view(self, node: Node) -> View:
        """Where a value can be read."""
        return self._views[node] if node in self._views else whole(self.memories[node])

    def _ready(self, node: Node, shape: Shape | None = None) -> int:
        """The first level at which a node can be read; in its own group, if the reader has its shape."""
        if self.in_registers(node) and shape == node.shape:
            return self.levels[node]
        return self.levels[node] + 1

    def _need(self, node: Node, reader: Group | None) -> None:
        """Have a value in memory, if its reader does not find it in a register."""
        if self.constant(node) or not self.in_registers(node):
            return
        group = self._group(self.levels[node], node.shape)
        if group is not reader and node not in self.memories:
            self.memories[node] = self._scratch(node.op, node.shape, node.dtype)
            group.stores.append(Store(node, whole(self.memories[node])))

    def _group(self, level: int, shape: Shape) -> Group:
        return self._groups.setdefault((level, shape, None), Group(level, shape))

    def _scratch(self, op: str, shape: Shape, dtype: str) -> Memory:
        name = op if op not in ("sum", "exp", "log") else f"{op}_"
        self._names[name] = self._names.get(name, 0) + 1
        memory = Memory(f"{name}{self._names[name]}", "scratch", shape, dtype == "bool")
        self.extra.append(memory)
        return memory


def light(node: Node) -> bool:
    """Whether a kernel does an operation beside what it reads and writes anyway.

    A product with its bias is left to the vendor's product over all steps; what all rows share is computed once for
    them, before.
    """
    if BATCH not in node.shape:
        return False
    if node.op == "add" and any(source.op == "einsum" for source in node.inputs):
        return False
    return node.op in ("sum", "amax", "concat") or node.op in MOVES or OPS[node.op].pointwise


def _bool(node: Node) -> bool:
    return node.dtype == "bool"


def _moved(node: Node, seen: View) -> View | None:
    match node.op:
        case "slice":
            return seen.cut(*node.value)
        case "permute":
            return seen.turned(node.value)
        case "expand":
            return seen.repeated(node.value)
    check_rows(node.inputs[0].shape, node.shape)
    return seen.reshaped(node.shape)


def _parts(node: Node) -> Iterator[tuple[Node | None, int, int]]:
    """What stands side by side in a node, and from where to where; None for zeros."""
    parts: Iterable[tuple[Node | None, int]]
    if node.op == "concat":
        parts = [(source, int(source.shape[node.value])) for source in node.inputs]
    else:
        axis, before, after = node.value
        parts = [(None, before), (node.inputs[0], int(node.inputs[0].shape[axis])), (None, after)]
    start = 0
    for source, size in parts:
        if size:
            yield source, start, start + size
        start += size


def _product(loop: Loop, node: Node) -> Product | None:
    """A node as x Wᵀ, if it is one."""
    operands, result = node.value.split("->")
    letters = operands.split(",")
    for x, w, lx, lw in ((*node.inputs, *letters), (*node.inputs[::-1], *letters[::-1])):
        along = [letter for letter in lx if letter not in result]
        if len(lw) != 2 or len(along) != 1 or BATCH not in x.shape or not _is_weight(loop, w):
            continue
        if result[-1] in lw and result[-1] not in lx and along[0] in lw and set(result[:-1]) == set(lx) - set(along):
            outer = tuple(lx.index(letter) for letter in result[:-1])
            return Product(x, w, lw.index(result[-1]), lw.index(along[0]), lx.index(along[0]), outer)
    return None


def _is_weight(loop: Loop, node: Node) -> bool:
    """Whether a node is a matrix that was given, or a part of one."""
    read = [n for n in topological([node]) if n.op == "input"]
    moves = all(n.op == "input" or n.op in MOVES for n in topological([node]))
    return moves and BATCH not in node.shape and all(n in loop.invariants for n in read)
