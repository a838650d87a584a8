"""The forecast job: series go on, with honest intervals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from elman.data import Columns, Padded, Panel, Series, read_series
from elman.errors import ArgumentError, DataError
from elman.tasks.inputs import check_network
from elman.tasks.job import Job, Prepared, digest_of
from elman.training import Measure
from elman.training.files import beside
from elman.training.settings import at_least, check_seed

from .calibrate import calibrate
from .checks import check_columns, is_far, listed, warn_of_units
from .compare import Rival, groups_of, origins_of, shortfalls
from .example import passengers
from .heads import HEADS
from .network import ForecastNetwork
from .paths import Paths, draw_paths, states_before
from .picture import draw_fan
from .recipe import Batch, Block, Lane, Recipe, Window, make_batch, make_lane
from .scaling import KINDS, checked, learn_scale, unbent
from .score import Score, Tally
from .solve import set_scales, solve, solve_again
from .windows import learn_recipe, make_windows, read_lags, series_of, tail_of, training_part, validation_start

if TYPE_CHECKING:
    from polars import DataFrame

MOST = 20_000  # windows of an epoch; of thousands of series each epoch learns others
BATCHES = 20  # an epoch of few windows goes through them several times


@dataclass(kw_only=True)
class ForecastModel(Job):
    """One model of one or thousands of series, which draws their futures step by step.

        model = ForecastModel(time="date", y="sales", id="store").fit(Path("sales.csv"))
        print(model.predict(horizon=24))

    Args:
        time: the column of times: dates, moments, integers, or these as text.
        y: the column that is forecast; several for a trajectory, whose coordinates are drawn together.
        id: the column that names the series of a row; None for a single series.
        known: columns whose future is known.
        past: columns that are known up to now.
        horizon: H, steps that are forecast if nothing else is said.
        held_out: last steps of each series that are not learned from, for `score`.
        distribution: of a step: "student_t", "gaussian", "negative_binomial" (counts) or "quantiles".
        scale: "linear", "log" (positive values that swing in proportion to their level), or "auto" for the one that
            suits; counts have their own.
        season: rhythms in steps; None to find them, () for none.
        lags: the linear part reads the values 1 to `lags` steps before; None for a season and one step, and up to seven
            seasons of series that are ten times as long.
        window: steps that are unfolded, in training and before a forecast; None for two seasons or more.
        blocks: what is read before the window in means over blocks, (count, steps) from the oldest on: ((12, 30),
            (8, 7)) for twelve months, then eight weeks, then the days of the window.
        cell: "gru", "lstm" or "elman".
        layers: recurrent layers, one above the other.
        hidden_size: H of the layers.
        dropout: probability of dropping an entry between the layers and before the readout, in training.
        validation: share of each series, at its end, that is kept for validation; 0 for none.
        epochs, batch_size, learning_rate, clip, patience, seed, optimizer, schedule: see `Job`.

    Attributes:
        recipe: what was learned of the series before the network.
        panel: the series of the last `fit`, with those held out; of a loaded model only as much of them as a
            forecast reads.
        whole: whether `panel` holds the whole series.
        network: see `Job`.

    `fit` takes a long frame: a Path or a frame as for `read_table`, or None for the passengers of airlines.
    """

    NAME: ClassVar[str] = "forecast"
    PICTURES: ClassVar[tuple[str, ...]] = (".fan.png",)
    MEASURE: ClassVar[Measure] = Measure("nats per value", "nats", 1.0, "values")

    time: str = "time"
    y: str | tuple[str, ...] = "y"
    id: str | None = None
    known: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    horizon: int = 24
    held_out: int = 0
    distribution: str = "student_t"
    scale: str = "auto"
    season: tuple[int, ...] | None = None
    lags: int | None = None
    window: int | None = None
    blocks: tuple[Block, ...] = ()
    cell: str = "gru"
    layers: int = 1
    hidden_size: int = 32
    dropout: float = 0.1
    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 2e-3
    patience: int = 5

    found: Score | None = field(default=None, init=False, repr=False)
    recipe: Recipe | None = field(default=None, init=False, repr=False)
    panel: Panel | None = field(default=None, init=False, repr=False)
    whole: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.known, self.past = tuple(self.known), tuple(self.past)
        self.blocks = tuple((int(count), int(steps)) for count, steps in self.blocks)
        self.season = None if self.season is None else tuple(self.season)
        self.y = self.y if isinstance(self.y, str) else tuple(self.y)
        check_network(self.cell, self.dropout, layers=self.layers, hidden_size=self.hidden_size, horizon=self.horizon)
        at_least("held_out", self.held_out, 0)
        for name in ("lags", "window"):
            if getattr(self, name) is not None:
                at_least(name, getattr(self, name), 1)
        for each in (*(self.season or ()), *(number for block in self.blocks for number in block)):
            at_least("season" if not self.blocks else "blocks and seasons", each, 1)
        if self.distribution not in HEADS:
            raise ArgumentError(f"expected distribution to be one of {', '.join(HEADS)}, got {self.distribution!r}.")
        if self.scale not in ("auto", *KINDS[:2]):
            raise ArgumentError(f"expected scale to be auto, linear or log, got {self.scale!r}.")
        check_columns(self.columns)

    @property
    def columns(self) -> Columns:
        """Which column is what."""
        y = (self.y,) if isinstance(self.y, str) else tuple(self.y)
        return Columns(self.time, y, self.id, self.known, self.past)

    def prepare_data(self, data: Any) -> Prepared:
        """The windows of a long frame, and a network that begins as a linear autoregression."""
        self.panel, self.whole = self._read(data), True
        part, kept = training_part(self.panel, self.held_out)
        if self.recipe is None:
            straight = self.scale == "auto" and any((each.y <= 0).any() for each in self.panel.series)
            scale = "linear" if straight else self.scale  # what is held out has no logarithm either
            self.recipe = learn_recipe(part, self.distribution, scale, self.season, self.lags, self.window, self.blocks)
        recipe = self.recipe
        for each in self.panel.series:  # also what is held out, before it is trained for
            checked(recipe.kind, each)
        ends = [len(each.y) for each in part.series]
        lanes = [self._lane(each, len(each.y), 0) for each in part.series]
        short = sum(end <= recipe.memory + 1 for end in ends)
        if short or len(kept) < len(self.panel.series):
            told = (
                f"{short} of {len(ends)} series are shorter than what the linear part reads, {recipe.memory} steps",
                f"{len(self.panel.series) - len(kept)} series are too short to be learned from",
            )
            found = tuple(text for text in told if not text.startswith("0 "))
            self.panel = replace(self.panel, report=self.panel.report + found)
        training, checking = make_windows(lanes, ends, recipe.window, self.validation)
        if self.network is None:
            network = self._build()
            with torch.no_grad():
                set_scales(network, recipe, lanes, training)
                solve(network, recipe, lanes, training, checking, self._starts(ends), self.horizon)
        self.network.gain.fill_(1)  # both are for forecasts, and found after each training
        self.network.head.spread.fill_(1)
        digest = digest_of(part for each in self.panel.series for part in (each.y, each.known, each.past))
        about = {
            "series": len(kept),
            "steps": sum(ends),
            "calendar": f"one value every {recipe.frequency.name}",
            "seasons": ", ".join(map(str, recipe.seasons)) or "none",
            "scale": recipe.kind,
            "held out": self.held_out,
        }
        times = -(-BATCHES * self.batch_size // len(training))
        training = [window for window in training for _ in range(times)]
        validated = self._batches(lanes, checking, None) if checking else None
        return Prepared(self._batches(lanes, training, self.seed), validated, digest, about)

    def finished(self, prepared: Prepared, out: Path | None) -> None:
        """Calibrate the intervals on the validation part, solve the linear part again with it, and score."""
        recipe = self._recipe()
        assert self.panel is not None
        part, _ = training_part(self.panel, self.held_out)
        ends = [len(each.y) for each in part.series]
        lanes = [self._lane(each, end, 0) for each, end in zip(part.series, ends, strict=True)]
        with torch.no_grad():
            calibrate(self.network, recipe, lanes, self._starts(ends), self.horizon, self.seed)
            training, checking = make_windows(lanes, ends, recipe.window, self.validation)
            if checking:
                solve_again(self.network, recipe, lanes, training + checking)
        if self.held_out >= self.horizon and max(len(series.y) for series in self.panel.series) > self.horizon + 2:
            self.found = self.score()
            self.checked = self.found.flat()
            if out is not None:
                self.draw(beside(out, ".fan.png"), back=self.held_out)

    def predict(
        self,
        data: Any = None,
        horizon: int | None = None,
        *,
        quantiles: Sequence[float] = (0.05, 0.5, 0.95),
        samples: int = 200,
        seed: int = 0,
    ) -> "DataFrame":
        """Go on with each series after its last value.

        Args:
            data: a long frame like that of `fit`; rows without y at the end of a series say what is known of its
                future. None to go on with the series of `fit`.
            horizon: steps ahead, any number.
            quantiles: levels between 0 and 1.
            samples: paths that are drawn.
            seed: the same seed draws the same paths.

        Returns:
            A frame with the columns of id and time as they were read, `mean`, and `q0.05`, ... for each quantile; with
            several y the column `coordinate` names them.

        Raises:
            DataError: columns are missing or other than in training, or less is known of the future than is asked for.
        """
        import polars

        for level in quantiles:
            if not 0 < level < 1:
                raise ArgumentError(f"expected quantiles between 0 and 1, got {level}.")
        drawn = self.paths(data, horizon, samples=samples, seed=seed)
        recipe, steps = self._recipe(), drawn.values.shape[2]
        mean = drawn.values.mean(1)
        method: Any = "inverted_cdf" if recipe.kind == "counts" else "linear"  # a quantile of counts is a count
        levels = {f"q{level:g}": np.quantile(drawn.values, level, 1, method=method) for level in quantiles}
        frames = []
        for row, (name, start) in enumerate(zip(drawn.names, drawn.starts, strict=True)):
            times = recipe.frequency.column(recipe.columns.time, np.arange(start, start + steps))
            for place, coordinate in enumerate(recipe.columns.y):
                parts: dict[str, Any] = {} if recipe.columns.id is None else {recipe.columns.id: [name] * steps}
                parts = {**parts, recipe.columns.time: times}
                if len(recipe.columns.y) > 1:
                    parts["coordinate"] = [coordinate] * steps
                values = {"mean": mean, **levels}
                frames.append(polars.DataFrame({**parts, **{key: each[row, :, place] for key, each in values.items()}}))
        return polars.concat(frames)

    def paths(self, data: Any = None, horizon: int | None = None, *, samples: int = 200, seed: int = 0) -> Paths:
        """Draw futures; arguments as for `predict`."""
        panel = self._to_go_on(data)
        horizon = self._horizon(horizon)
        lanes = [self._lane(series, len(series.y), horizon) for series in panel.series]
        origins = [(number, len(lane.z)) for number, lane in enumerate(lanes)]
        values = np.concatenate([values for _, values in self._drawn(lanes, origins, horizon, samples, seed)])
        starts = tuple(series.start + len(series.y) for series in panel.series)
        return Paths(tuple(series.name for series in panel.series), starts, values)

    def states(self, data: Any = None) -> list[Tensor]:
        """What the last layer gives out at the steps before the forecast of each series [T, H].

        Args:
            data: as for `predict`.

        Returns:
            A tensor for each series, in the order of `predict`; T is the window, or the length of a shorter series.
        """
        panel = self._to_go_on(data)
        lanes = [self._lane(series, len(series.y), 1) for series in panel.series]
        origins = [(number, len(lane.z)) for number, lane in enumerate(lanes)]
        found = states_before(self.trained(), self._recipe(), lanes, origins)  # type: ignore[arg-type]
        return [found[-min(len(found), len(lane.z)) :, row].cpu() for row, lane in enumerate(lanes)]

    def draw(
        self,
        path: Path | str,
        data: Any = None,
        horizon: int | None = None,
        *,
        names: Sequence[str] | None = None,
        back: int = 0,
        samples: int = 400,
        seed: int = 0,
    ) -> None:
        """Draw a fan chart as a PNG file: the last steps of series, and bands over what may come.

        Args:
            path: the file.
            data: as for `predict`.
            horizon: steps ahead.
            names: which series; None for the first 12.
            back: steps before the end at which the forecast begins, so that it stands beside what came.
            samples: paths that are drawn.
            seed: the same seed draws the same paths.
        """
        at_least("back", back, 0)
        whole = self._to_go_on(data)
        cut = tuple(each.until(len(each.y) - back) for each in whole.series if len(each.y) > back)
        if not cut:
            raise ArgumentError(f"expected series of more than {back} steps to go back by as many.")
        drawn = self.paths(replace(whole, series=cut), horizon, samples=samples, seed=seed)
        draw_fan(self._recipe(), whole, drawn, Path(path), None if names is None else tuple(names))

    def score(
        self,
        data: Any = None,
        horizon: int | None = None,
        *,
        origins: int | None = None,
        stride: int | None = None,
        level: float = 0.9,
        samples: int = 200,
        seed: int = 0,
    ) -> Score:
        """Forecast the last steps of each series from the steps before them, beside simple methods.

        Args:
            data: a long frame; None for that of `fit`.
            horizon: steps ahead.
            origins: forecasts of each series, fewer of a short one; the last one ends with the series. By default as
                many as the steps that were held out allow.
            stride: steps from one origin to the next; by default the horizon.
            level: of the interval.
            samples: paths that are drawn.
            seed: the same seed draws the same paths.

        Raises:
            DataError: no series is long enough.
        """
        if not 0 < level < 1:
            raise ArgumentError(f"expected 0 < level < 1, got {level}.")
        panel = self._own_panel() if data is None else self._to_go_on(data)
        horizon = self._horizon(horizon)
        stride = horizon if stride is None else stride
        at_least("stride", stride, 1)
        origins = max(1, (self.held_out - horizon) // stride + 1) if origins is None else origins
        at_least("origins", origins, 1)
        places = [origins_of(len(series.y), horizon, origins, stride) for series in panel.series]
        used = [(row, step) for row, steps in enumerate(places) for step in steps]
        if not used:
            longest = max(len(series.y) for series in panel.series)
            raise DataError(
                f"expected a series of more than {horizon + 2} steps to score {horizon} steps ahead, the longest has "
                f"{longest}: give a smaller horizon."
            )
        recipe, lanes, rivals = self._recipe(), [], {}
        for row, series in enumerate(panel.series):
            first = min(places[row], default=len(series.y))
            lanes.append(self._lane(series, first, 0))
            for place in range(len(recipe.columns.y)) if places[row] else ():
                season = recipe.seasons[0] if recipe.seasons else 0
                rivals[row, place] = Rival(series.y[:, place], first, horizon, season, recipe.lags[-1])
        tally, groups = Tally(level), groups_of(places, horizon)
        for first, values in self._drawn(lanes, used, horizon, samples, seed):
            for (row, step), drawn in zip(used[first:], values, strict=False):
                for place in range(drawn.shape[-1]):
                    rivals[row, place].compare(tally, groups[row, step], step, drawn[..., place])
        notes = shortfalls(places, origins, rivals)
        return Score(horizon, len(used), tally.values, level, tally.figures(), notes)

    def cross_validate(
        self, data: Any = None, folds: int = 3, horizon: int | None = None, **options: Any
    ) -> list[Score]:
        """Train anew on all before each of the last `folds` horizons, and score on it: a rolling origin.

        Args:
            data: as for `fit`.
            folds: how often; the last fold ends with the series.
            horizon: steps of each fold.
            options: for `score`.
        """
        at_least("folds", folds, 1)
        horizon, scores = self._horizon(horizon), []
        whole = self._read(data)
        for fold in range(folds, 0, -1):
            cut = (fold - 1) * horizon
            series = tuple(each.until(len(each.y) - cut) for each in whole.series if len(each.y) > cut)
            if not series:
                raise DataError(f"expected series of more than {folds * horizon} steps for {folds} folds of {horizon}.")
            model = type(self)(**{**self.configuration(), "held_out": horizon, "horizon": horizon})
            model.optimizer, model.schedule = self.optimizer, self.schedule
            scores.append(model.fit(replace(whole, series=series)).score(**options))
        return scores

    def content(self) -> dict[str, Any]:
        """What was learned before the network, and as much of the series as a forecast reads."""
        assert self.recipe is not None and self.panel is not None
        kept = [tail_of(series, self.recipe.context) for series in self.panel.series]
        return {"recipe": self.recipe.to_json(), "tail": kept}

    def restore(self, content: dict[str, Any]) -> None:
        """Take over what `content` gave."""
        self.recipe = Recipe.from_json(content["recipe"])
        series = tuple(series_of(each, self.recipe) for each in content["tail"])
        self.panel = Panel(self.recipe.columns, self.recipe.frequency, series, ())
        self._build()

    @property
    def summary(self) -> str:
        """The network in a few words."""
        lags = "" if self.recipe is None else f", {len(self.recipe.lags)} lags"
        size = f"{self.layers} × {self.cell.upper()} {self.hidden_size}{lags}"
        return f"{size}, {self.distribution}, {self.weights:,} weights"

    def configuration(self) -> dict[str, Any]:
        """The options that are plain values; lists, which a file gives back as they were."""
        return {name: listed(value) for name, value in super().configuration().items()}

    def _build(self) -> ForecastNetwork:
        recipe = self._recipe()
        with torch.random.fork_rng([]):
            torch.manual_seed(self.seed)
            self.network = ForecastNetwork(
                size=len(recipe.columns.y),
                memory=recipe.memory,
                read=read_lags(recipe),
                extras=recipe.extras,
                series=len(recipe.names),
                history=recipe.history,
                cell=self.cell,
                layers=self.layers,
                hidden_size=self.hidden_size,
                dropout=self.dropout,
                distribution=self.distribution,
                placed=recipe.moves is None,
            )
        return self.network  # type: ignore[no-any-return]

    def _recipe(self) -> Recipe:
        if self.recipe is None:
            self.trained()
        assert self.recipe is not None
        return self.recipe

    def _horizon(self, horizon: int | None) -> int:
        horizon = self.horizon if horizon is None else horizon
        at_least("horizon", horizon, 1)
        return horizon

    def _read(self, data: Any) -> Panel:
        """The series of what `fit` takes."""
        if isinstance(data, Panel):
            return data
        return read_series(passengers() if data is None else data, self.columns)

    def _starts(self, ends: Sequence[int]) -> list[int]:
        """The first validation step of each series."""
        return [validation_start(end, self.validation) for end in ends]

    def _own_panel(self) -> Panel:
        """The whole series of `fit`."""
        self.trained()
        if self.panel is None or not self.whole:
            raise ArgumentError("expected data to score: a model file keeps only what a forecast reads of its series.")
        return self.panel

    def _to_go_on(self, data: Any) -> Panel:
        """Series of the kind that the model was trained on."""
        self.trained()
        recipe = self._recipe()
        if data is None:
            assert self.panel is not None
            return self.panel
        panel = data if isinstance(data, Panel) else read_series(data, recipe.columns, recipe.frequency)
        warn_of_units(recipe, panel)
        return panel

    def _lane(self, series: Series, until: int, ahead: int) -> Lane:
        """A series as the network reads it, by the scale of its training or, for one not like there, of its past."""
        recipe, past = self._recipe(), series.until(until)
        if is_far(recipe, past):
            return make_lane(recipe, series, learn_scale(recipe.kind, past), 0, ahead)
        if series.name in recipe.numbers:
            who = recipe.numbers[series.name]
            return make_lane(recipe, series, recipe.scales[who - 1], who, ahead)
        return make_lane(recipe, series, learn_scale(recipe.kind, past, recipe.moves), 0, ahead)

    def _batches(self, lanes: list[Lane], windows: list[Window], seed: int | None) -> Padded:
        recipe = self._recipe()

        def make(rows: list[int]) -> Batch:
            return make_batch(recipe, lanes, [windows[row] for row in rows])

        return Padded([each.stop - each.start for each in windows], make, self.batch_size, seed, MOST)

    def _drawn(
        self, lanes: list[Lane], origins: list[tuple[int, int]], horizon: int, samples: int, seed: int
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Paths [R, S, H, D] in the units of the data, some origins at a time."""
        at_least("samples", samples, 2)
        check_seed(seed)
        recipe, even = self._recipe(), samples + samples % 2
        for first, z in draw_paths(self.trained(), recipe, lanes, origins, horizon, even, seed):  # type: ignore[arg-type]
            scale = np.stack([lanes[lane].scale.numpy() for lane, _ in origins[first : first + len(z)]])
            values = z.cpu().double().numpy() * scale[:, None, None, 1] + scale[:, None, None, 0]
            values = unbent(recipe.kind, values)
            yield first, np.round(values) + 0.0 if recipe.kind == "counts" else values  # no -0
