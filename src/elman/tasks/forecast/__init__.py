"""The forecast job: one or thousands of series go on, as paths that are drawn step by step."""

from .example import passengers, stocks
from .model import ForecastModel, Paths
from .score import Figures, Score

__all__ = ["Figures", "ForecastModel", "Paths", "Score", "passengers", "stocks"]
