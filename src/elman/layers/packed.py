"""torch's PackedSequence, in and out."""

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence


def unpack(packed: PackedSequence) -> tuple[Tensor, Tensor]:
    """The rows [T, B, I] in the caller's order, and their lengths [B]."""
    return pad_packed_sequence(packed)


def pack_like(y: Tensor, packed: PackedSequence) -> PackedSequence:
    """y [T, B, O], in the caller's order, packed as the input was."""
    if packed.sorted_indices is not None:
        y = y.index_select(1, packed.sorted_indices)
    live = torch.arange(y.size(1)) < packed.batch_sizes.unsqueeze(1)
    data = y.flatten(0, 1).index_select(0, live.flatten().nonzero().squeeze(1).to(y.device))
    return PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
