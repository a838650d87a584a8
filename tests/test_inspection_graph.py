"""Drawings of graphs of operations: layers run down, boxes keep apart, frames hold their own."""

import xml.etree.ElementTree as ElementTree
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import ArgumentError
from elman.inspection import GraphNode, draw_graph

GROUPS = ("before", "inside", "after")
NODES = (
    GraphNode("x", "x", "input", "before"),
    GraphNode("u", "matmul x U", "product", "before"),
    GraphNode("h0", "h(t-1)", "state", "inside"),
    GraphNode("w", "matmul h W", "product", "inside"),
    GraphNode("h1", 'tanh "h" <t>', "state", "inside"),
    GraphNode("y", "y", "output", "after"),
)
EDGES = (("x", "u", ""), ("u", "h1", "A[t]"), ("h0", "w", ""), ("w", "h1", ""), ("h1", "h0", "t+1"), ("h1", "y", ""))


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 40))
    owners = sorted(draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)))
    nodes = [GraphNode(str(i), f"op {i}", "", GROUPS[owner]) for i, owner in enumerate(owners)]
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    edges = [(str(a), str(b), "") for a, b in draw(st.lists(pairs, max_size=2 * count)) if a < b]
    return nodes, edges


def boxes(svg, kind):
    found = []
    for node in ElementTree.fromstring(svg).iter():
        if node.tag.endswith("}rect") and node.get("class", "").startswith(kind):
            x, y, width, height = (float(node.get(key)) for key in ("x", "y", "width", "height"))
            found.append((x, y, x + width, y + height))
    return found


@given(graph=graphs())
def test_boxes_keep_apart_edges_run_down_and_frames_hold_their_own(graph):
    nodes, edges = graph
    svg = draw_graph(nodes, edges, GROUPS)
    places = boxes(svg, "node")
    for (ax, ay, ar, ab), (bx, by, br, bb) in combinations(places, 2):
        assert ar < bx or br < ax or ab < by or bb < ay
    at = {node.id: place for node, place in zip(nodes, places, strict=True)}
    assert all(at[source][3] < at[target][1] for source, target, _ in edges)
    used = [group for group in GROUPS if any(node.group == group for node in nodes)]
    for group, frame in zip(used, boxes(svg, "frame"), strict=True):
        for node in nodes:
            left, top, right, bottom = at[node.id]
            within = frame[0] < left and frame[1] < top and right < frame[2] and bottom < frame[3]
            assert within == (node.group == group)


def test_an_edge_to_an_earlier_node_is_a_dashed_way_back():
    svg = draw_graph(NODES, EDGES, GROUPS, title="hoist")
    assert svg.count("<polyline") == 1
    assert svg.count("<path") == len(EDGES) - 1
    assert all(word in svg for word in ("before", "inside", "after", "A[t]", "hoist"))


def test_mermaid_has_the_same_nodes_edges_and_frames(golden):
    golden("drawings/graph.mmd", draw_graph(NODES, EDGES, GROUPS, title="hoist", format="mermaid"))


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ArgumentError, match="ids"):
        draw_graph(NODES, [("x", "nowhere", "")], GROUPS)
    with pytest.raises(ArgumentError, match="group"):
        draw_graph(NODES, [], ("before",))
    with pytest.raises(ArgumentError, match="different ids"):
        draw_graph([], [])
    with pytest.raises(ArgumentError, match="svg or mermaid"):
        draw_graph(NODES, EDGES, GROUPS, format="text")
