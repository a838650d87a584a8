"""The products of matrices in C against torch in double precision: sizes, layouts, threads, what is left to torch."""

import os
import subprocess
import sys
import threading

import pytest
import torch

from c_kernels import HERE
from elman.compiler.codegen import TARGETS
from elman.compiler.runtime.memory import Lent
from elman.compiler.runtime.products import BY_TORCH, own_products

DTYPES = [torch.float32, torch.float64]
SIZES = [
    (8, 1, 1),
    (9, 17, 5),
    (13, 33, 100),
    (40, 16, 257),
    (97, 31, 64),
    (200, 513, 3),
    (12, 40, 700),
    (300, 48, 520),
]
LAYOUTS = {
    "whole": lambda x: x,
    "by columns": lambda x: x.t().contiguous().t(),
    "part of a wider one": lambda x: torch.cat([x, x], -1)[..., : x.size(-1)],
    "every second column": lambda x: x.repeat_interleave(2, -1)[..., ::2],
    "the same row again": lambda x: x[:1].expand(x.shape),
    "negated": lambda x: torch.imag(torch.complex(x, -x).conj()),
}


@pytest.fixture(params=HERE)
def target(request):
    return TARGETS[request.param]


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def threads(request, monkeypatch):
    monkeypatch.setattr("elman.compiler.runtime.products._ALONE", 0)
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def random(*size, dtype):
    return torch.randn(size, dtype=dtype, generator=torch.Generator().manual_seed(sum(size)))


def close(got, expected, k):
    """A sum of k products of numbers near 1 rounds k times."""
    assert got.shape == expected.shape
    bound = torch.finfo(got.dtype).eps * k * 4
    torch.testing.assert_close(got.double(), expected, rtol=bound, atol=bound)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("m", "n", "k"), SIZES)
def test_sizes(target, threads, dtype, m, n, k):
    own = own_products(target, dtype is torch.float64)
    x, w, b, g = (random(*s, dtype=dtype) for s in ((m, k), (n, k), (n,), (m, n)))
    x2, w2, b2, g2 = (t.double() for t in (x, w, b, g))
    close(own.linear(x, w, b), x2 @ w2.t() + b2, k)
    close(own.linear(x, w), x2 @ w2.t(), k)
    close(own.times(g.view(1, m, n), w), (g2 @ w2)[None], n)
    close(own.summed(g.view(m, 1, n), x.view(m, 1, k)), g2.t() @ x2, m)


@pytest.mark.parametrize("a_layout", LAYOUTS)
@pytest.mark.parametrize("b_layout", LAYOUTS)
def test_layouts(target, a_layout, b_layout):
    own = own_products(target, False)
    for (m, n, k), product, plain in (
        ((29, 35, 50), own.linear, lambda a, b: a @ b.t()),
        ((29, 50, 35), own.times, lambda a, b: a @ b),
        ((29, 29, 35), own.summed, lambda a, b: a.t() @ b),
    ):
        a = LAYOUTS[a_layout](random(m, 50 if product is not own.summed else n, dtype=torch.float32))
        b = LAYOUTS[b_layout](random(n, k if product is not own.linear else 50, dtype=torch.float32))
        close(product(a, b), plain(a.double(), b.double()), 50)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_steps(layout):
    """x [T, B, K] as it comes: batch first, a part of something wider, turned."""
    own, w = own_products(TARGETS["plain"], False), random(6, 5, dtype=torch.float32)
    x = LAYOUTS[layout](random(20, 15, dtype=torch.float32)).unflatten(1, (3, 5))
    for each in (x, x.transpose(0, 1), x[:, 1:]):
        close(own.linear(each, w), each.double() @ w.double().t(), 5)
        close(own.times(each, w.t()), each.double() @ w.double().t(), 5)


@pytest.mark.slow
def test_fewer_threads_than_were_asked_for():
    """As under OMP_THREAD_LIMIT, or inside another parallel region."""
    text = """
import torch
from elman.compiler.codegen import TARGETS
from elman.compiler.runtime.products import own_products
torch.set_num_threads(2)
x, w = torch.randn(400, 300), torch.randn(200, 300)
torch.testing.assert_close(own_products(TARGETS["plain"], False).linear(x, w), x @ w.t(), rtol=1e-3, atol=1e-3)
"""
    subprocess.run([sys.executable, "-c", text], check=True, env=os.environ | {"OMP_THREAD_LIMIT": "1"})


def test_nan_stays_in_its_row(target):
    own, x, w = own_products(target, False), random(40, 20, dtype=torch.float32), random(18, 20, dtype=torch.float32)
    x[7, 3] = torch.nan
    assert own.linear(x, w).isnan().nonzero()[:, 0].unique().tolist() == [7]


@pytest.mark.parametrize(("m", "n", "k"), [(0, 3, 4), (20, 0, 4), (20, 3, 0), (3, 3, 3)])
def test_nothing_and_little_are_left_to_torch(m, n, k):
    own = own_products(TARGETS["plain"], False)
    x, w, b = random(m, k, dtype=torch.float32), random(n, k, dtype=torch.float32), random(n, dtype=torch.float32)
    torch.testing.assert_close(own.linear(x, w, b), BY_TORCH.linear(x, w, b))
    torch.testing.assert_close(own.times(x.view(m, 1, k), w.t()), BY_TORCH.times(x.view(m, 1, k), w.t()))
    torch.testing.assert_close(own.summed(x, x), BY_TORCH.summed(x, x))


def test_other_precisions_are_left_to_torch():
    own = own_products(TARGETS["plain"], False)
    x, w = random(20, 4, dtype=torch.float64), random(6, 4, dtype=torch.float64)
    torch.testing.assert_close(own.linear(x, w), BY_TORCH.linear(x, w), rtol=0, atol=0)


def test_threads_of_python_do_not_share_memory():
    own, found = own_products(TARGETS["plain"], False, lent=True), {}
    x, w = random(64, 300, dtype=torch.float32), random(200, 300, dtype=torch.float32)

    def run(number):
        for _ in range(50):
            y = own.linear(x * number, w)
            found.setdefault(number, []).append(torch.allclose(y, (x * number) @ w.t(), rtol=1e-4, atol=1e-2))

    runs = [threading.Thread(target=run, args=(number,)) for number in range(1, 5)]
    for each in runs:
        each.start()
    for each in runs:
        each.join()
    assert all(all(found[number]) for number in range(1, 5))


def test_what_is_lent_is_used_again():
    lent, size = Lent(), (3, 5)
    lent.begin()
    one, other = (lent.block(size, torch.float32, "cpu") for _ in range(2))
    assert one.data_ptr() != other.data_ptr()
    lent.begin()
    assert lent.block((15,), torch.float32, "cpu").data_ptr() == one.data_ptr()
