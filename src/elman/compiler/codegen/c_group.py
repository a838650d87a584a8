"""One group as C: a function that sweeps over the rows and units of a step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from elman.axes import BATCH
from elman.compiler.graph import Node

from .c_ops import as_number, expression, literal
from .layout import Group, Layout, Piece, Store
from .places import Memory, View
from .schedule import Schedule


@dataclass(frozen=True, eq=False)
class Bundle:
    """Pieces of products that read the same x: one sweep along x computes them all.

    Attributes:
        name: of the packed weights.
        pieces: the gates, each as wide as the group.
        vectors: vectors of each gate in a tile.
        rows: rows of a tile at most.
    """

    name: str
    pieces: tuple[Piece, ...]
    vectors: int
    rows: int

    @property
    def columns(self) -> int:
        """Vectors of one row of a tile."""
        return len(self.pieces) * self.vectors


def bundles(group: Group, layout: Layout, schedule: Schedule, name: str) -> tuple[Bundle, ...]:
    """The pieces of a group by what they read, no more at once than the registers hold."""
    by_x: dict[object, list[Piece]] = {}
    for piece in group.pieces:
        product = layout.products[piece.product]
        by_x.setdefault((product.x, product.x_along, product.outer), []).append(piece)
    parts = [
        tuple(pieces[start : start + schedule.gates])
        for pieces in by_x.values()
        for start in range(0, len(pieces), schedule.gates)
    ]
    if not parts:
        return ()
    most = max(len(part) for part in parts)
    vectors, rows = schedule.vectors(most), schedule.tile(most)
    return tuple(Bundle(f"{name}_{number}", part, vectors, rows) for number, part in enumerate(parts))


class GroupText:
    """Writes one group.

    Args:
        group: what to write.
        layout: where everything stands.
        schedule: how it is cut up.
        name: of the function.
        double: the kernel computes in double precision.
    """

    def __init__(self, group: Group, layout: Layout, schedule: Schedule, name: str, double: bool) -> None:
        self.group, self.layout, self.name, self.double = group, layout, name, double
        self.lanes = schedule.machine.vector // (8 if double else 4)
        self.bundles = bundles(group, layout, schedule, name)
        features = [axis for axis, size in enumerate(group.shape) if size != BATCH]
        self.vector_axis = features[-1] if features else None
        self.outer = features[:-1]
        self.units = 1 if self.vector_axis is None else int(group.shape[self.vector_axis])
        self._names: dict[Node, str] = {}
        self._streams: dict[str, int] = {}

    # text

    def text(self) -> str:
        """The functions of the group."""
        return "\n".join(self._alone() if self.group.alone is not None else [*self._units(), "", *self._sweep()])

    def _units(self) -> list[str]:
        """What is done with a vector of units of one row."""
        axes = "".join(f", const long i{axis}" for axis in self.outer)
        sums = "".join(f", const vec *z{number}" for number in range(len(self.bundles)))
        given = f"const Call *c, const Rows *w, long r, long p{axes}, long u, int m{sums}"
        lines = [f"INLINE void {self.name}_units({given}) {{", "  (void)p; (void)c;"]
        self._names, self._streams = {}, {}
        body: list[str] = []
        for number, bundle in enumerate(self.bundles):
            for place, piece in enumerate(bundle.pieces):
                self._names[piece.node] = f"v{len(self._names)}"
                value = f"z{number}[{place * bundle.vectors}]"
                body.append(
                    f"  const vec {self._names[piece.node]} = {self._rounded(piece.node, value)};{_at(piece.node)}"
                )
        for node in self.group.nodes:
            args = [self._operand(source, body) for source in node.inputs]
            text = expression(node, args, self._is_rounded(node))
            self._names[node] = f"v{len(self._names)}"
            body.append(f"  const {_type(node)} {self._names[node]} = {text};{_at(node)}")
        for store in self.group.stores:
            body.append(self._store(store, body))
        return [*lines, *body, "}"]

    @property
    def tiles(self) -> int:
        """Into how many tiles of its products the units are cut; all of a group are equally wide."""
        return -(-self.units // (self.bundles[0].vectors * self.lanes))

    def _sweep(self) -> list[str]:
        """All rows and all units."""
        lines = [f"static void {self.name}({GIVEN}) {{", _COPIES]
        depth = 1
        for axis in self.outer:
            lines.append(f"{'  ' * depth}for (long i{axis} = 0; i{axis} < {self.group.shape[axis]}; i{axis}++)")
            depth += 1
        pad = "  " * depth
        if self.bundles:
            return [*lines, *(pad + line for line in self._tiles()), "}"]
        axes = "".join(f", i{axis}" for axis in self.outer)
        whole, rest = self.units - self.units % self.lanes, self.units % self.lanes
        lines.append(f"{pad}for (long r = 0; r < n; r++) {{")
        lines.append(f"{pad}  const long p = w->at + w->order[r];")
        if whole:
            start, stop = (f"{whole // self.lanes} * {place} / parts * LANES" for place in ("part", "(part + 1)"))
            call = f"{self.name}_units(c, w, r, p{axes}, u, LANES);"
            lines.append(f"{pad}  for (long u = {start}; u < {stop}; u += LANES) {call}")
        if rest:
            lines.append(f"{pad}  if (part + 1 == parts) {self.name}_units(c, w, r, p{axes}, {whole}, {rest});")
        return [*lines, f"{pad}}}", "}"]

    def _tiles(self) -> list[str]:
        """Units outside, so that their weights stay in the cache; tiles of rows inside, of nearly equal size."""
        first = self.bundles[0]
        rows, vectors = first.rows, first.vectors
        lines = [
            f"for (long b = {self.tiles} * part / parts; b < {self.tiles} * (part + 1) / parts; b++) {{",
            f"  const long tiles = (n + {rows - 1}) / {rows};",
            "  for (long i = 0; i < tiles; i++) {",
            "    const long r = n * i / tiles, size = n * (i + 1) / tiles - r;",
        ]
        lines += self._fetches(vectors)
        for number, bundle in enumerate(self.bundles):
            product = self.layout.products[bundle.pieces[0].product]
            seen, _ = self.layout.rows[product.x, product.x_along]
            length, columns = product.x.shape[product.x_along], bundle.columns
            x = self._address(self._view_of_x(seen, bundle), "r")
            panel = f"c->{bundle.name} + b * {int(length) * columns} * LANES"
            lines.append(f"    vec z{number}[{rows * columns}];")
            lines.append(f"    switch (size) {{  /* {self._formula(bundle)} */")
            for size in range(rows, 0, -1):
                call = f"product_{size}x{columns}({x}, {padded(seen.memory, self.lanes)}, {length}, {panel}, z{number})"
                lines.append(f"      case {size}: {call}; break;")
            lines.append("    }")
        return [
            *lines,
            "    for (long q = 0; q < size; q++) {",
            f"      const long p = w->at + w->order[r + q];{self._finish(vectors)}",
            "    }",
            "  }",
            "}",
        ]

    def _fetches(self, vectors: int) -> list[str]:
        """Asks for the lines of memory that the rows of a tile will read and write, while their products are made.

        Row after row at the same unit is an order that no processor foresees.
        """
        step = vectors * self.lanes * (8 if self.double else 4)
        if not self._streams:
            return []
        lines = [
            f"    {f'if (b % {64 // step} == 0) ' if step < 64 else ''}for (long q = 0; q < size; q++) {{",
            f"      const long p = w->at + w->order[r + q], u = b * {vectors} * LANES; (void)p;",
        ]
        for place, write in self._streams.items():
            at = place.replace("[r]", "[r + q]")
            lines += [
                f"      __builtin_prefetch({at} + {line // (8 if self.double else 4)}, {write}, 3);"
                for line in range(0, step, 64)
            ]
        return [*lines, "    }"]

    def _formula(self, bundle: Bundle) -> str:
        """What a bundle computes, for the reader."""
        weights = dict.fromkeys(str(self.layout.products[piece.product].w.value) for piece in bundle.pieces)
        return f"{len(bundle.pieces)} x {self.units} units of {', '.join(weights)}"

    def _finish(self, vectors: int) -> str:
        """The rest of the group for one row of a tile."""
        axes, lines = "".join(f", i{axis}" for axis in self.outer), ""
        for v in range(vectors):
            sums = "".join(f", z{n} + q * {b.columns} + {v}" for n, b in enumerate(self.bundles))
            unit = f"(b * {vectors} + {v}) * LANES"
            rest = self.units % self.lanes
            call = f"{self.name}_units(c, w, r + q, p{axes}, {unit}, {{}}{sums});"
            if self.units >= self.lanes:
                lines += f"\n      if ({unit} + LANES <= {self.units}) {call.format('LANES')}"
            if rest:
                lines += f"\n      if ({unit} == {self.units - rest}) {call.format(rest)}"
        return lines

    def _view_of_x(self, seen: View, bundle: Bundle) -> View:
        """x with the axes of the result, 0 at the axis that counts units."""
        outer = self.layout.products[bundle.pieces[0].product].outer
        return View(seen.memory, seen.offset, (*(seen.strides[axis] for axis in outer), 0), self.group.shape)

    # what is read and written

    def _operand(self, node: Node, body: list[str]) -> str:
        """A value as the group reads it: a number, a register, or loaded."""
        if node in self._names:
            return self._names[node]
        if self.layout.constant(node):
            return self._number(node)
        seen = self.layout.view(node)
        text = self._load(seen.repeated(self.group.shape), node.dtype == "bool")
        self._names[node] = f"v{len(self._names)}"
        body.append(f"  const {_type(node)} {self._names[node]} = {text};")
        return self._names[node]

    def _number(self, node: Node) -> str:
        while node.op != "const":
            node = node.inputs[0]
        return f"v_mask_set({int(node.value)})" if node.dtype == "bool" else f"v_set({literal(node.value)})"

    def _load(self, seen: View, boolean: bool) -> str:
        place, stride = self._address(seen, "r", "u"), self._stride(seen)
        if stride == 1 and seen.memory.kind == "sequence":
            self._streams[place] = 0
        if boolean:
            return f"v_mask_set(*({place}))" if stride == 0 else f"v_mask_strided({place}, {stride}, m)"
        return (
            f"v_set(*({place}))"
            if stride == 0
            else f"get({place}, m)"
            if stride == 1
            else (f"v_strided({place}, {stride}, m)")
        )

    def _store(self, store: Store, body: list[str]) -> str:
        place, stride = self._address(store.to, "r", "u"), self._stride(store.to) or 1
        node = store.node
        value = self._zero(store.to) if node is None else self._operand(node, body)
        if stride == 1 and store.to.memory.kind == "result":
            self._streams[place] = 1
        if store.to.memory.kind == "total":
            value = f"{value} + {self._load(store.to, False)}"
        if store.to.memory.boolean:
            text = f"v_mask_store_strided({place}, {stride}, {value}, m)"
        else:
            text = f"put({place}, {value}, m)" if stride == 1 else f"v_store_strided({place}, {stride}, {value}, m)"
        return f"  {text};"

    def _zero(self, to: View) -> str:
        return "v_mask_set(0)" if to.memory.boolean else "v_set(0)"

    def _stride(self, seen: View) -> int:
        return 0 if self.vector_axis is None else seen.strides[self.vector_axis]

    def _address(self, seen: View, row: str, unit: str | None = None) -> str:
        """Where the entry of a row, of the outer axes and of a unit stands."""
        terms = [base(seen.memory, row, self.lanes)]
        terms += [str(seen.offset)] if seen.offset else []
        terms += [f"i{axis} * {seen.strides[axis]}" for axis in self.outer if seen.strides[axis]]
        if unit is not None and self._stride(seen):
            terms.append(unit if self._stride(seen) == 1 else f"{unit} * {self._stride(seen)}")
        return " + ".join(terms)

    def _is_rounded(self, node: Node) -> bool:
        return self.double and node.dtype == "float32"

    def _rounded(self, node: Node, text: str) -> str:
        return f"v_float({text})" if self._is_rounded(node) else text

    # reductions, and products of two things that differ from row to row

    def _alone(self) -> list[str]:
        node = self.group.alone
        assert node is not None
        letters, result = _letters(node)
        sizes = {l: s for i, ls in zip(node.inputs, letters, strict=True) for l, s in zip(ls, i.shape, strict=True)}
        rows = {letter for letter, size in sizes.items() if size == BATCH}
        free = [letter for letter in result if letter not in rows]
        summed = [letter for letter in sizes if letter not in rows and letter not in result]
        strides = [self._by_letter(i, ls) for i, ls in zip(node.inputs, letters, strict=True)]
        to = dict(zip(result, self.layout.view(node).strides, strict=True))
        along = _best(free, summed, strides)
        return self._loops(node, free, summed, along, sizes, strides, to)

    def _by_letter(self, node: Node, letters: str) -> dict[str, int]:
        if self.layout.constant(node):
            return {}
        return dict(zip(letters, self.layout.view(node).strides, strict=True))

    def _loops(
        self,
        node: Node,
        free: Sequence[str],
        summed: Sequence[str],
        along: str | None,
        sizes: Mapping[str, int | str],
        strides: Sequence[Mapping[str, int]],
        to: Mapping[str, int],
    ) -> list[str]:
        """The loops over what stands alone, vectors along one letter."""
        start = "-(real)INFINITY" if node.op == "amax" else "0"
        terms = [self._term(i, s, along) for i, s in zip(node.inputs, strides, strict=True)]
        value = " * ".join(terms)
        step = f"a = v_maximum(a, {value})" if node.op == "amax" else f"a += {value}"
        if along in summed:
            step = f"{{ vec x = {value}; if (m < LANES) x = v_where(v_first(m), x, v_set({start})); {{}} }}"
            step = step.replace("{}", "a = v_maximum(a, x);" if node.op == "amax" else "a += x;")
        place = " + ".join(
            [base(self.layout.view(node).memory, "r", self.lanes), *(f"{l} * {to[l]}" for l in free if to.get(l))]
        )
        lines = [
            f"static void {self.name}({GIVEN}) {{{_at(node)}",
            _COPIES,
            "  (void)c;",
            "  if (part > 0) return;",
            "  for (long r = 0; r < n; r++) {",
            "  const long p = w->at + w->order[r]; (void)p;",
        ]
        lines += [_for(letter, sizes[letter], letter == along) for letter in free]
        lines.append(f"  vec a = v_set({start});")
        lines += [_for(letter, sizes[letter], letter == along) for letter in summed]
        lines += [f"  {step};", *("  }" for _ in summed)]
        if along is not None and along in free:
            store, value = "v_store_strided", self._rounded(node, "a")
            if node.dtype == "bool":
                store, value = "v_mask_store_strided", "a != v_set(0)"
            lines.append(f"  {store}({place}, {to[along]}, {value}, m);")
        else:
            total = "a[0]" if along is None else "v_max(a)" if node.op == "amax" else "v_sum(a)"
            lines.append(f"  *({place}) = {'(float)' if self._is_rounded(node) else ''}{total};")
        return [*lines, *("  }" for _ in free), "  }", "}"]

    def _term(self, node: Node, strides: Mapping[str, int], along: str | None) -> str:
        """A factor: a vector along a letter, or one number for all lanes."""
        if self.layout.constant(node):
            return as_number(node, self._number(node))
        seen = self.layout.view(node)
        terms = [base(seen.memory, "r", self.lanes), *([str(seen.offset)] if seen.offset else [])]
        terms += [f"{letter} * {stride}" for letter, stride in strides.items() if stride]
        place, stride = " + ".join(terms), 0 if along is None else strides.get(along, 0)
        if node.dtype == "bool":
            return as_number(node, f"v_mask_strided({place}, {stride}, m)" if stride else f"v_mask_set(*({place}))")
        return (
            f"v_set(*({place}))"
            if not stride
            else f"v_strided({place}, {stride}, m)"
            if stride > 1
            else (f"get({place}, m)")
        )


GIVEN = "const Call *call, const Rows *rows, long n, long part, long parts"
"""What each group is given: a part of the units, of all n rows."""

_COPIES = (
    "  const Call own_call = *call, *c = &own_call; const Rows own_rows = *rows, *w = &own_rows; (void)c, (void)parts;"
)
"""Copies that no store can change: the compiler then reads each address once and not at every vector."""


def base(memory: Memory, row: str, lanes: int) -> str:
    """The first entry of a row of a memory."""
    if memory.local:
        return f"w->{memory.name} + ({row}) * {padded(memory, lanes)}"
    if memory.kind == "total":
        return f"w->{memory.name}"
    if memory.kind == "invariant":
        by_row = f" + w->row[{row}] * c->{memory.name}_row" if BATCH in memory.shape else ""
        return f"c->{memory.name}{by_row}"
    if memory.outer:
        step = f"(w->all + w->row[{row}])" if BATCH in memory.shape else "w->step"
    else:
        step = "p" if BATCH in memory.shape else "w->plain"
    return f"c->{memory.name} + {step} * c->{memory.name}_row"


def padded(memory: Memory, lanes: int) -> int:
    """Entries from row to row of a memory of the kernel's own.

    Rows at a distance of a power of two would meet in the same few lines of a cache: they get an odd number of lines.
    """
    size = -(-memory.size // lanes) * lanes
    return size if size < _LINES_APART or size % _LINES_APART else size + _LINE


_LINE = 16  # entries: 64 bytes of float32
_LINES_APART = 8 * _LINE


def _best(free: Sequence[str], summed: Sequence[str], strides: Sequence[Mapping[str, int]]) -> str | None:
    """The letter along which vectors are loaded best."""

    def cost(letter: str) -> tuple[int, bool]:
        return sum(s.get(letter, 0) > 1 for s in strides), letter in summed

    return min([*reversed(free), *reversed(summed)], key=cost, default=None)


def _for(letter: str, size: int | str, vector: bool) -> str:
    if not vector:
        return f"  for (long {letter} = 0; {letter} < {size}; {letter}++) {{"
    return (
        f"  for (long {letter} = 0; {letter} < {size}; {letter} += LANES) {{ "
        f"const int m = {size} - {letter} < LANES ? {size} - {letter} : LANES;"
    )


def _letters(node: Node) -> tuple[list[str], str]:
    """A product as its letters; a reduction as one of a single factor."""
    if node.op == "einsum":
        operands, result = node.value.split("->")
        return [_safe(term) for term in operands.split(",")], _safe(result)
    letters = "ABDEFGHIJ"[: len(node.inputs[0].shape)]
    return [letters], "".join(letter for axis, letter in enumerate(letters) if axis not in node.value)


def _safe(term: str) -> str:
    """Letters that are no variable of the function."""
    return term.upper()


def _type(node: Node) -> str:
    return "mask" if node.dtype == "bool" else "vec"


def _at(node: Node) -> str:
    return f"  /* {node.where} */" if node.where else ""


def tiles_of(every: Sequence[Bundle]) -> list[tuple[int, int]]:
    """Each pair of rows and columns for which a product is needed."""
    return sorted({(rows, bundle.columns) for bundle in every for rows in range(1, bundle.rows + 1)})
