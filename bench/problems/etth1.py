"""The oil temperature of a transformer, hour by hour: every forecast of 24 hours within the test months.

12, 4 and 4 months of 30 days for training, validation and test; values in units of the deviation of the training part.
Only the temperature is read.

Source: H. Zhou et al., Informer: Beyond Efficient Transformer for Long Sequence Time-Series Forecasting, AAAI 2021.
"""

import numpy as np
import polars

from elman.tasks import ForecastModel

from . import Asked, Measured

FILE, MONTH, HORIZON = "ETTh1.csv.gz", 30 * 24, 24
TITLE = "oil temperature, 24 hours ahead"
JOB = "forecast"
DATA = (FILE,)
ASKED = (
    Asked("test MSE", "<=", 0.0265),
    Asked("test MAE", "<=", 0.124),
    Asked("90 % intervals cover, %", ">=", 85),
    Asked("90 % intervals cover no more than, %", "<=", 95),
)


def told(score, deviation):
    """MSE and MAE of all methods in units of the training part, in words."""
    return ", ".join(
        f"{name} {figures.mse / deviation**2:.4f} / {figures.mae / deviation:.4f}"
        for name, figures in score.figures.items()
    )


def run(settings):
    """Train, choose on the validation months, forecast from every hour of the test months once."""
    frame = polars.read_csv(settings.file(FILE), columns=["date", "OT"])[: 20 * MONTH]
    deviation = float(np.std(frame["OT"].to_numpy()[: 12 * MONTH]))
    model = ForecastModel(
        time="date",
        y="OT",
        horizon=HORIZON,
        held_out=4 * MONTH,
        validation=0.25,
        lags=336,
        window=168,
        hidden_size=16,
        dropout=0.3,
        epochs=1 if settings.quick else 10,
        seed=settings.seed,
    )
    model.fit(frame, device="cpu")
    best = model.history.best
    settings.say(f"epoch {best.epoch}: validation {best.validation:.4f} nats")
    origins, stride = (5, 24) if settings.quick else (4 * MONTH - HORIZON + 1, 1)
    score = model.score(origins=origins, stride=stride, samples=20 if settings.quick else 100)
    network, note = score.network, told(score, deviation)
    settings.say(note)
    yield Measured(ASKED[0], network.mse / deviation**2, f"{note}; epoch {best.epoch}")
    yield Measured(ASKED[1], network.mae / deviation, f"{score.origins} forecasts")
    yield Measured(ASKED[2], 100 * network.coverage, f"interval score {network.interval / deviation:.3f}")
    yield Measured(ASKED[3], 100 * network.coverage, "")
