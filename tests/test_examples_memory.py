"""The examples on memory: what they measure is what a slower way finds; they run."""

import math

import pytest
import torch

import elman
from elman.examples import fading, vanishing

X = torch.randn(7, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def one_by_one(cell, x, v):
    """The gradients of all states, each step called for itself."""
    states, kept = cell.initial_state(x.shape[1]), []
    for x_t in x:
        states = tuple(state.clone().requires_grad_() for state in states)  # a copy: c(t) is also read by h(t)
        for state in states:
            state.retain_grad()
        kept.append(states)
        found = cell.step(x_t, *states)
        states = found if isinstance(found, tuple) else (found,)
    (cell.output(*states) @ v).sum().backward()
    return torch.stack([torch.cat([s.grad for s in states], dim=-1).norm(dim=-1).mean() for states in kept])


@pytest.mark.parametrize("name", ["Elman", "LSTM", "LRU", "SCRN"])
def test_norms_are_those_of_each_step_called_for_itself(name):
    torch.manual_seed(0)
    cell = getattr(elman, name)(2, 5).double()
    v = torch.randn(cell.output(*cell.initial_state(1)).shape[-1], dtype=torch.float64)
    torch.testing.assert_close(vanishing.norms(cell, X, v), one_by_one(cell, X, v), rtol=1e-10, atol=1e-14)


def test_what_is_orthogonal_neither_vanishes_nor_explodes():
    flow = vanishing.measure_norms(200)
    back = {name: (values[0] / values[-1]).item() for name, values in flow.items()}
    assert back["orthogonal, no tanh"] == pytest.approx(1, rel=1e-4)  # orthogonal in float32
    assert back["tanh, small weights"] < 1e-40 and back["LSTM, forget bias 1"] < 1e-6
    assert back["tanh, large weights"] > 1e3 and 0.01 < back["LSTM, chrono"] < 10


def test_without_clipping_it_blows_up_and_with_it_does_not():
    results = {}
    for label in ("SGD", "SGD, clipped"):
        torch.manual_seed(0)
        results[label] = vanishing.trained(vanishing.linear(), vanishing.WAYS[label], 50, 20)
    assert not math.isfinite(results["SGD"].error) and len(results["SGD"].losses) < 20
    assert math.isfinite(results["SGD, clipped"].error) and len(results["SGD, clipped"].losses) == 20
    assert results["SGD, clipped"].longest > 1


def test_the_curve_is_what_each_tail_by_itself_gives():
    torch.manual_seed(0)
    network = fading.trained(elman.GRU(fading.INPUTS, fading.UNITS), fading.Way(4, 20, 0.5, 30))
    known = fading.curve(network, 40, seed=5)
    sample = fading.draw(40, fading.ASKED, torch.Generator().manual_seed(5))
    assert known.shape == (41,)
    for tail in (0, 7, 40):
        said = network["readout"](network["layer"](sample.x[: fading.SHOWN + tail])[1])
        right = (said.argmax(-1) == sample.x[0].argmax(-1)).float().mean()
        assert known[tail].item() == pytest.approx(right.item(), abs=0.01)  # rounding may turn a close choice


@pytest.mark.slow
def test_what_is_learned_on_short_tails_is_known_there():
    torch.manual_seed(0)
    network = fading.trained(fading.chrono(), fading.WAYS["up to 20 steps"])
    assert fading.curve(network, 20).min() > 0.95


@pytest.mark.parametrize("example", [fading, vanishing], ids=["fading", "vanishing"])
def test_an_example_runs_and_draws(example, tmp_path, capsys):
    example.main(["--quick", "--out", str(tmp_path / "picture.png"), *(["--seeds", "3"] if example is fading else [])])
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert all(name in printed for name in (*example.NETWORKS, *example.WAYS))


@pytest.mark.parametrize("example", [fading, vanishing], ids=["fading", "vanishing"])
def test_a_picture_that_cannot_be_written_is_said_before_the_work(example, tmp_path, capsys):
    with pytest.raises(SystemExit):
        example.main(["--out", str(tmp_path / "nowhere" / "picture.png")])
    assert "nowhere" in capsys.readouterr().err
