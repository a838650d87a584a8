"""The language of a surname, of 18: without duplicates, a fifth of the names by a hash of the name for the test.

The epochs were chosen on names kept for validation; the learning rate falls to nothing with them, so that the last
weights are the best, and none need be kept.

Many a name belongs to several languages, each with a row of its own, so that no one can be right throughout.

Source of the names: S. Robertson, NLP From Scratch: Classifying Names with a Character-Level RNN, 2017.
"""

import hashlib

import polars

from elman.tasks import ClassifyModel

from . import Asked, Measured

JOB = "classify"
TITLE = "names of 18 languages"
LANGUAGES = (
    "Arabic", "Chinese", "Czech", "Dutch", "English", "French", "German", "Greek", "Irish", "Italian", "Japanese",
    "Korean", "Polish", "Portuguese", "Russian", "Scottish", "Spanish", "Vietnamese",
)  # fmt: skip
DATA = tuple(f"names/{language}.txt" for language in LANGUAGES)
ASKED = (Asked("accuracy", ">=", 0.83),)
OPTIONS = {"input": "name", "label": "language", "ensemble": 5, "epochs": 12, "validation": 0}  # all rows are learned


def parts(settings):
    """The names to learn from, and those for the test."""
    rows = {
        (line.strip(), language): None
        for language in LANGUAGES
        for line in settings.file(f"names/{language}.txt").read_text(encoding="utf-8").splitlines()
        if line.strip()
    }
    frame = polars.DataFrame(list(rows), schema=["name", "language"], orient="row")
    fifth = [int(hashlib.sha256(name.encode()).hexdigest(), 16) % 5 == 0 for name in frame["name"]]
    return frame.filter([not each for each in fifth]), frame.filter(fifth)


def run(settings):
    """Train on four fifths, and read the test once."""
    learned, unseen = parts(settings)
    options = {"epochs": 1, "hidden_size": 8, "ensemble": 2} if settings.quick else {}
    model = ClassifyModel(**(OPTIONS | options), seed=settings.seed).fit(learned, device="cpu")
    settings.say(f"{learned.height} rows; {model.summary}")
    score = model.score(unseen)
    low, high = score.interval
    yield Measured(
        ASKED[0], score.accuracy, f"{low:.3f} to {high:.3f}; macro F1 {score.macro_f1:.3f}; {score.rows} names"
    )
