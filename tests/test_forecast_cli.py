"""`elman forecast`: what it prints, what it leaves on disk, and how it leaves."""

import dataclasses
import inspect
import json
import sys
from datetime import date

import polars as pl
import pytest

from elman import cli
from elman.cli.forecast import fit
from elman.errors import SetupError
from elman.tasks import ForecastModel
from elman.tasks.forecast import passengers, stocks

SMALL = ["--hidden-size", "8", "--epochs", "2"]


@pytest.fixture
def elman_forecast(monkeypatch, capsys):
    """Run `elman forecast ...` in this process: exit code, stdout, stderr."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["elman", "forecast", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        said = capsys.readouterr()
        return left.value.code or 0, said.out, said.err

    return run


def test_fit_predict_score(elman_forecast, tmp_path):
    out, data = tmp_path / "air.elman", tmp_path / "passengers.csv"
    passengers().write_csv(data)
    code, said, wrong = elman_forecast("fit", data, "--out", out, *SMALL, "--horizon", 12)
    assert (code, wrong) == (0, "")
    for words in ("one value every month", "12 steps ahead, 1 forecasts, 12 values", "90% coverage", "seasonal naive"):
        assert words in said
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "air.csv",
        "air.elman",
        "air.fan.png",
        "air.html",
        "air.png",
        data.name,
    ]

    code, said, _ = elman_forecast("predict", out, "--horizon", 3)
    assert code == 0
    lines = said.splitlines()
    assert lines[0] == "time,mean,q0.05,q0.5,q0.95"
    assert [line.split(",")[0] for line in lines[1:]] == ["1961-01-01", "1961-02-01", "1961-03-01"]

    fan, table = tmp_path / "fan.png", tmp_path / "forecast.csv"
    code, said, _ = elman_forecast("predict", out, data, "--quantile", 0.2, "--plot", fan, "--out", table)
    assert (code, said) == (0, "")
    assert fan.read_bytes().startswith(b"\x89PNG")
    assert pl.read_csv(table).columns == ["time", "mean", "q0.2"]

    code, said, _ = elman_forecast("score", out, data, "--origins", 2, "--json")
    found = json.loads(said)
    assert (code, found["origins"], found["horizon"]) == (0, 2, 12)
    assert found["figures"]["naive"]["mae"] > found["figures"]["network"]["mae"]
    code, said, _ = elman_forecast("score", out, data, "--origins", 50)
    assert "1 of 1 series are too short for 50 forecasts: 11 were made in all" in said
    assert "linear is left out" in said
    code, said, _ = elman_forecast("predict", out, "--json", "--horizon", 2)
    assert [row["time"] for row in json.loads(said)] == ["1961-01-01", "1961-02-01"]


def test_without_data_it_learns_the_passengers(elman_forecast, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said, _ = elman_forecast("fit", *SMALL, "--json")
    assert code == 0
    assert json.loads(said)["figures"]["seasonal naive"]["mase"] == pytest.approx(2.4935, abs=1e-3)
    assert (tmp_path / "model.elman").is_file()


def test_a_series_that_nothing_foresees_is_told(elman_forecast, tmp_path):
    data = tmp_path / "coin.csv"
    steps = pl.Series([(3 * at * at + at // 3) % 7 - 3 for at in range(90)])
    pl.DataFrame({"time": range(90), "y": steps.cum_sum()}).write_csv(data)
    ForecastModel(epochs=1, horizon=10).fit(data, out=tmp_path / "m.elman")
    code, said, _ = elman_forecast("score", tmp_path / "m.elman", data, "--json")
    found = json.loads(said)
    worse = found["figures"]["network"]["mae"] >= found["figures"]["naive"]["mae"]
    assert (code, found["warning"] is not None) == (0, worse)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--time", "tiem"], "did you mean 'time'?"),
        (["--y", "x"], "expected a column 'x' for the values"),
        (["--id", "shop"], "expected a column 'shop' for the id"),
        (["--blocks", "12by30"], "expected --blocks like 12x30"),
        (["--distribution", "normal"], "student_t"),
        (["--held-out", "143"], "at least 3 values beside the 143"),
    ],
)
def test_what_is_wrong_is_said_in_one_message(elman_forecast, tmp_path, words, message):
    data = tmp_path / "air.csv"
    passengers().write_csv(data)
    code, _, wrong = elman_forecast("fit", data, "--out", tmp_path / "m.elman", *words)
    assert code == 2
    assert message in wrong
    assert "Traceback" not in wrong
    assert not (tmp_path / "m.elman").exists()


def test_the_defaults_are_those_of_the_class():
    """Apart from `held_out`, which the command sets to the horizon."""
    offered = inspect.signature(fit).parameters
    for option in dataclasses.fields(ForecastModel):
        if option.init and option.name not in ("optimizer", "schedule", "held_out", "y", "known", "past", "blocks"):
            assert offered[option.name].default == option.default, option.name


def test_blocks_are_read():
    from elman.cli.forecast import _blocks

    assert _blocks("12x30,8x7") == ((12, 30), (8, 7))
    assert _blocks("") == ()


@pytest.mark.slow
def test_stocks_are_the_other_example(elman_forecast, tmp_path, monkeypatch):
    found = stocks()
    assert found.columns == ["id", "time", "y"]
    assert found["id"].unique(maintain_order=True).to_list() == ["MSFT", "AMZN", "IBM", "GOOG", "AAPL"]
    assert found.row(0) == ("MSFT", date(2000, 1, 1), 39.81)
    code, said, wrong = elman_forecast("fit", "--example", "stocks", "--out", tmp_path / "stocks.elman", *SMALL)
    assert (code, wrong) == (0, "")
    for words in (
        "prices of five stocks",
        "24 steps ahead, 5 forecasts, 120 values",
        "does not beat the naive forecast",
    ):
        assert words in said
    code, _, wrong = elman_forecast("fit", "--example", "oil")
    assert code == 2
    assert "expected --example to be passengers or stocks, got 'oil'" in wrong
    code, _, wrong = elman_forecast("fit", tmp_path / "sales.csv", "--example", "stocks")
    assert code == 2
    assert "expected a table or --example" in wrong
    monkeypatch.setitem(sys.modules, "vega_datasets", None)
    with pytest.raises(SetupError, match=r"elman\[jobs\]"):
        stocks()
