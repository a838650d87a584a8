"""Loop + schedule -> text: C for the processor."""

from .c import Kernel, together
from .layout import light
from .places import Memory
from .product import product_text
from .schedule import Schedule
from .target import TARGETS, Target
from .whole import HALF, check_whole_numbers

__all__ = [
    "HALF",
    "TARGETS",
    "Kernel",
    "Memory",
    "Schedule",
    "Target",
    "check_whole_numbers",
    "light",
    "product_text",
    "together",
]
