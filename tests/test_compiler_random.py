"""Random cells: the compiled loop and its gradient, on torch, equal the Python loop under plain autograd.

Kernels of random cells are in test_c_random.py, where many are built at a time.
"""

import pytest
import torch
from hypothesis import given, note, settings
from hypothesis import strategies as st

import elman
from compiled import assert_same, assert_verified, compiled_of, compiled_only, outcome, step_by_step
from random_cells import cases

# Numbers and slopes are of size 1 by construction, a cell has at most some 100 operations a step, and T is at most 4.
# An error of one step is handed on with a slope of up to about 5, so to 5^4 times as much: below 1e-10.
RELATIVE = 400 * 5**4 * torch.finfo(torch.float64).eps
# What is nothing but the rounding of a sum that is 0 has no entry to be compared with; the terms are of size 10.
ABSOLUTE = 400 * 10 * torch.finfo(torch.float64).eps


def both(case, dtype):
    """What the compiled path makes of a case, and what the Python loop does."""
    layer = case.layer().to(dtype)
    x, state, options = case.arguments(dtype)
    with compiled_only(), elman.using(backend="reference"):
        got = outcome(layer, x, state, **options)
    with step_by_step():
        return got, outcome(layer, x, state, **options)


def assert_equal(case):
    note(case.text)
    assert_same(*both(case, torch.float64), RELATIVE, ABSOLUTE)


@given(cases())
@settings(max_examples=30)
def test_some_random_cells_equal_the_python_loop(case):
    assert_equal(case)


@pytest.mark.slow
@given(cases())
@settings(max_examples=400)
def test_random_cells_equal_the_python_loop(case):
    assert_equal(case)


@pytest.mark.slow
@given(cases(), st.data())
@settings(max_examples=10)
def test_the_checker_accepts_what_each_pass_makes_of_random_cells(case, data):
    x, state, options = case.arguments()
    note(case.text)
    assert_verified(compiled_of(case.layer(), x, state, **options))


def errors(outcome, exact):
    """The largest error of each tensor."""
    return {name: (outcome[name].double() - exact[name].double()).abs().max().item() for name in exact}


@given(cases())
@settings(max_examples=25, derandomize=True)  # a comparison may come out otherwise in float32, though hardly ever
def test_random_cells_in_float32_err_no_more_than_the_python_loop(case):
    note(case.text)
    if ".double()" in case.text or "table" in case.text:
        return  # these are float64 whatever the dtype of the cell is
    exact = both(case, torch.float64)[1]
    got, expected = (errors(result, exact) for result in both(case, torch.float32))
    eps = torch.finfo(torch.float32).eps
    for name, tensor in exact.items():
        assert got[name] <= 16 * expected[name] + 64 * eps * max(1, tensor.abs().max().item()), name
