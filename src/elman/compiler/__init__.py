"""The only room that knows how things are made fast."""

from .cache import register
from .codegen import Schedule
from .pipeline import StepByStepWarning, unroll
from .plan import STAGES, LayerPlan, Plan, planning
from .runtime.backend import using
from .runtime.build import NO_COMPILER, Compiler, find_compiler, host, processor
from .runtime.eager import one_step, where_rows
from .runtime.rows import fill_ended
from .runtime.scan import scan
from .runtime.store import BuildWarning, cache_folder, refusal
from .runtime.tuned import forget_schedules, schedules_file
from .runtime.ways import Checkpointed, Full, PerStep, Truncated
from .search import NOISE, Tuning, tune
from .sequences import Sequences

__all__ = [
    "NOISE",
    "NO_COMPILER",
    "STAGES",
    "BuildWarning",
    "Checkpointed",
    "Compiler",
    "Full",
    "LayerPlan",
    "PerStep",
    "Plan",
    "Schedule",
    "Sequences",
    "StepByStepWarning",
    "Truncated",
    "Tuning",
    "cache_folder",
    "fill_ended",
    "find_compiler",
    "forget_schedules",
    "host",
    "one_step",
    "planning",
    "processor",
    "refusal",
    "register",
    "scan",
    "schedules_file",
    "tune",
    "unroll",
    "using",
    "where_rows",
]
