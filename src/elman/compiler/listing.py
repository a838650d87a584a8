"""Kernels as text for people: what each computes above it, the library of vectors left out."""

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from .codegen import Kernel, together
from .graph import Node
from .unfold import Stages, show_loop

_SECTIONS = re.compile(r"^(Args|Returns|Raises|Source|Departs|Attributes|Example)s?:", flags=re.MULTILINE)
_HEADER = "vector.h"


def formula_of(cell: object) -> str:
    """What the class of a cell says that it computes: its docstring up to the arguments."""
    text = inspect.cleandoc(type(cell).__doc__ or "")
    return _SECTIONS.split(text, maxsplit=1)[0].strip()


@dataclass(frozen=True, eq=False)
class Shown:
    """A kernel and what it is for.

    Attributes:
        name: "forward" or "gradient".
        stages: the hoisted loop whose inside it is.
        kernel: the kernel.
        kept: results of the loop that only the gradient reads.
    """

    name: str
    stages: Stages
    kernel: Kernel
    kept: tuple[str, ...]


def listing(cell: str, formula: str, shown: Sequence[Shown]) -> str:
    """Kernels as one C file for people.

    Args:
        cell: the class of the cell.
        formula: what it says that it computes.
        shown: the kernels; those of one precision share what a file holds once.
    """
    precisions = [[s for s in shown if s.kernel.double is double] for double in (False, True)]
    parts = [_comment(f"{cell}.", formula, _ABOUT), *(_file(some) for some in precisions if some)]
    return "\n\n".join(parts)


def _file(shown: Sequence[Shown]) -> str:
    """Kernels of one precision; the names in each end in what it is for, which those of a kernel by itself do not."""
    suffixes = [f"_{each.name}" for each in shown]
    text = _without_header(together([each.kernel for each in shown], suffixes)).rstrip()
    for each, suffix in zip(shown, suffixes, strict=True):
        own = each.kernel.own(suffix)
        loop = show_loop(each.kernel.loop)
        head = _comment(each.name.upper(), loop, _names(each), f"Schedule: {each.kernel.schedule}")
        text = text.replace(own, f"{head}\n\n{own}")
    return text


def _comment(title: str, *parts: str) -> str:
    text = "\n\n".join("\n".join(f"   {line}".rstrip() for line in part.splitlines()) for part in parts if part)
    whole = f"{title}\n\n{text}" if text else title
    return f"/* {whole.replace('*/', '* /').replace('/*', '/ *')} */"


def _names(shown: Shown) -> str:
    """What the names of the C text stand for."""
    kernel = shown.kernel
    held = {memory.name: str(node.value) for node, memory in kernel.layout.memories.items() if node.op == "input"}
    given = [(m.name, _KINDS[m.kind], held[m.name]) for m in kernel.outside if m.kind in _KINDS]
    states = [
        (f"h{n}, n{n}", "what enters a step, and what leaves it", str(carry.entering.value))
        for n, carry in enumerate(kernel.loop.carries)
    ]
    rows = [*given, *states, *_results(shown)]
    width = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"  {row[0]:<{width[0]}}  {row[1]:<{width[1]}}  {row[2]}" for row in rows]
    return "\n".join(["Names:", *lines])


_ABOUT = """What stays inside of the loop over time; `--stage hoist` shows what is computed before and after it.
A kernel that runs is a file of its own, in which no name ends in _forward or _gradient."""
_KINDS = {"sequence": "read at every step", "invariant": "the same at all steps"}


def _results(shown: Shown) -> list[tuple[str, str, str]]:
    """What is written at every step, and for whom."""
    layout, handed = shown.kernel.layout, shown.stages.after.outputs
    public: dict[str, list[str]] = {}
    for name, node in handed.items():
        if node.op == "input":
            public.setdefault(str(node.value), []).append(name)
    written: dict[Node, list[str]] = {}
    for name, node in layout.loop.each.items():
        written.setdefault(node, []).extend(public.get(name, [name]))
    places = [memory.name for memory in shown.kernel.outside if memory.kind == "result"]
    rows, seen = [], set()
    for place, node in zip(places, layout.results, strict=True):
        names = list(dict.fromkeys(written[node]))
        if layout.results.count(node) > 1:  # the first place is the gradient's, the second is given out
            names = [name for name in names if (name in shown.kept) is (node not in seen)]
        seen.add(node)
        own = [name for name in names if name in handed and name not in shown.kept]
        readers = "given out" if own else "for the gradient" if set(names) & set(shown.kept) else "for the stage after"
        rows.append((place, f"written at every step, {readers}", ", ".join(names)))
    return rows


def _without_header(text: str) -> str:
    """The C text, with one comment in place of the library of vectors."""
    header = files("elman.compiler.codegen").joinpath(_HEADER).read_text(encoding="utf-8")
    line = (
        f"/* codegen/{_HEADER} stands here, {len(header.splitlines())} lines: the types real, vec and mask, LANES,\n"
        "   whole and partial vectors from and to memory, exp, tanh, sigmoid, log and the others. */"
    )
    return text.replace(header, f"{line}\n")
