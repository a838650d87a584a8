"""SCAN, simple split: commands in words to sequences of actions, half of the rows taught on their own choices.

Source: B. Lake, M. Baroni, Generalization without Systematicity: On the Compositional Skills of Sequence-to-Sequence
    Recurrent Networks, ICML 2018, experiment 1: a random split, teacher forcing half the time.
"""

import gzip

import torch

from elman.decoding import PerSequence
from elman.errors import DataError

from . import Asked, Measured
from .reading import BOS, EOS, Pairs, epochs, exact, fit, reader

TITLE = "SCAN, simple split"
DATA = ("*train_simple.txt.gz", "*test_simple.txt.gz")
ASKED = (Asked("exact sequences of the test split, %", ">", 99),)

VALIDATION, P = 1_000, 0.5
HIDDEN, EMBEDDED, EPOCHS, RATE = 128, 32, 16, 4e-3


def lines(file):
    """Words of the commands and of the actions, line by line."""
    with gzip.open(file, "rt", encoding="utf-8") as text:
        for number, line in enumerate(text, 1):
            command, out, actions = line.removeprefix("IN: ").partition(" OUT: ")
            if not out or not line.startswith("IN: "):
                raise DataError(f"{file}, line {number}: expected `IN: words OUT: actions`, got {line.strip()[:60]!r}.")
            yield command.split(), actions.split()


def vocabulary(words):
    """Numbers of the words, in their order."""
    return {word: BOS + 1 + number for number, word in enumerate(sorted(words))}


def pairs(read, commands, actions):
    """Lines as tokens."""
    sources = [torch.tensor([commands[word] for word in command]) for command, _ in read]
    return Pairs(sources, [torch.tensor([*(actions[word] for word in done), EOS]) for _, done in read])


def run(settings):
    """Train once, and act."""
    torch.manual_seed(settings.seed)
    coins = torch.Generator().manual_seed(settings.seed)
    taught, held = (list(lines(settings.file(pattern))) for pattern in DATA)
    commands = vocabulary({word for command, _ in taught for word in command})
    actions = vocabulary({word for _, done in taught for word in done})
    taught, held = (pairs(each, commands, actions) for each in (taught, held))
    order = torch.randperm(len(taught), generator=coins).tolist()
    if settings.quick:
        order, held = order[:200], held.chosen(range(min(100, len(held))))
    validation = len(order) // 10 if settings.quick else VALIDATION
    model = reader(BOS + 1 + len(commands), BOS + 1 + len(actions), HIDDEN, EMBEDDED)
    checked, taught = taught.chosen(order[:validation]), taught.chosen(order[validation:])
    plan = epochs(1 if settings.quick else EPOCHS, taught, RATE)
    when = fit(model, taught, checked, PerSequence(P, coins), plan, settings)
    yield Measured(ASKED[0], 100 * exact(model.eval(), held), f"{len(taught):,} commands, {when}")
