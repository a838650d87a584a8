"""The cells of torchrecurrent (F. Martinuzzi, on PyPI), and two of torch, with the weights of ours.

Theirs have a bias for each product; those that ours do not have are 0. Where the two depart in more than that, what is
done about it stands at the end.
"""

import importlib
import sys
from types import SimpleNamespace
from unittest import mock

import torch
import torchrecurrent
from torch import cat, nn
from torchrecurrent import base


def theirs(name, own, weights, **options):
    """A cell of torchrecurrent with these weights; of its biases those that are not named are 0."""
    made = getattr(torchrecurrent, name)(weights["weight_ih"].size(1), own.state_size[0], **options).double()
    biases = {key: torch.zeros_like(value) for key, value in made.state_dict().items() if key.startswith("bias")}
    made.load_state_dict(biases | weights)  # which refuses a name too many, a weight too few, and another shape
    return made


def shared(own):
    """Where all gates stand in one U and one W, in the same order."""
    return {"weight_ih": own.U.weight, "weight_hh": own.W.weight, "bias_ih": own.U.bias}


def swapped(stacked):
    """Two gates in the other order."""
    return cat(stacked.chunk(2)[::-1])


def bare(own):
    """One H of biases that are 0."""
    return own.U.bias.new_zeros(own.state_size[0])


def number(option):
    """What is an option of ours and a weight of theirs."""
    return torch.tensor(option, dtype=torch.float64)


def with_candidate(own):
    """Two gates from U, and a candidate from U_n without bias."""
    return {"weight_ih": cat([own.U.weight, own.U_n.weight]), "bias_ih": cat([own.U.bias, bare(own)])}


# gates


def light_ru(c):
    weights = {"weight_ih": cat([c.U_n.weight, c.U.weight]), "weight_hh": c.W.weight}
    return theirs("LightRUCell", c, weights | {"bias_ih": cat([bare(c), c.U.bias])})


def star(c):
    weights = {"weight_ih": swapped(c.U.weight), "weight_hh": c.W.weight, "bias_ih": swapped(c.U.bias)}
    return theirs("STARCell", c, weights)


def ugrnn(c):
    return theirs("UGRNNCell", c, {name: swapped(weight) for name, weight in shared(c).items()})


def janet(c):
    return theirs("JANETCell", c, shared(c) | {"beta": number(c.beta)})


def mgu(c):
    return theirs("MGUCell", c, shared(c) | {"weight_hh": cat([c.W.weight, c.W_n.weight])})


def mgu_that_sees_less(c, recurrent, bias):
    """The variants of the unit: its gate does not see x, and what else it does not see is 0."""
    weights = {"weight_ih": cat([torch.zeros_like(c.U.weight), c.U.weight]), "bias_ih": cat([bias, c.U.bias])}
    return theirs("MGUCell", c, weights | {"weight_hh": cat([recurrent, c.W_n.weight])})


def mgu1(c):
    return mgu_that_sees_less(c, c.W.weight, c.W.bias)


def mgu2(c):
    return mgu_that_sees_less(c, c.W.weight, bare(c))


def mgu3(c):
    return mgu_that_sees_less(c, torch.zeros_like(c.W_n.weight), c.b_f)


def min_gru(c):
    """A minimal gated unit of which nothing sees the state, and whose candidate is not squashed."""
    nothing = c.U.weight.new_zeros(2 * c.state_size[0], c.state_size[0])
    weights = {"weight_ih": c.U.weight, "weight_hh": nothing, "bias_ih": c.U.bias}
    return theirs("MGUCell", c, weights, nonlinearity="identity")


def fast_rnn(c):
    return theirs("FastRNNCell", c, shared(c) | {"alpha": c.alpha.reshape(1), "beta": c.beta.reshape(1)})


def fast_grnn(c):
    """Their gate is tanh unless told; the paper's is σ."""
    weights = {"weight_ih": c.U.weight, "weight_hh": c.W.weight, "bias_ih": cat([c.b_z, c.b_n])}
    weights |= {"zeta": c.zeta.reshape(1), "nu": c.nu.reshape(1)}
    return theirs("FastGRNNCell", c, weights, nonlinearity="sigmoid")


def brc(c):
    return theirs("BRCell", c, with_candidate(c) | {"weight_hh": cat([c.w_a, c.w_c])})


def nbrc(c):
    return theirs("NBRCell", c, with_candidate(c) | {"weight_hh": c.W.weight})


def cfn(c):
    return theirs("CFNCell", c, with_candidate(c) | {"weight_hh": c.W.weight})


def matrix_of(c, bare_input):
    """U of what reads x bare where I = H: there their matrix is 1."""
    return bare_input.weight if hasattr(bare_input, "weight") else torch.eye(c.state_size[0], dtype=c.U.weight.dtype)


def mut1(c):
    weights = {"weight_ih": cat([c.U.weight, matrix_of(c, c.U_n)]), "weight_hh": cat([c.W.weight, c.W_n.weight])}
    weights |= {"bias_ih": cat([c.U.bias, bare(c)]), "bias_hh": cat([bare(c), c.W_n.bias])}
    return theirs("MUT1Cell", c, weights)


def mut2(c):
    (u_z, u_n), (b_z, b_n) = c.U.weight.chunk(2), c.U.bias.chunk(2)
    weights = {"weight_ih": cat([u_z, matrix_of(c, c.U_r), u_n]), "bias_ih": cat([b_z, bare(c), b_n])}
    weights |= {"weight_hh": cat([c.W.weight, c.W_r.weight, c.W_n.weight])}
    return theirs("MUT2Cell", c, weights | {"bias_hh": cat([bare(c), c.W_r.bias, bare(c)])})


def mut3(c):
    weights = {"weight_ih": c.U.weight, "weight_hh": cat([c.W_z.weight, c.W_r.weight, c.W_n.weight])}
    return theirs("MUT3Cell", c, weights | {"bias_ih": c.U.bias})


def ran(c):
    return theirs("RANCell", c, shared(c) | {"weight_ih": cat([c.U_c.weight, c.U.weight])})


def rhn(c):
    """Their file is not kept up: it imports a name that is gone, and calls a method that is not there.

    The name is for its layers and the method for its initialisation; the step asks for neither. It has weights of a
    carry gate, which is not read where it is coupled to the other gate, as by default and in ours.
    """
    with mock.patch.object(base, "BaseRecurrentLayer", nn.Module, create=True):
        there = importlib.import_module("torchrecurrent.cells.rhn_cell")
    with mock.patch.object(there.RHNCellUnit, "init_weights"):
        made = there.RHNCell(c.U.in_features, c.state_size[0], depth=len(c.W)).double()
    for unit, layer in zip(made.units, c.W, strict=True):
        weight = cat([c.U.weight, layer.weight], 1) if layer is c.W[0] else layer.weight
        carry = torch.zeros(c.state_size[0], weight.size(1), dtype=weight.dtype)
        unit.load_state_dict({"weight": cat([weight, carry]), "bias": cat([layer.bias, carry[:, 0]])})
    return made


# cells that hold memory


def peephole_lstm(c):
    return theirs("PeepholeLSTMCell", c, shared(c) | {"weight_ph": cat([c.p_i, c.p_f, c.p_o])})


def wmc_lstm(c):
    return theirs("WMCLSTMCell", c, shared(c) | {"weight_mh": cat([c.C.weight, c.C_o.weight])})


def multiplicative_lstm(c):
    weights = {"weight_ih": cat([c.U_m.weight, c.U.weight]), "weight_hh": c.W_m.weight, "weight_mh": c.W.weight}
    return theirs("MultiplicativeLSTMCell", c, weights | {"bias_ih": cat([bare(c), c.U.bias])})


def multiplicative_rnn(c):
    """A multiplicative LSTM that takes in all, forgets all and gives out all: σ(±1000) is 1 and 0."""

    def candidate(weight, i=0.0, f=0.0, o=0.0):
        return cat([torch.full_like(weight, i), torch.full_like(weight, f), weight, torch.full_like(weight, o)])

    weights = {"weight_ih": cat([c.U_m.weight, candidate(c.U.weight)]), "weight_hh": c.W_m.weight}
    weights |= {"weight_mh": candidate(c.W.weight), "bias_ih": cat([bare(c), candidate(c.U.bias, 1000, -1000, 1000)])}
    return theirs("MultiplicativeLSTMCell", c, weights)


def nas(c):
    return theirs("NASCell", c, {"weight_ih": c.U.weight, "weight_hh": c.W.weight})


# units without gates


def antisymmetric(name):
    def copy(c):
        weights = {"weight_ih": c.U.weight, "weight_hh": c.W, "bias_ih": c.U.bias}
        return theirs(name, c, weights, epsilon=c.step_size, gamma=c.diffusion)

    return copy


def ind_rnn(c):
    weights = {"weight_ih": c.U.weight, "vector_u": c.w, "bias_ih": c.U.bias}
    return theirs("IndRNNCell", c, weights, nonlinearity="relu")


def scrn(c):
    """As many slow units as others, and an output that reads the hidden units alone, by the matrix 1."""
    weights = {"weight_ih": cat([c.U_s.weight, c.U.weight]), "alpha": number(c.alpha)}
    weights |= {"weight_hh": cat([c.W.weight, torch.eye(c.state_size[0])])}
    return theirs("SCRNCell", c, weights | {"weight_ch": cat([c.W_s.weight, torch.zeros_like(c.W_s.weight)])})


def cornn(c):
    weights = {"weight_ih": c.U.weight, "weight_hh": c.W_y.weight, "weight_ch": c.W_z.weight, "bias_ih": c.U.bias}
    return theirs("coRNNCell", c, weights, dt=c.dt, gamma=c.stiffness, epsilon=c.damping)


def unicornn(c):
    weights = {"weight_ih": c.U.weight, "weight_hh": c.w, "weight_ch": c.c, "bias_ih": c.U.bias}
    return theirs("UnICORNNCell", c, weights, dt=c.dt, alpha=c.alpha)


def lem(c):
    """Theirs has the time step of y first."""

    def reordered(stacked):
        a, d, *others = stacked.split(c.state_size[0])
        return cat([d, a, *others])

    weights = {name: reordered(weight) for name, weight in shared(c).items()}
    return theirs("LEMCell", c, weights | {"weight_ch": c.W_y.weight}, dt=c.dt)


# units that torch has


def one_matrix(c):
    input_size = c.W.in_features - c.state_size[0]
    return of_torch(c, *c.W.weight.split([input_size, c.state_size[0]], 1), c.W.bias)


def neuron(c):
    return of_torch(c, c.U.weight, c.W.weight, c.U.bias)


def of_torch(c, from_input, recurrent, bias):
    made = nn.RNNCell(from_input.size(1), c.state_size[0]).double()
    weights = {"weight_ih": from_input, "weight_hh": recurrent, "bias_ih": bias, "bias_hh": torch.zeros_like(bias)}
    made.load_state_dict(weights)
    return made


COPIES = {
    "ATR": lambda c: theirs("ATRCell", c, shared(c)),
    "AntisymmetricRNN": antisymmetric("AntisymmetricRNNCell"),
    "BRC": brc,
    "CFN": cfn,
    "CoRNN": cornn,
    "FastGRNN": fast_grnn,
    "FastRNN": fast_rnn,
    "GatedAntisymmetricRNN": antisymmetric("GatedAntisymmetricRNNCell"),
    "IndRNN": ind_rnn,
    "JANET": janet,
    "LEM": lem,
    "LiGRU": lambda c: theirs("LiGRUCell", c, shared(c)),
    "LightRU": light_ru,
    "MGU": mgu,
    "MGU1": mgu1,
    "MGU2": mgu2,
    "MGU3": mgu3,
    "MUT1": mut1,
    "MUT2": mut2,
    "MUT3": mut3,
    "MinGRU": min_gru,
    "MultiplicativeLSTM": multiplicative_lstm,
    "MultiplicativeRNN": multiplicative_rnn,
    "NAS": nas,
    "NBRC": nbrc,
    "Neuron": neuron,
    "OneMatrix": one_matrix,
    "OriginalLSTM": lambda c: theirs("OriginalLSTMCell", c, shared(c)),
    "PeepholeLSTM": peephole_lstm,
    "RAN": ran,
    "RHN": rhn,
    "SCRN": scrn,
    "SGRN": lambda c: theirs("SGRNCell", c, shared(c)),
    "STAR": star,
    "UGRNN": ugrnn,
    "UnICORNN": unicornn,
    "WMCLSTM": wmc_lstm,
}


def as_published(other):
    """Their step, called as ours; where theirs carries two states and ours one, both begin as ours, and one is read."""

    def step(x, *states):
        if isinstance(other, base.DoubleStateCellBase):
            return other(x, (states[0], states[-1]))[: len(states)]
        return (other(x, *states),)

    return step


# Where the two depart: their step, led to the equations of the paper.


def lem_sees_the_new_z(other):
    """Their y(t) reads z(t-1), the paper's z(t): a second call is given z(t), of which only y is taken."""

    def step(x, y, z):
        _, z_next = other(x, (y, z))
        return other(x, (y, z_next))[0], z_next

    return step


def multiplicative_lstm_without_tanh(other):
    """Theirs is c = f c + i tanh(g), h = o tanh(c); ours c = f c + i g, h = tanh(o c).

    Their step runs with the identity for tanh, and tanh goes around what comes out.
    """
    untouched = SimpleNamespace(sigmoid=torch.sigmoid, tanh=lambda z: z)

    def step(x, *states):
        with mock.patch.object(sys.modules[type(other).__module__], "torch", untouched):
            h, *others = as_published(other)(x, *states)
        return torch.tanh(h), *others

    return step


def nas_with_a_product(other):
    """Their fourth leaf is relu(u + w), that of the authors' code relu(u w): the product comes in as more input."""
    size = other.hidden_size
    u, w = other.weight_ih.split(size)[3], other.weight_hh.split(size)[3]
    fourth = (torch.arange(8).repeat_interleave(size) == 3)[:, None]
    identity = torch.eye(size, dtype=u.dtype).repeat(8, 1) * fourth
    weights = {"weight_ih": cat([other.weight_ih * ~fourth, identity], 1), "weight_hh": other.weight_hh * ~fourth}
    wider = theirs("NASCell", SimpleNamespace(state_size=(size,)), weights)

    def step(x, h, c):
        return wider(cat([x, (x @ u.T) * (h @ w.T)], -1), (h, c))

    return step


def original_lstm_squashed_as_in_1997(other):
    """The paper's 4 σ(z) - 2 is 2 tanh(z/2), its 2 σ(c) - 1 is tanh(c/2): halve what enters g, and carry c/2."""
    with torch.no_grad():
        for weight in (other.weight_ih, other.weight_hh, other.bias_ih):
            weight.chunk(3)[1].mul_(0.5)

    def step(x, h, c):
        h, half = other(x, (h, c / 2))
        return h, 2 * half

    return step


def scrn_carries_hidden_units(other):
    """Theirs carries the output, tanh(1 h), where the paper carries h: its tanh is undone."""

    def step(x, h, s):
        squashed, s = other(x, (h, s))
        return torch.atanh(squashed), s

    return step


CORRECTED = {
    "LEM": lem_sees_the_new_z,
    "MultiplicativeLSTM": multiplicative_lstm_without_tanh,
    "MultiplicativeRNN": multiplicative_lstm_without_tanh,
    "NAS": nas_with_a_product,
    "OriginalLSTM": original_lstm_squashed_as_in_1997,
    "SCRN": scrn_carries_hidden_units,
}

# Cells that are not compared here, and why.
NONE, ONNX = "torchrecurrent has none", "torchrecurrent has none; ONNX has it, see test_oracles_onnx.py"
LEFT = {
    "Autonomous": NONE,
    "CfC": NONE,
    "Elman": ONNX,
    "GRU": ONNX,
    "GRUResetAfter": ONNX,
    "Jordan": NONE,
    "LRU": NONE,
    "LSTM": ONNX,
    "LayerNormGRU": NONE,
    "LayerNormLSTM": NONE,
    "LeakyRate": NONE,
    "MinLSTM": NONE,
    "SLSTM": NONE,
}
