"""Initial weights by role, gate by gate, in every cell and in the modules of torch.nn."""

import copy
import math

import pytest
import torch
from torch import nn

import elman
from around import CELLS, H, I, each
from elman import init
from elman.errors import ArgumentError

GATES = {"elman": 1, "lstm": 4, "gru": 2, "reset after": 3, "two": 2, "nn.lstm": 4, "jordan": 1}
MODULES = {
    "nn.RNN": lambda: elman.nn.RNN(I, H, 2, bidirectional=True),
    "nn.GRU": lambda: elman.nn.GRU(I, H, 2),
    "nn.LSTM": lambda: elman.nn.LSTM(I, H),
    "torch.nn.LSTM": lambda: nn.LSTM(I, H),
    "GRUCell": lambda: elman.nn.GRUCell(I, H),
}


def make(name):
    torch.manual_seed(0)
    return CELLS[name](I, H)


def recurrent(module):
    named = {"W.weight", "weight_hh", "weight_hh_l0", "weight_hh_l1", "weight_hh_l0_reverse", "W_n.weight"}
    return {name: p for name, p in module.named_parameters() if name in named}


@each
def test_orthogonal_gate_by_gate(name):
    cell = make(name)
    before = copy.deepcopy(cell)
    touched = init.orthogonal_(cell, 1.5, generator=torch.Generator().manual_seed(1))
    assert touched == tuple(n for n, p in cell.named_parameters() if not torch.equal(p, before.get_parameter(n)))
    for n, p in recurrent(cell).items():
        blocks = p.chunk(GATES[name]) if n != "W_n.weight" else [p]
        for block in blocks:
            small = min(block.shape)
            gram = block @ block.t() if small == len(block) else block.t() @ block
            torch.testing.assert_close(gram, 2.25 * torch.eye(small), atol=1e-5, rtol=1e-5)
    other = make(name)
    init.orthogonal_(other, 1.5, generator=torch.Generator().manual_seed(1))
    assert all(torch.equal(p, q) for p, q in zip(cell.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("name", MODULES)
def test_modules_of_torch_nn(name):
    module = MODULES[name]()
    found = recurrent(module)
    assert set(init.orthogonal_(module)) == set(found) | ({"weight_hh_l1_reverse"} if name == "nn.RNN" else set())
    for p in found.values():
        for block in p.split(H):
            torch.testing.assert_close(block @ block.t(), torch.eye(H), atol=1e-5, rtol=1e-5)


def test_identity():
    cell = elman.Elman(I, H, activation=torch.relu)
    assert init.identity_(cell, 0.5) == ("W.weight", "U.bias")
    assert torch.equal(cell.W.weight, 0.5 * torch.eye(H)) and not cell.U.bias.any()
    gru = elman.GRU(I, H)
    init.identity_(gru)
    assert torch.equal(gru.W.weight, torch.eye(H).repeat(2, 1)) and torch.equal(gru.W_n.weight, torch.eye(H))
    with pytest.raises(ArgumentError, match=r"W.weight is 5 x 2"):
        init.identity_(elman.Jordan(I, 5, 2))
    assert init.identity_(elman.LSTM(I, H, bias=False)) == ("W.weight",)


def test_glorot_and_he():
    torch.manual_seed(0)
    cell = elman.LSTM(300, 200)
    assert init.glorot_(cell) == ("U.weight",)
    bound = math.sqrt(6 / 500)  # of one gate, not of four
    assert cell.U.weight.abs().max() <= bound and cell.U.weight.abs().max() > 0.99 * bound
    assert init.he_(cell, role="recurrent") == ("W.weight",)
    assert abs(cell.W.weight.std().item() - math.sqrt(2 / 200)) < 1e-3


@pytest.mark.parametrize(
    "make_one", [elman.LSTM, elman.LayerNormLSTM, elman.PeepholeLSTM, elman.nn.LSTMCell, elman.nn.LSTM, nn.LSTM]
)
def test_unit_forget_bias(make_one):
    module = make_one(I, H)
    torch.manual_seed(0)
    names = init.unit_forget_(module)
    biases = [module.get_parameter(name) for name in names]
    assert torch.equal(sum(b[H : 2 * H] for b in biases), torch.ones(H))
    assert make_one is elman.LayerNormLSTM or all(b[:H].any() and b[2 * H :].any() for b in biases)


def test_unit_forget_bias_in_all_layers():
    stack = elman.Stack(elman.Recurrent(elman.LSTM(I, H)), elman.Recurrent(elman.around.Zoneout(elman.LSTM(H, H), 0.1)))
    assert init.unit_forget_(stack, 2.0) == ("layers.0.cell.U.bias", "layers.1.cell.cell.U.bias")
    assert all((p[H : 2 * H] == 2).all() for n, p in stack.named_parameters() if n.endswith("bias"))
    deep = elman.nn.LSTM(I, H, 2, bidirectional=True)
    assert len(init.unit_forget_(deep)) == 8
    assert all((getattr(deep, f"bias_ih_l{n}")[H : 2 * H] == 1).all() for n in ("0", "1", "0_reverse", "1_reverse"))


def test_chrono():
    torch.manual_seed(0)
    cell = elman.LSTM(I, 400)
    init.chrono_(cell, 100)
    i, f, _, _ = cell.U.bias.chunk(4)
    assert torch.equal(i, -f) and f.min() >= 0 and f.max() <= math.log(99)
    assert abs(f.exp().mean().item() - 50) < 5  # uniform on 1 to 99
    layer = elman.nn.GRU(I, 400, 2)
    init.chrono_(layer, 100, generator=torch.Generator().manual_seed(0))
    z = layer.bias_ih_l1[400:800]
    assert z.min() >= 0 and z.max() <= math.log(99) and not layer.bias_hh_l1[400:800].any()
    janet = elman.JANET(I, 400)
    init.chrono_(janet, 100)
    assert janet.U.bias[:400].min() >= 0 and 3 < janet.U.bias[:400].mean() < 4
    own = make("two")
    assert init.chrono_(own, 50, forget="f") == ("U.bias",)
    with pytest.raises(ArgumentError, match="which gate of Two keeps what a unit holds"):
        init.chrono_(make("two"), 50)
    with pytest.raises(ArgumentError, match="at least 3 steps, got 2"):
        init.chrono_(cell, 2)


def test_errors():
    with pytest.raises(ArgumentError, match=r"GRU has no gate 'f': expected one of r, z, n"):
        init.unit_forget_(elman.GRU(I, H))
    with pytest.raises(ArgumentError, match="LSTM has no bias weight"):
        init.unit_forget_(elman.LSTM(I, H, bias=False))
    with pytest.raises(ArgumentError, match="Linear has no recurrent weight"):
        init.orthogonal_(nn.Linear(3, 3))
    with pytest.raises(ArgumentError, match="expected a role among"):
        init.glorot_(elman.LSTM(I, H), role="hidden")
    with pytest.raises(ArgumentError, match="of your own names its gates"):
        init.constant_(elman.Elman(I, H), 1.0, gate="f")


def test_weights_that_are_computed():
    torch.manual_seed(0)
    cell = elman.LSTM(I, H)
    elman.around.tie(cell, ("U.bias", slice(0, H)), ("U.bias", slice(H, 2 * H)))
    elman.around.weight_drop(cell, 0.5)
    init.constant_(cell, 0.25)
    init.orthogonal_(cell)
    W = cell.eval().W.weight[:H]
    torch.testing.assert_close(W @ W.t(), torch.eye(H), atol=1e-5, rtol=1e-5)
    assert (cell.U.bias == 0.25).all()


KEEPING = ("LSTM", "GRU", "GRUResetAfter", "JANET", "RAN", "UGRNN", "LiGRU", "CFN", "MinGRU", "MGU")


@pytest.mark.parametrize("name", KEEPING)
def test_chrono_makes_units_keep_what_they_hold(name):
    """Without input and recurrent weights, ∂c(t)/∂c(t-1) is σ(log U(1, longest - 1)), from 1/2 on."""
    cell, longest = getattr(elman, name)(3, 200).double().eval(), 100
    init.chrono_(cell, longest, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in cell.parameters():
            if parameter.dim() == 2:
                parameter.zero_()
    state = [torch.zeros(1, 200, dtype=torch.float64, requires_grad=True) for _ in cell.state_size]
    after = cell.step(torch.zeros(1, 3, dtype=torch.float64), *state)
    after = after if isinstance(after, tuple) else (after,)
    kept = torch.autograd.grad(after[-1].sum(), state[-1])[0]
    if name == "RAN":  # h, then c
        assert len(state) == 2
    times = 1 / (1 - kept)  # 1 + U(1, longest - 1)
    assert 2 <= times.min() < 5 and 90 < times.max() <= longest
    assert abs(times.mean() - (1 + longest / 2)) < 6


def test_gates_may_be_given():
    cell = elman.MinGRU(3, 4)
    init.chrono_(cell, 50, write="z", generator=torch.Generator().manual_seed(0))
    assert (cell.U.bias[:4] <= 0).all()
    assert init.unit_forget_(elman.RAN(3, 4)) == ("U.bias",)
