"""Airline passengers a month: 24 months from the first 120, by the forecast job as it is.

Source: G. E. P. Box, G. M. Jenkins, Time Series Analysis: Forecasting and Control, 1970, series G.
"""

from elman.tasks import ForecastModel
from elman.tasks.forecast import passengers

from . import Asked, Measured

TITLE = "airline passengers, 24 months ahead"
JOB = "forecast"
DATA = ()
ASKED = (
    Asked("MASE", "<=", 1.1),
    Asked("90 % interval covers, %", ">=", 85),
    Asked("interval score beside that of seasonal naive", "<", 1),
)


def told(score):
    """The same figure of all methods, in words."""
    return ", ".join(f"{name} {figures.mase:.2f}" for name, figures in score.figures.items() if name != "network")


def run(settings):
    """Train on 108 months, choose on 12, forecast 24 once."""
    model = ForecastModel(horizon=24, held_out=24, seed=settings.seed, epochs=1 if settings.quick else 30)
    score = model.fit(passengers(), device="cpu").score()
    settings.say(f"MASE: network {score.network.mase:.2f}, {told(score)}")
    best = model.history.best
    yield Measured(ASKED[0], score.network.mase, f"{told(score)}; epoch {best.epoch}")
    yield Measured(ASKED[1], 100 * score.network.coverage, f"{score.values} values")
    rival = score.figures["seasonal naive"].interval
    yield Measured(ASKED[2], score.network.interval / rival, f"{score.network.interval:.0f} and {rival:.0f}")
