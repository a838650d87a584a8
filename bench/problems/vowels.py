"""The speaker of two vowels, of nine: 270 utterances of 7 to 29 steps of 12 numbers to learn from, 370 for the test.

Source: M. Kudo, J. Toyama, M. Shimbo, Multidimensional Curve Classification Using Passing-Through Regions, Pattern
Recognition Letters 20, 1999.
"""

import gzip

from elman.tasks import ClassifyModel

from . import Asked, Measured

JOB = "classify"
TITLE = "Japanese vowels"
FILES = ("JapaneseVowels_TRAIN.ts.gz", "JapaneseVowels_TEST.ts.gz")
DATA = FILES
ASKED = (Asked("accuracy", ">=", 0.975),)


def utterances(path):
    """The rows of a file: behind "@data" a line each, channels parted by colons, the speaker last."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("@data"):
                break
        for line in filter(str.strip, lines):
            *channels, speaker = line.strip().split(":")
            numbers = [[float(number) for number in channel.split(",")] for channel in channels]
            yield {"steps": [list(step) for step in zip(*numbers, strict=True)], "speaker": speaker}


def run(settings):
    """Train on the training part, and read the test once."""
    learned, unseen = (list(utterances(settings.file(name))) for name in FILES)
    options = {"epochs": 1} if settings.quick else {}
    model = ClassifyModel(input="steps", label="speaker", **options, seed=settings.seed).fit(learned, device="cpu")
    settings.say(f"on the rows for validation {model.checked['accuracy']:.4f}; {model.summary}")
    score = model.score(unseen)
    low, high = score.interval
    yield Measured(ASKED[0], score.accuracy, f"{low:.3f} to {high:.3f}; macro F1 {score.macro_f1:.3f}")
