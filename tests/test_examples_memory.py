"""The examples on memory: what they measure is what a slower way finds; they run."""

import math

import pytest
import torch

import elman
from elman.examples import fading, vanishing
from every_cell import CELLS, make_cell

X = torch.randn(7, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def one_by_one(cell, x, v):
    """The gradients of all states, each step called for itself."""
    fed = () if cell.feedback_size is None else (cell.start(x.shape[1]),)
    entering, kept = (*fed, *cell.initial_state(x.shape[1])), []
    for x_t in x:
        entering = tuple(state.clone().requires_grad_() for state in entering)  # a copy: c(t) is also read by h(t)
        for state in entering:
            state.retain_grad()
        kept.append(entering)
        found = cell.step(x_t if x_t.shape[-1] else None, *entering)
        states = found if isinstance(found, tuple) else (found,)
        y = cell.output(*states)
        entering = states if not fed else (y, *states[: len(cell.state_size)])
    (y @ v).sum().backward()
    flat = [[s.grad.flatten(1) if s.grad is not None else torch.zeros_like(s) for s in states] for states in kept]
    return torch.stack([torch.cat(gradients, dim=-1).norm(dim=-1).mean() for gradients in flat])


def check_norms(name):
    cell = make_cell(name, 2, 6)
    x = X[..., :0] if name == "Autonomous" else X
    y, _ = elman.Recurrent(cell)(*((x,) if x.shape[-1] else (None,)), steps=None if x.shape[-1] else 7)
    v = torch.randn(y.shape[-1], dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(vanishing.norms(cell, x, v), one_by_one(cell, x, v), rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize("name", ["LSTM", "SCRN"])
def test_norms_are_those_of_each_step_called_for_itself(name):
    check_norms(name)


class Grid(elman.Cell):
    """One state of numbers in a square."""

    def __init__(self):
        super().__init__()
        self.state_size = ((2, 2),)

    def step(self, x, h):
        return torch.tanh(0.5 * h + h.transpose(1, 2) + x[:, :, None])

    def output(self, h):
        return h.sum(2)

    def initial_state(self, batch_size):
        return (torch.zeros(batch_size, 2, 2, dtype=torch.float64),)


def test_norms_of_states_that_are_no_vectors_or_held():
    v = torch.tensor([1.0, -2.0], dtype=torch.float64)
    torch.testing.assert_close(vanishing.norms(Grid(), X, v), one_by_one(Grid(), X, v), rtol=1e-8, atol=1e-14)
    cell = elman.Elman(2, 6).double()
    silent = elman.around.VariationalDropout(cell, 0.0)
    v = torch.ones(6, dtype=torch.float64)
    torch.testing.assert_close(vanishing.norms(silent, X, v), one_by_one(cell, X, v), rtol=1e-8, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_norms_of_every_cell(name):
    with elman.using(backend="reference"):
        check_norms(name)


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
    assert 1 < results["SGD, clipped"].longest < math.inf


def test_clipping_does_not_help_where_the_gradient_is_infinite():
    torch.manual_seed(0)
    result = vanishing.trained(vanishing.tanh(2.0), vanishing.WAYS["SGD, clipped"], 1000, 3)
    assert result.longest == math.inf and not math.isfinite(result.error)


def test_the_curve_is_what_each_tail_by_itself_gives():
    torch.manual_seed(0)
    network, lengths = fading.trained(elman.GRU(fading.INPUTS, fading.UNITS), fading.Way(4, 20, 0.5, 10)), (0, 7, 40)
    known = fading.curve(network, lengths, seed=5)
    sample = fading.draw(40, fading.ASKED, torch.Generator().manual_seed(5))
    for n, tail in enumerate(lengths):
        said = network["readout"](network["layer"](sample.x[: fading.SHOWN + tail])[1])
        right = (said.argmax(-1) == sample.x[0].argmax(-1)).float().mean()
        assert known[n].item() == pytest.approx(right.item(), abs=0.01)  # rounding may turn a close choice


class Holds(elman.Cell):
    """h(t) = decay h(t-1) + the label that is shown + noise of the tail."""

    def __init__(self, decay):
        super().__init__()
        self.state_size, self.decay = (1,), decay

    def step(self, x, h):
        return self.decay * h + x[:, :1] - x[:, 1:2] + 0.1 * (x[:, 2:3] - x[:, 3:4])


def test_a_probe_finds_what_is_held_and_no_more():
    assert fading.probed(Holds(1.0), (0, 10, 100)).tolist() == [1, 1, 1]
    known = fading.probed(Holds(0.5), (0, 40))
    assert known[0] == 1 and known[1] == pytest.approx(1 / fading.LABELS, abs=0.1)  # 4 standard deviations


def test_lengths_rise_to_the_tail():
    for tail in (0, 1, 7, 5000):
        lengths = fading.lengths_up_to(tail)
        assert lengths[0] == 0 and lengths[-1] == tail and lengths == sorted(set(lengths))


@pytest.mark.slow
def test_what_tails_that_grow_teach_is_known_far_beyond():
    torch.manual_seed(0)
    network = fading.trained(fading.chrono(), fading.Way(4, 50, 0.5, 300))
    assert fading.curve(network, (0, 10, 50, 500)).min() > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("example", [fading, vanishing], ids=["fading", "vanishing"])
def test_an_example_runs_and_draws(example, tmp_path, capsys):
    example.main(
        ["--quick", "--picture", str(tmp_path / "picture.png"), *(["--seeds", "3"] if example is fading else [])]
    )
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert all(name in printed for name in (*example.NETWORKS, *example.WAYS))


@pytest.mark.parametrize("example", [fading, vanishing], ids=["fading", "vanishing"])
def test_a_picture_that_cannot_be_written_is_said_before_the_work(example, tmp_path, capsys):
    with pytest.raises(SystemExit):
        example.main(["--picture", str(tmp_path / "nowhere" / "picture.png")])
    assert "nowhere" in capsys.readouterr().err
