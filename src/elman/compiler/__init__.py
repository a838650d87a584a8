"""The only room that knows how things are made fast."""

from .pipeline import unroll
from .sequences import Sequences

__all__ = ["Sequences", "unroll"]
