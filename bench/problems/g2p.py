"""How words are said: what the rows of SIGMORPHON 2021 share.

The options were chosen on the development parts. What the task calls word error rate is the share of words with any
mistake.

Source: L. F. E. Ashby et al., Results of the Second SIGMORPHON Shared Task on Multilingual Grapheme-to-Phoneme
Conversion, 2021, whose table gives for its baseline 1.8 % in Hungarian, 8.5 % in French and 41.9 % in US English.
"""

import copy

import polars

from elman.tasks import TranslateModel

from . import Measured

OPTIONS = {"input": "word", "output": "sound", "output_unit": "word", "ensemble": 3}
PARTS = ("train", "dev", "test")


def files(name):
    """The files of a language."""
    return tuple(f"{name}_{part}.tsv.gz" for part in PARTS)


def table(path):
    """The columns "word" and "sound" of a file without a head."""
    return polars.read_csv(path, separator="\t", has_header=False, new_columns=["word", "sound"], quote_char=None)


def wrong(model, frame):
    """Words with a mistake, %."""
    return 100 * model.score(frame).wrong


def members(model):
    """Each network of an ensemble as a model of its own."""
    for network in model.network.members:
        alone = copy.copy(model)
        alone.network = network
        yield alone


def run(settings, names, asked, **options):
    """Train on a language's training part, and read its test part once.

    Args:
        settings: of the row.
        names: its files: training, development, test.
        asked: of all networks together, and, where there is a second, of what they gain on one.
        options: of the model.
    """
    learned, known, unseen = (table(settings.file(name)) for name in names)
    if settings.quick:
        learned, known, unseen, options = learned[:200], known[:9], unseen[:9], {"epochs": 1}
    model = TranslateModel(**(OPTIONS | options), seed=settings.seed).fit(learned, device="cpu")
    settings.say(f"{model.summary}; on the development part {wrong(model, known):.2f} %")
    score, best = model.score(unseen), model.history.best
    low, high = (100 * bound for bound in score.interval)
    note = f"{low:.2f} to {high:.2f}; phoneme error rate {100 * score.words:.2f} %; epoch {best.epoch:.0f}"
    yield Measured(asked[0], 100 * score.wrong, note)
    if asked[1:]:
        alone = [wrong(one, unseen) for one in members(model)]
        note = ", ".join(f"{each:.2f}" for each in alone)
        yield Measured(asked[1], sum(alone) / len(alone) - 100 * score.wrong, note)
