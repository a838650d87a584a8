"""Cells: one cell, one file, one paper; the step, its parameters and its source, and nothing about speed."""

from .antisymmetric import AntisymmetricRNN
from .antisymmetric_gated import GatedAntisymmetricRNN
from .atr import ATR
from .autonomous import Autonomous
from .brc import BRC
from .catalogue import find_cell, known_cells
from .cell import Cell
from .cfc import CfC
from .cfn import CFN
from .cornn import CoRNN
from .elman import Elman
from .fast_grnn import FastGRNN
from .fast_rnn import FastRNN
from .gru import GRU
from .gru_reset_after import GRUResetAfter
from .ind_rnn import IndRNN
from .janet import JANET
from .jordan import Jordan
from .layer_norm_gru import LayerNormGRU
from .layer_norm_lstm import LayerNormLSTM
from .leaky_rate import LeakyRate
from .lem import LEM
from .li_gru import LiGRU
from .light_ru import LightRU
from .lru import LRU
from .lstm import LSTM
from .mgu import MGU
from .mgu1 import MGU1
from .mgu2 import MGU2
from .mgu3 import MGU3
from .min_gru import MinGRU
from .min_lstm import MinLSTM
from .multiplicative_lstm import MultiplicativeLSTM
from .multiplicative_rnn import MultiplicativeRNN
from .mut1 import MUT1
from .mut2 import MUT2
from .mut3 import MUT3
from .nas import NAS
from .nbrc import NBRC
from .neuron import Neuron
from .one_matrix import OneMatrix
from .original_lstm import OriginalLSTM
from .peephole_lstm import PeepholeLSTM
from .ran import RAN
from .references import cite, paper
from .rhn import RHN
from .scrn import SCRN
from .sgrn import SGRN
from .slstm import SLSTM
from .star import STAR
from .ugrnn import UGRNN
from .unicornn import UnICORNN
from .wmc_lstm import WMCLSTM

__all__ = [
    "ATR",
    "BRC",
    "CFN",
    "GRU",
    "JANET",
    "LEM",
    "LRU",
    "LSTM",
    "MGU",
    "MGU1",
    "MGU2",
    "MGU3",
    "MUT1",
    "MUT2",
    "MUT3",
    "NAS",
    "NBRC",
    "RAN",
    "RHN",
    "SCRN",
    "SGRN",
    "SLSTM",
    "STAR",
    "UGRNN",
    "WMCLSTM",
    "AntisymmetricRNN",
    "Autonomous",
    "Cell",
    "CfC",
    "CoRNN",
    "Elman",
    "FastGRNN",
    "FastRNN",
    "GRUResetAfter",
    "GatedAntisymmetricRNN",
    "IndRNN",
    "Jordan",
    "LayerNormGRU",
    "LayerNormLSTM",
    "LeakyRate",
    "LiGRU",
    "LightRU",
    "MinGRU",
    "MinLSTM",
    "MultiplicativeLSTM",
    "MultiplicativeRNN",
    "Neuron",
    "OneMatrix",
    "OriginalLSTM",
    "PeepholeLSTM",
    "UnICORNN",
    "cite",
    "find_cell",
    "known_cells",
    "paper",
]
