"""The product of two matrices as C: nearly all that stands before and after a loop."""

from importlib.resources import files

from .target import Target, header


def product_text(target: Target, double: bool) -> str:
    """C = A B as one file: `product(Product *)`, and `product_room()`, the numbers that each worker needs."""
    tile = 3 * target.registers // 8  # rows of two vectors: three quarters of the registers, the rest for A and B
    own = files(__package__).joinpath("product.h").read_text(encoding="utf-8")
    return f"{header(target, double)}\n#define TILE {tile}\n\n{own}"
