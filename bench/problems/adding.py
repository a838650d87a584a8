"""The adding problem with a GRU: fresh sequences at each step, chrono initialisation."""

import torch
from torch.nn.functional import mse_loss

import elman
from elman.data import problems

from . import Asked, Measured
from .training import Network, Plan, generators, train

STEPS, UNITS, BATCH, CHECKED, TESTED = 600, 64, 32, 256, 2000
TITLE = f"adding problem, T = {STEPS}"
DATA = ()
ASKED = (Asked("GRU, test MSE", "<", 1e-3),)


def error(network, sample):
    """The mean square error on a sample."""
    return mse_loss(network(sample.x, sample.asked), sample.targets[sample.asked])


def run(settings):
    """Train and test."""
    steps, plan = (20, Plan(3, 0.005, every=2)) if settings.quick else (STEPS, Plan(2500, 0.005, enough=2e-4, shown=5))
    training, checking, testing = generators(settings.seed)
    torch.manual_seed(settings.seed)
    cell = elman.GRU(2, UNITS)
    elman.init.orthogonal_(cell)
    elman.init.chrono_(cell, steps)
    network = Network(cell, UNITS, 1)
    checked = problems.adding(steps, CHECKED, checking)

    def loss():
        return error(network, problems.adding(steps, BATCH, training))

    when = train(network, loss, lambda: error(network, checked), plan, settings.say)
    with torch.no_grad():
        found = error(network, problems.adding(steps, TESTED, testing)).item()
    yield Measured(ASKED[0], found, f"{UNITS} units, {when}; always saying 1 has 0.167")
