"""3-digit addition, "535+61" -> "596", of pairs that were never trained on.

50,000 pairs of numbers up to three digits, no two of the same numbers in whatever order, as in the example of Keras; a
tenth of them for the test, 1,000 of the others to choose the best epoch.

Source: W. Zaremba, I. Sutskever, Learning to Execute, arXiv 1410.4615, 2014; F. Chollet's addition_rnn for Keras.
"""

import torch

from elman.decoding import TeacherForcing

from . import Asked, Measured
from .reading import BOS, EOS, Pairs, epochs, exact, fit, reader

TITLE = "3-digit addition by encoder and decoder"
DATA = ()
ASKED = (Asked("exact answers of unseen pairs, %", ">=", 99),)

SYMBOLS = "0123456789+"
VOCABULARY = BOS + 1 + len(SYMBOLS)
PAIRS, TEST, VALIDATION = 50_000, 5_000, 1_000
HIDDEN, EMBEDDED, EPOCHS, RATE = 128, 32, 12, 4e-3


def numbered(text):
    """A text as tokens."""
    return [BOS + 1 + SYMBOLS.index(symbol) for symbol in text]


def made(count, generator):
    """Pairs that differ from each other in whatever order; numbers of one, two and three digits are as likely."""
    seen, sources, targets = set(), [], []
    while len(sources) < count:
        digits = torch.randint(1, 4, (2,), generator=generator).tolist()
        a, b = (int(torch.randint(10**d, (), generator=generator)) for d in digits)
        if (min(a, b), max(a, b)) not in seen:
            seen.add((min(a, b), max(a, b)))
            sources.append(torch.tensor(numbered(f"{a}+{b}")))
            targets.append(torch.tensor([*numbered(str(a + b)), EOS]))
    return Pairs(sources, targets)


def run(settings):
    """Train once, and add."""
    torch.manual_seed(settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)
    every = made(300 if settings.quick else PAIRS, generator)
    order = torch.randperm(len(every), generator=generator).tolist()  # short numbers are used up early
    test, validation = len(every) * TEST // PAIRS, len(every) * VALIDATION // PAIRS
    held, checked = every.chosen(order[:test]), every.chosen(order[test : test + validation])
    taught = every.chosen(order[test + validation :])
    model = reader(VOCABULARY, VOCABULARY, HIDDEN, EMBEDDED)
    plan = epochs(1 if settings.quick else EPOCHS, taught, RATE)
    when = fit(model, taught, checked, TeacherForcing(), plan, settings)
    yield Measured(ASKED[0], 100 * exact(model.eval(), held), f"{len(taught):,} pairs, {when}")
