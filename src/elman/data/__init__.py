"""Data: text, its vocabulary, streams that run on from window to window; synthetic problems in `problems`."""

from . import problems
from .streams import Streams, fitting_rows
from .text import Reading, builtin_text, read_text
from .vocabulary import UNKNOWN, Vocabulary, build_vocabulary

__all__ = [
    "UNKNOWN",
    "Reading",
    "Streams",
    "Vocabulary",
    "build_vocabulary",
    "builtin_text",
    "fitting_rows",
    "problems",
    "read_text",
]
