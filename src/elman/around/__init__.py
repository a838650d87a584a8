"""Around any cell: what keeps, drops, normalises, starts, clamps or reads states; what ties weights and loads them."""

from .constraints import Constrained, constrain, equal, linear, tie
from .dropout import SharedDropout, VariationalDropout
from .normed import NormedState
from .pretrained import Loaded, freeze, load_matching, renumbered, unfreeze
from .states import Clamped, Driven, LearnedStart, RandomStart, Readout, StartFromVector, with_units
from .weight_drop import weight_drop
from .wrapper import Wrapper
from .zoneout import Zoneout

__all__ = [
    "Clamped",
    "Constrained",
    "Driven",
    "LearnedStart",
    "Loaded",
    "NormedState",
    "RandomStart",
    "Readout",
    "SharedDropout",
    "StartFromVector",
    "VariationalDropout",
    "Wrapper",
    "Zoneout",
    "constrain",
    "equal",
    "freeze",
    "linear",
    "load_matching",
    "renumbered",
    "tie",
    "unfreeze",
    "weight_drop",
    "with_units",
]
