"""Products of matrices by oneDNN, the other library that torch brings.

torch takes MKL for matrices of float32, which on processors of AMD with AVX-512 runs at half the rate of oneDNN.
The door to oneDNN is an operator that `torch.compile` writes into its programs. Nothing differentiates it, and it is
no promise of torch: where it is missing, MKL does the work. `torch.backends.mkldnn.flags(enabled=False)` shuts it.
"""

import functools

import torch
from torch import Tensor

from .build import processor
from .memory import LARGE, block
from .products import BY_TORCH, Products, rows

_AT_ONCE = 4 * 2**20  # bytes of the wider of two matrices that the second-level cache and the system bear well
_MANY = 2**20  # multiply-adds for which finding the operator's kernel, 12 us, costs less than the kernel saves


def faster() -> bool:
    """Whether oneDNN is wanted, and faster here than what torch takes by itself."""
    return bool(torch.backends.mkldnn.enabled) and _found()


@functools.cache
def _found() -> bool:
    """Whether this is such a processor, and torch has the operators."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not processor().startswith("AMD"):
        return False
    named = ("_linear_pointwise", "_reorder_linear_weight")
    return torch._C._has_mkldnn and all(hasattr(torch.ops.mkldnn, name) for name in named)


def takes(tensor: Tensor, work: int) -> bool:
    """Whether a product of so many multiply-adds with this tensor is one for oneDNN."""
    return work >= _MANY and tensor.is_cpu and tensor.dtype is torch.float32 and faster()


def packed(w: Tensor, batch: int) -> Tensor:
    """W [K, N] as `mm` and `addmm` read it for x of so many rows."""
    return torch.ops.mkldnn._reorder_linear_weight(w.t().contiguous(), batch)  # type: ignore[no-any-return]


def mm(x: Tensor, w: Tensor, out: Tensor | None = None) -> Tensor:
    """x W, of a W that may be packed."""
    if not w.is_mkldnn:
        return torch.mm(x, w, out=out)
    return _product(x, w) if out is None else out.copy_(_product(x, w))


def addmm(added: Tensor, x: Tensor, w: Tensor, out: Tensor | None = None) -> Tensor:
    """Added + x W, of a W that may be packed."""
    if not w.is_mkldnn:
        return torch.addmm(added, x, w, out=out)
    return torch.add(_product(x, w), added, out=out)


def _product(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """x Wᵀ + b of W [N, K], or of a packed W."""
    return torch.ops.mkldnn._linear_pointwise.default(x, w, b, "none", [], "")  # type: ignore[no-any-return]


def _linear(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    if _follows(x, w, b) or not takes(x, x.numel() * w.size(0)):
        return BY_TORCH.linear(x, w, b)
    flat, length = rows(x).contiguous(), w.size(0)
    if len(flat) * length * flat.itemsize <= LARGE:
        out = _product(flat, w, b)
    else:  # in parts that the system need not find new memory for
        out, some = block((len(flat), length), x.dtype, x.device), _rows_at_once(flat.size(1), length)
        for part, place in zip(torch.split(flat, some), torch.split(out, some), strict=True):
            place.copy_(_product(part, w, b))
    return out.view(*x.shape[:-1], length)


def _times(x: Tensor, w: Tensor) -> Tensor:
    if _follows(x, w) or not takes(x, x.numel() * w.size(1)):
        return BY_TORCH.times(x, w)
    return _linear(x, w.t().contiguous())


def _summed(a: Tensor, b: Tensor) -> Tensor:
    if _follows(a, b) or not takes(a, a.numel() * b.size(-1)):
        return BY_TORCH.summed(a, b)
    if a.size(-1) < b.size(-1):
        return _summed(b, a).t()
    some = _rows_at_once(a.size(-1), b.size(-1))
    parts = zip(torch.split(rows(a), some), torch.split(rows(b), some), strict=True)
    return functools.reduce(Tensor.add_, (_product(q.t(), p.t()) for p, q in parts)).t()


def _rows_at_once(*lengths: int) -> int:
    return max(1, _AT_ONCE // (max(lengths) * torch.float32.itemsize))


def _follows(*given: Tensor | None) -> bool:
    """Whether autograd is to follow."""
    return torch.is_grad_enabled() and any(t.requires_grad for t in given if t is not None)


BY_ONEDNN = Products(_linear, _times, _summed)
"""The products of all steps by oneDNN where that is faster, else by torch."""
