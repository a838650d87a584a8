"""torch.nn.RNN, GRU and LSTM. Options: plain; flush (denormals flushed); packed (rows of their own lengths)."""

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from bench.numbers import draw

from .in_torch import measured, tensors


def prepare(job, option, threads, module=torch.nn, given=None):
    """The layer and what calls it; `given` are arguments of the call besides x."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(option == "flush")
    numbers, size = tensors(draw(job)), job.case.hidden
    layer = getattr(module, job.cell.upper())(size, size)
    weights = [getattr(layer, f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    with torch.no_grad():
        for weight, name in zip(weights, ("weight_ih", "weight_hh", "bias_ih", "bias_hh"), strict=True):
            weight.copy_(numbers[name])

    def forward(x):
        return layer(x, None, **(given or {}))[0]

    def packed(x):
        rows = pack_padded_sequence(x, numbers["lengths"], enforce_sorted=False)
        return pad_packed_sequence(layer(rows)[0], total_length=job.case.steps)[0]

    return measured(packed if option == "packed" else forward, job, numbers["x"], numbers["g"], weights)
