"""Data: text from files, its vocabulary, and batches of streams that run on from window to window."""

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
    "read_text",
]
