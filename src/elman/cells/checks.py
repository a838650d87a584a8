"""What constructors of cells ask of their arguments."""

from numbers import Integral

from elman.errors import ArgumentError


def check_sizes(**sizes: int) -> None:
    """Raise unless every size is a whole number from 1 on."""
    for name, size in sizes.items():
        if not isinstance(size, Integral) or size < 1:
            raise ArgumentError(f"{name}: expected a whole number from 1 on, got {size!r}.")


def check_within(low: float, high: float, **numbers: float) -> None:
    """Raise unless every number lies within low and high, both included."""
    for name, number in numbers.items():
        if not low <= number <= high:  # NaN is refused too
            raise ArgumentError(f"{name}: expected a number from {low:g} to {high:g}, got {number!r}.")
