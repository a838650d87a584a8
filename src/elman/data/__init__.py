"""Data: text and tables, vocabularies, batches: streams that run on, and rows of unequal length; synthetic problems."""

from . import problems
from .byte_pairs import BytePairs, numbered
from .frequency import Frequency, find_frequency, read_times
from .padded import Padded, padded
from .passages import passages
from .series import Columns, Panel, Series, read_series
from .streams import Streams, fitting_rows
from .table import column, read_table, texts
from .text import EXAMPLES, Reading, builtin_text, read_text
from .vocabulary import UNITS, UNKNOWN, UNKNOWN_SHOWN, Vocabulary, build_vocabulary

__all__ = [
    "EXAMPLES",
    "UNITS",
    "UNKNOWN",
    "UNKNOWN_SHOWN",
    "BytePairs",
    "Columns",
    "Frequency",
    "Padded",
    "Panel",
    "Reading",
    "Series",
    "Streams",
    "Vocabulary",
    "build_vocabulary",
    "builtin_text",
    "column",
    "find_frequency",
    "fitting_rows",
    "numbered",
    "padded",
    "passages",
    "problems",
    "read_series",
    "read_table",
    "read_text",
    "read_times",
    "texts",
]
