"""The vector functions of generated kernels against the C library's long double, at each width this machine runs."""

import ctypes
import itertools
import mmap
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

import elman.compiler.codegen
from elman.compiler.codegen.target import TARGETS, Target
from elman.compiler.runtime.build import runs_here

HEADER = (Path(elman.compiler.codegen.__file__).parent / "vector.h").read_text()
FLAGS = ("-O3", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-fPIC")
WARNINGS = ("-Wall", "-Wextra", "-Werror")
# The lanes of AVX-512 in what instructions there are: all of its code but the masked loads and stores.
WIDE = Target("wide", 64, 16, (*TARGETS["avx2"].flags, "-Wno-psabi"))
RUN = {target.name: target for target in (*filter(runs_here, TARGETS.values()), WIDE)}
KINDS = list(itertools.product(RUN, ["float32", "float64"]))

# Each function of one vector: what it is in long double, and how many ulps it may be off in float and in double.
FUNCTIONS = {
    "neg": ("-x", 0, 0),
    "abs": ("fabsl(x)", 0, 0),
    "sign": ("(x > 0) - (x < 0)", 0, 0),
    "floor": ("floorl(x)", 0, 0),
    "sqrt": ("sqrtl(x)", 0.5, 0.501),
    "exp": ("expl(x)", 1.1, 1.1),
    "expm1": ("expm1l(x)", 2, 2.5),
    "log": ("logl(x)", 1, 1),
    "log1p": ("log1pl(x)", 1, 1),
    "tanh": ("tanhl(x)", 5.5, 3),
    "sigmoid": ("1 / (1 + expl(-x))", 2.5, 2.5),
    "sin": ("sinl(x)", 3, 2),
    "cos": ("cosl(x)", 3, 2),
    "erf": ("erfl(x)", 2, 2),
    "float": ("(float)x", 0, 0),
}
PAIRS = {"pow": ("powl(x, y)", 2, 2), "maximum": (None, 0, 0), "minimum": (None, 0, 0), "add": ("x + y", 0.5, 0.501)}

MEMORY = """
void load_n(const real *p, real *q, int n) { v_store(q, v_load_n(p, n)); }
void store_n(real *p, const real *q, int n) { v_store_n(p, v_load(q), n); }
void load_strided(const real *p, real *q, long stride, int n) { v_store(q, v_strided(p, stride, n)); }
void store_strided(real *p, const real *q, long stride, int n) { v_store_strided(p, stride, v_load(q), n); }
void choose(const unsigned char *p, const real *a, real *q, long stride, int n) {
    mask m = stride == 1 ? v_mask_load(p, n) : v_mask_strided(p, stride, n);
    v_store(q, v_where(m, v_load(a), v_set(-1)));
}
void compare(const real *a, unsigned char *p, long stride, int n) {
    mask m = v_load(a) > 0 & v_mask_set(7) & ~v_mask_set(0);
    if (stride == 1) v_mask_store(p, m, n); else v_mask_store_strided(p, stride, m, n);
}
void fold(const real *p, real *q) { q[0] = v_sum(v_load(p)); q[1] = v_max(v_load(p)); }
void fma3(const real *a, const real *b, const real *c, real *q) { v_store(q, v_fma(v_load(a), v_load(b), v_load(c))); }
int lanes(void) { return LANES; }
"""


def program(target: Target, dtype: str) -> str:
    """The header, and loops over arrays that call each of its functions and the long double beside it."""
    lines = [
        f"#define ELMAN_DOUBLE {int(dtype == 'float64')}",
        f"#define ELMAN_VECTOR {target.vector}",
        HEADER,
    ]
    lines += ["static inline vec v_add(vec a, vec b) { return a + b; }", MEMORY]
    for name, (exact, _, _) in FUNCTIONS.items():
        loop = f"for (long i = 0; i < n; i += LANES) v_store(q + i, v_{name}(v_load(p + i)));"
        lines.append(f"void {name}_(const real *p, real *q, long n) {{ {loop} }}")
        loop = f"for (long i = 0; i < n; i++) {{ long double x = p[i]; q[i] = {exact}; }}"
        lines.append(f"void {name}_exact(const real *p, long double *q, long n) {{ {loop} }}")
    for name, (exact, _, _) in PAIRS.items():
        loop = f"for (long i = 0; i < n; i += LANES) v_store(r + i, v_{name}(v_load(p + i), v_load(q + i)));"
        lines.append(f"void {name}_(const real *p, const real *q, real *r, long n) {{ {loop} }}")
        if exact:
            loop = f"for (long i = 0; i < n; i++) {{ long double x = p[i], y = q[i]; r[i] = {exact}; }}"
            lines.append(f"void {name}_exact(const real *p, const real *q, long double *r, long n) {{ {loop} }}")
    return "\n".join(lines)


def runs(target: str) -> bool:
    """Whether this processor has the vectors of `target`."""
    return target == "plain" or torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


@dataclass(frozen=True)
class Library:
    """The functions for one target and dtype, called with arrays."""

    code: ctypes.CDLL
    dtype: np.dtype

    def call(self, name: str, *arguments: np.ndarray | int) -> None:
        """Call the C function `name`: arrays go by address, whole numbers as long."""
        getattr(self.code, name)(
            *(ctypes.c_long(a) if isinstance(a, int) else a.ctypes.data_as(ctypes.c_void_p) for a in arguments)
        )

    def apply(self, name: str, *inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the header's function and the C library's long double make of the inputs."""
        got, exact = np.empty(len(inputs[0]), self.dtype), np.empty(len(inputs[0]), np.longdouble)
        self.call(f"{name}_", *inputs, got, len(got))
        self.call(f"{name}_exact", *inputs, exact, len(got))
        return got, exact

    @property
    def lanes(self) -> int:
        return int(self.code.lanes())

    @property
    def bits(self) -> int:
        return 52 if self.dtype == np.float64 else 23


@pytest.fixture(scope="module", params=KINDS, ids="-".join)
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Library:
    target, dtype = request.param
    if not runs(target):
        pytest.skip(f"this processor does not run {target}")
    folder = tmp_path_factory.mktemp(f"{target}-{dtype}")
    (folder / "vector.c").write_text(program(RUN[target], dtype))
    flags = [*FLAGS, *WARNINGS, "-Wno-parentheses", *RUN[target].flags]
    subprocess.run(["cc", *flags, "-shared", "vector.c", "-o", "vector.so", "-lm"], cwd=folder, check=True)
    return Library(ctypes.CDLL(str(folder / "vector.so")), np.dtype(dtype))


def extremes(dtype: np.dtype) -> np.ndarray:
    """Zeros, infinities, NaN, the ends of the range, denormals, and whole numbers."""
    info = np.finfo(dtype)
    ends = [0.0, np.inf, info.max, info.tiny, info.smallest_subnormal, info.tiny / 4, 1, 0.5, 1.5, 2, 3, 1e6, 2.0**52]
    near = [np.nextafter(dtype.type(1), dtype.type(0)), np.nextafter(dtype.type(1), dtype.type(2)), info.eps]
    ends = np.array(ends + near, dtype)
    return np.concatenate([ends, -ends, np.array([np.nan, -np.nan], dtype)])


def whole_vectors(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.ones(-len(x) % 16, x.dtype)])


def grid(dtype: np.dtype) -> np.ndarray:
    """Points over the whole range: every so many bit patterns, and densely where functions bend."""
    random = np.random.default_rng(0)
    patterns = random.integers(0, 2**64, 30_000, np.uint64)
    patterns = (patterns if dtype == np.float64 else (patterns >> 32).astype(np.uint32)).view(dtype)
    scales = [1e-3, 0.1, 1, 10, 100, 800, 1e4]
    uniform = [random.uniform(-s, s, 8_000) for s in scales]
    quarters = np.arange(1, 6000) * np.longdouble("1.5707963267948966192313216916397514")
    bends = [quarters, -quarters, np.linspace(-110, 110, 20_001), np.linspace(-1.5, 1.5, 20_001), np.arange(-300, 300)]
    parts = [extremes(dtype), patterns, *(p.astype(dtype) for p in [*uniform, *bends])]
    return whole_vectors(np.concatenate(parts))


def ulps(got: np.ndarray, exact: np.ndarray, bits: int) -> np.ndarray:
    """How far each number is off, in units of the last place of the exact one; what is not finite must be the same.

    An infinity counts as the power of two after the largest number, so one beside the largest number is one ulp off.
    """
    info = np.finfo(got.dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        rounded = exact.astype(got.dtype)
        after = np.exp2(np.longdouble(info.maxexp))
        finite = np.isfinite(rounded) & np.isfinite(exact) | np.isfinite(got)
        size = np.where(finite & (exact != 0), np.abs(exact), info.tiny)
        unit = np.exp2(np.clip(np.frexp(size)[1] - 1, info.minexp, info.maxexp - 1).astype(np.longdouble) - bits)
        off = np.abs(np.clip(got.astype(np.longdouble), -after, after) - np.clip(exact, -after, after)) / unit
    same = np.isnan(got) & np.isnan(rounded) | (got == rounded) & (np.signbit(got) == np.signbit(rounded))
    agree = np.where(finite, (np.signbit(got) == np.signbit(rounded)), same)
    return np.where(agree, np.where(finite, off, 0), np.inf).astype(float)


def worst(library: Library, name: str, *inputs: np.ndarray) -> tuple[float, str]:
    got, exact = library.apply(name, *inputs)
    off = ulps(got, exact, library.bits)
    where = int(np.argmax(off))
    return off[where], f"{name}{tuple(float(x[where]) for x in inputs)} = {exact[where]!r}, got {got[where]!r}"


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(library: Library, name: str) -> None:
    off, where = worst(library, name, grid(library.dtype))
    assert off <= FUNCTIONS[name][1 + (library.dtype == np.float64)], where


def pairs(dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of extremes, and pairs with powers of every size."""
    random = np.random.default_rng(1)
    ends = extremes(dtype)
    first, second = (m.ravel() for m in np.meshgrid(ends, ends))
    base = np.exp(random.uniform(-80, 80, 40_000)) * random.choice([-1, 1], 40_000)
    power = np.where(base < 0, random.integers(-9, 9, 40_000), random.uniform(-10, 10, 40_000))
    return whole_vectors(np.concatenate([first, base.astype(dtype)])), whole_vectors(
        np.concatenate([second, power.astype(dtype)])
    )


def test_pow(library: Library) -> None:
    off, where = worst(library, "pow", *pairs(library.dtype))
    assert off <= PAIRS["pow"][1 + (library.dtype == np.float64)], where


def test_pow_is_torchs_at_the_extremes(library: Library) -> None:
    a, b = (whole_vectors(m.ravel()) for m in np.meshgrid(extremes(library.dtype), extremes(library.dtype)))
    got = np.empty_like(a)
    library.call("pow_", a, b, got, len(a))
    assert_same(got, torch.pow(torch.from_numpy(a), torch.from_numpy(b)), tolerance=1e-6)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_maximum_and_minimum_are_torchs(library: Library, name: str) -> None:
    a, b = pairs(library.dtype)
    got = np.empty_like(a)
    library.call(f"{name}_", a, b, got, len(a))
    assert_same(got, getattr(torch, name)(torch.from_numpy(a), torch.from_numpy(b)))


def test_sign_is_torchs(library: Library) -> None:
    x = grid(library.dtype)
    got = np.empty_like(x)
    library.call("sign_", x, got, len(x))
    assert_same(got, torch.sign(torch.from_numpy(x)))


def assert_same(got: np.ndarray, expected: torch.Tensor, tolerance: float = 0.0) -> None:
    torch.testing.assert_close(torch.from_numpy(got), expected, rtol=tolerance, atol=0, equal_nan=True)


def test_tanh_stays_within_one(library: Library) -> None:
    x = whole_vectors(np.linspace(4, 20, 100_000).astype(library.dtype))
    got, _ = library.apply("tanh", x)
    assert got.max() == 1


def test_no_lane_minds_the_others(library: Library) -> None:
    """A number's function does not depend on its neighbours: sin and cos leave their fast path for all lanes."""
    x = grid(library.dtype)
    for name in FUNCTIONS:
        one, _ = library.apply(name, x)
        other, _ = library.apply(name, x[::-1].copy())
        if name in ("sin", "cos"):  # there the other path rounds otherwise
            near = np.abs(x) <= 1e4
            one, other = np.where(near, one, 0), np.where(near[::-1], other, 0)
            assert np.allclose(one, other[::-1], rtol=1e-5, atol=0)
        else:
            assert np.array_equal(one, other[::-1], equal_nan=True)


GUARD = -7.0  # what stands around an array, and must still stand there afterwards


def test_first_lanes(library: Library) -> None:
    """Nothing before or beyond the n numbers is written, and the lanes beyond are 0."""
    x = np.arange(1, library.lanes + 1, dtype=library.dtype)
    for n in range(1, library.lanes + 1):
        q = np.empty(library.lanes, library.dtype)
        library.call("load_n", x, q, n)
        assert q.tolist() == [*range(1, n + 1), *[0] * (library.lanes - n)]
        p = np.full(2 * library.lanes, GUARD, library.dtype)
        library.call("store_n", p[library.lanes // 2 :], x, n)
        assert p[library.lanes // 2 :][:n].tolist() == x[:n].tolist()
        assert set(p[: library.lanes // 2]) | set(p[library.lanes // 2 + n :]) == {GUARD}


def test_nothing_beyond_a_page_is_touched(library: Library) -> None:
    """The lanes that are not asked for may lie in memory that is not there: a touch would end the process."""
    size = library.dtype.itemsize
    memory = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + mmap.PAGESIZE), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    page = np.frombuffer(memory, np.uint8, mmap.PAGESIZE)
    q = np.ones(library.lanes, library.dtype)
    for n in range(1, library.lanes + 1):
        end, last = page[-n * size :].view(library.dtype), page[-n:]
        for name in ("load_n", "store_n"):
            library.call(name, end, q, n)
        for name in ("load_strided", "store_strided"):
            library.call(name, end, q, 1, n)
        library.call("choose", last, q, q, 1, n)
        library.call("compare", q, last, 1, n)


def test_strides(library: Library) -> None:
    for stride, n in itertools.product([1, 2, 5], range(1, library.lanes + 1)):
        x = np.arange(1, stride * library.lanes + 1, dtype=library.dtype)
        q = np.empty(library.lanes, library.dtype)
        library.call("load_strided", x, q, stride, n)
        assert q.tolist() == [*x[::stride][:n], *[0] * (library.lanes - n)]
        p = np.full(len(x), GUARD, library.dtype)
        library.call("store_strided", p, q, stride, n)
        expected = np.full(len(x), GUARD, library.dtype)
        expected[: n * stride : stride] = q[:n]
        assert p.tolist() == expected.tolist()


def test_masks(library: Library) -> None:
    random = np.random.default_rng(2)
    for stride, n in itertools.product([1, 3], range(1, library.lanes + 1)):
        b = random.integers(0, 2, stride * library.lanes, np.uint8) * random.integers(1, 255, dtype=np.uint8)
        a = random.normal(size=library.lanes).astype(library.dtype)
        q = np.empty(library.lanes, library.dtype)
        library.call("choose", b, a, q, stride, n)
        assert q[:n].tolist() == np.where(b[::stride] > 0, a, -1)[:n].tolist()
        p = np.full(stride * library.lanes, 9, np.uint8)
        library.call("compare", a, p, stride, n)
        expected = np.full(len(p), 9, np.uint8)
        expected[: n * stride : stride] = (a > 0)[:n]
        assert p.tolist() == expected.tolist()


def test_over_all_lanes(library: Library) -> None:
    x = np.random.default_rng(3).integers(-99, 99, library.lanes).astype(library.dtype)
    q = np.empty(2, library.dtype)
    library.call("fold", x, q)
    assert q.tolist() == [x.sum(), x.max()]
    for lane in range(library.lanes):
        y = x.copy()
        y[lane] = np.nan
        library.call("fold", y, q)
        assert np.isnan(q).all()
        y[lane] = np.inf
        library.call("fold", y, q)
        assert q.tolist() == [np.inf, np.inf]


def test_fma(library: Library) -> None:
    a, b, c = np.random.default_rng(4).normal(size=(3, library.lanes)).astype(library.dtype)
    q = np.empty_like(a)
    library.call("fma3", a, b, c, q)
    assert np.allclose(q, a * b + c, rtol=0, atol=4 * np.finfo(library.dtype).eps)


@pytest.mark.parametrize(("target", "dtype"), list(itertools.product(TARGETS, ["float32", "float64"])))
def test_compiles_for_every_target(tmp_path: Path, target: str, dtype: str) -> None:
    """Also for processors that this is not, and without a warning of unused functions."""
    header = program(TARGETS[target], dtype).partition("static inline vec v_add")[0]
    for name, text in [("header.c", header), ("all.c", program(TARGETS[target], dtype))]:
        (tmp_path / name).write_text(text)
        flags = [*FLAGS, *WARNINGS, "-Wno-parentheses", *TARGETS[target].flags]
        subprocess.run(["cc", *flags, "-c", name, "-o", "out.o"], cwd=tmp_path, check=True)
