"""The alphabet of axes: one letter per idea, the same letter in every shape, error and picture.

T time, B batch (rows), I input, H hidden, O output, V vocabulary; sequences are always [T, B, ...].
T and B are symbolic in a graph: one graph serves every length and every batch; the others are numbers.
"""

TIME = "T"
BATCH = "B"

Shape = tuple[int | str, ...]


def show_shape(shape: Shape) -> str:
    """A shape as people write it: `("B", 128)` becomes `[B, 128]`."""
    return "[" + ", ".join(str(size) for size in shape) + "]"


def numbers(shape: Shape, steps: int, batch: int) -> tuple[int, ...]:
    """A shape in numbers: steps for T, batch for B."""
    symbols = {TIME: steps, BATCH: batch}
    return tuple(symbols[size] if isinstance(size, str) else size for size in shape)
