"""Products of matrices for what stands before and after a loop: in C where that is faster, else by torch.

The vendor's library that torch calls does not know every processor: on one with AVX-512 that it does not know it runs
at half the rate.
"""

import ctypes
import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from elman.compiler.codegen import Target, product_text

from .build import library
from .launch import parallel
from .memory import CPU, LARGE, LENT, block

Product = Callable[..., Tensor]

_FEW = 8  # rows for which a product is as fast as its weights are read
_ALONE = 1_000_000  # multiply-adds that one thread has done before two have met


@dataclass(frozen=True)
class Products:
    """How the products of a program are computed; the fields are their names in the text of the program.

    Attributes:
        linear: x Wᵀ + b of x [..., K], W [N, K], b [N] or None: [..., N].
        times: x W of x [T, B, K], W [K, N]: [T, B, N].
        summed: Σ a bᵀ over all rows of a [..., M], b [..., N]: [M, N].
    """

    linear: Product
    times: Product
    summed: Product


def rows(x: Tensor) -> Tensor:
    """x [..., H] as [rows, H]."""
    return x.flatten(0, -2)


def _times(x: Tensor, w: Tensor) -> Tensor:
    """x W, into large pages if the result is large."""
    size = (*x.shape[:-1], w.size(1))
    if x.numel() // max(1, x.size(-1)) * size[-1] * x.element_size() < LARGE or torch.is_grad_enabled():
        return torch.mm(rows(x), w).view(size)
    out = block((rows(x).size(0), size[-1]), x.dtype, x.device)
    return torch.mm(rows(x), w, out=out).view(size)


def _summed(a: Tensor, b: Tensor) -> Tensor:
    return rows(a).t() @ rows(b)


BY_TORCH = Products(functional.linear, _times, _summed)


class _Own:
    """The three products in C, of one precision.

    Args:
        target: the processor to write for.
        real: float32 or float64.
        place: makes the tensors for results.

    Raises:
        SetupError: there is no compiler, or it fails.
    """

    def __init__(self, target: Target, real: torch.dtype, place: Callable[..., Tensor]) -> None:
        built = library(product_text(target, real is torch.float64), target)
        self._product, self.real, self._place = built.product, real, place
        self._product.argtypes, self._product.restype = (ctypes.c_void_p,), None
        self._room = built.product_room() * real.itemsize
        self._here = threading.local()

    def linear(self, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        """x Wᵀ + b."""
        found = self._run(rows(x), w.t(), b)
        return functional.linear(x, w, b) if found is None else found.view(*x.shape[:-1], w.size(0))

    def times(self, x: Tensor, w: Tensor) -> Tensor:
        """x W."""
        found = self._run(rows(x), w)
        return _times(x, w) if found is None else found.view(*x.shape[:-1], w.size(1))

    def summed(self, a: Tensor, b: Tensor) -> Tensor:
        """Σ a bᵀ."""
        found = self._run(rows(a).t(), rows(b))
        return _summed(a, b) if found is None else found

    def _run(self, a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor | None:
        """a [M, K] b [K, N] + bias; None for what torch does better, or alone."""
        (m, k), n = a.shape, b.size(1)
        given = (a, b) if bias is None else (a, b, bias)
        if m < _FEW or n == 0 or k == 0 or not all(t.dtype is self.real and t.is_cpu and not t.is_neg() for t in given):
            return None
        a, b = _regular(a), _regular(b)
        bias = None if bias is None else bias.contiguous()
        workers = min(torch.get_num_threads(), m // _FEW) if m * n * k > _ALONE and parallel() else 1
        c = self._place((m, n), self.real, CPU)
        fields = (ctypes.c_long * 16)(
            *(m, n, k, a.data_ptr(), *a.stride(), b.data_ptr(), *b.stride(), c.data_ptr(), n),
            *(0 if bias is None else bias.data_ptr(), self._rooms(workers), workers, 0, parallel()),
        )
        self._product(fields)
        return c

    def _rooms(self, workers: int) -> int:
        """The address of memory for some workers, which each thread keeps."""
        size = workers * self._room + 64
        found: Tensor | None = getattr(self._here, "room", None)
        if found is None or found.numel() < size:
            found = self._here.room = torch.empty(size, dtype=torch.uint8, device=CPU)
        return -(-found.data_ptr() // 64) * 64


def _regular(x: Tensor) -> Tensor:
    """A matrix whose rows or columns are whole; copied if need be."""
    return x if 1 in x.stride() and 0 not in x.stride() else x.contiguous()


@functools.cache
def own_products(target: Target, double: bool, lent: bool = False) -> Products:
    """The products in C; the results are `lent`, or new tensors.

    Raises:
        SetupError: there is no compiler, or it fails.
    """
    own = _Own(target, torch.float64 if double else torch.float32, LENT.block if lent else block)
    return Products(own.linear, own.times, own.summed)
