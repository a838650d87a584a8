"""Nested values with tensors in them, as plain JSON and a flat table of tensors, and back; no pickle anywhere.

    {"step": 3, "moments": (tensor, tensor)}
      ->  {"dict": [["step", 3], ["moments", {"tuple": [{"tensor": "0"}, {"tensor": "1"}]}]]}  and  {"0": ..., "1": ...}

Numbers come back bit for bit: JSON holds a float in as many digits as tell it from all others.
"""

from collections import OrderedDict
from typing import Any

from torch import Tensor

from elman.errors import ArgumentError

_PLAIN = (bool, int, float, str, type(None))


def flatten(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The value as plain JSON; its tensors are put into `tensors` under names made here.

    Raises:
        ArgumentError: a value that is neither plain, a list, a tuple, a dict nor a tensor.
    """
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value
        return {"tensor": name}
    if type(value) in _PLAIN:
        return value
    if isinstance(value, list):
        return [flatten(part, tensors) for part in value]
    if isinstance(value, tuple):
        return {"tuple": [flatten(part, tensors) for part in value]}
    if isinstance(value, dict | OrderedDict):
        return {"dict": [[flatten(key, tensors), flatten(part, tensors)] for key, part in value.items()]}
    raise ArgumentError(
        f"expected numbers, strings, lists, tuples, dicts and tensors, got {type(value).__name__}: {value!r}"
    )


def unflatten(plain: Any, tensors: dict[str, Tensor]) -> Any:
    """The value that `flatten` took apart."""
    match plain:
        case list():
            return [unflatten(part, tensors) for part in plain]
        case {"tensor": name}:
            return tensors[name]
        case {"tuple": parts}:
            return tuple(unflatten(part, tensors) for part in parts)
        case {"dict": pairs}:
            return {unflatten(key, tensors): unflatten(part, tensors) for key, part in pairs}
        case _:
            return plain
