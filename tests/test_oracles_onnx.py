"""elman's layers against the reference operators of ONNX, and against the test cases of its specification."""

import numpy as np
import pytest
import torch
from torch import nn

import elman
from tolerances import assert_close

onnx = pytest.importorskip("onnx")
from onnx.backend.test.case import node as cases  # noqa: E402
from onnx.backend.test.case.node import gru, lstm, rnn  # noqa: E402, F401  (each puts its cases into the list)
from onnx.reference import ReferenceEvaluator  # noqa: E402

T, B, INPUT, HIDDEN = 5, 3, 2, 4
# Where each of elman's gates stands in ONNX: GRU r z n in z r h, LSTM i f g o in i o f c.
GATES = {"RNN": (0,), "GRU": (1, 0, 2), "LSTM": (0, 2, 3, 1)}
SPECIFIED = [case for case in cases._NodeTestCases if case.model.graph.node[0].op_type in GATES]


class Peephole(elman.LSTM):
    """An LSTM whose gates see c: i and f the old one, o the new one."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.p = nn.Parameter(torch.zeros(3, hidden_size))

    def step(self, x, h, c):
        i, f, g, o = (self.U(x) + self.W(h)).chunk(4, dim=-1)
        p_i, p_o, p_f = self.p
        c = torch.sigmoid(f + p_f * c) * c + torch.sigmoid(i + p_i * c) * torch.tanh(g)
        h = torch.sigmoid(o + p_o * c) * torch.tanh(c)
        return h, c


def cell_of(op, after, given, direction):
    """The cell that computes the operator in one direction, with the operator's weights."""
    gates = len(GATES[op])

    def stacked(array):
        blocks = np.split(array, gates)
        return torch.from_numpy(np.concatenate([blocks[place] for place in GATES[op]]))

    w, r = stacked(given["W"][direction]), stacked(given["R"][direction])
    input_size, hidden_size = w.size(1), r.size(1)
    biases = given.get("B", np.zeros((2, 2 * gates * hidden_size), given["W"].dtype))[direction]
    w_bias, r_bias = (stacked(bias) for bias in np.split(biases, 2))
    weights = {"U.weight": w, "U.bias": w_bias + r_bias, "W.weight": r}
    if op == "RNN":
        cell = elman.Elman(input_size, hidden_size)
    elif op == "LSTM":
        cell = Peephole(input_size, hidden_size)
        peepholes = given.get("P", np.zeros((2, 3 * hidden_size), given["W"].dtype))[direction]
        weights["p"] = torch.from_numpy(peepholes.reshape(3, hidden_size))
    elif after:
        cell = elman.GRUResetAfter(input_size, hidden_size)
        weights |= {"U.bias": w_bias, "W.bias": r_bias}
    else:
        cell = elman.GRU(input_size, hidden_size)
        weights |= {"W.weight": r[: 2 * hidden_size], "W_n.weight": r[2 * hidden_size :]}
    cell = cell.to(w.dtype)
    cell.load_state_dict(weights)
    return cell


def run_elman(op, attributes, given):
    """Y, Y_h and for an LSTM Y_c, in the shapes of ONNX."""
    direction, batch_first = attributes.get("direction", "forward"), bool(attributes.get("layout", 0))
    after = attributes.get("linear_before_reset", 0)
    one = cell_of(op, after, given, 0)
    if direction == "bidirectional":
        back = elman.Recurrent(cell_of(op, after, given, 1), reverse=True)
        layer = elman.Bidirectional(elman.Recurrent(one), back, batch_first=batch_first)
    else:
        layer = elman.Recurrent(one, batch_first=batch_first, reverse=direction == "reverse")
    directions = 2 if direction == "bidirectional" else 1
    axis = 1 if batch_first else 0
    starts = [torch.from_numpy(given[name]) for name in ("initial_h", "initial_c") if name in given]
    state = None
    if starts:
        state = [tuple(s.select(axis, d) for s in starts) for d in range(directions)]
        state = state if directions == 2 else state[0]
    lengths = given.get("sequence_lens")
    y, end = layer(torch.from_numpy(given["X"]), state, lengths=lengths)
    ends = end if directions == 2 else (end,)
    ends = [e if isinstance(e, tuple) else (e,) for e in ends]
    y = y.unflatten(-1, (directions, -1))
    return [y if batch_first else y.transpose(1, 2), *(torch.stack(s, dim=axis) for s in zip(*ends, strict=True))]


def test_the_cases_were_found():
    assert len(SPECIFIED) >= 18


@pytest.mark.parametrize("case", SPECIFIED, ids=lambda case: case.name)
def test_cases_of_the_specification(case):
    node = case.model.graph.node[0]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    attributes = {key: value.decode() if isinstance(value, bytes) else value for key, value in attributes.items()}
    inputs, outputs = case.data_sets[0]
    given = dict(zip([name for name in node.input if name], inputs, strict=True))
    got = run_elman(node.op_type, attributes, given)
    wanted = [number for number, name in enumerate(node.output) if name]
    assert_close([got[number] for number in wanted], outputs)


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("op", "after"), [("RNN", 0), ("GRU", 0), ("GRU", 1), ("LSTM", 0)])
def test_reference_operators(op, after, direction, layout):
    given = random_inputs(op, 2 if direction == "bidirectional" else 1, layout)
    attributes = {"hidden_size": HIDDEN, "direction": direction, "layout": layout}
    attributes |= {"linear_before_reset": after} if op == "GRU" else {}
    names = ["X", "W", "R", "B", "", "initial_h", "initial_c", "P"]
    names = [name if name in given else "" for name in names[: 8 if op == "LSTM" else 6]]
    outputs = ["Y", "Y_h", "Y_c"] if op == "LSTM" else ["Y", "Y_h"]
    reference = ReferenceEvaluator(onnx.helper.make_node(op, names, outputs, **attributes))
    assert_close(run_elman(op, attributes, given), reference.run(None, given))


def random_inputs(op, directions, layout):
    draw = np.random.default_rng(5)
    gates = len(GATES[op])
    shapes = {
        "X": (B, T, INPUT) if layout else (T, B, INPUT),
        "W": (directions, gates * HIDDEN, INPUT),
        "R": (directions, gates * HIDDEN, HIDDEN),
        "B": (directions, 2 * gates * HIDDEN),
        "initial_h": (B, directions, HIDDEN) if layout else (directions, B, HIDDEN),
    }
    if op == "LSTM":
        shapes |= {"initial_c": shapes["initial_h"], "P": (directions, 3 * HIDDEN)}
    return {name: draw.normal(size=shape) for name, shape in shapes.items()}
