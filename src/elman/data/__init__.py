"""Data: text and tables, vocabularies, batches: streams that run on, and rows of unequal length; synthetic problems."""

from . import problems
from .byte_pairs import BytePairs, numbered
from .frequency import Frequency, find_frequency, read_times
from .midi import Keyboard, MidiPiece, notes_of, read_midi, write_midi
from .padded import Padded, padded
from .passages import passages
from .pieces import PieceColumns, Pieces, paths_of, read_pieces
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
    "Keyboard",
    "MidiPiece",
    "Padded",
    "Panel",
    "PieceColumns",
    "Pieces",
    "Reading",
    "Series",
    "Streams",
    "Vocabulary",
    "build_vocabulary",
    "builtin_text",
    "column",
    "find_frequency",
    "fitting_rows",
    "notes_of",
    "numbered",
    "padded",
    "passages",
    "paths_of",
    "problems",
    "read_midi",
    "read_pieces",
    "read_series",
    "read_table",
    "read_text",
    "read_times",
    "texts",
    "write_midi",
]
