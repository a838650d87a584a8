"""How far two results may stand apart, and why: the one place where tests take a tolerance from."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

# What elman promises against torch.nn, relative to the largest entry of each tensor.
TORCH_NN = {torch.float32: 1e-5, torch.float64: 1e-12}


def rounding(dtype: torch.dtype, operations: int) -> float:
    """Bound for two orders of the same `operations` roundings, of which each errs by at most half an eps."""
    return torch.finfo(dtype).eps * operations


def assert_close(got: Any, expected: Any, tolerance: float | None = None, what: str = "") -> None:
    """Assert that no entry is off by more than `tolerance` times the largest entry of what was expected.

    Tuples and lists are compared entry by entry. The tolerance is the one of torch.nn by default.
    """
    if isinstance(expected, tuple | list):
        assert len(got) == len(expected), f"{what}: {len(got)} tensors instead of {len(expected)}"
        for number, (one, other) in enumerate(zip(got, expected, strict=True)):
            assert_close(one, other, tolerance, f"{what}[{number}]")
        return
    got, expected = torch.as_tensor(got).detach(), torch.as_tensor(expected).detach()
    assert got.shape == expected.shape, f"{what}: {list(got.shape)} instead of {list(expected.shape)}"
    assert got.dtype == expected.dtype, f"{what}: {got.dtype} instead of {expected.dtype}"
    if expected.numel() == 0:
        return
    tolerance = TORCH_NN[expected.dtype] if tolerance is None else tolerance
    largest, worst = expected.abs().max().item(), (got - expected).abs().max().item()
    assert worst <= tolerance * largest, f"{what}: off by {worst:.3g} where the largest entry is {largest:.3g}"


def assert_all_close(got: Iterable[tuple[str, Tensor]], expected: Iterable[tuple[str, Tensor]]) -> None:
    """Assert that named tensors have the same names and are close."""
    got, expected = dict(got), dict(expected)
    assert got.keys() == expected.keys()
    for name in expected:
        assert_close(got[name], expected[name], what=name)
