"""Memory that is written once and read once: large pages make its first touch several times cheaper.

The blocks of a training step are hundreds of megabytes that the system hands out page by page, zeroed, at every call:
measured here at 0.5 ms per MB with pages of 4 KiB, and at 0.1 ms with pages of 2 MiB. What no caller gets is therefore
kept and used again.
"""

import contextlib
import ctypes
import math
import mmap
import sys
import threading
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

CPU = torch.device("cpu")
LARGE = 4 * 2**20
_PAGE = 4096
_LARGE_PAGE = 2**21
_MADV_HUGEPAGE = 14


def _find_madvise() -> Any:
    """The C library's madvise, where large pages are asked for in this way."""
    return getattr(ctypes.CDLL(None), "madvise", None) if sys.platform == "linux" else None


_madvise = _find_madvise()

# GNU's malloc gives memory at the end of its heap back to the system once there is twice as much of it as the largest
# block it has seen freed, up to 32 MiB. A step of training then asks for all of its memory anew, page by page, every
# time: up to half of its own time. So it sees a large one freed, which is never touched.
torch.empty(2**25 - 2**14, dtype=torch.uint8, device=CPU)


def block(size: Sequence[int], dtype: torch.dtype, device: Any) -> Tensor:
    """A tensor for results to be written into, on large pages if it is large and the system has them."""
    tensor = torch.empty(size, dtype=dtype, device=device)
    length = tensor.nbytes
    if length >= LARGE and _madvise is not None and tensor.is_cpu:
        start = -(-tensor.data_ptr() // _PAGE) * _PAGE
        whole = (tensor.data_ptr() + length - start) // _PAGE * _PAGE
        _madvise(ctypes.c_void_p(start), ctypes.c_size_t(whole), _MADV_HUGEPAGE)  # advice: refusing it is no error
    return tensor


class Pages:
    """Large memory that goes from one step of training to the next: its pages are there already.

    Each piece comes back when the last tensor on it is gone. Where none of those that came back fits, they all go back
    to the system first, so no more is held than twice what was in use at one time.
    """

    def __init__(self) -> None:
        self._back: list[mmap.mmap] = []  # changed by append and remove only, which are whole even between threads

    @property
    def held(self) -> int:
        """Bytes that are waiting to be used again."""
        return sum(map(len, self._back))

    def tensor(self, size: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A tensor on the CPU, its numbers as they were left. It cannot be resized, so no caller gets it."""
        length = math.prod(size) * dtype.itemsize
        memory = self._fitting(-(-length // _LARGE_PAGE) * _LARGE_PAGE)
        held = (ctypes.c_char * length).from_buffer(memory)
        weakref.finalize(held, self._back.append, memory).atexit = False
        return torch.frombuffer(held, dtype=dtype).view(tuple(size))

    def _fitting(self, length: int) -> mmap.mmap:
        for memory in sorted(self._back, key=len):
            if length <= len(memory) <= 2 * length:
                with contextlib.suppress(ValueError):  # another thread took it
                    self._back.remove(memory)
                    return memory
        self._back.clear()
        memory = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(OSError):  # a system without large pages
            memory.madvise(mmap.MADV_HUGEPAGE)
        return memory


_PAGES = Pages()


def inner_block(size: Sequence[int], dtype: torch.dtype) -> Tensor:
    """A `block` on the CPU that no caller gets: a large one lies where an earlier one lay."""
    if _madvise is None or math.prod(size) * dtype.itemsize < LARGE:
        return block(size, dtype, CPU)
    return _PAGES.tensor(size, dtype)


class Lent(threading.local):
    """Memory that each thread uses again and again: asking the system for it takes longer than filling it.

    What is lent is taken back by the next `begin`, so it is for what a run of steps reads and no other one.
    """

    def __init__(self) -> None:
        self._held: list[Tensor] = []
        self._shown: list[Tensor] = []  # each as it was lent last: a view costs more than the next call's question
        self._next = 0

    def begin(self) -> None:
        """Take all back."""
        self._next = 0

    def block(self, size: tuple[int, ...], dtype: torch.dtype, device: Any) -> Tensor:
        """A tensor on the CPU whose memory is lent; a large one is its own."""
        length = math.prod(size) * dtype.itemsize
        if length > LARGE:
            return block(size, dtype, device)
        place, self._next = self._next, self._next + 1
        if place == len(self._held):
            self._held.append(torch.empty(0, dtype=torch.uint8, device=CPU))
            self._shown.append(self._held[place])
        if self._shown[place].shape != size or self._shown[place].dtype is not dtype:
            self._shown[place] = self._bytes(place, length).view(dtype).view(size)
        return self._shown[place]

    def _bytes(self, place: int, length: int) -> Tensor:
        """So many bytes of what is held at a place."""
        if self._held[place].numel() < length:
            self._held[place] = torch.empty(length, dtype=torch.uint8, device=CPU)
        return self._held[place][:length]


LENT = Lent()


def apart(tensors: Iterable[Tensor], taken: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Tensors that share no memory with each other and with those taken: whoever gets one may change it."""
    places = {t.untyped_storage().data_ptr() for t in taken}
    found = []
    for tensor in tensors:
        place = tensor.untyped_storage().data_ptr()
        if tensor._is_view() or place in places:
            tensor = block(tensor.shape, tensor.dtype, tensor.device).copy_(tensor)
            place = tensor.untyped_storage().data_ptr()
        places.add(place)
        found.append(tensor)
    return tuple(found)
