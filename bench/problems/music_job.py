"""Bach's chorales by the music job: the next frame of 88 keys, from whole pieces, the validation pieces given.

The figure is that of jsb_chorales: nats of a frame, summed over its keys, the mean over all frames of all test
chorales, the first ones too. With independent keys each is on or off by itself, given the past: the model that the
figure is asked of. With chained keys each is foreseen given those below it in its chord as well: as much a probability
of the frame, and comparable with models that have one of whole chords.
"""

import numpy as np

from elman.tasks import MusicModel

from . import Asked, Measured
from .jsb_chorales import FILE, read

TITLE = "JSB Chorales by the music job, negative log-likelihood a frame"
JOB = "music"
DATA = (FILE,)
ASKED = (Asked("keys independent, test NLL", "<=", 8.45), Asked("keys chained, test NLL", "<=", 8.45))
FRAMES = ("independent", "chained")


def run(settings):
    """Train and test with keys independent and chained; the defaults of the job, but for what is said here."""
    training, checked, tested = ([np.asarray(roll) for roll in part] for part in read(settings.file(FILE)))
    quick = {"epochs": 1, "updates": 2} if settings.quick else {}
    for asked, frame in zip(ASKED, FRAMES, strict=True):
        model = MusicModel(frame=frame, seed=settings.seed, **quick)
        model.fit(training, validation_data=checked, device="cpu")
        best = model.history.best
        settings.say(f"{frame}: validation {best.validation:.3f} in epoch {best.epoch:g}")
        score = model.score(tested)
        simple = ", ".join(f"{name} {figure.nats:.2f}" for name, figure in score.simple.items())
        interval = f"95 % from {score.network.low:.2f} to {score.network.high:.2f}"
        note = f"validation {best.validation:.3f}, epoch {best.epoch:g}; {interval}; {simple}"
        yield Measured(asked, score.network.nats, note)
