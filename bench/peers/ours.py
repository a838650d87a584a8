"""elman. Options: nn (the drop-in layers, with lengths where the job has them), padded (without), recurrent."""

import torch

import elman
from bench.numbers import draw

from . import torch_nn
from .in_torch import measured, tensors

CELLS = {"rnn": elman.Elman, "gru": elman.GRUResetAfter, "lstm": elman.LSTM}


def prepare(job, option, threads):
    """The layer and what calls it."""
    if option == "recurrent":
        return _recurrent(job, threads)
    lengths = torch.from_numpy(draw(job)["lengths"]) if job.uneven and option != "padded" else None
    return torch_nn.prepare(job, "plain", threads, elman.nn, {"lengths": lengths})


def _recurrent(job, threads):
    torch.set_num_threads(threads)
    numbers, size = tensors(draw(job)), job.case.hidden
    layer = elman.Recurrent(CELLS[job.cell](size, size))
    cell = layer.cell
    with torch.no_grad():
        cell.U.weight.copy_(numbers["weight_ih"])
        cell.W.weight.copy_(numbers["weight_hh"])
        cell.U.bias.copy_(numbers["bias_ih"] if job.cell == "gru" else numbers["bias_ih"] + numbers["bias_hh"])
        if job.cell == "gru":
            cell.W.bias.copy_(numbers["bias_hh"])
    rest = [cell.U.bias] if cell.W.bias is None else [cell.U.bias, cell.W.bias]
    weights = [cell.U.weight, cell.W.weight, *rest]
    run = measured(lambda x: layer(x)[0], job, numbers["x"], numbers["g"], weights)
    run.note = f"{layer.plan(numbers['x'][:2]).backend} backend"
    return run
