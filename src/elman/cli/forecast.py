"""`elman forecast`: learn series, go on with them, measure how well."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from . import job

if TYPE_CHECKING:
    from elman.tasks.forecast import Score

FIT = """
Learn one or thousands of series, to forecast them.

DATA is a long table (.csv, .tsv, .jsonl, .json, .parquet, or - for standard input) with a row for each series and
time. Without it, the passengers of airlines a month, 1949 to 1960, are learned, in a few seconds.

\b
    elman forecast fit                                       the built-in series
    elman forecast fit --example stocks                      prices of five stocks, which no method foresees
    elman forecast fit sales.csv --time date --y sales --id store --horizon 24
    elman forecast fit sales.csv --time date --y sales --id store --known price --known holiday
    elman forecast fit visits.csv --time day --y visits --distribution negative_binomial
    elman forecast fit tracks.csv --time second --y east --y north --id car        coordinates, drawn together

\b
What is found by itself: the calendar (gaps are told), missing values, whether to take logarithms, the rhythms of
day, week and year. One model learns all series; each is brought to its own scale.

\b
The last HORIZON steps of each series are held out, and forecast at the end, beside what is simple:
    naive              the last value again
    seasonal naive     the value one season before
    drift              the line through the first value and the last
    linear             a linear regression on the values before, one for each step ahead
A plain warning says it where the model does not beat the naive forecasts. --held-out 0 learns from all.

\b
What is written, beside each other:
    model.elman          the model, one file that runs on any device
    model.csv            the figures of the training
    model.png            the learning curve
    model.fan.png        the forecast of what was held out, as a fan chart
    model.html           a report: all of these on one page
    model.elman.resume   only while the training runs, or after Ctrl-C: all that --resume needs.

\b
For long histories, windows that mix resolutions: twelve means over 30 days, eight over 7, then days:
    elman forecast fit power.csv --time day --y load --blocks 12x30,8x7
"""

PREDICT = """
Go on with series after their last values, over any horizon.

\b
    elman forecast predict model.elman                             the series that were learned
    elman forecast predict model.elman sales.csv --horizon 48      newer rows, or other series
    elman forecast predict model.elman sales.csv --quantile 0.1 --quantile 0.9 --out forecast.csv --plot fan.png
    elman forecast predict model.elman --json

What comes is a table with the times, `mean`, and `q0.05` ... for each quantile. Futures are drawn step by step, each
step fed with the one before, so that intervals widen as they should. Where covariates are known ahead, DATA has rows
for the future with an empty y.
"""

SCORE = """
Forecast the last steps of series from the steps before them, and measure how well, beside what is simple.

\b
    elman forecast score model.elman sales.csv                     one forecast of each series
    elman forecast score model.elman sales.csv --origins 10        ten, a horizon apart
    elman forecast score model.elman sales.csv --origins 200 --stride 1 --json

\b
    mse, mae       of the mean and of the median, in units of y (squared for mse)
    95 % of mae    where it lies on other series, or other parts of these, of the same kind; from five of them on
    mase           the mae in units of the seasonal naive error of the past: below 1 is better than that
    coverage       share of the values inside the interval; it should be LEVEL
    interval       interval score: its width, and a fine for each value outside; the smaller the better
"""

EXAMPLES = {"passengers": "passengers of airlines, 1949 to 1960", "stocks": "prices of five stocks, 2000 to 2010"}

app = typer.Typer(
    help="Forecast series: learn them, go on with them, measure how well.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Model = Annotated[Path, typer.Argument(help="A model file, written by `elman forecast fit`.", metavar="MODEL")]
Data = Annotated[Path | None, typer.Argument(help="A long table.", show_default=False, metavar="DATA")]
Horizon = Annotated[int | None, typer.Option(help="Steps ahead.", show_default="that of fit")]
Samples = Annotated[int, typer.Option(help="Futures that are drawn.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same numbers.")]


@job.training(app, "forecast", FIT, "sales.csv --time date --y sales")
def fit(
    data: Data = None,
    out: job.Out = Path("model.elman"),
    example: Annotated[
        str | None, typer.Option(help="Learned without DATA: passengers or stocks.", show_default="passengers")
    ] = None,
    time: Annotated[str, typer.Option(help="The column of times.")] = "time",
    y: Annotated[list[str], typer.Option(help="The column to forecast; again for each coordinate.")] = ["y"],  # noqa: B006
    id: Annotated[str | None, typer.Option(help="The column that names the series.", show_default="one series")] = None,
    known: Annotated[list[str] | None, typer.Option(help="A column known ahead.", show_default="none")] = None,
    past: Annotated[list[str] | None, typer.Option(help="A column known up to now.", show_default="none")] = None,
    horizon: Annotated[int, typer.Option(help="Steps ahead; others can be asked for later.")] = 24,
    held_out: Annotated[int | None, typer.Option(help="Last steps not learned from.", show_default="horizon")] = None,
    distribution: Annotated[
        str, typer.Option(help="student_t, gaussian, negative_binomial (counts) or quantiles.")
    ] = "student_t",
    scale: Annotated[str, typer.Option(help="auto, linear or log.")] = "auto",
    season: Annotated[list[int] | None, typer.Option(help="A rhythm in steps.", show_default="found")] = None,
    lags: Annotated[
        int | None, typer.Option(help="Values before that are read.", show_default="1 to 7 seasons")
    ] = None,
    window: Annotated[int | None, typer.Option(help="Steps unfolded.", show_default="two seasons")] = None,
    blocks: Annotated[str, typer.Option(help="Means read before the window: 12x30,8x7.", show_default="none")] = "",
    cell: job.Cell = "gru",
    layers: job.Layers = 1,
    hidden_size: Annotated[int, typer.Option(help="Units of each layer.")] = 32,
    dropout: Annotated[float, typer.Option(help="Share of entries dropped.")] = 0.1,
    batch_size: Annotated[int, typer.Option(help="Windows side by side.")] = 32,
    epochs: Annotated[int, typer.Option(help="Most passes over the series.")] = 30,
    learning_rate: job.LearningRate = 2e-3,
    clip: job.Clip = 1.0,
    patience: job.Patience = 5,
    validation: Annotated[float, typer.Option(help="Share of each series kept for validation.")] = 0.1,
    seed: Seed = 0,
    *,
    run: job.Run,
) -> None:
    """Learn series; see FIT."""
    from elman.errors import ArgumentError
    from elman.tasks import ForecastModel
    from elman.tasks.forecast import stocks

    if data is not None and example is not None:
        raise ArgumentError(f"expected a table or --example, got both: {data} and {example}.")
    if example not in (None, *EXAMPLES):
        raise ArgumentError(f"expected --example to be {' or '.join(EXAMPLES)}, got {example!r}.")
    model = run.made(
        ForecastModel,
        id="id" if example == "stocks" else id,
        y=y[0] if len(y) == 1 else tuple(y),
        known=tuple(known or ()),
        past=tuple(past or ()),
        held_out=horizon if held_out is None else held_out,
        season=None if season is None else tuple(season),
        blocks=_blocks(blocks),
    )

    def facts() -> list[tuple[str, str]]:
        assert model.panel is not None
        told = [(name, f"{value:,}" if isinstance(value, int) else str(value)) for name, value in model.about.items()]
        source = EXAMPLES[example or "passengers"] if data is None else str(data)
        return [("data", source), *told, *(("found", each) for each in model.panel.report)]

    def show(console: Console) -> None:
        if model.found is not None:
            _show_score(console, model.found, as_json=False)

    job.fit_job(
        model, stocks() if example == "stocks" else data, out, facts, run, show=show,
        figures=lambda: {} if model.found is None else model.found.to_json(),
    )  # fmt: skip


@app.command(help=PREDICT)
def predict(
    model: Model,
    data: Data = None,
    horizon: Horizon = None,
    quantile: Annotated[list[float], typer.Option(help="A level between 0 and 1.")] = [0.05, 0.5, 0.95],  # noqa: B006
    samples: Samples = 200,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="A .csv file.", show_default="standard output")] = None,
    plot: Annotated[Path | None, typer.Option(help="A fan chart, .png.", show_default="none")] = None,
    device: job.Device = "auto",
    as_json: job.Json = False,
) -> None:
    """Go on with series; see PREDICT."""
    from elman.data import read_table
    from elman.tasks import ForecastModel
    from elman.training.files import write_atomically

    loaded = ForecastModel.load(model, device)
    table = None if data is None else read_table(data, as_text=True)  # once: it may be standard input
    frame = loaded.predict(table, horizon, quantiles=quantile, samples=samples, seed=seed)
    if plot is not None:
        loaded.draw(plot, table, horizon, samples=samples, seed=seed)
    text = (frame.write_json() + "\n") if as_json else frame.write_csv()
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_atomically(out, text.encode())


@app.command(help=SCORE)
def score(
    model: Model,
    data: Annotated[Path, typer.Argument(help="A long table.", show_default=False, metavar="DATA")],
    horizon: Horizon = None,
    origins: Annotated[
        int | None, typer.Option(help="Forecasts of each series.", show_default="what fit held out")
    ] = None,
    stride: Annotated[int | None, typer.Option(help="Steps between them.", show_default="horizon")] = None,
    level: Annotated[float, typer.Option(help="Of the interval.")] = 0.9,
    samples: Samples = 200,
    seed: Seed = 0,
    device: job.Device = "auto",
    as_json: job.Json = False,
) -> None:
    """Measure forecasts; see SCORE."""
    from elman.tasks import ForecastModel

    found = ForecastModel.load(model, device).score(
        data, horizon, origins=origins, stride=stride, level=level, samples=samples, seed=seed
    )
    _show_score(Console(highlight=False, soft_wrap=True), found, as_json)


def _blocks(text: str) -> tuple[tuple[int, int], ...]:
    """Blocks like 12x30,8x7 as numbers."""
    from elman.errors import ArgumentError

    try:
        pairs = [tuple(int(number) for number in part.split("x")) for part in text.split(",") if part]
        return tuple((count, steps) for count, steps in pairs)
    except ValueError:
        raise ArgumentError(f"expected --blocks like 12x30,8x7 (twelve means over 30 steps), got {text!r}.") from None


def _show_score(console: Console, found: "Score", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
        return
    console.print(f"{found.horizon} steps ahead, {found.origins:,} forecasts, {found.values:,} values")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black")
    table.add_column("")
    measured = found.network.mae_from is not None
    for name in ("mse", "mae", *["95 % of mae"] * measured, "mase", f"{found.level:.0%} coverage", "interval"):
        table.add_column(name, justify="right")
    for name, figures in found.figures.items():
        mse, mae, mase, interval = (
            f"{value:.4g}" for value in (figures.mse, figures.mae, figures.mase, figures.interval)
        )
        between = [] if figures.mae_from is None else [f"{figures.mae_from:.3g} to {figures.mae_to:.3g}"]
        table.add_row(name, mse, mae, *(between or [""] * measured), mase, f"{figures.coverage:.1%}", interval)
    console.print(table)
    for note in found.notes:
        console.print(f"Note: {note}.", style="yellow")
    if found.warning:
        console.print(f"Warning: {found.warning}", style="yellow")
