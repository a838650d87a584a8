"""Search for the options of a job with which it validates best: Optuna proposes and prunes, the job trains."""

import csv
import io
import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elman.errors import ArgumentError, DataError, NumericsError, SetupError
from elman.training import History
from elman.training.files import beside, check_apart, check_output, part_of, write_atomically, write_picture
from elman.training.settings import at_least, seconds_of
from elman.training.sidefile import SideFile, side_file_of

from .job import Job

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial
    from optuna.trial import Trial as OptunaTrial

STARTUP = 5  # trials before any is pruned, and before the proposals learn from them
WARMUP = 2  # epochs of a trial before it is pruned
DONE, FIXED = (
    "done",
    "fixed_params",
)  # what a trial that has come to its end is marked with; Optuna's: as it was told to be


@dataclass(frozen=True)
class Span:
    """The values from `low` to `high`: whole numbers if both are; evenly on a logarithmic scale with `log`."""

    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{', on a logarithmic scale' if self.log else ''}"

    @property
    def marks(self) -> list[float]:
        """Its ends and what lies between them."""
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        return [self.low, round(middle) if isinstance(self.low, int) else middle, self.high]


Space = dict[str, Span | tuple[Any, ...]]
"""What is searched: an option's span, or its choices."""


@dataclass(frozen=True)
class Trial:
    """One training of a search.

    Attributes:
        number: from 1.
        options: what was tried.
        validation: the best figure; None where training failed.
        epochs: gone through.
        seconds: taken.
        said: "" or "pruned", or what went wrong.
        best: whether it was the best until then.
    """

    number: int
    options: dict[str, Any]
    validation: float | None
    epochs: int
    seconds: float
    said: str = ""
    best: bool = False


def space_around(model: Job) -> Space:
    """Sizes, dropout, batch and learning rate around those of a model, as far as its job has them."""
    rate, rows = model.learning_rate, model.batch_size
    found: Space = {
        "learning_rate": Span(rate / 8, rate * 8, log=True),
        "batch_size": tuple(sorted({max(1, rows // 2), rows, 2 * rows})),
    }
    if (units := getattr(model, "hidden_size", None)) is not None:
        found["hidden_size"] = Span(min(units, max(4, units // 4)), 3 * units, log=True)
    if (layers := getattr(model, "layers", None)) is not None:
        found["layers"] = Span(1, max(3, layers))
    if (dropout := getattr(model, "dropout", None)) is not None:
        found["dropout"] = Span(0.0, max(0.6, dropout))
    return found


@dataclass(kw_only=True)
class Search:
    """A search for the options of a model.

        best = Search(model=TranslateModel(input="word", output="sound"), out=Path("sounds.elman")).run(data, trials=30)

    The first trial has the model's own options. Beside the model file of the best trial so far stand
    `out` + ".search", a journal in JSON by which the search goes on after a crash, and model.trials.csv and .png.

    Args:
        model: its options are kept where they are not searched.
        out: the model file of the best trial.
        space: what is searched; `space_around(model)` by default.
        seed: of the proposals.

    Attributes:
        trials: those that have ended, in their order.

    Source: T. Akiba et al., Optuna, KDD 2019; proposals by the tree-structured Parzen estimator (J. Bergstra et al.,
        Algorithms for Hyper-Parameter Optimization, NeurIPS 2011); pruned is what at an epoch is behind the median.
    """

    model: Job
    out: Path
    space: Space = field(default_factory=dict)
    seed: int = 0
    trials: list[Trial] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.out = Path(self.out)
        self.space = self.space or space_around(self.model)
        unknown = sorted(self.space.keys() - self.model.configuration().keys())
        if unknown:
            raise ArgumentError(f"expected options of {self.model.NAME} to search, got {', '.join(unknown)}.")
        if self.model.network is not None:
            raise ArgumentError("expected a model without a network: each trial makes one of its own.")
        if not self.model.validation:
            raise ArgumentError("expected validation > 0: a search needs rows to compare by, got 0.")

    def run(
        self,
        data: Any = None,
        *,
        trials: int = 20,
        resume: bool = False,
        fresh: bool = False,
        time_limit: float | str | None = None,
        told: Callable[[Trial], None] = lambda trial: None,
        **fit: Any,
    ) -> Job:
        """Try options until there are so many trials, and give the best model.

        Args:
            data: as for `fit`, but not standard input, which cannot be read twice.
            trials: how many in all, those before a stop among them.
            resume: go on with a search, also with one that had ended, if there are to be more trials.
            fresh: throw away what is left of one.
            time_limit: of the whole search; a trial that is under way then ends with what it has.
            told: called after each trial.
            fit: further arguments of `Job.fit`: device, threads.

        Raises:
            DataError: as by `fit`; or what is on disk does not go with `resume`; or no trial came to an end.
            SetupError: Optuna is not installed.
            KeyboardInterrupt: Ctrl-C; it can be resumed.
        """
        at_least("trials", trials, 1)
        if data == Path("-"):
            raise ArgumentError("a search reads its data at each trial: expected a file, got standard input.")
        if fit.get("devices", 1) * fit.get("nodes", 1) > 1:
            raise ArgumentError("a search is the work of one process: expected devices = nodes = 1.")
        began, limit = time.monotonic(), seconds_of(time_limit)
        study = self._study(data, resume, fresh)
        for trial in study.get_trials(deepcopy=False):
            if not trial.state.is_finished() and DONE in trial.user_attrs:  # stopped before it could be told
                _tell(study, trial.number, trial.user_attrs[DONE][-1])
        self._settle(study)
        self.trials = [_as_trial(number, trial, _ended(study)) for number, trial in enumerate(_ended(study), 1)]
        if self.trials:
            self._write()
        while len(self.trials) < trials:
            left = None if limit is None else limit - (time.monotonic() - began)
            if left is not None and left <= 0:
                break
            self.trials.append(self._try(study, data, left, fit))
            self._write()
            told(self.trials[-1])
        if not any(trial.validation is not None for trial in self.trials):
            raise DataError(
                f"expected a trial that comes to an end, got {len(self.trials)} that failed or none at all."
            )
        return type(self.model).load(self.out, fit.get("device", "auto"))

    @property
    def journal(self) -> Path:
        """The file by which the search goes on."""
        return self.out.with_name(self.out.name + ".search")

    @property
    def best(self) -> Trial | None:
        """The trial with the best validation."""
        return next((trial for trial in reversed(self.trials) if trial.best), None)

    def _folder(self, number: int) -> Path:
        """Where a trial keeps its files until it has ended."""
        return self.out.with_name(f".{self.out.name}.trial{number}")

    def _study(self, data: Any, resume: bool, fresh: bool) -> "Study":
        """The study of the journal, begun or gone on with."""
        optuna = _optuna()
        left = (*self.model.PICTURES, ".trials.csv", ".trials.png")
        check_output(self.out, left)
        check_apart(self.out, self.model.paths_in(data), left)
        if fresh:
            self.journal.unlink(missing_ok=True)
            for folder in self.out.parent.glob(f".{self.out.name}.trial*"):
                shutil.rmtree(folder)
        if self.journal.exists() and not resume:
            raise DataError(
                f"{self.journal}: there is a search of this model. Go on with --resume, or throw it away with --fresh."
            )
        facts = {
            "job": self.model.NAME,
            "seed": self.seed,
            "data": replace(self.model).prepare_data(data).digest,
            "space": {name: str(span) for name, span in self.space.items()},
            "options": {n: v for n, v in self.model.configuration().items() if n not in self.space},
        }
        storage = _storage(self.journal)
        study: Study = optuna.create_study(
            storage=storage,
            study_name="elman",
            direction="minimize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=WARMUP),
        )
        plain = _plain(facts)
        begun = study.user_attrs.get("facts")
        if begun is None:
            study.set_user_attr("facts", plain)
        elif begun != plain:
            other = ", ".join(name for name in plain if begun.get(name) != plain[name])
            raise DataError(
                f"{self.journal}: cannot go on with another {other}. Give the same, or begin anew with --fresh."
            )
        if not study.get_trials(deepcopy=False):
            study.enqueue_trial({name: getattr(self.model, name) for name in self.space})
        return study

    def _try(self, study: "Study", data: Any, left: float | None, fit: dict[str, Any]) -> Trial:
        """One trial: propose, train, tell."""
        number = len(_ended(study)) + 1
        trial = self._proposed(study)
        model = replace(self.model, **{name: _suggested(trial, name, span) for name, span in self.space.items()})
        pruned, reported = False, 0

        def watch(history: History) -> bool:
            nonlocal pruned, reported
            for epoch, row in enumerate(history.epochs, 1):
                if epoch > reported:  # all of them, where the trial is gone on with
                    trial.report(_finite(row.validation), epoch)
            reported = len(history.epochs)
            pruned = trial.should_prune()
            return pruned

        self._folder(number).mkdir(exist_ok=True)
        path, said = self._folder(number) / self.out.name, ""
        resume, before = side_file_of(path).exists(), _seconds_of(side_file_of(path))
        try:
            limit = None if left is None else left + before  # the clock of a trial counts what lay before a stop
            model.fit(data, out=path, resume=resume, time_limit=limit, watch=watch, **fit)
        except NumericsError as error:
            said = str(error)
        best, rows = model.history.best, model.history.rows
        value = best.validation if best is not None and not said else None
        done = [len(model.history.epochs), rows[-1].seconds if rows else 0.0, "pruned" if pruned else said, value]
        trial.set_user_attr(DONE, done)
        _tell(study, trial.number, value)
        self._settle(study)
        return _as_trial(number, _ended(study)[-1], _ended(study))

    def _proposed(self, study: "Study") -> "OptunaTrial":
        """The next trial: one that was stopped under way is taken up again, with the same proposals."""
        optuna = _optuna()
        states = optuna.trial.TrialState
        trials = study.get_trials(deepcopy=False)
        waiting = [one.system_attrs.get(FIXED) for one in trials if one.state == states.WAITING]
        for one in trials:
            if one.state == states.RUNNING:
                wanted = one.system_attrs.get(FIXED, one.params)
                if wanted not in waiting and wanted.keys() == self.space.keys():  # else it was not yet proposed in full
                    study.enqueue_trial(wanted)
                _tell(study, one.number, None)
        # of the trials that have ended alone, so that a search that was stopped goes on as it would have
        seed = self.seed + 7919 * len(_ended(study))
        study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
        return study.ask()

    def _settle(self, study: "Study") -> None:
        """Put the files of the trial that ended last where those of the best one stand, if it is; else away."""
        ended = _ended(study)
        folder = self._folder(len(ended))
        if not ended or not folder.is_dir():
            return
        if _as_trial(len(ended), ended[-1], ended).best:
            model = folder / self.out.name
            others = [file for file in sorted(folder.iterdir()) if file not in (model, part_of(model))]
            for file in (*others, *[model] * model.exists()):  # the model last: until then all is done again
                os.replace(file, self.out.with_name(file.name))
        shutil.rmtree(folder)

    def _write(self) -> None:
        """The trials as CSV, and as a picture."""
        text = io.StringIO()
        names = list(self.space)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["trial", *names, "validation", "epochs", "seconds", "said"])
        for trial in self.trials:
            options = [trial.options[name] for name in names]
            writer.writerow([trial.number, *options, trial.validation, trial.epochs, trial.seconds, trial.said])
        write_atomically(beside(self.out, ".trials.csv"), text.getvalue().encode())
        draw_trials(self.trials, self.space, self.model.MEASURE.name, beside(self.out, ".trials.png"))


def draw_trials(trials: list[Trial], space: Space, measure: str, path: Path) -> None:
    """What each option was worth: a panel for each, a dot for each trial, the best one ringed.

    Raises:
        DataError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    shown = [trial for trial in trials if trial.validation is not None]
    if not shown:
        return
    best = min(shown, key=lambda trial: trial.validation or 0.0)
    figure = Figure(figsize=(2.6 * len(space), 3), layout="constrained", dpi=150)
    axes = figure.subplots(1, len(space), sharey=True, squeeze=False)[0]
    top = sorted(trial.validation or 0.0 for trial in shown)[min(len(shown) - 1, 3 * len(shown) // 4)]
    low = best.validation or 0.0
    for axis, (name, span) in zip(axes, space.items(), strict=True):
        for trial in shown:
            full = trial.said != "pruned"
            axis.plot(
                trial.options[name], trial.validation, "o", color="C0" if full else "0.7", markersize=5, clip_on=True
            )
        axis.plot(best.options[name], best.validation, "o", markersize=11, fillstyle="none", color="C3")
        axis.set_xlabel(name.replace("_", " "))
        if isinstance(span, Span) and span.log:
            axis.set_xscale("log")
        axis.set_xticks(span.marks if isinstance(span, Span) else span, minor=False)
        axis.set_xticks([], minor=True)
        axis.xaxis.set_major_formatter("{x:.2g}" if isinstance(best.options[name], float) else "{x:.0f}")
        axis.spines[["top", "right"]].set_visible(False)
    room = max(top - low, 1e-3 * max(abs(low), 1e-9))
    axes[0].set_ylim(low - 0.15 * room, top + 0.6 * room)  # the worst quarter may lie outside
    axes[0].set_ylabel(measure)
    figure.suptitle(f"{len(trials)} trials; grey were pruned, red is the best", fontsize=10)
    write_picture(figure, path)


def _ended(study: "Study") -> "list[FrozenTrial]":
    """The trials that came to an end, well or not; not those that were stopped and are taken up again."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.state.is_finished() and DONE in trial.user_attrs]


def _tell(study: "Study", number: int, value: float | None) -> None:
    """A trial has ended, with a figure or without one."""
    states = _optuna().trial.TrialState
    study.tell(number, value, state=states.FAIL if value is None else states.COMPLETE)


def _as_trial(number: int, trial: "FrozenTrial", ended: "list[FrozenTrial]") -> Trial:
    """What is told of a trial; `number` is its place among those that have ended, from 1."""
    before = [other.value for other in ended[: number - 1] if other.value is not None]
    best = trial.value is not None and trial.value < min(before, default=math.inf)
    epochs, seconds, said, _ = trial.user_attrs[DONE]
    return Trial(number, dict(trial.params), trial.value, epochs, seconds, said, best)


def _seconds_of(side_file: Path) -> float:
    """How long a training has taken until it was stopped; 0 where it was not begun."""
    if not side_file.exists():
        return 0.0
    return float(SideFile().load_checkpoint(side_file)["elman"]["standing"]["seconds"])


def _suggested(trial: "OptunaTrial", name: str, span: "Span | tuple[Any, ...]") -> Any:
    if not isinstance(span, Span):
        return trial.suggest_categorical(name, list(span))
    if isinstance(span.low, int) and isinstance(span.high, int):
        return trial.suggest_int(name, span.low, span.high, log=span.log)
    return trial.suggest_float(name, span.low, span.high, log=span.log)


def _finite(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else 1e30


def _plain(value: Any) -> Any:
    """As JSON gives it back: tuples are lists."""
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise SetupError("a search needs Optuna, not installed here: pip install 'elman[jobs]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _storage(path: Path) -> Any:
    """A journal of JSON lines; no pickle is ever read (only Optuna's Redis journal has those)."""
    if path.exists() and not (kept := path.read_bytes()).endswith(b"\n"):  # the last line was being written
        write_atomically(path, kept[: kept.rfind(b"\n") + 1])
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    try:
        return JournalStorage(JournalFileBackend(str(path)))
    except (ValueError, KeyError) as error:
        raise DataError(f"{path}: expected the journal of a search, got something else ({error}).") from None
