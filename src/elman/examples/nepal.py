"""Find the year: "I went to Nepal in 2009", "In 2009, I went to Nepal", and wherever else it stands.

python -m elman.examples.nepal

Three networks with as many weights read the same sentences, word by word and digit by digit, and say at the end which
year it was. Other numbers stand in them, too. The recurrent network takes the same weights at every place. The fully
connected one has weights of its own for each place. The convolution takes the same ones at every place, but sees no
further back than its kernels reach.
"""

import argparse
import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from elman.cells import MGU, Cell
from elman.errors import ArgumentError, ElmanError
from elman.examples.pictures import COLOURS, FAINT, INK, check_picture, new_axes
from elman.layers import Recurrent
from elman.training.files import write_picture

MANUAL = """
Trains three networks with as many weights to find the year in a sentence, on sentences of 10 to 25 words (a digit
counts as a word): a recurrent one, a fully connected one, and a 1-D convolution. Then asks them about sentences of 75
words with the year at any place. About half a minute.
"""
LENGTHS, LONG = (10, 25), 75  # words of a sentence: in training, and three times as many
CENTURIES = (1900, 2100)
LAST, FIRST = "who went to place in year", "in year , who went to place"
WHO = ("i", "we", "she", "he", "they")
PLACES = ("nepal", "peru", "rome", "kenya", "japan", "cuba", "oslo", "chile")
PHRASES = (
    *("well", "so", "oh", "yes"),
    *("well ,", "so ,", "oh ,", "really ,"),
    *("you know ,", "my friend ,", "it was fun ,"),
    *("as i said ,", "with my sister ,", "and in summer ,"),
)
NUMBERS = ("in room number ,", "in flat number ,", "for number dollars ,", "by bus number ,", "with number people ,")
UNKNOWN = "?"
WORDS = sorted({*" ".join((LAST, FIRST, *PHRASES, *NUMBERS, *WHO, *PLACES)).split(), *"0123456789"})
NUMBER_OF = {word: number for number, word in enumerate([UNKNOWN, *WORDS], start=1)}  # 0 is padding


@dataclass(frozen=True)
class Sentence:
    """A sentence about a year.

    Attributes:
        words: its words, each digit one of them.
        position: where the first digit of the year stands, counted from 0.
        year: the year.
    """

    words: tuple[str, ...]
    position: int
    year: int


@dataclass(frozen=True, eq=False)
class Rows:
    """Sentences as tensors.

    Attributes:
        x: the numbers of the words [T, B], 0 after the end.
        lengths: words of each sentence [B].
        digits: those of the year [B, 4].
    """

    x: Tensor
    lengths: Tensor
    digits: Tensor

    def of(self, rows: Tensor) -> "Rows":
        """Some of the sentences."""
        return Rows(self.x[:, rows], self.lengths[rows], self.digits[rows])


def write_sentence(draw: random.Random, length: int, position: int | None = None) -> Sentence:
    """A sentence of so many words with the year at a place, or at any.

    Args:
        draw: where all that is random comes from.
        length: how many words.
        position: where the first digit of the year stands, from 0.

    Raises:
        ArgumentError: no such sentence can be written.
    """
    places = []  # the core of the sentence, and how many words stand before it
    for core in (LAST, FIRST):
        offset, size = core.split().index("year"), len(core.split()) + 3
        every = range(length - size + 1) if position is None else (position - offset,)
        places.append([(core, before) for before in every if 0 <= before <= length - size])
    possible = [some for some in places if some]
    if not possible:
        raise ArgumentError(f"expected room for a sentence with a year, got {length} words, the year at {position}.")
    core, before = draw.choice(draw.choice(possible))
    year = draw.randrange(*CENTURIES)
    told = {"who": (draw.choice(WHO),), "place": (draw.choice(PLACES),), "year": tuple(str(year))}
    middle = [word for part in core.split() for word in told.get(part, (part,))]
    words = [*_filler(draw, before), *middle, *_filler(draw, length - before - len(middle))]
    return Sentence(tuple(words), before + core.split().index("year"), year)


def _filler(draw: random.Random, room: int) -> list[str]:
    """Phrases of exactly so many words; some hold a number that is no year, and some words are unknown."""
    words: list[str] = []
    while len(words) < room:
        phrase = draw.choice(NUMBERS if draw.random() < 0.3 else PHRASES).split()
        number = list(str(draw.randrange(1000, 10000)))
        said = [word for part in phrase for word in (number if part == "number" else [part])]
        if len(words) + len(said) <= room:
            words += [UNKNOWN if word.isalpha() and word != "in" and draw.random() < 0.1 else word for word in said]
    return words


def read_words(text: str) -> list[str]:
    """The words of a text: small letters, each digit and each mark by itself.

    Raises:
        ArgumentError: there are none.
    """
    words = re.findall(r"[^\W\d_]+|\d|[^\w\s]", text.lower())
    if not words:
        raise ArgumentError(f"expected a sentence, got {text!r}.")
    return words


def make_rows(sentences: Iterable[Sequence[str]], years: Iterable[int] = ()) -> Rows:
    """Sentences as numbers, with room for the longest that there are here; words that are not known are one word.

    Raises:
        ArgumentError: no sentence, an empty one, or one of more than 75 words, for which the fully connected network
            has no weights.
    """
    rows = [[NUMBER_OF.get(word, NUMBER_OF[UNKNOWN]) for word in words] for words in sentences]
    for row in rows or [[]]:
        if not 1 <= len(row) <= LONG:
            raise ArgumentError(f"expected sentences of 1 to {LONG} words and digits, got {len(row)}.")
    lengths = torch.tensor([len(row) for row in rows])
    x = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows])
    x = nn.functional.pad(x, (0, 0, 0, LONG - len(x)))
    return Rows(x, lengths, torch.tensor([[int(digit) for digit in str(year)] for year in years]))


def draw_rows(draw: random.Random, count: int, lengths: tuple[int, int] = LENGTHS, position: int | None = None) -> Rows:
    """So many sentences, each of a length that is drawn from first to last."""
    sentences = [write_sentence(draw, draw.randint(*lengths), position) for _ in range(count)]
    return make_rows([sentence.words for sentence in sentences], [sentence.year for sentence in sentences])


class Reader(nn.Module):
    """A network that reads sentences and gives logits of the four digits of the year [B, 4, 10].

    Args:
        name: what it is called in tables.
        width: the number of its units.
        features: of the words.

    Attributes:
        rate: at which it is trained.
        times: how many times as long as the others it is trained.
    """

    rate = 0.003
    times = 1

    def __init__(self, name: str, width: int, features: int = 8) -> None:
        super().__init__()
        self.name = name
        self.embedding = nn.Embedding(len(NUMBER_OF) + 1, features, padding_idx=0)
        self.readout = nn.Linear(width, 40)

    def forward(self, rows: Rows) -> Tensor:
        return self.readout(self.units(rows)).unflatten(1, (4, 10))

    def units(self, rows: Rows) -> Tensor:
        """What the readout sees [B, H]."""
        raise TypeError(f"{type(self).__name__} must define units(self, rows)")

    @property
    def weights(self) -> int:
        """How many weights there are."""
        return sum(p.numel() for p in self.parameters())


class RecurrentReader(Reader):
    """The first state of any cell at the end of the sentence.

    Args:
        cell: makes the cell, from input size and hidden size.
        width: the number of units.
    """

    rate = 0.01

    def __init__(self, cell: Callable[[int, int], Cell] = MGU, width: int = 64) -> None:
        super().__init__("recurrent", width)
        self.layer = Recurrent(cell(self.embedding.embedding_dim, width))

    def units(self, rows: Rows) -> Tensor:
        longest = int(rows.lengths.max())
        _, state = self.layer(self.embedding(rows.x[:longest]), lengths=rows.lengths)
        return state[0] if isinstance(state, tuple) else state


class FullyConnectedReader(Reader):
    """A hidden layer that sees all 75 places at once, each by weights of its own.

    Args:
        width: the number of hidden units.
    """

    times = 5  # it has to learn each place by itself

    def __init__(self, width: int) -> None:
        super().__init__("fully connected", width)
        self.hidden = nn.Linear(LONG * self.embedding.embedding_dim, width)

    def units(self, rows: Rows) -> Tensor:
        return torch.relu(self.hidden(self.embedding(rows.x).transpose(0, 1).flatten(1)))


class ConvolutionReader(Reader):
    """Two layers of a convolution over time, as they stand at the end of the sentence.

    Args:
        width: the number of channels.
        kernel: words that each layer sees; the two reach 2 kernel - 1 words back.
    """

    def __init__(self, width: int, kernel: int = 5) -> None:
        super().__init__(f"convolution, {2 * kernel - 1} words", width)
        self.before = 2 * kernel - 2
        self.first = nn.Conv1d(self.embedding.embedding_dim, width, kernel)
        self.second = nn.Conv1d(width, width, kernel)

    def units(self, rows: Rows) -> Tensor:
        longest = int(rows.lengths.max())
        x = nn.functional.pad(self.embedding(rows.x[:longest]).permute(1, 2, 0), (self.before, 0))
        z = torch.relu(self.second(torch.relu(self.first(x))))
        return z[torch.arange(len(rows.lengths)), :, rows.lengths - 1]


def as_large_as(make: Callable[[int], Reader], weights: int) -> Reader:
    """A reader whose width makes the number of its weights the nearest to a given one."""
    widths = range(1, 1000)
    low = next(width for width in widths if make(width + 1).weights > weights)
    return make(min((low, low + 1), key=lambda width: abs(make(width).weights - weights)))


def make_readers(seed: int) -> tuple[Reader, ...]:
    """The three, as large as each other."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        recurrent = RecurrentReader()
        return recurrent, *(as_large_as(make, recurrent.weights) for make in (FullyConnectedReader, ConvolutionReader))


def train(reader: Reader, rows: Rows, iterations: int, seed: int, batch: int = 128) -> None:
    """AdamW on batches that are drawn; the rate falls to 0 along a half cosine."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(reader.parameters(), lr=reader.rate, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations)
    for _ in range(iterations):
        some = rows.of(torch.randint(len(rows.lengths), (batch,), generator=generator))
        loss = nn.functional.cross_entropy(reader(some).flatten(0, 1), some.digits.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimizer.step()
        schedule.step()


@torch.no_grad()
def accuracy(reader: Reader, rows: Rows) -> float:
    """The part of sentences of which all four digits are right."""
    return (reader(rows).argmax(-1) == rows.digits).all(-1).double().mean().item()


@torch.no_grad()
def ask(reader: Reader, text: str) -> str:
    """The year that a reader finds in a text.

    Raises:
        ArgumentError: no words, or more than 75.
    """
    return "".join(str(digit) for digit in reader(make_rows([read_words(text)])).argmax(-1)[0].tolist())


@dataclass(frozen=True)
class Found:
    """How often a reader finds the year.

    Attributes:
        reader: the network, trained.
        alike: in new sentences like those that it was trained on.
        by_position: in sentences of 75 words, by where the year stands.
    """

    reader: Reader
    alike: float
    by_position: dict[int, float]

    def mean(self, positions: Iterable[int]) -> float:
        """The mean over those of some positions that were asked; NaN if none was."""
        some = [self.by_position[position] for position in positions if position in self.by_position]
        return sum(some) / len(some) if some else float("nan")


TRAINED = range(1, LENGTHS[1] - 3)  # where a year can stand in training
NEVER = range(LENGTHS[1] - 3, LONG - 3)


def compare(seed: int = 0, iterations: int = 1000, positions: Iterable[int] = range(1, LONG - 3)) -> list[Found]:
    """Train the three readers on the same sentences, and test them on new ones.

    Args:
        seed: of the sentences, the weights at the start and the batches.
        iterations: of the optimiser; the fully connected one takes five times as many.
        positions: where the year stands in the long sentences, 100 for each place.

    Raises:
        ArgumentError: no iterations, or a position where no year can stand.
    """
    if iterations < 1:
        raise ArgumentError(f"expected iterations >= 1, got {iterations}.")
    draw = random.Random(seed)
    rows, alike = draw_rows(draw, 20_000), draw_rows(draw, 1000)
    far = {position: draw_rows(draw, 100, (LONG, LONG), position) for position in positions}
    found = []
    for reader in make_readers(seed):
        train(reader, rows, iterations * reader.times, seed)
        by_position = {position: accuracy(reader, some) for position, some in far.items()}
        found.append(Found(reader, accuracy(reader, alike), by_position))
    return found


def table(found: Sequence[Found]) -> str:
    """What was found, as a table."""
    lines = [
        f"{'the year found in':24}{'sentences as in':>18}{'three times as long, with the year at':>42}",
        f"{'':24}{'training':>18}{'places of training':>22}{'other places':>20}{'weights':>12}",
    ]
    for one in found:
        parts = (one.alike, one.mean(TRAINED), one.mean(NEVER))
        alike, trained, never = (f"{100 * part:.1f} %" for part in parts)
        lines.append(f"{one.reader.name:24}{alike:>18}{trained:>22}{never:>20}{one.reader.weights:>12,}")
    return "\n".join(lines)


ASKED = (
    "I went to Nepal in 2009",
    "In 2009, I went to Nepal",
    "In room 4711, with my sister, for 2500 dollars, you know, we went to Nepal in 1987, by bus 1234, it was fun",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; what goes wrong is said in one message, and the exit code is 2."""
    parser = argparse.ArgumentParser(prog="python -m elman.examples.nepal", description=MANUAL)
    parser.add_argument("--seed", type=int, default=0, help="of sentences, weights and batches (0)")
    parser.add_argument(
        "--iterations",
        type=int,
        default=1000,
        help="of the optimiser (1000); the fully connected network takes five times as many",
    )
    parser.add_argument("--ask", action="append", metavar="TEXT", help="a sentence of your own; may be given again")
    parser.add_argument("--picture", type=Path, metavar="PATH", help="draw how often, by where the year stands")
    asked = parser.parse_args(arguments)
    texts = asked.ask or ASKED
    try:
        check_picture(asked.picture)
        make_rows(map(read_words, texts))
        found = compare(asked.seed, asked.iterations)
    except ElmanError as error:
        parser.error(str(error))
    print(table(found))
    for text in texts:
        print(f"\n{text}")
        print("".join(f"    {one.reader.name:24}{ask(one.reader, text)}\n" for one in found), end="")
    if asked.picture is not None:
        draw_positions(found, asked.picture)


def draw_positions(found: Sequence[Found], path: Path) -> None:
    """Draw how often the year is found in long sentences, by where it stands."""
    figure, (axes,) = new_axes(size=(8, 4))
    axes.axvspan(TRAINED[0], TRAINED[-1], color=FAINT, alpha=0.5, lw=0)
    axes.text(TRAINED[0] + 0.4, 1.05, "places of training", color=INK, fontsize=9)
    for one, colour in zip(found, COLOURS, strict=False):
        places = sorted(one.by_position)
        axes.plot(places, [one.by_position[place] for place in places], color=colour, lw=1.8, label=one.reader.name)
    axes.set(xlabel=f"where the year stands in a sentence of {LONG} words", ylabel="year found", ylim=(-0.02, 1.1))
    axes.set_title(f"Trained on sentences of {LENGTHS[0]} to {LENGTHS[1]} words", loc="left", color=INK, fontsize=11)
    axes.legend(frameon=False, labelcolor=INK, loc="center", bbox_to_anchor=(0.6, 0.5))
    write_picture(figure, path)


if __name__ == "__main__":
    main()
