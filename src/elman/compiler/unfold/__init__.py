"""From a step to a loop, from the loop to the loop of its gradient, and out of both whatever need not wait."""

from .bptt import Backward, bptt
from .gradient import VJP, backward
from .hoist import Stages, hoist
from .linear import Linear, as_scan, linear
from .loop import Binding, Carry, Loop, Step, substitute, unfold
from .show import show_loop, show_stages

__all__ = [
    "VJP",
    "Backward",
    "Binding",
    "Carry",
    "Linear",
    "Loop",
    "Stages",
    "Step",
    "as_scan",
    "backward",
    "bptt",
    "hoist",
    "linear",
    "show_loop",
    "show_stages",
    "substitute",
    "unfold",
]
