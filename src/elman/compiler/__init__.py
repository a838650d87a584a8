"""The only room that knows how things are made fast."""

from .cache import register
from .pipeline import StepByStepWarning, unroll
from .plan import STAGES, LayerPlan, Plan, planning
from .sequences import Sequences

__all__ = ["STAGES", "LayerPlan", "Plan", "Sequences", "StepByStepWarning", "planning", "register", "unroll"]
