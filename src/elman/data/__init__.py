"""Data: text and tables, vocabularies, batches: streams that run on, and rows of unequal length; synthetic problems."""

from . import problems
from .padded import Padded, padded
from .streams import Streams, fitting_rows
from .table import column, read_table, texts
from .text import Reading, builtin_text, read_text
from .vocabulary import UNKNOWN, Vocabulary, build_vocabulary

__all__ = [
    "UNKNOWN",
    "Padded",
    "Reading",
    "Streams",
    "Vocabulary",
    "build_vocabulary",
    "builtin_text",
    "column",
    "fitting_rows",
    "padded",
    "problems",
    "read_table",
    "read_text",
    "texts",
]
