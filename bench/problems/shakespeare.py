"""The plays of Shakespeare, character by character: the last tenth of the file is kept for validation.

The options are the defaults, which were chosen on other texts and on the first nine tenths of this one; the best epoch
is chosen on the last tenth, as is the custom for this file.

Source: A. Karpathy, char-rnn, 2015 (the file, and the split without a test part).
"""

import math

from elman.tasks import TextModel

from . import Asked, Measured

JOB = "text"
FILE = "tinyshakespeare/input.txt"
TITLE = "Shakespeare, the next character"
DATA = (FILE,)
ASKED = (
    Asked("validation, nats per character", "<=", 1.52),
    Asked("the n-gram needs more, nats per character", ">", 0.0),
)


def run(settings):
    """Train, and measure on the last tenth."""
    small = {"hidden_size": 32, "layers": 1, "epochs": 1, "batch_size": 128} if settings.quick else {}
    model = TextModel(seed=settings.seed, **small).fit(settings.file(FILE), device="cpu")
    score, nats = model.kept, math.log(2)
    best, last = model.history.best, model.history.rows[-1]
    low, high = score.interval
    note = f"{low * nats:.3f} to {high * nats:.3f}; epoch {best.epoch:g} of {last.epoch:g}, {last.seconds / 60:.1f} min"
    settings.say(note)
    yield Measured(ASKED[0], score.bits_per_character * nats, note)
    low, high = score.gain_interval
    yield Measured(
        ASKED[1], score.gain * nats, f"{low * nats:.3f} to {high * nats:.3f}; an n-gram of order {score.order}"
    )
