"""What a kernel is written for: the width of a vector, how many there are, and the flags that ask for them."""

from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Target:
    """A family of processors.

    Attributes:
        name: as a user writes it.
        vector: bytes of one vector.
        registers: how many vectors the processor holds.
        flags: of the C compiler.
    """

    name: str
    vector: int
    registers: int
    flags: tuple[str, ...]


TARGETS = {
    "avx512": Target("avx512", 64, 32, ("-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mavx2", "-mfma")),
    "avx2": Target("avx2", 32, 16, ("-mavx2", "-mfma")),
    "plain": Target("plain", 16, 16, ()),
}
"""From the widest to the one that any processor runs: vectors of 16 bytes are part of every 64-bit instruction set,
and GCC and Clang write them out in scalars where they are not."""


def header(target: Target, double: bool) -> str:
    """What every text for a target begins with: its vectors, and the functions of them."""
    size = f"#define ELMAN_DOUBLE {int(double)}\n#define ELMAN_VECTOR {target.vector}"
    return f"{size}\n\n{files(__package__).joinpath('vector.h').read_text(encoding='utf-8')}"
