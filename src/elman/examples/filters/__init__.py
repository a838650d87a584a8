"""Filters as cells: a recurrent network can be the distribution over the hidden states of a model, and be trained.

python -m elman.examples.filters
"""

from .em import baum_welch, shumway_stoffer
from .fitting import fit, log_likelihood, mean_log_likelihood
from .hmm import Categorical, Gaussian, HMMFilter
from .kalman import KalmanFilter

__all__ = [
    "Categorical",
    "Gaussian",
    "HMMFilter",
    "KalmanFilter",
    "baum_welch",
    "fit",
    "log_likelihood",
    "mean_log_likelihood",
    "shumway_stoffer",
]
