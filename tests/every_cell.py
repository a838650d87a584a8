"""Every cell that elman has, of given sizes: the one list that laws over all cells run over."""

import torch

import elman
from compiled import DTYPE, random_tensor
from elman.cells import known_cells

# Cells that ask for more than I and H, or for less, or whose defaults would leave a part of their equations out.
SPECIAL = {
    "AntisymmetricRNN": lambda i, h: elman.AntisymmetricRNN(i, h, 0.5, 0.3),
    "Autonomous": lambda i, h: elman.Autonomous(h),
    "CfC": lambda i, h: elman.CfC(i, h, 3, 0.7),
    "GatedAntisymmetricRNN": lambda i, h: elman.GatedAntisymmetricRNN(i, h, 0.5, 0.3),
    "Jordan": lambda i, h: elman.Jordan(i, h, 3),
    "LEM": lambda i, h: elman.LEM(i, h, 0.8),
    "LRU": lambda i, h: elman.LRU(i, h, 3, 0.2, 0.9, 1.0),
    "LeakyRate": lambda i, h: elman.LeakyRate(i, h, 50.0, 20.0, signs=signs(h), mask=mask(h)),
    "LeakyRate, free": lambda i, h: elman.LeakyRate(i, h, activation=torch.tanh),
    "MultiplicativeRNN": lambda i, h: elman.MultiplicativeRNN(i, h, 3),
    "Neuron": lambda i, h: elman.Neuron(i),
    "SCRN": lambda i, h: elman.SCRN(i, h, 3, 0.8),
}
CELLS = known_cells() | SPECIAL
# Those with an input that older laws do not have under names of their own.
OTHERS = {
    k: make for k, make in CELLS.items() if k not in ("Autonomous", "Elman", "GRU", "GRUResetAfter", "Jordan", "LSTM")
}


def signs(size):
    """The first four in five excite."""
    return torch.where(torch.arange(size) * 5 < 4 * size, 1.0, -1.0)


def mask(size):
    """About two thirds of all connections, none of a unit with itself."""
    place = torch.arange(size)
    return ((place[:, None] + 2 * place) % 3 > 0).float() * (1 - torch.eye(size))


def make_cell(name, input_size, hidden_size, dtype=DTYPE):
    """A cell whose parameters are all drawn, those too that begin at 0 or 1."""
    torch.manual_seed(1)
    cell = CELLS[name](input_size, hidden_size).to(dtype)
    with torch.no_grad():
        for number, parameter in enumerate(cell.parameters()):
            drawn = 0.5 * random_tensor(*parameter.shape, seed=100 + number, grad=False)
            parameter.copy_(drawn.abs() if name == "LeakyRate" and parameter.dim() == 2 else drawn)
    return cell


def make_state(cell, batch, dtype=DTYPE, grad=True):
    """States to begin with; a normaliser is positive, and a stabiliser as small as any of a running cell."""
    sizes = [size if isinstance(size, tuple) else (size,) for size in cell.state_size]
    sizes += [(cell.feedback_size,)] if cell.feedback_size else []
    states = [random_tensor(batch, *size, seed=5 + number, grad=False) for number, size in enumerate(sizes)]
    if isinstance(cell, elman.SLSTM):
        states[2] = states[2].abs() + 0.5
    states = tuple(state.to(dtype).requires_grad_(grad) for state in states)
    return states if len(states) > 1 else states[0]


def make_input(cell, steps, batch, input_size, dtype=DTYPE, grad=True):
    """x and the options of a call; a system without input is told its steps."""
    if isinstance(cell, elman.Autonomous):
        return None, {"steps": steps}
    return random_tensor(steps, batch, input_size, dtype=dtype, grad=grad), {}
