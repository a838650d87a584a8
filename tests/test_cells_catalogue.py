"""What is said of the cells: sources and BibTeX, `elman.cite`, `elman cells`, `elman show` of each by its name."""

import inspect
import json
import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import elman
from elman.cells import find_cell, known_cells, paper
from elman.cells.references import entries
from elman.cli import app
from elman.errors import ArgumentError

KNOWN = known_cells()
each = pytest.mark.parametrize("name", KNOWN)


def run(*words):
    result = CliRunner().invoke(app, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def plain(text):
    return re.sub(r"\s+", " ", text).lower()


def source(kind):
    return re.search(r"^Source: (.*?)\n(?=Departs: )", inspect.getdoc(kind) + "\n", flags=re.DOTALL | re.MULTILINE)[1]


def test_there_are_enough():
    assert len(KNOWN) >= 50
    assert {"AntisymmetricRNN", "CfC", "LRU", "NAS", "SLSTM", "UnICORNN"} <= KNOWN.keys() <= vars(elman).keys()


@each
def test_a_cell_says_where_it_comes_from_and_departs(name):
    text = inspect.getdoc(KNOWN[name])
    assert text.index("\n    ") < text.index("\nArgs:") < text.index("\nSource:") < text.index("\nDeparts:")
    arguments = text[text.index("\nArgs:") :].split("\n\n")[0]
    assert re.findall(r"^    (\w+): ", arguments, flags=re.MULTILINE) == list(inspect.signature(KNOWN[name]).parameters)


@each
def test_the_source_is_the_reference(name):
    assert KNOWN[name].references
    said = source(KNOWN[name])
    for key in KNOWN[name].references:
        entry = paper(key)
        surnames = [author.split(",")[0] for author in entry["author"].split(" and ")]
        assert surnames[0] in said
        assert "et al." in said or all(surname in said for surname in surnames), surnames
        assert plain(entry["title"]) in plain(said)
        assert entry["year"] in said


def test_every_reference_is_one_of_a_cell():
    used = {key for kind in KNOWN.values() for key in kind.references}
    assert used == set(entries())
    for key in used:
        assert {"author", "title", "year"} <= paper(key).keys()
        assert entries()[key].count("{") == entries()[key].count("}")


def test_cite():
    lstm = elman.cite("lstm")
    assert lstm.startswith("@article{gers2000learning,\n")
    assert "hochreiter1997lstm" in lstm
    assert elman.cite(elman.LSTM) == elman.cite(elman.LSTM(2, 3)) == elman.cite(elman.nn.LSTM(2, 3)) == lstm
    model = torch.nn.Sequential(elman.Recurrent(elman.GRU(2, 3)), elman.Recurrent(elman.GRU(3, 3)), torch.nn.ReLU())
    assert elman.cite(model) == elman.cite("gru")
    both = elman.cite(elman.Stack(elman.Recurrent(elman.GRU(2, 3)), elman.Recurrent(elman.LSTM(3, 3))))
    assert both == f"{elman.cite('gru')}\n\n{lstm}"


def test_cite_a_cell_of_ones_own():
    class Own(elman.LSTM):
        references = ("@misc{me,\n  title = {Mine},\n}", "cho2014learning")

    assert elman.cite(Own) == f"@misc{{me,\n  title = {{Mine}},\n}}\n\n{elman.cite('gru')}"
    with pytest.raises(ArgumentError, match="expected a cell, or a model with a cell"):
        elman.cite(torch.nn.Linear(2, 3))
    with pytest.raises(ArgumentError, match="expected one of the cells"):
        elman.cite("lstn")


def test_the_page_on_cells():
    """Names every cell, and its code runs."""
    text = (Path(__file__).parents[1] / "docs" / "cells.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(\w+)`", text)) >= KNOWN.keys()
    scope = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        exec(compile(block, "docs/cells.md", "exec"), scope)
    assert scope["y"].shape == (100, 8, 64)


@pytest.mark.parametrize("name", ["li_gru", "LI-GRU", "ligru"])
def test_names_in_any_case(name):
    assert find_cell(name) is elman.LiGRU


def test_the_list(golden):
    listed = "\n".join(line.rstrip() for line in run("cells").splitlines()) + "\n"
    golden("cells.txt", listed)
    assert all(name in listed for name in KNOWN)


def test_the_list_as_json():
    rows = {row["name"]: row for row in json.loads(run("cells", "--json"))}
    assert rows.keys() == KNOWN.keys()
    assert all(row["equation"] for row in rows.values())
    assert rows["LSTM"] == {
        "name": "LSTM",
        "equation": "c(t) = f c(t-1) + i g; h(t) = o tanh(c(t))",
        "states": {"h": 128, "c": 128},
        "parameters": 4 * 128 * (128 + 128 + 1),
        "source": "Gers et al. 2000",
    }


@each
def test_one_in_full(name):
    text = run("cells", name.lower())
    assert text.startswith(f"{name}(")
    assert all(part in text for part in (inspect.getdoc(KNOWN[name]), "parameters; states: ", elman.cite(name)))


def test_one_in_full_as_json():
    found = json.loads(run("cells", "lem", "--json"))
    assert found["bibtex"] == elman.cite("lem")
    assert found["signature"] == "LEM(input_size, hidden_size, dt=1.0)"
    assert found["text"] == inspect.getdoc(elman.LEM)


def test_an_unknown_cell():
    with pytest.raises(ArgumentError, match="expected one of the cells antisymmetricrnn, atr, "):
        run("cells", "lstn")


QUICK = ("Autonomous", "LRU", "Neuron")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in KNOWN])
def test_show_finds_every_cell(name):
    assert len(run("show", name).splitlines()) > 3
    for stage in ("trace", "gradient", "hoist", "c"):
        assert len(run("show", name, "--stage", stage).splitlines()) > 3
