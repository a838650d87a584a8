"""`elman show` and `layer.plan`: every stage of built-in cells and of a user's own; golden text for a few."""

import re
import subprocess
from importlib.resources import files

import pytest
import torch
from typer.testing import CliRunner

import elman
from builds import REAL, forget, needs_compiler
from elman.cli import app
from elman.compiler import STAGES
from elman.compiler.plan import DRAWN
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

class Ends(Leaky):
    """*/ int main(void) { /* a docstring that closes a comment"""

class Shuffled(Leaky):
    def step(self, x, h):
        return (self.U(x) + self.W(h)).T.reshape(-1, h.size(-1)).tanh()

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
@pytest.mark.parametrize("stage", ["trace", "unfold", "gradient"])
def test_golden(golden, cell, stage):
    golden(f"{cell}_{stage}.txt", show(cell, "--stage", stage))


@needs_compiler
@pytest.mark.parametrize("cell", ["elman", "gru", "jordan"])
def test_golden_hoist(golden, cell):
    golden(f"{cell}_hoist.txt", show(cell, "--stage", "hoist"))


def test_golden_hoist_on_torch(golden):
    with elman.using(backend="reference"):
        golden("gru_hoist_reference.txt", show("gru", "--stage", "hoist"))


@needs_compiler
def test_golden_bindings(golden):
    golden("lstm_hoist_lengths_reset.txt", show("lstm", "--stage", "hoist", "--lengths", "--reset"))
    golden("jordan_hoist_targets.txt", show("jordan", "--stage", "hoist", "--targets"))


def test_golden_python(golden):
    torch.manual_seed(0)
    golden("gru_python.txt", elman.Recurrent(elman.GRU(8, 16)).plan(torch.zeros(2, 2, 8)).python)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["elman", "jordan", "lstm", "gru", "gru-reset-after", "GRUResetAfter"])
@pytest.mark.parametrize("format", ["text", "mermaid", "svg"])
def test_every_cell_in_every_format(cell, format):
    for arguments in ([], ["--unfold", "3"], *(["--stage", s] for s in DRAWN)):
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
        (["lstm", "--stage", "d"], "expected a stage among trace, unfold, gradient, hoist, schedule, c, got 'd'"),
        (["lstm", "--stage", "d", "--format", "svg"], "expected a stage among"),
        (["lstm", "--stage", "c", "--format", "mermaid"], "c is text alone: .* trace, unfold, gradient, hoist"),
        (["lstm", "--stage", "schedule", "--format", "svg"], "schedule is text alone"),
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


@pytest.mark.parametrize("backend", ["reference", pytest.param("c", marks=needs_compiler)])
def test_plans_of_stacks(backend):
    layer = elman.Stack(elman.Recurrent(elman.LSTM(3, 5)), elman.Recurrent(elman.GRU(5, 4)))
    with elman.using(backend=backend):
        plan = layer.plan(torch.zeros(4, 2, 3), lengths=[4, 2])
    assert [part.cell for part in plan.layers] == ["LSTM", "GRU"]
    assert plan.backend == backend
    assert "before: 1 product" in str(plan)
    assert "einsum" in plan.show("hoist")
    assert "def inside" in plan.python
    assert plan.show("c").count("/* FORWARD") == 2


def test_the_hoist_stage_is_that_of_the_backend():
    layer, x = elman.Recurrent(elman.GRU(8, 16)), torch.zeros(2, 2, 8)
    with elman.using(backend="reference"):
        plain = layer.plan(x).layers[0]
    assert plain.backend == "reference"
    assert plain._hoisted() == (plain.compiled.stages, plain.compiled.gradient_stages)
    if REAL:
        with elman.using(backend="c"):
            assert layer.plan(x).show("hoist") != plain.show("hoist")


@needs_compiler
@pytest.mark.parametrize("cell", [elman.GRU, elman.LSTM])
def test_the_c_that_is_shown_is_the_c_that_runs(cell):
    layer, x = elman.Recurrent(cell(8, 16)), torch.zeros(3, 2, 8, requires_grad=True)
    with elman.using(backend="c"):
        layer(x)[0].sum().backward()
        plan = layer.plan(x).layers[0]
    compiled = plan.compiled
    forward, gradient = plan.programs.forward_kept, plan.programs.backward(compiled.inputs)
    assert plan.c == f"/* forward */\n{forward.text['inside']}\n\n/* gradient */\n{gradient.text['inside']}"


NAMED = ("s0 .* A1\n", "w0 .* W.weight\n", "h0, n0 .* h\n", "o. .* given out +y\n", "for the gradient +")


@pytest.mark.parametrize("cell", ["elman", "gru", "lstm", "jordan"])
def test_c(cell):
    text = show(cell, "--stage", "c")
    head = text.split("*/")[0]
    assert head.startswith(f"/* {text.split()[1]}\n\n   ")
    assert "(t) = " in head
    forward, gradient = text.split("/* FORWARD")[1].split("/* GRADIENT")
    assert "for t = 1, ..., T:" in forward
    assert "for t = T, ..., 1:" in gradient
    assert f"cells/{cell}.py:" in forward.split("*/")[0]
    assert "Schedule: " in forward.split("*/")[0]
    assert all(re.search(line, forward) for line in NAMED if cell != "jordan")
    assert re.search("for the stage after +S1\n", gradient)
    assert "codegen/vector.h stands here" in text
    assert "V_HOT" not in text
    assert "void run_forward(" in text
    assert "void run_gradient(" in text


def test_c_of_a_cell_of_ones_own(own):
    text = show(f"{own}:Leaky", "--stage", "c", "--hidden-size", "5")
    assert text.startswith("/* Leaky.\n\n   h(t) = (1 - a) h(t-1) + a tanh(U x(t) + W h(t-1))\n\n")
    assert "mycell.py:15" in text


@needs_compiler
@pytest.mark.parametrize("cell", ["lstm", "{own}:Ends"])
def test_the_c_that_is_shown_compiles(own, tmp_path, cell):
    header = files("elman.compiler.codegen").joinpath("vector.h").read_text()
    text = show(cell.format(own=own), "--stage", "c")
    text = re.sub(r"/\* codegen/vector.h stands here.*?\*/", lambda _: header, text, flags=re.DOTALL)
    (tmp_path / "kernel.c").write_text(text)
    done = subprocess.run(
        [REAL, "-std=gnu11", "-fsyntax-only", "-Wall", "-Werror=comment", "kernel.c"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_c_without_a_compiler(monkeypatch, tmp_path):
    with_one = show("gru", "--stage", "c")
    for name, value in (("PATH", str(tmp_path)), ("ELMAN_CACHE", str(tmp_path / "cache"))):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("elman.compiler.runtime.build.find_spec", lambda name: None)
    forget(monkeypatch)
    with pytest.warns(UserWarning, match="no C compiler"):
        assert show("gru", "--stage", "c") == with_one
    with pytest.warns(UserWarning, match="no C compiler"):
        assert "no C compiler" in show("gru", "--stage", "schedule")


def test_without_a_loop_there_is_no_kernel():
    assert "no step waits for another" in show("jordan", "--stage", "c", "--targets")


def test_why_there_is_no_kernel(own):
    with pytest.warns(UserWarning, match="mixes the rows"), pytest.raises(ArgumentError, match=r"no kernel: .* mixes"):
        show(f"{own}:Shuffled", "--stage", "c")


def test_schedule():
    text = show("lstm", "--stage", "schedule")
    for name, value in elman.Schedule().as_dict().items():
        assert re.search(rf"^{name} +\S+ +\w", text, flags=re.MULTILINE), name
        assert name == "target" or re.search(rf"^{name} +{value} ", text, flags=re.MULTILINE)
    assert "LSTM: " in text.splitlines()[-1]
    with elman.using(schedule=elman.Schedule(target="plain", block=17)):
        assert re.search("^block +17 ", show("lstm", "--stage", "schedule"), flags=re.MULTILINE)


def test_every_stage_has_its_line_in_the_manual():
    text = " ".join(show("--help").split())
    assert all(f" {stage} " in text for stage in STAGES)


def test_a_schedule_is_a_value():
    schedule = elman.Schedule(target="plain", gates=3)
    assert schedule == elman.Schedule.from_dict(schedule.as_dict())
    assert len({schedule, elman.Schedule(target="plain", gates=3), elman.Schedule()}) == 2
    assert str(schedule) == "plain, columns 2, gates 3, rows 0, block 96, recompute True"
    assert elman.Schedule.from_dict({"block": 32}) == elman.Schedule(block=32)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"target": "sse9"}, "expected a target among avx512, avx2, plain, got 'sse9'"),
        ({"target": ["avx2"]}, "expected a target"),
        ({"gates": 0}, "expected gates as a whole number from 1 to 64, got 0"),
        ({"columns": 2.0}, "expected columns as a whole number from 1 to 8, got 2.0"),
        ({"rows": -1}, "expected rows .* from 0 .*, got -1"),
        ({"block": True}, "expected block as a whole number not below 1, got True"),
        ({"block": "96"}, "got '96'"),
        ({"recompute": 1}, "expected recompute as True or False, got 1"),
        ({"tiles": 3, "x": 1}, "expected fields among target, columns, gates, rows, block, recompute, got tiles, x"),
    ],
)
def test_what_is_no_schedule(wrong, message):
    with pytest.raises(ArgumentError, match=message):
        elman.Schedule.from_dict(wrong)
    if not set(wrong) - set(elman.Schedule().as_dict()):
        with pytest.raises(ArgumentError, match=message):
            elman.Schedule(**wrong)


def test_a_schedule_is_read_from_fields():
    with pytest.raises(ArgumentError, match="expected its fields by name, got 3"):
        elman.Schedule.from_dict(3)


def test_a_schedule_for_another_processor_is_refused(monkeypatch):
    monkeypatch.setattr("elman.compiler.runtime.build._able", lambda: frozenset({"avx2", "fma"}))
    with (
        pytest.raises(ArgumentError, match="got one for avx512"),
        elman.using(schedule=elman.Schedule(target="avx512")),
    ):
        raise AssertionError("it would end the process")
