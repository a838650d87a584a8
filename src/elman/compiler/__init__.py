"""The only room that knows how things are made fast."""

from .cache import register
from .codegen import Schedule
from .pipeline import StepByStepWarning, unroll
from .plan import STAGES, LayerPlan, Plan, planning
from .runtime.backend import using
from .runtime.build import NO_COMPILER, Compiler, find_compiler, host, processor
from .runtime.store import BuildWarning, cache_folder, refusal
from .sequences import Sequences

__all__ = [
    "NO_COMPILER",
    "STAGES",
    "BuildWarning",
    "Compiler",
    "LayerPlan",
    "Plan",
    "Schedule",
    "Sequences",
    "StepByStepWarning",
    "cache_folder",
    "find_compiler",
    "host",
    "planning",
    "processor",
    "refusal",
    "register",
    "unroll",
    "using",
]
