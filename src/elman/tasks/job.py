"""What all jobs share: how they are trained, what is kept of them, and in which file."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from elman.errors import ArgumentError, DataError
from elman.training import Batches, History, Measure, Settings
from elman.training.files import beside, check_apart, check_output
from elman.training.processes import check_processes, is_first
from elman.training.schedule import Schedule, warmup_cosine
from elman.training.settings import MakeOptimizer, above, at_least, find_device, require_libraries, seconds_of

from .archive import load_archive, save_archive
from .report import write_report


@dataclass(frozen=True, eq=False)
class Prepared:
    """The data of a training.

    Attributes:
        training: what is learned.
        validation: what the best epoch is chosen by, or None.
        digest: by which the same data is known again when a training is resumed.
        about: what people are told of the data, as plain values; kept in the model file.
    """

    training: Batches
    validation: Batches | None
    digest: str
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class Job:
    """Base of the jobs: subclass, write `prepare_data`, `content` and `restore`.

    Args:
        epochs: most passes over the training data.
        batch_size: B, rows side by side.
        learning_rate: the largest learning rate.
        clip: largest norm of the whole gradient; math.inf for no clipping.
        patience: epochs without a better validation after which training stops.
        validation: share of the data that is kept for validation; 0 for none.
        seed: of the first weights and of dropout.
        optimizer: makes the optimiser of (parameters, learning rate); torch.optim.Adam by default.
        schedule: factor on the learning rate for (steps taken, steps in all); `training.warmup_cosine`, or
            `training.constant`.

    Attributes:
        NAME: of the job, as in `elman NAME`.
        MEASURE: the figure that is shown, and by which the best epoch is chosen.
        PICTURES: endings of the pictures that `finished` leaves beside the model.
        network: the network, once there is one: a `training.Trainable`.
        history: what happened in training.
        about: what it was trained on, and whatever else a job wants to be told of its models.
        checked: the figures on what was kept for validation, beside those of what is naive.
    """

    NAME: ClassVar[str]
    MEASURE: ClassVar[Measure]
    PICTURES: ClassVar[tuple[str, ...]] = ()

    epochs: int = 8
    batch_size: int = 16
    learning_rate: float = 5e-3
    clip: float = 1.0
    patience: int = 3
    validation: float = 0.1
    seed: int = 0
    optimizer: MakeOptimizer = torch.optim.Adam  # type: ignore[assignment]
    schedule: Schedule = warmup_cosine

    network: Any = field(default=None, init=False, repr=False)
    history: History = field(init=False, repr=False)
    about: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    checked: dict[str, float] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.history = History(self.MEASURE)
        at_least("batch_size", self.batch_size, 1)
        above("learning_rate", self.learning_rate, 0)
        if not 0 <= self.validation < 1:
            raise ArgumentError(f"expected 0 <= validation < 1, got {self.validation}.")

    def prepare_data(self, data: Any) -> Prepared:
        """The batches of what `fit` takes; makes `network` where there is none."""
        raise TypeError(f"{type(self).__name__} must define prepare_data(self, data)")

    def content(self) -> dict[str, Any]:
        """What a model file holds beside weights, configuration and history, as plain values: a vocabulary, say."""
        raise TypeError(f"{type(self).__name__} must define content(self)")

    def restore(self, content: dict[str, Any]) -> None:
        """Take over what `content` gave, and make `network`, whose weights are loaded afterwards."""
        raise TypeError(f"{type(self).__name__} must define restore(self, content)")

    def paths_in(self, data: Any) -> Iterable[Path]:
        """The files and folders that are read of what `fit` takes."""
        return [data] if isinstance(data, Path) else []

    def fit(
        self,
        data: Any = None,
        *,
        out: Path | str | None = None,
        resume: bool = False,
        fresh: bool = False,
        device: str = "auto",
        threads: int | None = None,
        devices: int = 1,
        nodes: int = 1,
        callbacks: Callable[[Self], list[Any]] | None = None,
        save_every: float = 10.0,
        time_limit: float | str | None = None,
        watch: Callable[[History], bool] = lambda history: False,
    ) -> Self:
        """Train; afterwards the model holds the weights with the best validation.

        Args:
            data: see the class of the job.
            out: the model file. It is written at each better epoch; the history (.csv) and the learning curve (.png)
                come beside it, and at the end a report (.html). While training runs, `out` + ".resume" holds all that
                is needed to go on.
            resume: go on with a training that was stopped; on the CPU it ends in the same numbers, bit for bit, as
                if it had not been (on a GPU torch's own sums may differ in their last bits).
            fresh: throw away what is left of a training that was stopped.
            device: "auto", "cpu", "cuda" or "cuda:N".
            threads: threads of the CPU, of each process.
            devices: processes on this machine, each with a GPU of its own or a share of the CPU's cores. The rows of a
                batch are shared out among them: they learn what one learns, but for the order of sums and for what
                dropout draws. Lightning starts the further ones by running the same script again.
            nodes: machines, each of which runs the same script (torchrun, Slurm, or MASTER_ADDR, MASTER_PORT and
                NODE_RANK set by hand); files are written by the first one, and a resumption reads them on all.
            callbacks: makes Lightning callbacks that look on, a `TrainingDisplay`, say.
            save_every: least seconds between two writings of the side file within an epoch.
            time_limit: seconds, or "90s", "10m", "1.5h", after which training ends with the best weights so far; the
                learning rate then falls with the time.
            watch: called at the end of each epoch; training ends where it says True.

        Raises:
            DataError: the data are missing, too few or of another kind; the output cannot be written; what is on disk
                does not go with `resume`.
            NumericsError: NaN in the loss.
            SetupError: Lightning or matplotlib is not installed.
            KeyboardInterrupt: Ctrl-C; the model holds and `out` has the best weights so far.
        """
        require_libraries()
        settings = self._settings(device, threads, seconds_of(time_limit), devices, nodes)
        check_processes(settings.processes, data)
        first = is_first(settings.processes)
        out = None if out is None else Path(out)
        if out is not None:
            if first:
                check_output(out, self.PICTURES)
            check_apart(out, self.paths_in(data), self.PICTURES)
        elif resume:
            raise ArgumentError("expected `out`, the model file, to resume its training.")
        prepared = self.prepare_data(data)
        self.about = prepared.about
        facts = {**self.configuration(), **settings.facts(), "data": prepared.digest}
        from elman.training.engine import Work, choose_start, side_file_of, train  # Lightning: seconds

        side_file = None if out is None else side_file_of(out)
        resume = side_file is not None and out is not None and choose_start(side_file, out, facts, resume, fresh)
        if not first:
            out, callbacks = None, None  # one process writes, and shows
        work = Work(
            training=prepared.training,
            validation=prepared.validation,
            settings=settings,
            measure=self.MEASURE,
            facts=facts,
            side_file=side_file,
            save=partial(self._keep, out),
            save_every=save_every,
            title=self.summary,
            finish=partial(self._finished, prepared, out),
            watch=watch,
            report=(lambda: None) if out is None else partial(write_report, self, out),
        )
        train(self.network, work, out, resume, callbacks(self) if callbacks else [])
        return self

    def finished(self, prepared: Prepared, out: Path | None) -> None:
        """What remains once the network is trained: to find how far its probabilities can be trusted, to draw.

        Args:
            prepared: the data.
            out: the model file, or None; pictures come beside it.
        """

    def _finished(self, prepared: Prepared, out: Path | None) -> None:
        for ending in self.PICTURES if out is not None else ():
            beside(out, ending).unlink(missing_ok=True)  # type: ignore[arg-type]  # an earlier model's
        self.finished(prepared, out)

    def save(self, path: Path | str) -> None:
        """Write the model as one file.

        Raises:
            DataError: the file cannot be written.
        """
        self.trained()
        check_output(Path(path))
        self._keep(Path(path), self.network.state_dict(), self.history)

    @classmethod
    def load(cls, path: Path | str, device: str = "auto") -> Self:
        """The model of a file.

        Args:
            path: the model file.
            device: where it shall run: "auto", "cpu", "cuda" or "cuda:N".

        Raises:
            DataError: the file is missing, truncated, or the model file of another job.
        """
        weights, content = load_archive(Path(path), cls.NAME)
        try:
            model = cls(**content["configuration"])
            model.restore(content)
            model.network.load_state_dict(weights)
            model.history = History.from_json(content["history"])
            model.about, model.checked = dict(content["about"]), dict(content["checked"])
        except DataError:
            raise
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise DataError(
                f"{path}: expected a whole elman model file, got one that is damaged, or that another elman wrote "
                f"({content.get('elman')}, {content.get('written')}; {error})."
            ) from None
        model.network.to(find_device(device)).eval()
        return model

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.trained().parameters()).device

    @property
    def weights(self) -> int:
        """How many numbers the network has learned, or will learn."""
        return 0 if self.network is None else sum(p.numel() for p in self.network.parameters())

    @property
    def summary(self) -> str:
        """The network in a few words."""
        return f"{self.weights / 1e6:.2f} million weights"

    def trained(self) -> nn.Module:
        """The network.

        Raises:
            ArgumentError: there is none yet.
        """
        if self.network is None:
            raise ArgumentError(
                f"this model has not been trained yet: call fit, or {type(self).__name__}.load for one that has."
            )
        return self.network  # type: ignore[no-any-return]

    def configuration(self) -> dict[str, Any]:
        """The options that are plain values."""
        return {
            option.name: getattr(self, option.name)
            for option in fields(self)
            if option.init and option.name not in ("optimizer", "schedule")
        }

    def _settings(
        self, device: str, threads: int | None, time_limit: float | None, devices: int, nodes: int
    ) -> Settings:
        return Settings(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            clip=self.clip,
            patience=self.patience,
            seed=self.seed,
            optimizer=self.optimizer,
            schedule=self.schedule,
            device=device,
            threads=threads,
            devices=devices,
            nodes=nodes,
            time_limit=time_limit,
        )

    def _keep(self, path: Path | None, weights: dict[str, Tensor], history: History) -> None:
        """Take the history over, and write the model file where there is to be one."""
        self.history = history
        if path is not None:
            kept = {"configuration": self.configuration(), "history": history.to_json()}
            told = {"about": self.about, "checked": self.checked}
            save_archive(path, self.NAME, weights, {**kept, **told, **self.content()})


def digest_of(*series: Iterable[Any]) -> str:
    """By which the same values in the same order are known again: plain ones, texts, bytes, tensors and arrays."""
    found = hashlib.sha256()
    for values in series:
        for value in values:
            if isinstance(value, Tensor | np.ndarray):
                found.update(repr(tuple(value.shape)).encode() + np.ascontiguousarray(value).tobytes())
            else:
                found.update(value if isinstance(value, bytes) else repr(value).encode("utf-8", "surrogatepass"))
            found.update(b"\0")
        found.update(b"\1")
    return found.hexdigest()[:16]


class Evaluating:
    """A network without dropout, and afterwards as it was."""

    def __init__(self, network: nn.Module) -> None:
        self.network, self.training = network, network.training

    def __enter__(self) -> None:
        self.network.eval()

    def __exit__(self, *_: object) -> None:
        self.network.train(self.training)
