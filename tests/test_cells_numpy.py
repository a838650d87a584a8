"""Every cell against the equations of its paper, written once more as a loop of NumPy."""

import numpy as np
import pytest
import torch

import elman
import numpy_cells as papers
from elman.compiler import using
from every_cell import CELLS, make_cell, make_input, make_state
from tolerances import assert_close

T, B, I, H = 7, 3, 4, 5

PAPERS = {
    "ATR": papers.atr,
    "AntisymmetricRNN": papers.antisymmetric,
    "Autonomous": papers.autonomous,
    "BRC": papers.brc,
    "CFN": papers.cfn,
    "CfC": papers.cfc,
    "CoRNN": papers.cornn,
    "Elman": papers.elman,
    "FastGRNN": papers.fast_grnn,
    "FastRNN": papers.fast_rnn,
    "GRU": papers.gru,
    "GRUResetAfter": papers.gru_reset_after,
    "GatedAntisymmetricRNN": papers.antisymmetric_gated,
    "IndRNN": papers.ind_rnn,
    "JANET": papers.janet,
    "Jordan": papers.jordan,
    "LEM": papers.lem,
    "LRU": papers.lru,
    "LSTM": papers.lstm,
    "LayerNormGRU": papers.layer_norm_gru,
    "LayerNormLSTM": papers.layer_norm_lstm,
    "LeakyRate": papers.leaky_rate,
    "LeakyRate, free": papers.leaky_rate_free,
    "LiGRU": papers.li_gru,
    "LightRU": papers.light_ru,
    "MGU": papers.mgu,
    "MGU1": papers.mgu1,
    "MGU2": papers.mgu2,
    "MGU3": papers.mgu3,
    "MUT1": papers.mut1,
    "MUT2": papers.mut2,
    "MUT3": papers.mut3,
    "MinGRU": papers.min_gru,
    "MinLSTM": papers.min_lstm,
    "MultiplicativeLSTM": papers.multiplicative_lstm,
    "MultiplicativeRNN": papers.multiplicative_rnn,
    "NAS": papers.nas,
    "NBRC": papers.nbrc,
    "Neuron": papers.neuron,
    "OneMatrix": papers.one_matrix,
    "OriginalLSTM": papers.original_lstm,
    "PeepholeLSTM": papers.peephole_lstm,
    "RAN": papers.ran,
    "RHN": papers.rhn,
    "SCRN": papers.scrn,
    "SGRN": papers.sgrn,
    "SLSTM": papers.slstm,
    "STAR": papers.star,
    "UGRNN": papers.ugrnn,
    "UnICORNN": papers.unicornn,
    "WMCLSTM": papers.wmc_lstm,
}

# What is given out, where it is not the first state.
GIVEN = {
    "LRU": lambda w, re, im: ((lambda C: (C[0] + 1j * C[1]) @ (re + 1j * im))(np.split(w["V.weight"], 2, axis=1))).real,
    "LeakyRate": lambda w, v: np.maximum(v, 0),
    "LeakyRate, free": lambda w, v: np.tanh(v),
    "SCRN": lambda w, h, s: np.concatenate([h, s]),
}


def run(name, cell, x, states):
    """Each row by itself, step by step: what is given out [T, B, O], and the last states [B, H]."""
    w = {key: value.detach().numpy() for key, value in cell.state_dict().items()}
    given, last = [], []
    for row in range(B):
        state = tuple(s[row].detach().numpy() for s in states)
        outputs = []
        for t in range(T):
            state = PAPERS[name](w, None if x is None else x[t, row].detach().numpy(), *state)
            outputs.append(GIVEN[name](w, *state) if name in GIVEN else state[0])
        given.append(np.stack(outputs))
        last.append(state)
    return [np.stack(given, 1), *(np.stack(states) for states in zip(*last, strict=True))]


def test_every_cell_has_a_paper():
    assert PAPERS.keys() == CELLS.keys()


@pytest.mark.parametrize("name", PAPERS)
def test_the_equations_of_the_paper(name):
    assert_equals_paper(name, I)


@pytest.mark.parametrize("name", ["MUT1", "MUT2"])
def test_inputs_as_large_as_the_state(name):
    assert_equals_paper(name, H)


def assert_equals_paper(name, input_size):
    cell = make_cell(name, input_size, H)
    x, options = make_input(cell, T, B, input_size)
    state = make_state(cell, B)
    with using(backend="reference"):
        y, ends = elman.Recurrent(cell)(x, state, **options)
    states = state if isinstance(state, tuple) else (state,)
    assert_close([y, *(ends if isinstance(ends, tuple) else (ends,))], run(name, cell, x, states), what=name)


def test_the_gates_of_torch():
    """torch.nn has two of the cells."""
    x = torch.randn(T, B, I, dtype=torch.float64)
    for cell, other in (
        (make_cell("LSTM", I, H), torch.nn.LSTM(I, H)),
        (make_cell("GRUResetAfter", I, H), torch.nn.GRU(I, H)),
    ):
        other = other.double()
        with torch.no_grad():
            for own, name in ((cell.U, "ih"), (cell.W, "hh")):
                getattr(other, f"weight_{name}_l0").copy_(own.weight)
                getattr(other, f"bias_{name}_l0").copy_(torch.zeros(()) if own.bias is None else own.bias)
        assert_close(elman.Recurrent(cell)(x)[0], other(x)[0])
