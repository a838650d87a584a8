"""Cells: one cell, one file, one paper; the step, its parameters and its source, and nothing about speed."""

from .cell import Cell
from .elman import Elman
from .gru import GRU
from .gru_reset_after import GRUResetAfter
from .jordan import Jordan
from .lstm import LSTM

__all__ = ["GRU", "LSTM", "Cell", "Elman", "GRUResetAfter", "Jordan"]
