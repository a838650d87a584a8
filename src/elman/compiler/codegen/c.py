"""Loop + schedule -> C: one file, one function for each group, one for the steps, one door.

The text can be read: every line of a group says which line of the step it comes from.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from elman.compiler.unfold import Loop
from elman.errors import TraceError

from .c_group import GIVEN, Bundle, GroupText, padded, tiles_of
from .c_steps import BACKWARD_BLOCK, FORWARD_BLOCK, LAUNCH, MOST_PARTS, PRELUDE, SHARED
from .layout import Layout
from .places import Memory
from .schedule import Schedule
from .target import header

_DTYPES = {"float32", "float64", "bool", "int64", "int32"}  # narrower ones wrap around where a real number does not


@dataclass(frozen=True)
class Packed:
    """Weights as tiles read them.

    Attributes:
        name: of the pointer in the call.
        entries: how many numbers.
    """

    name: str
    entries: int


class Kernel:
    """A loop as C.

    Args:
        loop: what is left inside after hoisting.
        schedule: how it is cut up.
        twice: names of results at every step that are written to two places, one of them the caller's.
        outer: names of sequences and results whose rows stand as the caller has them.

    Attributes:
        double: whether it computes in double precision.

    Raises:
        TraceError: a dtype or a shape that no kernel takes.
    """

    def __init__(self, loop: Loop, schedule: Schedule, twice: Sequence[str] = (), outer: Collection[str] = ()) -> None:
        self.loop, self.schedule = loop, schedule
        dtypes = {node.dtype for node in (*loop.nodes, *loop.sequences, *loop.invariants)}
        if dtypes - _DTYPES:
            raise TraceError(f"the C backend takes float32 and float64, not {', '.join(sorted(dtypes - _DTYPES))}")
        self.double = bool(dtypes - {"float32", "bool"})
        self.lanes = schedule.machine.vector // (8 if self.double else 4)
        self.layout = Layout(loop, twice, outer)
        self.groups = [
            GroupText(group, self.layout, schedule, f"group{number}", self.double)
            for number, group in enumerate(self.layout.groups)
        ]

    @cached_property
    def text(self) -> str:
        """The whole file."""
        return together([self], [""])

    def own(self, suffix: str) -> str:
        """What no other kernel shares; `suffix` ends the name of all that it defines."""
        parts = [self._call(), *(group.text() for group in self.groups), self._block(), self._prepare(), LAUNCH]
        return _OWN.sub(lambda found: found[0] + suffix, "\n\n".join(parts))

    @property
    def bundles(self) -> list[Bundle]:
        """All sweeps of products."""
        return [bundle for group in self.groups for bundle in group.bundles]

    @property
    def parts(self) -> int:
        """Into how many parts the units of a step can be cut at most."""
        return min(max((group.tiles for group in self.groups if group.bundles), default=1), MOST_PARTS)

    @cached_property
    def packed(self) -> tuple[Packed, ...]:
        """The weights as tiles read them."""
        return tuple(
            Packed(bundle.name, group.tiles * self._length(bundle) * bundle.columns * self.lanes)
            for group in self.groups
            for bundle in group.bundles
        )

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The names of what a call gives, in order; each is a pointer or a number of eight bytes."""
        return tuple(name for name, _ in self._fields())

    @cached_property
    def outside(self) -> tuple[Memory, ...]:
        """What the caller gives: sequences, invariants, and places for results."""
        kinds = ("sequence", "invariant", "result", "total")
        given = self._of(*kinds)
        return tuple(sorted(given, key=lambda memory: kinds.index(memory.kind)))

    def scratch(self, rows: int) -> int:
        """Bytes that a block of rows needs."""
        by_row = sum(_rounded_up(rows * padded(m, self.lanes) * self._bytes(m)) for m in self._local())
        return by_row + sum(_rounded_up(m.size * self._bytes(m)) for m in self._of("total"))

    def _length(self, bundle: Bundle) -> int:
        product = self.layout.products[bundle.pieces[0].product]
        return int(product.x.shape[product.x_along])

    def _of(self, *kinds: str) -> list[Memory]:
        return [memory for memory in self.layout.every_memory if memory.kind in kinds]

    def _local(self) -> list[Memory]:
        return self._of("state", "next", "scratch")

    def _bytes(self, memory: Memory) -> int:
        return 1 if memory.boolean else 8 if self.double else 4

    # text

    def _fields(self) -> list[tuple[str, str]]:
        """Names and declarations of what a call gives."""
        fields = list(_FIELDS.items())
        for memory in self.outside:
            const = "" if memory.kind in ("result", "total") else "const "
            fields.append((memory.name, f"{const}{_type(memory)} *{memory.name}"))
            fields.append((f"{memory.name}_row", f"long {memory.name}_row"))
        ends = [(memory, f"{memory.name}_{end}") for memory in self._of("state") for end in ("from", "to")]
        fields += [(name, f"{_type(memory)} *{name}") for memory, name in ends]
        fields += [(packed.name, f"real *{packed.name}") for packed in self.packed]
        return fields

    def _call(self) -> str:
        """What a call gives, and what the groups see of a block of rows at one step."""
        held = {memory: node for node, memory in self.layout.memories.items()}
        notes = {memory.name: f"  /* {held[memory].value} */" for memory in self._of("sequence", "invariant")}
        call = [f"  {text};{notes.get(name, '')}" for name, text in self._fields()]
        local = [f"  {_type(memory)} *{memory.name};" for memory in (*self._local(), *self._of("total"))]
        return "\n".join(
            [
                "typedef struct {",
                *call,
                "} Call;",
                "",
                "typedef struct {",
                "  const long *order, *row;",
                "  long at, plain, all, step, block;",
            ]
            + [*local, "} Rows;"]
        )

    def _block(self) -> str:
        """All steps for some rows."""
        states, nexts, reverse = self._of("state"), self._of("next"), self.loop.reverse
        totals = bool(self._of("total"))
        size = {memory: padded(memory, self.lanes) for memory in self._local()}
        parts = {
            "places": [
                f"w.{m.name} = ({_type(m)} *)take(&scratch, rows * {size[m] * self._bytes(m)});" for m in self._local()
            ]
            + [f"w.{m.name} = (real *)take(&scratch, {m.size * self._bytes(m)});" for m in self._of("total")],
            "levels": [f"  level{number}(c, &w, n, 0, 1);" for number in range(len(self._levels))],
            "shares": [f"  share(c, &w, rows, me, ++phase, level{number});" for number in range(len(self._levels))],
            "clear": ["clear(c, &w, n, 0, 1);"] * totals,
            "fold": ["fold(c, &w, n, 0, 1);"] * totals,
            "fold at times": ["  if (t % 64 == 0) fold(c, &w, n, 0, 1);"] * totals,
            "share clear": ["share(c, &w, rows, me, ++phase, clear);"] * totals,
            "share fold": ["share(c, &w, rows, me, ++phase, fold);"] * totals,
            "share fold at times": ["  if (t % 64 == 0) share(c, &w, rows, me, ++phase, fold);"] * totals,
            "turn": [
                f"  {{ {_type(s)} *left = w.{s.name}; w.{s.name} = w.{n.name}; w.{n.name} = left; }}"
                for s, n in zip(states, nexts, strict=True)
            ],
        }
        loads = [(f"w->{m.name} + r * {size[m]}", f"c->{m.name}_from + w->row[r] * {m.size}", m) for m in states]
        saves = [(f"c->{m.name}_to + w->row[r] * {m.size}", f"w->{m.name} + r * {size[m]}", m) for m in states]
        text = "\n\n".join([BACKWARD_BLOCK if reverse else FORWARD_BLOCK, SHARED])
        text = text.replace("@times@", "t = c->steps - 1; t >= 0; t--" if reverse else "t = 0; t < c->steps; t++")
        for name, lines in parts.items():
            text = text.replace(f"  @{name}@\n", "".join(f"  {line}\n" for line in lines))
        return "\n\n".join([*self._level_texts(), *self._sums(), _moving("load", loads), _moving("save", saves), text])

    @cached_property
    def _levels(self) -> list[list[GroupText]]:
        """Groups by what they wait for: those of one level do not wait for each other."""
        return [list(some) for _, some in groupby(self.groups, lambda text: text.group.level)]

    def _level_texts(self) -> list[str]:
        """All groups of one level, one after the other."""
        return [
            "\n".join(
                [
                    f"static void level{number}({GIVEN}) {{",
                    *(f"  {text.name}(call, rows, n, part, parts);" for text in level),
                    "}",
                ]
            )
            for number, level in enumerate(self._levels)
        ]

    def _sums(self) -> list[str]:
        """The functions that begin what is summed over rows and steps, and hand it on."""
        totals = self._of("total")
        begun = [f"rows->{m.name}[i] = 0;" for m in totals]
        handed = [
            f"call->{m.name}[rows->block * {m.size} + i] += rows->{m.name}[i], {one}"
            for m, one in zip(totals, begun, strict=True)
        ]
        note = "/* Into the sums of the block: a sum of sums rounds less. */\n"
        return [
            note
            + "\n".join(
                [
                    f"static void {name}({GIVEN}) {{",
                    "  (void)call, (void)n, (void)parts;",
                    "  if (part > 0) return;",
                    *(f"  for (long i = 0; i < {m.size}; i++) {line}" for m, line in zip(totals, lines, strict=True)),
                    "}",
                ]
            )
            for name, lines, note in (("clear", begun, ""), ("fold", handed, note))
            if totals
        ]

    def _prepare(self) -> str:
        """Puts the weights in the order in which tiles read them."""
        lines = ["void prepare(const Call *c) {", "  (void)c;"]
        for group in self.groups:
            for bundle in group.bundles:
                for place, piece in enumerate(bundle.pieces):
                    product = self.layout.products[piece.product]
                    seen = self.layout.view(product.w)
                    across, along = seen.strides[product.across], seen.strides[product.along]
                    start = seen.offset + piece.start * across
                    lines.append(
                        f"  pack(c->{bundle.name}, c->{seen.memory.name} + {start}, {across}, {along}, {group.units}, "
                        f"{self._length(bundle)}, {len(bundle.pieces)}, {place}, {bundle.vectors});"
                    )
        return "\n".join([*lines, "}"])


def together(kernels: Sequence[Kernel], suffixes: Sequence[str]) -> str:
    """One file for some kernels of one precision and target; the names in each end in its suffix."""
    first = kernels[0]
    tiles = tiles_of([bundle for kernel in kernels for bundle in kernel.bundles])
    parts = [
        header(first.schedule.machine, first.double),
        PRELUDE,
        *(product(rows, columns) for rows, columns in tiles),
        *(kernel.own(suffix) for kernel, suffix in zip(kernels, suffixes, strict=True)),
    ]
    return "\n\n".join(parts) + "\n"


def _moving(name: str, moves: Sequence[tuple[str, str, Memory]]) -> str:
    """The function that moves the states of one row."""
    calls = [f"  copy_{'char' if m.boolean else 'real'}({to}, {source}, {m.size});" for to, source, m in moves]
    return "\n".join([f"static void {name}(const Call *c, const Rows *w, long r) {{", *calls, "}"])


def product(rows: int, columns: int) -> str:
    """out[rows][columns] = x W: a tile of accumulators, one pass along x; several sums where a tile is small."""
    sums = max(1, min(4, -(-8 // (rows * columns))))
    grid = [(s, r, c) for s in range(sums) for r in range(rows) for c in range(columns)]
    lines = [
        f"ALONE void product_{rows}x{columns}(const real *x, long stride, long length, const real *w, vec *out) {{",
        f"  vec {', '.join(f'a{s}_{r}_{c} = v_set(0)' for s, r, c in grid)};",
        "  long k = 0;",
        f"  for (; k + {sums} <= length; k += {sums}, w += {sums * columns} * LANES) {{",
        *(line for s in range(sums) for line in _multiply(rows, columns, s, s)),
        "  }",
    ]
    if sums > 1:
        lines += [f"  for (; k < length; k++, w += {columns} * LANES) {{", *_multiply(rows, columns, 0, 0), "  }"]
    for r in range(rows):
        for c in range(columns):
            total = " + ".join(f"a{s}_{r}_{c}" for s in range(sums))
            lines.append(f"  out[{r * columns + c}] = {total};")
    return "\n".join([*lines, "}"])


def _multiply(rows: int, columns: int, s: int, offset: int) -> list[str]:
    """One entry of x of each row, times the weights of all columns."""
    loads = [f"w{c} = v_load(w + {offset * columns + c} * LANES)" for c in range(columns)]
    lines = [f"    {{ const vec {', '.join(loads)};"]
    for r in range(rows):
        x = f"v_set(x[{r} * stride + k + {offset}])"
        sums = " ".join(f"a{s}_{r}_{c} += x{r} * w{c};" for c in range(columns))
        lines.append(f"      const vec x{r} = {x}; {sums}")
    return [*lines, "    }"]


def _type(memory: Memory) -> str:
    return "unsigned char" if memory.boolean else "real"


def _rounded_up(size: int) -> int:
    return -(-size // 64) * 64 + 64


_FIELDS = {
    "steps": "long steps",
    "first": "long first  /* the first of these steps */",
    "batch": "long batch",
    "packed": "long packed  /* only live rows are there, step after step, but for what the caller has */",
    "order": "const long *order  /* where each row of a block stands in its step */",
    "row": "const long *row  /* which row of the batch it is */",
    "ends": "const long *ends  /* at which step each of them ends; null where all rows have all steps */",
    "at": "const long *at  /* where the rows of each step begin */",
    "bounds": "const long *bounds  /* where the rows of each block begin */",
    "blocks": "long blocks",
    "workers": "long workers",
    "scratch": "char *scratch",
    "scratch_size": "long scratch_size  /* bytes, for each worker */",
    "parallel": "void (*parallel)(void (*)(void *), void *, unsigned, unsigned)",
    "next_worker": "long next_worker",
    "next_block": "long next_block",
    "shares": "long shares  /* parts of the units, one for each worker; 0 where each worker has rows of its own */",
    "patience": "long patience  /* of the first worker with the others, in turns of waiting */",
    "claims": "Claim *claims  /* one for each of them */",
}

_OWN = re.compile(
    r"\b(Call|Rows|load|save|block|prepare|work|run|clear|fold|enter|leave|share|shared|level\d+|group\d+(_units)?)(?=\b)(?!_\d)"
)
"""The names that a kernel defines."""
