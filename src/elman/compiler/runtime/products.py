"""Products of matrices for what stands before and after a loop: in C where that is faster, else by torch.

The vendor's library that torch calls does not know every processor: on one with AVX-512 that it does not know it runs
at half the rate.
"""

import ctypes
import functools
import threading
from array import array
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
_Place = tuple[int, int, int]  # of a matrix: its address, how far rows lie apart, how far columns

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
        self._here = _Here()

    def linear(self, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        """x Wᵀ + b."""
        n, k = w.shape
        if not self._takes(x, w, w if b is None else b) or x.numel() < _FEW * k or k * n == 0:
            return functional.linear(x, w, b)
        w, row, column = _matrix(w)
        b = None if b is None else b.contiguous()
        return self._rows(x, n, k, (w.data_ptr(), column, row), 0 if b is None else b.data_ptr())

    def times(self, x: Tensor, w: Tensor) -> Tensor:
        """x W."""
        k, n = w.shape
        if not self._takes(x, w) or x.numel() < _FEW * k or k * n == 0:
            return _times(x, w)
        w, row, column = _matrix(w)
        return self._rows(x, n, k, (w.data_ptr(), row, column))

    def summed(self, a: Tensor, b: Tensor) -> Tensor:
        """Σ a bᵀ."""
        m, n = a.size(-1), b.size(-1)
        if not self._takes(a, b) or m < _FEW or n * a.numel() == 0:
            return _summed(a, b)
        (a, row, column), (b, b_row, b_column) = _matrix(a), _matrix(b)
        c = self._place((m, n), self.real, CPU)
        self._run(m, n, a.numel() // m, (a.data_ptr(), column, row), (b.data_ptr(), b_row, b_column), c)
        return c

    def _rows(self, x: Tensor, n: int, k: int, w: _Place, bias: int = 0) -> Tensor:
        """All rows of x [..., K] times a matrix [K, N], + bias."""
        c = self._place((*x.shape[:-1], n), self.real, CPU)
        x, row, column = _matrix(x)
        self._run(x.numel() // k, n, k, (x.data_ptr(), row, column), w, c, bias)
        return c

    def _takes(self, *given: Tensor) -> bool:
        """Whether all are in memory as they are, in the precision of these products; the rest torch does."""
        return all(t.dtype is self.real and t.is_cpu and not t.is_neg() for t in given)

    def _run(self, m: int, n: int, k: int, a: _Place, b: _Place, c: Tensor, bias: int = 0) -> None:
        """C [M, N] = A [M, K] B [K, N] + bias."""
        together = parallel() if m * n * k > _ALONE else 0
        workers = min(torch.get_num_threads(), m // _FEW) if together else 1
        room = self._here.room(workers * self._room)
        fields = array("q", (m, n, k, *a, *b, c.data_ptr(), n, bias, room, workers, 0, together))
        self._product(fields.buffer_info()[0])


class _Here(threading.local):
    """Memory for the workers of a thread, which keeps it."""

    def __init__(self) -> None:
        self._held, self._start, self._size = torch.empty(0, device=CPU), 0, 0

    def room(self, size: int) -> int:
        """The address of so many bytes, at the start of a line of the cache."""
        if size > self._size:
            self._held, self._size = torch.empty(size + 64, dtype=torch.uint8, device=CPU), size
            self._start = -(-self._held.data_ptr() // 64) * 64
        return self._start


def _matrix(x: Tensor) -> tuple[Tensor, int, int]:
    """x [..., H] as [rows, H]: how far neighbours in a column and in a row lie apart; copied if neither is 1."""
    if x.is_contiguous():
        return x, x.size(-1), 1
    flat = rows(x)
    row, column = flat.stride()
    if (row == 1 or column == 1) and row and column:
        return flat, row, column
    return x.contiguous(), x.size(-1), 1


@functools.cache
def own_products(target: Target, double: bool, lent: bool = False) -> Products:
    """The products in C; the results are `lent`, or new tensors.

    Raises:
        SetupError: there is no compiler, or it fails.
    """
    own = _Own(target, torch.float64 if double else torch.float32, LENT.block if lent else block)
    return Products(own.linear, own.times, own.summed)
