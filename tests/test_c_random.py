"""Random cells in C: the kernels and their gradients equal the Python loop under plain autograd.

Some cases are drawn from a seed at a time, and their kernels are built in one file: ELMAN_FUZZ_SEED (`make fuzz SEED=`)
gives other cells, ELMAN_FUZZ_CELLS more of them, ELMAN_FUZZ_SANITIZE=1 builds them with the address sanitizer.
"""

import os

import pytest
import torch

from c_kernels import SCHEDULE, build_all, drawn, in_c, kernels_of
from compiled import assert_same, outcome, step_by_step

SEED, CELLS = os.environ.get("ELMAN_FUZZ_SEED", "0"), int(os.environ.get("ELMAN_FUZZ_CELLS", "200"))
AT_A_TIME = 20
FUZZ = "ELMAN_FUZZ_SEED" in os.environ
SANITIZE = ("-O0", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
QUICKLY = ("-O0",)  # what the optimizer makes of kernels is tested by `make fuzz`, and by the cells that we have

# As in test_compiler_random.py; sums are of up to 27 entries rather than of 6.
RELATIVE = 1600 * 5**4 * torch.finfo(torch.float64).eps
ABSOLUTE = 1600 * 10 * torch.finfo(torch.float64).eps
# These have numbers of their own in float64, or a jump at which single precision may decide otherwise.
NO_SINGLE = ("double()", "table", "floor", "sign(", ">", "<", "==", "!=", "relu", "clamp", "hard", "am", "mum")


def flags(batch):
    """More flags for the compiler: all files of `make fuzz`, and one in ten here, are built as users have them."""
    return SANITIZE if "ELMAN_FUZZ_SANITIZE" in os.environ else () if FUZZ or batch % 10 == 9 else QUICKLY


def prepared(cases, dtype, extra):
    """Cases with a layer and arguments each, their kernels built in one file for each precision."""
    made, kernels = [], []
    for case in cases:
        layer, (x, state, options) = case.layer().to(dtype), case.arguments(dtype)
        kernels += kernels_of(layer, x, state, schedule=SCHEDULE, **options)
        made.append((case, layer, (x, state), options))
    build_all(kernels, extra)
    return made


def in_kernels(layer, arguments, options):
    with in_c(SCHEDULE):
        return outcome(layer, *arguments, **options)


def in_python(layer, arguments, options):
    with step_by_step():
        return outcome(layer, *arguments, **options)


def assert_equal_in_double(case, layer, arguments, options):
    expected = in_python(layer, arguments, options)
    assert_same(in_kernels(layer, arguments, options), expected, RELATIVE, ABSOLUTE)


def assert_as_good_in_single(case, layer, arguments, options):
    """No tensor is further from the truth than the Python loop, but for a factor and some roundings."""
    got, other = in_kernels(layer, arguments, options), in_python(layer, arguments, options)
    x, state, options = case.arguments(torch.float64)
    exact, eps = in_python(layer.double(), (x, state), options), torch.finfo(torch.float32).eps
    for name, truth in exact.items():
        if truth.numel():
            assert torch.equal(got[name].isnan(), truth.isnan()), name
            one, two = ((each[name].double() - truth).abs().nan_to_num().max().item() for each in (got, other))
            assert one <= 16 * two + 64 * eps * max(1, truth.abs().nan_to_num().max().item()), f"{name}: {one}, {two}"


def assert_each(made, check):
    """Check each case; a failure says how to repeat it."""
    for case, layer, arguments, options in made:
        try:
            check(case, layer, arguments, options)
        except Exception as error:
            raise AssertionError(f"{error}\n\n{case.text}\n{case}") from error


def batches(cells):
    return range(-(-cells // AT_A_TIME))


def run(batch):
    print(f"repeat by ELMAN_FUZZ_SEED={SEED} ELMAN_FUZZ_CELLS={CELLS}, number {batch}")
    cases = drawn(f"{SEED} {batch}", AT_A_TIME)
    assert len(cases) == AT_A_TIME
    assert_each(prepared(cases, torch.float64, flags(batch)), assert_equal_in_double)
    single = [case for case in cases if not any(word in case.text for word in NO_SINGLE)]
    assert_each(prepared(single, torch.float32, flags(batch)), assert_as_good_in_single)


@pytest.mark.slow
@pytest.mark.parametrize("batch", batches(CELLS))
def test_random_cells_equal_the_python_loop(batch):
    run(batch)


def test_some_random_cells_equal_the_python_loop():
    run(1000)
