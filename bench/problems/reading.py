"""What the rows with an encoder and a decoder share: pairs of rows of tokens, training, exact matches."""

import itertools
from dataclasses import dataclass

import torch
from torch import nn

import elman
from elman import decoding, patterns, training

from .training import Plan, train

PAD, EOS, BOS = 0, 1, 2  # and the symbols of a problem from 3 on
ROWS, POOL = 64, 20


@dataclass(frozen=True, eq=False)
class Pairs:
    """Sources and what is to be written, each a tensor of tokens; EOS ends a target."""

    sources: list
    targets: list

    def __len__(self):
        return len(self.sources)

    def chosen(self, places):
        """The pairs at some places."""
        return Pairs([self.sources[at] for at in places], [self.targets[at] for at in places])

    def batch(self, places):
        """Source [S, B], its lengths [B], targets [T, B], padded."""
        sources, targets = [self.sources[at] for at in places], [self.targets[at] for at in places]
        lengths = torch.tensor([len(source) for source in sources])
        return nn.utils.rnn.pad_sequence(sources), lengths, nn.utils.rnn.pad_sequence(targets)

    def batches(self, size, generator=None):
        """All pairs once, shuffled; targets of about the same length stand in one batch."""
        order = torch.arange(len(self)) if generator is None else torch.randperm(len(self), generator=generator)
        cut = []
        for pool in order.split(size * POOL):
            lengths = torch.tensor([len(self.targets[at]) for at in pool])
            cut += pool[lengths.argsort(stable=True)].split(size)
        places = range(len(cut)) if generator is None else torch.randperm(len(cut), generator=generator).tolist()
        for place in places:
            yield self.batch(cut[place].tolist())


def reader(sources, targets, size, embedded):
    """A GRU in both directions, and one that attends to what they gave out."""
    both = (elman.Recurrent(elman.GRU(embedded, size)), elman.Recurrent(elman.GRU(embedded, size), reverse=True))
    decoder = patterns.Attentive(
        nn.Embedding(targets, embedded),
        elman.Recurrent(elman.GRU(embedded, size)),
        patterns.General(size, 2 * size),
        nn.Linear(3 * size, size),
        nn.Linear(size, targets),
    )
    return patterns.EncoderDecoder(nn.Embedding(sources, embedded), elman.Bidirectional(*both), decoder)


def exact(model, pairs, size=256):
    """The share of pairs that are written without a mistake, greedily, by a model in use (`eval`)."""
    right = training.exact_match(model.decoder.readout.out_features)
    for source, lengths, targets in pairs.batches(size):
        with torch.no_grad():
            states = model.encode(source, lengths)
        first = torch.full((source.size(1),), BOS)
        made = decoding.generate(model, first, states=states, max_length=len(targets) + 1, eos=EOS, pad=PAD)
        right.update(made.tokens.t(), targets, training.until_eos(targets, EOS))
    return right.compute()


def fit(model, pairs, validation, policy, plan, settings):
    """Train in place; the weights that write most of the validation pairs stay. When that was, in words."""
    shuffles = torch.Generator().manual_seed(settings.seed)
    batches = (batch for _ in itertools.count() for batch in pairs.batches(ROWS, shuffles))

    def loss():
        source, lengths, targets = next(batches)
        mask = training.until_eos(targets, EOS)
        first, states = torch.full((source.size(1),), BOS), model.encode(source, lengths)
        logits, _ = decoding.teach(model, first, targets, policy, states=states, lengths=mask.sum(0))
        return training.averaged("cross_entropy", logits, targets, mask)

    return train(model, loss, lambda: 1 - exact(model, validation), plan, settings.say)


def epochs(count, pairs, rate):
    """So many passes over the pairs; validation after each."""
    steps = -(-len(pairs) // ROWS)
    return Plan(count * steps, rate, every=steps)
