"""How words are said: SIGMORPHON 2021, Hungarian and French of 8,000 words, US English of 33,000.

The options were chosen on the development parts. What the task calls word error rate is the share of words with any
mistake.

Source: L. F. E. Ashby et al., Results of the Second SIGMORPHON Shared Task on Multilingual Grapheme-to-Phoneme
Conversion, 2021, whose table gives for its baseline 1.8 % in Hungarian, 8.5 % in French and 41.9 % in US English.
"""

import copy

import polars

from elman.tasks import TranslateModel

from . import Asked, Measured

JOB = "translate"
TITLE = "words to sounds"
LANGUAGES = {
    "Hungarian": ("medium__hun", {}),
    "French": ("medium__fre", {"epochs": 20}),
    "US English": ("high__eng_us", {"epochs": 20}),
}
OPTIONS = {"input": "word", "output": "sound", "output_unit": "word", "ensemble": 3}
DATA = tuple(f"{name}_{part}.tsv.gz" for name, _ in LANGUAGES.values() for part in ("train", "dev", "test"))
ASKED = (
    Asked("Hungarian, words with a mistake, %", "<=", 2.5),
    Asked("French, words with a mistake, %", "<=", 10),
    Asked("US English, words with a mistake, %", "<=", 45),
    Asked("French, of one network less those of three together, %", ">", 0),
)


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


def run(settings):
    """Train on each language's training part, and read its test part once."""
    for asked, (language, (name, options)) in zip(ASKED, LANGUAGES.items(), strict=False):
        learned, known, unseen = (table(settings.file(f"{name}_{part}.tsv.gz")) for part in ("train", "dev", "test"))
        if settings.quick:
            learned, known, unseen, options = learned[:200], known[:9], unseen[:9], {"epochs": 1}
        model = TranslateModel(**(OPTIONS | options), seed=settings.seed).fit(learned, device="cpu")
        settings.say(f"{language}: {model.summary}; on the development part {wrong(model, known):.2f} %")
        score, best = model.score(unseen), model.history.best
        low, high = (100 * bound for bound in score.interval)
        note = f"{low:.2f} to {high:.2f}; phoneme error rate {100 * score.words:.2f} %; epoch {best.epoch:.0f}"
        yield Measured(asked, 100 * score.wrong, note)
        if language == "French":
            alone = [wrong(one, unseen) for one in members(model)]
            mean = sum(alone) / len(alone)
            yield Measured(ASKED[3], mean - 100 * score.wrong, ", ".join(f"{each:.2f}" for each in alone))
