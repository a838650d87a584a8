"""Decoding: who supplies the next input? Filters and choices, generation, beam search, policies of teaching."""

from .beam import Hypotheses, beam_search, length_penalty
from .choice import Choice, draw, greedy, sampling
from .filters import temperature, top_k, top_p, without
from .generate import Generated, Move, generate, stream
from .guided import Guided
from .policies import FreeFor, FreeRunning, PerSequence, PerToken, Policy, TeacherForcing, fed_next
from .schedules import exponential, inverse_sigmoid, linear
from .step import NextToken, Step
from .teaching import fed_tokens, teach

__all__ = [
    "Choice",
    "FreeFor",
    "FreeRunning",
    "Generated",
    "Guided",
    "Hypotheses",
    "Move",
    "NextToken",
    "PerSequence",
    "PerToken",
    "Policy",
    "Step",
    "TeacherForcing",
    "beam_search",
    "draw",
    "exponential",
    "fed_next",
    "fed_tokens",
    "generate",
    "greedy",
    "inverse_sigmoid",
    "length_penalty",
    "linear",
    "sampling",
    "stream",
    "teach",
    "temperature",
    "top_k",
    "top_p",
    "without",
]
