"""What the rows with an encoder and a decoder share: pairs of rows of tokens, training, exact matches."""

from dataclasses import dataclass

import torch
from torch import nn

import elman
from elman import decoding, patterns, training

PAD, EOS, BOS = 0, 1, 2  # and the symbols of a problem from 3 on
POOL = 20
CLIP = 1.0


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
    """The share of pairs that are written without a mistake, greedily."""
    model.eval()
    right = training.exact_match(model.decoder.readout.out_features)
    for source, lengths, targets in pairs.batches(size):
        with torch.no_grad():
            states = model.encode(source, lengths)
        first = torch.full((source.size(1),), BOS)
        made = decoding.generate(model, first, states=states, max_length=len(targets) + 1, eos=EOS, pad=PAD)
        right.update(made.tokens.t(), targets, training.until_eos(targets, EOS))
    return right.compute()


def fit(model, pairs, validation, policy, epochs, rate, size, settings):
    """Train in place; the best weights on the validation pairs stay, and how they came about is returned in words."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    steps = epochs * -(-len(pairs) // size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: training.warmup_cosine(min(i, steps - 1), steps))
    shuffles = torch.Generator().manual_seed(settings.seed)
    best, kept, when = -1.0, None, 0
    for epoch in range(1, epochs + 1):
        model.train()
        total = count = 0
        for source, lengths, targets in pairs.batches(size, shuffles):
            mask = training.until_eos(targets, EOS)
            first, states = torch.full((source.size(1),), BOS), model.encode(source, lengths)
            logits, _ = decoding.teach(model, first, targets, policy, states=states, lengths=mask.sum(0))
            loss = training.averaged("cross_entropy", logits, targets, mask)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            schedule.step()
            total, count = total + loss.item(), count + 1
        score = exact(model, validation)
        settings.say(f"epoch {epoch}: {total / count:.4f} nats a token, {100 * score:.2f} % exact (validation)")
        if score > best:
            best, when = score, epoch
            kept = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(kept)
    return f"epoch {when} of {epochs}, validation {100 * best:.2f} %"
