"""Copy memory: a word of ten symbols, 200 steps later; an orthogonal network, a gated one, and a plain tanh network.

The orthogonal network is Elman's without its tanh, W held orthogonal by torch's parametrisation. The loss is over all
steps, as published; the accuracy is that of the ten recalled symbols.
"""

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils import parametrizations

import elman
from elman.data import problems

from . import Asked, Measured
from .training import Network, Plan, generators, train

DELAY, UNITS, BATCH, CHECKED, TESTED, SYMBOLS = 200, 128, 32, 200, 1000, 8
TITLE = f"copy memory, T = {DELAY}"
DATA = ()
ASKED = (
    Asked("orthogonal, accuracy", ">", 0.99),
    Asked("tanh, not solved: accuracy", "<=", 0.99),
)


def identity(z):
    """What stands in place of tanh."""
    return z


def orthogonal():
    """A linear network whose recurrent matrix is orthogonal, at the start and at every step."""
    cell = elman.Elman(SYMBOLS + 2, UNITS, activation=identity)
    elman.init.orthogonal_(cell)
    elman.init.constant_(cell, 0.0)
    parametrizations.orthogonal(cell.W)
    return cell


def plain():
    """A tanh network with torch's own start."""
    return elman.Elman(SYMBOLS + 2, UNITS)


PLANS = {orthogonal: Plan(1500, 0.001, every=100, enough=0.001), plain: Plan(3000, 0.001, every=300)}


def everywhere(network, sample):
    """The loss over all steps."""
    said = network(sample.x, torch.ones_like(sample.asked))
    return cross_entropy(said, sample.targets.flatten())


def wrong(network, sample):
    """The share of the asked symbols that are not recalled."""
    return (network(sample.x, sample.asked).argmax(-1) != sample.targets[sample.asked]).float().mean().item()


def run(settings):
    """Train and test each network."""
    delay = 20 if settings.quick else DELAY
    for asked, (make, plan) in zip(ASKED, PLANS.items(), strict=True):
        training, checking, testing = generators(settings.seed)
        torch.manual_seed(settings.seed)
        network = Network(make(), UNITS, SYMBOLS + 1)
        checked = problems.copy_memory(delay, CHECKED, checking)
        when = train(
            network,
            lambda network=network, training=training: everywhere(
                network, problems.copy_memory(delay, BATCH, training)
            ),
            lambda network=network, checked=checked: wrong(network, checked),
            Plan(3, plan.rate, every=2) if settings.quick else plan,
            settings.say,
        )
        with torch.no_grad():
            found = 1 - wrong(network, problems.copy_memory(delay, TESTED, testing))
        yield Measured(asked, found, f"{UNITS} units, {when}; chance is 0.125")
