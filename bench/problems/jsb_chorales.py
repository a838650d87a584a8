"""Bach's chorales as piano rolls: the next chord, 88 keys, each on or off by itself.

The figure is the negative log-likelihood in nats of a frame, the sum over its 88 keys, averaged over all frames of all
test chorales. The first frame counts: it is predicted from the (learned) initial state and an empty frame.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, dropout
from torch.nn.utils.rnn import pad_sequence

import elman
from elman import around

from . import Asked, Measured
from .training import Plan, train

FILE, KEYS, BATCH = "JSB_Chorales.mat", 88, 16
PARTS = ("traindata", "validdata", "testdata")
TITLE = "JSB Chorales, negative log-likelihood a frame"
DATA = (FILE,)
ASKED = (Asked("GRU, 46 units, test NLL", "<=", 8.60), Asked("LSTM, 36 units, test NLL", "<=", 8.75))
CELLS = ((elman.GRU, 46), (elman.LSTM, 36))
INPUT_DROPOUT, STATE_DROPOUT, OUTPUT_DROPOUT = 0.2, 0.3, 0.1  # by validation, as is the plan
PLAN = Plan(3000, 0.005, every=15, clip=5.0, shown=20)


@dataclass(frozen=True, eq=False)
class Rolls:
    """Chorales side by side.

    Attributes:
        before: the frame before each, zeros before the first [T, B, 88].
        frames: what is to be predicted [T, B, 88].
        lengths: of the chorales [B].
    """

    before: Tensor
    frames: Tensor
    lengths: Tensor


def together(chorales):
    """Chorales of unequal length as one batch."""
    frames = pad_sequence(chorales)
    before = torch.cat([torch.zeros_like(frames[:1]), frames[:-1]])
    return Rolls(before, frames, torch.tensor([len(chorale) for chorale in chorales]))


def read(file):
    """The chorales of each part, [T, 88] each."""
    try:
        from scipy.io import loadmat
    except ImportError:
        raise SystemExit("the file is Matlab's: pip install scipy, or run in the environment of `make bench`") from None
    found = loadmat(file, variable_names=PARTS)
    return [[torch.tensor(roll, dtype=torch.float32) for roll in found[part][0]] for part in PARTS]


class Composer(nn.Module):
    """A cell with a learned start, with dropout on what comes in, on what the products read, and on what goes out.

    The readout begins by saying how often each key is on in the training data [88].
    """

    def __init__(self, cell: elman.Cell, units: int, often: Tensor):
        super().__init__()
        elman.init.orthogonal_(cell)
        cell = around.LearnedStart(around.VariationalDropout(cell, STATE_DROPOUT))
        self.layer = elman.Recurrent(cell)
        self.readout = nn.Linear(units, KEYS)
        with torch.no_grad():
            self.readout.bias.copy_(often.clamp(1e-4, 1 - 1e-4).logit())

    def forward(self, rolls: Rolls) -> Tensor:
        """The mean over all frames of the nats of a frame."""
        x = dropout(rolls.before, INPUT_DROPOUT, self.training)
        y, _ = self.layer(x, lengths=rolls.lengths)
        logits = self.readout(dropout(y, OUTPUT_DROPOUT, self.training))
        nats = binary_cross_entropy_with_logits(logits, rolls.frames, reduction="none").sum(-1)
        live = torch.arange(len(nats)).unsqueeze(1) < rolls.lengths
        return nats[live].mean()


def shuffled(chorales, generator):
    """Batches without end, in a new order at each pass."""
    while True:
        order = torch.randperm(len(chorales), generator=generator)
        for part in order.split(BATCH):
            yield together([chorales[number] for number in part.tolist()])


def run(settings):
    """Train and test each cell."""
    training, checked, tested = read(settings.file(FILE))
    often = torch.cat(training).mean(0)
    plan = Plan(3, PLAN.rate, every=2) if settings.quick else PLAN
    for asked, (make, units) in zip(ASKED, CELLS, strict=True):
        torch.manual_seed(settings.seed)
        network, silent = Composer(make(KEYS, units), units, often), together(checked)
        batches = shuffled(training, torch.Generator().manual_seed(settings.seed))
        when = train(
            network,
            lambda network=network, batches=batches: network(next(batches)),
            lambda network=network, silent=silent: network(silent),
            plan,
            settings.say,
        )
        network.eval()
        with torch.no_grad():
            found = network(together(tested)).item()
            best = network(silent).item()
        yield Measured(asked, found, f"validation {best:.3f}, {when}")
