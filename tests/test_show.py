"""`elman show` and `layer.plan`: every stage of built-in cells and of a user's own; golden text for a few."""

import pytest
import torch
from typer.testing import CliRunner

import elman
from elman.cli import app
from elman.cli.show import STAGES
from elman.errors import ArgumentError

OWN = '''
import torch, elman

class Leaky(elman.Cell):
    """h(t) = (1 - a) h(t-1) + a tanh(U x(t) + W h(t-1))"""

    def __init__(self, input_size, hidden_size, rate=0.5):
        super().__init__()
        self.state_size = (hidden_size,)
        self.rate = rate
        self.U = torch.nn.Linear(input_size, hidden_size)
        self.W = torch.nn.Linear(hidden_size, hidden_size, bias=False)

    def step(self, x, h):
        return (1 - self.rate) * h + self.rate * torch.tanh(self.U(x) + self.W(h))

class Wants(Leaky):
    def __init__(self, input_size, hidden_size, depth):
        super().__init__(input_size, hidden_size)

class Sums(Leaky):
    def step(self, x, h):
        return torch.cumsum(self.U(x) + h, -1)
'''


def show(*arguments):
    result = CliRunner().invoke(app, ["show", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def own(tmp_path):
    (tmp_path / "mycell.py").write_text(OWN)
    return str(tmp_path / "mycell.py")


@pytest.mark.parametrize("cell", ["elman", "gru", "jordan"])
@pytest.mark.parametrize("stage", STAGES.replace(" or", ",").split(", "))
def test_golden(golden, cell, stage):
    golden(f"{cell}_{stage}.txt", show(cell, "--stage", stage))


def test_golden_bindings(golden):
    golden("lstm_hoist_lengths_reset.txt", show("lstm", "--stage", "hoist", "--lengths", "--reset"))
    golden("jordan_hoist_targets.txt", show("jordan", "--stage", "hoist", "--targets"))


def test_golden_python(golden):
    torch.manual_seed(0)
    golden("gru_python.txt", elman.Recurrent(elman.GRU(8, 16)).plan(torch.zeros(2, 2, 8)).python)


@pytest.mark.parametrize("cell", ["elman", "jordan", "lstm", "gru", "gru-reset-after", "GRUResetAfter"])
@pytest.mark.parametrize("format", ["text", "mermaid", "svg"])
def test_every_cell_in_every_format(cell, format):
    for arguments in ([], ["--unfold", "3"], *(["--stage", s] for s in ("trace", "unfold", "gradient", "hoist"))):
        text = show(cell, *arguments, "--format", format)
        assert text.startswith("<svg") if format == "svg" else len(text.splitlines()) > 3


def test_a_cell_of_ones_own(own):
    text = show(f"{own}:Leaky", "--input-size", "8", "--hidden-size", "16", "--stage", "trace")
    assert "mycell.py:15" in text
    assert "[B, 16]" in text
    assert "h(t+1)" in show(f"{own}:Leaky", "--unfold", "3")


def test_the_readout_and_the_input_are_hoisted():
    text = show("jordan", "--stage", "hoist", "--targets")
    assert text.count("nothing: no step waits for another") == 2
    text = show("elman", "--stage", "hoist").split("GRADIENT")[0]
    before, inside = text.split("inside")
    assert "U.weight" in before
    assert "U.weight" not in inside


def test_out(tmp_path):
    file = tmp_path / "lstm.svg"
    assert str(file) in show("lstm", "--format", "svg", "--out", str(file))
    assert file.read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lstn"], "expected one of the cells"),
        (["nowhere.py:Cell"], "not there"),
        (["{own}:Leak"], "'Leaky'"),
        (["{own}:Wants"], "needs depth"),
        (["lstm", "--stage", "c"], "expected a stage among"),
        (["lstm", "--format", "png"], "expected the format"),
        (["lstm", "--targets"], "drop --targets"),
    ],
)
def test_what_cannot_be_shown(own, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        show(*(a.format(own=own) for a in arguments))


def test_a_step_that_cannot_be_read_has_no_stages(own):
    with pytest.warns(UserWarning, match="cumsum"), pytest.raises(ArgumentError, match="cumsum"):
        show(f"{own}:Sums", "--stage", "trace")


def test_plans_of_stacks():
    layer = elman.Stack(elman.Recurrent(elman.LSTM(3, 5)), elman.Recurrent(elman.GRU(5, 4)))
    plan = layer.plan(torch.zeros(4, 2, 3), lengths=[4, 2])
    assert [part.cell for part in plan.layers] == ["LSTM", "GRU"]
    assert plan.backend == "reference"
    assert "before: 1 product" in str(plan)
    assert "einsum" in plan.show("hoist")
    assert "def inside" in plan.python
