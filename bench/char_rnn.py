"""Training with elman against plain PyTorch: the sizes of char-rnn, the same first weights, windows and optimiser.

    python -m bench.char_rnn --data input.txt --epochs 5 --picture docs/char_rnn.png

The plain side is written out below: torch.nn.LSTM, one-hot characters, Adam, clipping, state carried from window to
window. Both print the validation loss (nats per character) after each epoch.
"""

import argparse
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from elman.data import Streams, builtin_text, fitting_rows
from elman.tasks import TextModel
from elman.training import constant

ROWS, WINDOW, HIDDEN, LAYERS, RATE, CLIP, SEED = 50, 50, 128, 2, 2e-3, 5.0, 0


class Plain(nn.Module):
    """char-rnn: one-hot characters, two LSTM layers, logits."""

    def __init__(self, symbols):
        super().__init__()
        self.symbols = symbols
        self.lstm = nn.LSTM(symbols, HIDDEN, LAYERS)
        self.readout = nn.Linear(HIDDEN, symbols)

    def forward(self, numbers, state):
        y, state = self.lstm(nn.functional.one_hot(numbers, self.symbols).float(), state)
        return self.readout(y), state


def plain_epoch(model, streams, optimizer=None):
    """One pass; the mean loss in nats per character."""
    total, count, state = 0.0, 0, None
    for inputs, targets in streams.starting_at(0):
        logits, state = model(inputs, state)
        state = tuple(s.detach() for s in state)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
        total, count = total + loss.item() * targets.numel(), count + targets.numel()
    return total / count


def train_plain(model, training, validation, epochs):
    """Validation loss after each epoch."""
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    losses = []
    for _ in range(epochs):
        plain_epoch(model, training, optimizer)
        with torch.no_grad():
            losses.append(plain_epoch(model, validation))
    return losses


def elman_model(text, epochs):
    """The same model as `elman text fit` trains."""
    return TextModel(
        cell="lstm", layers=LAYERS, hidden_size=HIDDEN, embedding=0, window=WINDOW, batch_size=ROWS, epochs=epochs,
        dropout=0.0, learning_rate=RATE, clip=CLIP, patience=epochs, validation=0.1, minimum_count=1, seed=SEED,
        schedule=constant,
    ).prepare(text)  # fmt: skip


def same_weights(plain, network):
    """The plain model's first weights in elman's network."""
    with torch.no_grad():
        for level, layer in enumerate(network.stack.layers):
            layer.cell.U.weight.copy_(getattr(plain.lstm, f"weight_ih_l{level}"))
            layer.cell.W.weight.copy_(getattr(plain.lstm, f"weight_hh_l{level}"))
            bias = getattr(plain.lstm, f"bias_ih_l{level}") + getattr(plain.lstm, f"bias_hh_l{level}")
            layer.cell.U.bias.copy_(bias)
            # torch's second bias does nothing but double the first one's step; without it both models are one
            getattr(plain.lstm, f"bias_ih_l{level}").copy_(bias)
            getattr(plain.lstm, f"bias_hh_l{level}").zero_().requires_grad_(False)
        network.readout.load_state_dict(plain.readout.state_dict())


def draw(curves, path):
    """Both curves in one picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.2))
    for (name, losses), (style, width) in zip(curves.items(), (("-", 5), ("--", 2)), strict=True):
        axes.plot(range(1, len(losses) + 1), losses, style, linewidth=width, alpha=0.8, marker="o", label=name)
    axes.set(
        xlabel="epoch", ylabel="validation, nats per character", title="char-rnn: 2 x LSTM 128, window 50, batch 50"
    )
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120, bbox_inches="tight")


def main(arguments=None):
    """Train both, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a text; without it the English text that comes with Python")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--picture", type=Path)
    a = parser.parse_args(arguments)
    text = builtin_text() if a.data is None else a.data.read_text(encoding="utf-8")

    ours = elman_model(text, a.epochs)
    torch.manual_seed(SEED)
    plain = Plain(len(ours.network.lengths))
    same_weights(plain, ours.network)

    start = time.perf_counter()
    ours.fit(text)
    seconds = [time.perf_counter() - start]
    mine = [row.validation / ours.history.measure.scale for row in ours.history.epochs]

    numbers = ours.symbols.encode(text)
    cut = len(numbers) - round(len(numbers) * 0.1)
    parts = numbers[:cut], numbers[cut:]
    training, validation = (Streams(part, fitting_rows(len(part), ROWS, WINDOW), WINDOW) for part in parts)
    start = time.perf_counter()
    theirs = train_plain(plain, training, validation, a.epochs)
    seconds.append(time.perf_counter() - start)

    shown = Table("epoch", "elman", "torch.nn.LSTM", "difference", title="validation, nats per character")
    for epoch, (m, t) in enumerate(zip(mine, theirs, strict=True), start=1):
        shown.add_row(str(epoch), f"{m:.4f}", f"{t:.4f}", f"{m / t - 1:+.3%}")
    console = Console()
    console.print(shown)
    console.print(f"elman {seconds[0]:.0f} s, plain PyTorch {seconds[1]:.0f} s, {torch.get_num_threads()} threads")
    if a.picture:
        draw({"elman": mine, "torch.nn.LSTM in plain PyTorch": theirs}, a.picture)
        console.print(f"the picture: {a.picture}")


if __name__ == "__main__":
    main()
