"""Data: text and tables, vocabularies, batches: streams that run on, and rows of unequal length; synthetic problems."""

from . import problems
from .byte_pairs import BytePairs, numbered
from .frequency import Frequency, find_frequency, read_times
from .midi import Keyboard, MidiPiece, notes_of, read_midi, write_midi
from .padded import Padded, padded
from .passages import LongText, passages
from .pieces import PieceColumns, Pieces, paths_of, read_pieces
from .series import Columns, Panel, Series, read_series
from .spool import Looked, Picked, Ragged, Texts, Tokens, mean_and_deviation, total
from .streams import Streams, fitting_rows
from .table import Column, Table, column, open_table, parts_of, read_table, texts, values_of
from .text import EXAMPLES, Reading, builtin_text, read_text
from .vocabulary import UNITS, UNKNOWN, UNKNOWN_SHOWN, Vocabulary, build_vocabulary

__all__ = [
    "EXAMPLES",
    "UNITS",
    "UNKNOWN",
    "UNKNOWN_SHOWN",
    "BytePairs",
    "Column",
    "Columns",
    "Frequency",
    "Keyboard",
    "LongText",
    "Looked",
    "MidiPiece",
    "Padded",
    "Panel",
    "Picked",
    "PieceColumns",
    "Pieces",
    "Ragged",
    "Reading",
    "Series",
    "Streams",
    "Table",
    "Texts",
    "Tokens",
    "Vocabulary",
    "build_vocabulary",
    "builtin_text",
    "column",
    "find_frequency",
    "fitting_rows",
    "mean_and_deviation",
    "notes_of",
    "numbered",
    "open_table",
    "padded",
    "parts_of",
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
    "total",
    "values_of",
    "write_midi",
]
