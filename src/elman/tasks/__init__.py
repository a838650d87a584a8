"""The jobs: each a model with fit, a way to use it, save and load."""

from .text import Score, TextModel

__all__ = ["Score", "TextModel"]
