"""Random cells for hypothesis, as the text of a step in PyTorch: what fails can be read, and pasted into a file.

All numbers stay between about -3 and 3 and all slopes of about that size, so that the rounding errors of two orders
of computation stay near eps.
"""

import linecache
import re
from dataclasses import dataclass, field
from itertools import count

import torch
from hypothesis import strategies as st
from torch import nn

import elman

DTYPE = torch.float64
_NUMBER = count()

# One tensor in, one of the same shape out.
POINTWISE = """
torch.tanh({a}) ;; torch.sigmoid({a}) ;; torch.relu({a}) ;; F.gelu({a}) ;; F.gelu({a}, approximate="tanh")
F.silu({a}) ;; F.elu({a}) ;; F.elu({a}, 0.7) ;; F.selu({a}) ;; F.celu({a}) ;; F.softplus({a})
F.softplus({a}, 2.0, 1.5) ;; F.mish({a}) ;; F.leaky_relu({a}) ;; F.leaky_relu({a}, 0.2) ;; F.logsigmoid({a})
F.hardtanh({a}) ;; F.hardswish({a}) ;; F.relu6({a}) ;; F.softsign({a}) ;; F.tanhshrink({a}) ;; {a}.clamp(-0.7, 0.6)
{a}.clamp(min=-0.4) ;; torch.clamp_max({a}, 0.5) ;; torch.exp(-{a}.abs()) ;; torch.expm1({a} * 0.3)
torch.log({a}.abs() + 0.5) ;; torch.log1p({a} * {a}) ;; torch.sqrt({a} ** 2 + 0.3) ;; torch.rsqrt(1.5 + {a}.square())
torch.sin({a}) ;; torch.cos({a}) ;; torch.erf({a}) ;; -{a} ;; {a}.abs() ;; 1.0 - {a} ;; 2 * {a} - 0.5 ;; {a} / 1.7
1 / (1.5 + {a} ** 2) ;; torch.reciprocal({a}.abs() + 1) ;; {a} ** 3 * 0.2 ;; ({a}.abs() + 0.5) ** 1.3 ;; 1.5 ** {a}
{a} * self.alpha ;; {a} + self.config["beta"] ;; torch.sign({a}) * 0.3 + {a} ;; torch.floor({a}) * 0.2 + {a}
{a}.detach() * {a} ;; {a} * torch.tensor(0.7) ;; torch.zeros_like({a}) + {a} ;; {a} - torch.ones_like({a}) * 0.1
{a}.double() ;; {a}.clone() ;; torch.where({a} > 0.1, {a}, -0.2) ;; {a}.masked_fill({a} < -0.5, 0.25)
torch.where(~({a} <= 0), 1.0, {a}) ;; {a} * ({a} >= 0.2) ;; {a} * (({a} > -1) & ({a} < 1)).to({a}.dtype)
torch.where(({a} != 0) | ({a} == 1), {a}, 0.0) ;; torch.logical_or({a} < -1, {a} > 1).double() + {a}
torch.full_like({a}, 0.4) * {a}
"""

# Over the last axis, the shape stays.
OVER_FEATURES = """
F.softmax({a}, dim=-1) ;; F.log_softmax({a}, -1) * 0.3
F.layer_norm({a}, ({n},), eps=0.1) ;; {a} - {a}.mean(-1, keepdim=True)
{a} / (0.5 + {a}.norm(dim=-1, keepdim=True)) ;; {a} - {a}.amax(-1, keepdim=True) ;; {a} - {a}.amin(dim=-1, keepdim=True)
{a} * {a}.var(-1, keepdim=True, unbiased=False) ;; {a} / torch.sqrt({a}.var(-1, unbiased=False, keepdim=True) + 0.4)
{a} - torch.logsumexp({a}, dim=-1, keepdim=True) * 0.3 ;; {a} + {a}.sum(-1).unsqueeze(-1) * 0.2 ;; self.norm{n}({a})
{a} * {a}[..., :1] ;; {a}.roll(1, -1) ;; torch.cat([{a}, {a}], -1)[..., 1 : {n} + 1] ;; torch.stack({a}.unbind(-1), -1)
{a} + {a}.select(-1, 0).unsqueeze(-1) ;; torch.cat([p.tanh() for p in {a}.split(1, -1)], -1) ;; {a} * self.mask{n}
{a} + self.table{n} ;; {a} * self.p{n} ;; {a} + self.q{n} * self.p{n}.sum() ;; {a}.masked_fill(self.flag{n}, 0.3)
{a} * self.number ;; F.linear({a}, self.W{n}_{n} * self.mask{n}) ;; {a} @ torch.tanh(self.W{n}_{n})
{a} + self.count{n} * 0.1
F.normalize({a}, dim=-1, eps=0.1) ;; {a} * {a}.amax(-1, keepdim=True) ;; torch.lerp({a}, self.p{n}, 0.3)
torch.addcmul({a}, {a}, self.q{n}, value=0.5) ;; torch.maximum({a}, self.p{n}) ;; {a}.flatten(1).reshape({a}.shape)
"""

# Two tensors that broadcast.
TWO = """
{a} + {b} ;; {a} - {b} ;; {a} * {b} ;; {a} / (1.2 + {b} ** 2) ;; torch.maximum({a}, {b}) ;; torch.minimum({a}, {b})
torch.where({a} > {b}, {a}, {b} * 0.5) ;; ({a}.abs() + 0.5) ** ({b}.tanh()) ;; torch.lerp({a}, {b}, 0.3)
torch.add({a}, {b}, alpha=0.3) ;; torch.sub({a}, {b}, alpha=2)
{a} * torch.sigmoid({b}) + {b} * (1 - torch.sigmoid({b})) ;; {a} * ({a} < {b}) ;; torch.rsub({b}, {a})
torch.where(({a} > 0) & ({b} <= 0.3), {b}, {a}) ;; {a} * {b}.detach()
"""

# A vector [B, n] to a vector [B, m].
PRODUCTS = """
F.linear({a}, self.W{m}_{n}) ;; F.linear({a}, self.W{m}_{n}, self.p{m}) ;; {a} @ self.W{n}_{m}
{a} @ self.W{m}_{n}.T ;; torch.einsum("bi,hi->bh", {a}, self.W{m}_{n}) ;; torch.matmul({a}, self.W{m}_{n}.t())
{a}.mm(self.W{n}_{m}) ;; F.linear({a}, self.W9_{n}[:{m}]) ;; self.L{m}_{n}({a})
torch.einsum("BI,HI->BH", {a}, self.W{m}_{n}) ;; F.linear({a}, self.W9_{n})[:, 1:{m} + 1]
torch.addmm(self.p{m}, {a}, self.W{n}_{m}) ;; F.linear({a}, self.W9_{n}).chunk(2, -1)[1][:, :{m}]
torch.matmul(self.W{m}_{n}, {a}.unsqueeze(-1)).squeeze(-1)
torch.bmm({a}.unsqueeze(1), self.W{n}_{m}.expand({a}.shape[0], {n}, {m}))[:, 0]
torch.einsum("...i,ij", {a}, self.W{n}_{m}) ;; ({a}.unsqueeze(1) * self.W{m}_{n}).sum(-1) ;; self.N{m}_{n}({a})
"""

# Two vectors [B, n], [B, k] to a vector [B, m].
BILINEAR = """
torch.einsum("bi,bj,hij->bh", {a}, {b}, self.X{m}_{n}_{k})
F.linear(torch.cat([{a}, {b}], 1), torch.cat([self.W{m}_{n}, self.W{m}_{k}], 1))
F.linear({a}, self.W{m}_{n}) * F.linear({b}, self.W{m}_{k})
F.linear({a}, self.W{m}_{n}) + F.linear({b}, self.W{m}_{k})
torch.einsum("bi,bj,hij->bh", {a}, {b}, self.X{m}_{n}_{k}.tanh())
"""

# Vectors [B, n] and matrices [B, m, n].
OUTER = """
{a}.unsqueeze(2) * {b}.unsqueeze(1) ;; torch.einsum("bi,bj->bij", {a}, {b})
torch.matmul({a}.unsqueeze(-1), {b}.unsqueeze(-2)) ;; torch.bmm({a}[:, :, None], {b}[:, None, :])
"""
READ = """
torch.einsum("bij,bj->bi", {M}, {a}) ;; torch.matmul({M}, {a}.unsqueeze(-1)).squeeze(-1)
({M} * {a}[:, None, :]).sum(2) ;; (F.softmax({M}, -1) @ {a}.unsqueeze(2))[..., 0]
torch.matmul({M}, {a}[..., None]).flatten(1)
"""
MATRICES = """
{M} @ {M}.transpose(1, 2) @ {M} ;; {M}.transpose(-1, -2).contiguous().permute(0, 2, 1) ;; {M} @ self.W{n}_{n}
torch.matmul({M}, self.W{n}_{n}) ;; torch.einsum("bmn,mnk->bmk", {M}, self.X{m}_{n}_{n})
{M}.reshape({M}.shape[0], -1).view({M}.shape) ;; torch.stack([{M}[:, 0]] * {m}, 1)
{M} * {M}.mean(dim=(1, 2), keepdim=True) ;; F.softmax({M}, dim=1) ;; torch.einsum("bmn->bnm", {M}).mT
F.linear({M}, self.W{n}_{n}, self.p{n}) ;; torch.cat([{M}[:, :1] * 0.5, {M}], dim=1)[:, :{m}]
{M} - {M}.sum(1, keepdim=True) * 0.1 ;; {M} * self.p{n} ;; {M}.roll(1, 1)
"""


def rows(table):
    """The entries of a table."""
    return [entry.strip() for line in table.strip().splitlines() for entry in line.split(" ;; ")]


@dataclass
class Writer:
    """A step while it is written: the lines, and the sizes of what they compute."""

    draw: object
    lines: list[str] = field(default_factory=list)
    sizes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def pick(self, options):
        return self.draw(st.sampled_from(list(options)))

    def of(self, rank):
        return [name for name, size in self.sizes.items() if len(size) == rank]

    def add(self, expression, size):
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name} = {expression}")
        self.sizes[name] = size
        return name

    def tamed(self, row, size, **names):
        """A row of a table, its result between -1 and 1 where it might grow."""
        expression = row.format(**names)
        return self.add(
            expression if row in ("torch.tanh({a})", "torch.sigmoid({a})") else f"torch.tanh({expression})", size
        )

    def statement(self):
        """One more line."""
        kinds = ["one", "one", "features", "two", "product", "product", "bilinear", "outer", "cut", "place", "no_grad"]
        if self.of(2):
            kinds += ["read", "matrix", "matrix"]
        return getattr(self, f"_{self.pick(kinds)}")()

    def _one(self):
        a = self.pick(self.sizes)
        return self.tamed(self.pick(rows(POINTWISE)), self.sizes[a], a=a)

    def _features(self):
        a = self.pick(self.sizes)
        return self.tamed(self.pick(rows(OVER_FEATURES)), self.sizes[a], a=a, n=self.sizes[a][-1])

    def _two(self):
        a = self.pick(self.sizes)
        one = (1,) * len(self.sizes[a])
        alike = [name for name, size in self.sizes.items() if size in (self.sizes[a], one)]
        return self.tamed(self.pick(rows(TWO)), self.sizes[a], a=a, b=self.pick(alike))

    def _product(self):
        a, m = self.pick(self.of(1)), self.pick((1, 2, 3, 4))
        return self.tamed(self.pick(rows(PRODUCTS)), (m,), a=a, n=self.sizes[a][0], m=m)

    def _bilinear(self):
        a, b, m = self.pick(self.of(1)), self.pick(self.of(1)), self.pick((1, 2, 3))
        return self.tamed(self.pick(rows(BILINEAR)), (m,), a=a, b=b, n=self.sizes[a][0], k=self.sizes[b][0], m=m)

    def _outer(self):
        a, b = self.pick(self.of(1)), self.pick(self.of(1))
        return self.tamed(self.pick(rows(OUTER)), (*self.sizes[a], *self.sizes[b]), a=a, b=b)

    def _read(self):
        matrix = self.pick(self.of(2))
        m, n = self.sizes[matrix]
        fitting = [name for name in self.of(1) if self.sizes[name] == (n,)]
        if not fitting:
            return self._matrix()
        return self.tamed(self.pick(rows(READ)), (m,), M=matrix, a=self.pick(fitting))

    def _matrix(self):
        matrix = self.pick(self.of(2))
        m, n = self.sizes[matrix]
        return self.tamed(self.pick(rows(MATRICES)), (m, n), M=matrix, m=m, n=n)

    def _cut(self):
        a = self.pick(self.of(1))
        (n,) = self.sizes[a]
        start = self.draw(st.integers(0, n - 1))
        stop = self.draw(st.integers(start + 1, n))
        return self.add(f"{a}[:, {start}:{stop}]", (stop - start,))

    def _place(self):
        """Changed in place, but made by the step itself."""
        a = self.pick(self.sizes)
        name = self.add(f"{a} * 1.0", self.sizes[a])
        self.lines.append(
            f"{name}.{self.pick(('add_(0.3)', 'mul_(0.5)', 'tanh_()', 'clamp_(-0.5, 0.5)', 'relu_()', f'sub_({a})'))}"
        )
        return name

    def _no_grad(self):
        a = self.pick(self.sizes)
        name = f"v{len(self.lines)}"
        self.lines += ["with torch.no_grad():", f"    {name} = torch.sin({a})"]
        self.sizes[name] = self.sizes[a]
        return name

    def shaped(self, size):
        """Something of a size, between -1 and 1."""
        ready = [name for name, its in self.sizes.items() if its == size and name.startswith("v")]
        if ready and self.draw(st.booleans()):
            return ready[-1]
        a = self.pick(self.of(1)[-3:])
        columns = 1
        for number in size:
            columns *= number
        expression = f"torch.tanh(F.linear({a}, self.W{columns}_{self.sizes[a][0]}))"
        return self.add(expression if len(size) == 1 else f"{expression}.unflatten(1, {size})", size)


def attribute(name):
    """What the text of a step means by a name: its sizes stand in it."""
    kind, sizes = re.fullmatch(r"([A-Za-z]+)([0-9_]*)", name).groups()
    sizes = [int(number) for number in sizes.split("_")] if sizes else []
    numbers = torch.randn(sizes, dtype=DTYPE) / (sizes[-1] if len(sizes) > 1 else 1) ** 0.5
    match kind:
        case "W" | "p" | "q" | "X":
            return nn.Parameter(numbers)
        case "number":
            return nn.Parameter(torch.tensor(0.6, dtype=DTYPE))
        case "L":
            return nn.Linear(*reversed(sizes), dtype=DTYPE)
        case "N":
            return nn.Sequential(nn.LayerNorm(sizes[1], eps=0.1, dtype=DTYPE), nn.Linear(*reversed(sizes), dtype=DTYPE))
        case "norm":
            return nn.LayerNorm(sizes, eps=0.1, dtype=DTYPE)
        case "mask":
            return nn.Buffer((numbers > -0.5).to(DTYPE))
        case "flag":
            return nn.Buffer(numbers > 0)
        case "count":
            return nn.Buffer((numbers * 3).long())
        case "table":
            return numbers
        case "alpha":
            return 0.8
        case "config":
            return {"beta": 0.3}
    raise NameError(name)


def make_cell(text, state_size, feedback_size, seed):
    """A cell whose step is a text; its attributes are made as the text asks for them."""
    file = f"<random cell {next(_NUMBER)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    space = {"torch": torch, "F": nn.functional}
    exec(compile(text, file, "exec"), space)
    body = {name: space[name] for name in ("step", "output") if name in space}
    cell = type("RandomCell", (elman.Cell,), body)()
    cell.state_size, cell.feedback_size = state_size, feedback_size
    torch.manual_seed(seed)
    for name in dict.fromkeys(re.findall(r"self\.(\w+)", text)):
        setattr(cell, name, attribute(name))
    return cell


@dataclass(frozen=True)
class Case:
    """A cell, and how it is called."""

    text: str
    input_size: int
    state_size: tuple[int | tuple[int, ...], ...]
    feedback_size: int | None
    steps: int
    batch: int
    seed: int
    lengths: tuple[int, ...] | None
    reset: bool
    reverse: bool
    targets: bool

    def layer(self):
        cell = make_cell(self.text, self.state_size, self.feedback_size, self.seed)
        return elman.Recurrent(cell, reverse=self.reverse)

    def arguments(self, dtype=DTYPE):
        """x, the initial state, and the marks; all with gradients."""
        generator = torch.Generator().manual_seed(self.seed)

        def numbers(*shape):
            return torch.randn(shape, generator=generator, dtype=DTYPE).to(dtype).requires_grad_()

        x = numbers(self.steps, self.batch, self.input_size)
        state = [numbers(self.batch, *(size if isinstance(size, tuple) else (size,))) for size in self.state_size]
        options = {}
        if self.feedback_size is not None:
            state.append(numbers(self.batch, self.feedback_size))
            if self.targets:
                options["targets"] = numbers(self.steps, self.batch, self.feedback_size)
        if self.lengths is not None:
            options["lengths"] = torch.tensor(self.lengths)
        if self.reset:
            options["reset"] = torch.rand((self.steps, self.batch), generator=generator) < 0.3
        return x, tuple(state) if len(state) > 1 else state[0], options


@st.composite
def texts(draw, input_size, state_size, feedback_size, carried=False):
    """The text of a step, and of an output of its own where something is fed back.

    With `carried` each state that leaves is computed of the one that enters, so that a loop is left after hoisting.
    """
    names = [f"h{number}" for number in range(len(state_size))]
    writer = Writer(draw, sizes={"x": (input_size,)})
    fed = [] if feedback_size is None else ["fed"]
    writer.sizes |= dict.fromkeys(fed, (feedback_size,))
    sizes = [size if isinstance(size, tuple) else (size,) for size in state_size]
    writer.sizes |= dict(zip(names, sizes, strict=True))
    for _ in range(draw(st.integers(2, 8))):
        writer.statement()
    leaving = [writer.shaped(size) for size in sizes]
    if carried:
        leaving = [f"torch.tanh({new} + 0.7 * {old})" for new, old in zip(leaving, names, strict=True)]
    results = ", ".join(leaving)
    lines = [f"def step(self, x, {', '.join(fed + names)}):", *(f"    {line}" for line in writer.lines)]
    lines.append(f"    return {results}")
    if feedback_size is not None or draw(st.booleans()):
        after = Writer(draw, sizes=dict(zip(names, sizes, strict=True)))
        if not after.of(1):
            after.add("h0.flatten(1)", (sizes[0][0] * sizes[0][1],))
        after.statement()
        result = after.shaped((feedback_size or 2,))
        lines += ["", "", f"def output(self, {', '.join(names)}):", *(f"    {line}" for line in after.lines)]
        lines.append(f"    return {result}")
    return "\n".join(lines) + "\n"


@st.composite
def cases(draw):
    """Random cells and calls."""
    input_size = draw(st.integers(1, 4))
    state_size = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 4, (2, 3), (2, 2)]), min_size=1, max_size=3)))
    feedback_size = draw(st.sampled_from([None, None, 2, 3]))
    steps, batch = draw(st.sampled_from([1, 2, 3, 4])), draw(st.sampled_from([1, 2, 3]))
    lengths = draw(st.none() | st.tuples(*[st.integers(0, steps)] * batch))
    return Case(
        draw(texts(input_size, state_size, feedback_size)),
        input_size,
        state_size,
        feedback_size,
        steps,
        batch,
        draw(st.integers(0, 2**16)),
        lengths,
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.booleans()),
    )


@st.composite
def kernel_cases(draw):
    """Random cells with a loop left inside, some wider than a vector, and batches of more rows than a tile."""
    size = st.sampled_from([1, 2, 3, 4, 4, 5, 8, 9, 17])
    input_size = draw(st.integers(1, 5))
    state_size = tuple(draw(st.lists(size | st.sampled_from([(2, 3), (3, 9)]), min_size=1, max_size=3)))
    feedback_size = draw(st.sampled_from([None, None, None, 2, 3]))
    steps, batch = draw(st.sampled_from([1, 2, 3, 4])), draw(st.sampled_from([1, 2, 3, 7, 13]))
    lengths = draw(st.none() | st.tuples(*[st.integers(0, steps)] * batch))
    return Case(
        draw(texts(input_size, state_size, feedback_size, carried=True)),
        input_size,
        state_size,
        feedback_size,
        steps,
        batch,
        draw(st.integers(0, 2**16)),
        lengths,
        draw(st.sampled_from([False, False, True])),
        draw(st.booleans()),
        draw(st.booleans()),
    )
