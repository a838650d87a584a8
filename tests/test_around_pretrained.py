"""Loading what matches, freezing and unfreezing groups."""

import pytest
import torch
from torch import nn

import elman
from elman.around import constrain, freeze, linear, load_matching, renumbered, unfreeze, weight_drop
from elman.errors import ArgumentError, ShapeError


def model(vocabulary=7, hidden=4, layers=2):
    torch.manual_seed(vocabulary)
    stack = elman.Stack(*(elman.Recurrent(elman.LSTM(hidden, hidden)) for _ in range(layers)))
    parts = {"embedding": nn.Embedding(vocabulary, hidden), "stack": stack, "readout": nn.Linear(hidden, vocabulary)}
    return nn.ModuleDict(parts)


def test_what_matches_is_loaded_and_the_rest_is_told():
    old, new = model(7, layers=1), model(9, layers=2)
    before = {name: p.clone() for name, p in new.state_dict().items()}
    found = load_matching(new, old.state_dict() | {"extra": torch.ones(1), "readout.bais": torch.ones(9)})
    assert found.matched == (
        "stack.layers.0.cell.U.weight",
        "stack.layers.0.cell.U.bias",
        "stack.layers.0.cell.W.weight",
    )
    assert all(torch.equal(new.state_dict()[name], old.state_dict()[name]) for name in found.matched)
    assert all(torch.equal(new.state_dict()[name], before[name]) for name in found.left)
    assert found.left["embedding.weight"] == "expected [9, 4], got [7, 4]"
    assert found.left["stack.layers.1.cell.W.weight"] == "the state dict has none"
    assert found.unused["readout.bais"] == "the model has no 'readout.bais': did you mean 'readout.bias'?"
    assert set(found.matched) | set(found.left) == set(before)
    assert "3 matched" in str(found) and "not used: extra" in str(found)


def test_names_may_be_changed_on_the_way():
    old, new = elman.Recurrent(elman.LSTM(4, 4)), model()
    found = load_matching(new, old.state_dict(), lambda name: None if "bias" in name else f"stack.layers.1.{name}")
    assert len(found.matched) == 2 and found.unused == {"cell.U.bias": "it was not wanted"}
    with pytest.raises(ArgumentError, match="twice"):
        load_matching(new, old.state_dict(), lambda name: "readout.bias")
    with pytest.raises(ArgumentError, match="nothing matched"):
        load_matching(new, old.state_dict())


def test_into_weights_that_are_computed():
    old, new = elman.Recurrent(elman.LSTM(4, 4)), elman.Recurrent(elman.LSTM(4, 4))
    weight_drop(new, 0.5)
    assert len(load_matching(new, old.state_dict()).matched) == 3
    x = torch.randn(3, 2, 4)
    assert torch.equal(new.eval()(x)[0], old(x)[0])


def test_frozen_weights_stay_and_the_rest_moves():
    net = model()
    names = freeze(net, "embedding.*", "stack.layers.0.*")
    assert names == ("embedding.weight", *(f"stack.layers.0.cell.{n}" for n in ("U.weight", "U.bias", "W.weight")))
    before = {name: p.clone() for name, p in net.state_dict().items()}

    def step():
        optimiser = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], weight_decay=0.1)
        net["readout"](net["stack"](net["embedding"](torch.tensor([[1], [2]])))[0]).sum().backward()
        optimiser.step()
        return {name for name, p in net.state_dict().items() if not torch.equal(p, before[name])}

    assert step() == set(before) - set(names)
    unfreeze(net, "*")
    assert step() == set(before)
    with pytest.raises(ArgumentError, match=r"no parameter of ModuleDict matches 'stak.\*'"):
        freeze(net, "stak.*")


def test_constrained_weights_are_frozen_by_their_plain_names():
    net = elman.Recurrent(elman.LSTM(4, 4))
    constrain(net, linear(["cell.U.bias"], torch.ones(1, 16), 1.0))
    freeze(net, "cell.U.bias")
    assert not net.cell.U.bias.requires_grad
    unfreeze(net, "cell.U.*")
    assert net.cell.U.bias.requires_grad


def test_a_new_vocabulary_is_mapped_by_name():
    old_tokens, new_tokens = ["eos", "a", "b", "c", "d", "e", "f"], ["e", "x", "eos", "y", "b"]
    old, new = model(7), model(5)
    before = {name: p.clone() for name, p in new.state_dict().items()}
    state = renumbered(new, old.state_dict(), old_tokens, new_tokens, "embedding.*", "readout.*")
    assert all(torch.equal(p, before[name]) for name, p in new.state_dict().items())  # nothing has moved yet
    assert not load_matching(new, state).left
    for name in ("embedding.weight", "readout.weight", "readout.bias"):
        now, was = new.state_dict()[name], old.state_dict()[name]
        for number, token in enumerate(new_tokens):
            row = was[old_tokens.index(token)] if token in old_tokens else before[name][number]
            assert torch.equal(now[number], row)
    name = "stack.layers.1.cell.W.weight"
    assert torch.equal(new.state_dict()[name], old.state_dict()[name])


@pytest.mark.parametrize(
    ("old", "new", "names", "error", "words"),
    [
        (["a", "b", "a"], ["a", "b"], ["embedding.*"], ArgumentError, "old vocabulary once, got 'a'"),
        (["a", "b", "c"], ["x", "y"], ["embedding.*"], ArgumentError, "share no token"),
        (["a", "b", "c"], ["a", "b"], ["embeding.weight"], ArgumentError, "did you mean 'embedding.weight'"),
        (["a", "b"], ["a", "b"], ["embedding.*"], ShapeError, r"state dict: expected \[2, 4\], got \[3, 4\]"),
        (["a", "b", "c"], ["a"], ["embedding.*"], ShapeError, r"model: expected \[1, 4\], got \[2, 4\]"),
        (["a", "b", "c"], ["a", "b"], ["stack.*.U.weight"], ShapeError, "of the state dict"),
    ],
)
def test_a_vocabulary_that_does_not_fit(old, new, names, error, words):
    with pytest.raises(error, match=words):
        renumbered(model(2), model(3).state_dict(), old, new, *names)
