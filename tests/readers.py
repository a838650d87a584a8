"""Small encoder-decoders that the tests of patterns share: every kind of decoder, sources of unequal length."""

import torch
from torch import nn

import elman
from elman import patterns
from elman.decoding import NextToken

V, E, H, M, A = 6, 3, 4, 5, 7
EOS = 1
S, T, B = 5, 6, 4
SOURCE = torch.randint(V, (S, B), generator=torch.Generator().manual_seed(1))
SOURCES = torch.tensor([5, 2, 0, 3])
FIRST = torch.tensor([0, 2, 3, 4])
TOKENS = torch.randint(V, (T, B), generator=torch.Generator().manual_seed(2))
LENGTHS = torch.tensor([6, 3, 5, 0])


def attentive(attention):
    """A decoder that attends, of the layer that reads E."""
    return lambda layer: patterns.Attentive(
        nn.Embedding(V, E), layer(E), attention(), nn.Linear(M + H, A), nn.Linear(A, V)
    )


def input_feeding(attention):
    """A decoder that is fed what it attended to."""
    return lambda layer: patterns.InputFeeding(
        nn.Embedding(V, E), layer(E + A), attention(), nn.Linear(M + H, A), nn.Linear(A, V)
    )


def general():
    """Scores of an encoder that gives out M and a decoder that gives out H."""
    return patterns.General(H, M)


def additive():
    """The same, through a layer of three units."""
    return patterns.Additive(H, M, 3)


DECODERS = {
    "plain": lambda layer: NextToken(nn.Embedding(V, E), layer(E), nn.Linear(H, V)),
    "conditioned": lambda layer: patterns.Conditioned(
        nn.Embedding(V, E), layer(E + M), nn.Linear(H, V), patterns.Mean()
    ),
    "general": attentive(general),
    "additive": attentive(additive),
    "fed, general": input_feeding(general),
    "fed, additive": input_feeding(additive),
}


def gru(size):
    """The layer of most decoders."""
    return elman.Recurrent(elman.GRU(size, H))


def reader(decoder="general", layer=gru, encoder=None, scale=2.0, seed=0):
    """A model whose weights are so large that tokens differ in their chances."""
    torch.manual_seed(seed)
    encoder = elman.Recurrent(elman.LSTM(E, M)) if encoder is None else encoder
    model = patterns.EncoderDecoder(nn.Embedding(V, E), encoder, DECODERS[decoder](layer)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    return model
