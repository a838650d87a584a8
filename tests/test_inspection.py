"""Drawings of cells: every node, every edge, every step, in every format."""

import math
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import ArgumentError
from elman.inspection import Structure, draw
from elman.inspection.structure import delayed, moments, within

ELMAN = Structure("Elman", ("x",), ("h",), "o", False, (("x", "h", "U"), ("h", "h", "W"), ("h", "o", "V")))
LSTM = Structure(
    "LSTM",
    ("x",),
    ("h", "c"),
    None,
    False,
    tuple((source, target, label) for target in "hc" for source, label in (("x", "U"), ("h", "W"), ("c", ""))),
)
JORDAN = Structure("Jordan", ("x",), ("h",), "y", True, (("x", "h", "U"), ("y", "h", "W"), ("h", "y", "V")))
SYSTEM = Structure("System", (), ("s",), None, False, (("s", "s", "θ"),))
MEMBERS = {"elman": ELMAN, "lstm": LSTM, "jordan": JORDAN, "system": SYSTEM}


@st.composite
def structures(draw):
    inputs = ("x", "u", "v")[: draw(st.integers(0, 3))]
    states = ("h", "c", "m", "state")[: draw(st.integers(1, 4))]
    output = draw(st.sampled_from([None, "y"]))
    labels = st.sampled_from(["", "U", "W", "V", "layers.0.weight", 'A<B>&"C"'])
    pairs = [(source, target) for source in (*inputs, *states) for target in states]
    edges = [(*pair, draw(labels)) for pair in pairs if draw(st.booleans())]
    if output:
        edges += [(state, output, draw(labels)) for state in states if draw(st.booleans())]
    feedback = output is not None and draw(st.booleans())
    if feedback:
        edges.append((output, states[0], draw(labels)))
    return Structure("Any", inputs, states, output, feedback, tuple(edges))


def shapes(svg, tag):
    return [node for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("}" + tag)]


def texts(svg):
    return ["".join(node.itertext()) for node in shapes(svg, "text")]


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("steps", [None, 3])
def test_text_and_mermaid_are_as_drawn_before(name, steps, golden):
    suffix = "rolled" if steps is None else "unfolded"
    golden(f"drawings/{name}_{suffix}.txt", draw(MEMBERS[name], steps) + "\n")
    golden(f"drawings/{name}_{suffix}.mmd", draw(MEMBERS[name], steps, "mermaid"))


@given(structure=structures(), steps=st.one_of(st.none(), st.integers(1, 4)))
def test_every_quantity_is_named_at_every_step(structure, steps):
    names = [*structure.inputs, *structure.states, *([structure.output] if structure.output else [])]
    wanted = names if steps is None else [f"{name}({time})" for name in names for time in moments(steps)]
    assert set(wanted) <= set(texts(draw(structure, steps, "svg")))
    mermaid = draw(structure, steps, "mermaid")
    assert all(f'"{name}"' in mermaid for name in wanted)
    text = draw(structure, steps)
    assert all(name in text for name in wanted)


@given(structure=structures(), steps=st.integers(1, 4))
def test_unfolding_repeats_every_edge_at_every_step(structure, steps):
    arrows = len(shapes(draw(structure, steps, "svg"), "path"))
    assert arrows == steps * len(within(structure)) + (steps + 1) * len(delayed(structure))
    assert draw(structure, steps, "mermaid").count("-->") == arrows


@given(structure=structures(), steps=st.one_of(st.none(), st.integers(1, 4)))
def test_circles_neither_overlap_nor_leave_the_page(structure, steps):
    svg = draw(structure, steps, "svg")
    root = ElementTree.fromstring(svg)
    width, height = float(root.get("width")), float(root.get("height"))
    circles = [tuple(float(node.get(key)) for key in ("cx", "cy", "r")) for node in shapes(svg, "circle")]
    for number, (x, y, r) in enumerate(circles):
        assert r <= x <= width - r
        assert r <= y <= height - r
        assert all(math.dist((x, y), other[:2]) > 2 * r for other in circles[:number])


def test_a_parameter_has_one_colour_at_all_steps_and_says_that_it_is_shared():
    svg = draw(ELMAN, 3, "svg")
    colours = {}
    for node in shapes(svg, "text"):
        if "halo" in node.get("class"):
            colours.setdefault(node.text, []).append(node.get("style"))
    assert {label: len(set(styles)) for label, styles in colours.items()} == {"U": 1, "W": 1, "V": 1}
    assert [len(colours[label]) for label in "UWV"] == [3, 4, 3]
    assert "the same U, W, V at every step" in texts(svg)
    assert "the same U, W, V at every step" in draw(ELMAN, 3)


def test_the_rolled_graph_marks_the_delay():
    assert "■ one step later" in draw(ELMAN)
    assert "one step later" in draw(JORDAN, None, "mermaid")
    assert "one step later" in texts(draw(LSTM, None, "svg"))


def test_steps_are_named_around_t():
    assert moments(1) == ["t"]
    assert moments(3) == ["t-1", "t", "t+1"]
    assert moments(4) == ["t-1", "t", "t+1", "t+2"]


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ArgumentError, match="at least one step"):
        draw(ELMAN, 0)
    with pytest.raises(ArgumentError, match="text, mermaid or svg"):
        draw(ELMAN, format="png")
    with pytest.raises(ArgumentError, match="names among"):
        Structure("Wrong", ("x",), ("h",), None, False, (("x", "k", "U"),))
    with pytest.raises(ArgumentError, match="feedback"):
        Structure("Wrong", ("x",), ("h",), "y", True, (("x", "h", "U"),))
