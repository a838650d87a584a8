"""Synthetic problems that ask for long memory, drawn anew from a generator as often as they are wanted.

    sample = adding(600, 64, generator)
    y, _ = layer(sample.x)
    loss = mse_loss(readout(y)[sample.asked], sample.targets[sample.asked])

The same generator state draws the same sample. Everything is on the CPU and float32; `Sample.to` moves it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from elman.errors import ArgumentError

__all__ = ["Sample", "adding", "copy_memory", "label_and_tail", "temporal_order"]


@dataclass(frozen=True, eq=False)
class Sample:
    """A batch of a problem.

    Attributes:
        x: the inputs [T, B, I].
        targets: what is to be said at each step: numbers [T, B, 1], or classes [T, B] int64. What stands at steps that
            are not asked is 0, unless the problem says otherwise.
        asked: the steps whose answer counts [T, B], bool.
    """

    x: Tensor
    targets: Tensor
    asked: Tensor

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "Sample":
        """The same sample elsewhere; `dtype` is that of all that is not classes."""
        targets = self.targets.to(device, dtype if self.targets.is_floating_point() else None)
        return Sample(self.x.to(device, dtype), targets, self.asked.to(device))


def adding(steps: int, batch: int, generator: torch.Generator) -> Sample:
    """Two of T numbers are marked; asked at the last step is their sum.

    x[..., 0] is uniform on [0, 1]; x[..., 1] is 1 at two steps, one in each half of the sequence, and 0 elsewhere.
    Whoever says 1 always has a mean square error of 1/6.

    Args:
        steps: T, at least 2.
        batch: B.
        generator: source of the random numbers.

    Returns:
        x [T, B, 2], targets [T, B, 1], asked at T - 1.

    Source: S. Hochreiter, J. Schmidhuber, Long Short-Term Memory, Neural Computation 9, 1997, section 5.4.
    Departs: numbers on [0, 1] and the plain sum, a marked step in each half, as in Q. V. Le, N. Jaitly, G. E. Hinton, A
        Simple Way to Initialize Recurrent Networks of Rectified Linear Units, 2015, and M. Arjovsky, A. Shah,
        Y. Bengio, Unitary Evolution Recurrent Neural Networks, ICML 2016. The original draws from [-1, 1], rescales
        the sum, has rows of unequal length, and the second mark in the first half.
    """
    _check(steps=(steps, 2), batch=(batch, 1))
    numbers = torch.rand(steps, batch, generator=generator)
    half, rows = steps // 2, torch.arange(batch)
    first = torch.randint(half, (batch,), generator=generator)
    second = torch.randint(half, steps, (batch,), generator=generator)
    marks = torch.zeros(steps, batch)
    marks[first, rows] = 1.0
    marks[second, rows] = 1.0
    targets = torch.zeros(steps, batch, 1)
    targets[-1, :, 0] = numbers[first, rows] + numbers[second, rows]
    return Sample(torch.stack([numbers, marks], dim=-1), targets, _last(steps, batch))


def copy_memory(delay: int, batch: int, generator: torch.Generator, length: int = 10, symbols: int = 8) -> Sample:
    """A word of random symbols is shown, and asked for after a delay.

        in    s_1 .. s_length   blank (delay - 1 times)   go   blank (length times)
        out   blank (length + delay times)                     s_1 .. s_length

    Inputs are one-hot: the symbols, then blank, then go. Targets are the numbers of the symbols, or `symbols` for
    blank, and stand at all steps; only the recalled word is marked as asked.

    Args:
        delay: steps between the end of the word and the first step of its recall, at least 1.
        batch: B.
        generator: source of the random numbers.
        length: of the word.
        symbols: the size of the alphabet.

    Returns:
        x [delay + 2 length, B, symbols + 2], targets [T, B], asked at the last `length` steps.

    Source: S. Hochreiter, J. Schmidhuber, 1997 (the idea); this form: M. Arjovsky, A. Shah, Y. Bengio, Unitary
        Evolution Recurrent Neural Networks, ICML 2016, section 5.1.
    """
    _check(delay=(delay, 1), batch=(batch, 1), length=(length, 1), symbols=(symbols, 2))
    steps, blank, go = delay + 2 * length, symbols, symbols + 1
    word = torch.randint(symbols, (length, batch), generator=generator)
    shown = torch.full((steps, batch), blank)
    shown[:length] = word
    shown[steps - length - 1] = go
    targets = torch.full((steps, batch), blank)
    targets[-length:] = word
    asked = torch.zeros(steps, batch, dtype=torch.bool)
    asked[-length:] = True
    return Sample(one_hot(shown, symbols + 2).float(), targets, asked)


def temporal_order(steps: int, batch: int, generator: torch.Generator) -> Sample:
    """Two symbols, X or Y each, stand among distractors; asked at the last step is which came first and which second.

    The first stands in [T/10, 2T/10), the second in [4T/10, 5T/10); everywhere else is one of four distractors. Inputs
    are one-hot: X, Y, the distractors. The class is 2 first + second, with X = 0 and Y = 1.

    Args:
        steps: T, at least 10.
        batch: B.
        generator: source of the random numbers.

    Returns:
        x [T, B, 6], targets [T, B] of 4 classes, asked at T - 1.

    Source: S. Hochreiter, J. Schmidhuber, 1997, section 5.6, task 6a.
    Departs: places in proportion to T and no symbols for start and end, as in R. Pascanu, T. Mikolov, Y. Bengio, On the
        difficulty of training recurrent neural networks, ICML 2013.
    """
    _check(steps=(steps, 10), batch=(batch, 1))
    shown = torch.randint(2, 6, (steps, batch), generator=generator)
    rows, relevant = torch.arange(batch), torch.randint(2, (2, batch), generator=generator)
    for which, tenth in enumerate((1, 4)):
        low, high = tenth * steps // 10, (tenth + 1) * steps // 10
        shown[torch.randint(low, high, (batch,), generator=generator), rows] = relevant[which]
    targets = torch.zeros(steps, batch, dtype=torch.int64)
    targets[-1] = 2 * relevant[0] + relevant[1]
    return Sample(one_hot(shown, 6).float(), targets, _last(steps, batch))


def label_and_tail(
    tail: int, batch: int, generator: torch.Generator, classes: int = 2, shown: int = 4, distractors: int = 4
) -> Sample:
    """A label is shown at the first steps and asked for after a tail that says nothing about it.

    "I loved this movie", and then everything that could have been better. Inputs are one-hot: the labels, then the
    distractors, of which the tail is drawn. The label stands as the target at all steps from its last showing on: a
    network can be asked anywhere in the tail, though only the last step is marked as asked.

    Args:
        tail: steps after the label, at least 0.
        batch: B.
        generator: source of the random numbers.
        classes: how many labels there are.
        shown: steps for which the label is shown.
        distractors: how many different inputs the tail has.

    Returns:
        x [shown + tail, B, classes + distractors], targets [T, B], asked at T - 1.

    Source: Y. Bengio, P. Simard, P. Frasconi, Learning Long-Term Dependencies with Gradient Descent is Difficult, IEEE
        Transactions on Neural Networks 5, 1994, section II (latching).
    Departs: the tail is symbols, not Gaussian noise, and the input of the first steps is given; there it is learned.
    """
    _check(tail=(tail, 0), batch=(batch, 1), classes=(classes, 2), shown=(shown, 1), distractors=(distractors, 1))
    steps = shown + tail
    labels = torch.randint(classes, (batch,), generator=generator)
    seen = torch.randint(classes, classes + distractors, (steps, batch), generator=generator)
    seen[:shown] = labels
    targets = torch.zeros(steps, batch, dtype=torch.int64)
    targets[shown - 1 :] = labels
    return Sample(one_hot(seen, classes + distractors).float(), targets, _last(steps, batch))


def _last(steps: int, batch: int) -> Tensor:
    asked = torch.zeros(steps, batch, dtype=torch.bool)
    asked[-1] = True
    return asked


def _check(**sizes: tuple[int, int]) -> None:
    """Each size with its least value."""
    for name, (size, least) in sizes.items():
        if size < least:
            raise ArgumentError(f"expected {name} >= {least}, got {size}.")
