"""Small models of the next token that the tests of decoding share: every kind of layer, and tables."""

import itertools
import math

import pytest
import torch
from torch import nn

import elman
from elman import nn as elman_nn
from elman.decoding import NextToken

V, E, H = 5, 3, 4
EOS, PAD = 1, -7

LAYERS = {
    "lstm": lambda: elman.Recurrent(elman.LSTM(E, H)),
    "gru": lambda: elman.Recurrent(elman.GRU(E, H)),
    "elman": lambda: elman.Recurrent(elman.Elman(E, H)),
    "jordan": lambda: elman.Recurrent(elman.Jordan(E, 6, H)),
    "batch first": lambda: elman.Recurrent(elman.LSTM(E, H), batch_first=True),
    "stack": lambda: elman.Stack(elman.Recurrent(elman.LSTM(E, 6)), elman.Recurrent(elman.GRU(6, H))),
    "nn.LSTM": lambda: elman_nn.LSTM(E, H, 2),
    "nn.GRU": lambda: elman_nn.GRU(E, H, 2, batch_first=True),
    "nn.RNN": lambda: elman_nn.RNN(E, H),
}


def cases(*axes, quick):
    """All combinations, for `parametrize`; those that are not `quick(*case)` are marked slow."""
    slow = pytest.mark.slow
    return [case if quick(*case) else pytest.param(*case, marks=slow) for case in itertools.product(*axes)]


def speaker(name, seed=0, scale=3.0):
    """A model over one of the layers, with weights so large that tokens differ in their chances."""
    torch.manual_seed(seed)
    model = NextToken(nn.Embedding(V, E), LAYERS[name](), nn.Linear(H, V)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    return model


def table(chances):
    """A step whose chances [V, V] depend on the last token alone; its state counts the steps."""
    logits = torch.tensor(chances, dtype=torch.float64).log()

    def step(tokens, states):
        seen = torch.zeros(len(tokens), 1) if states is None else states["seen"]
        return logits[tokens], {"seen": seen + 1, "none": None}

    return step


def log_probability(model, first, tokens):
    """Of the tokens of one row, by one call over all of them."""
    fed = torch.tensor([int(first), *tokens[:-1]]).unsqueeze(1)
    logits, _ = model.sequence(fed)
    return logits.squeeze(1).log_softmax(-1)[torch.arange(len(tokens)), torch.tensor(tokens)]


def every_sequence(longest, eos=EOS, vocabulary=V):
    """All token sequences that end by EOS, and those of the greatest length that do not."""
    ended, open_ones = [], [[]]
    for _ in range(longest):
        ended += [[*begun, eos] for begun in open_ones]
        open_ones = [[*begun, token] for begun in open_ones for token in range(vocabulary) if token != eos]
    return ended, open_ones


def nothing(logits):
    """Logits of nothing at all."""
    return torch.full_like(logits, -math.inf)
