"""Constraints between weights hold over a whole training run, on both backends, in files, and say what is wrong."""

import copy

import pytest
import torch
from torch import nn

import elman
from compiled import compiled_only, random_tensor
from elman.around import constrain, equal, linear, tie
from elman.compiler import using
from elman.errors import ArgumentError, ShapeError
from elman.training.files import read_tensors, write_tensors

T, B, I, H = 4, 3, 3, 4
CELLS = {
    "elman": elman.Elman,
    "lstm": elman.LSTM,
    "gru": elman.GRU,
    "reset after": elman.GRUResetAfter,
    "jordan": lambda i, h: elman.Jordan(i, h, 2),
}
OPTIMISERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.005, momentum=0.5),
}
each = pytest.mark.parametrize("name", CELLS)


def make(name, dtype=torch.float64):
    torch.manual_seed(3)
    return elman.Recurrent(CELLS[name](I, H)).to(dtype)


SYSTEM = (("cell.U.weight", (slice(None, 2), 0)), ("cell.W.weight", (0, slice(None, 2))), ("cell.U.bias", 1))
A = torch.tensor([[1.0, -2, 0.5, 0, 3], [0, 1, 1, 1, -1], [1, -1, 1.5, 1, 2]], dtype=torch.float64)  # of rank 2
b = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64)


def off(layer):
    """How far the weights are from the constraints: those of SYSTEM, and the equal ones."""
    cell = layer.cell
    w = torch.cat([cell.U.weight[:2, 0], cell.W.weight[0, :2], cell.U.bias[1:2]]).detach().double()
    return max((A @ w - b).abs().max().item(), (cell.U.weight[3] - cell.U.weight[2]).abs().max().item())


def constrained(name, dtype=torch.float64):
    layer = make(name, dtype)
    done = constrain(layer, linear(SYSTEM, A, b), equal(("cell.U.weight", 2), ("cell.U.weight", 3)))
    assert done.moved > 0.01
    return layer


def train(layer, optimiser, steps, backend):
    losses, worst = [], 0.0
    dtype = next(layer.parameters()).dtype
    x, target = random_tensor(T, B, I, grad=False, dtype=dtype), None
    with using(backend=backend), compiled_only():
        for _ in range(steps):
            y = layer(x)[0]
            target = torch.sin(y.detach() * 0 + torch.arange(y.shape[-1])) * 0.8 if target is None else target
            loss = (y - target).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
            worst = max(worst, off(layer))
    assert min(losses[-10:]) < 0.95 * losses[0]
    return worst


@pytest.mark.parametrize("optimiser", [pytest.param("momentum", marks=pytest.mark.slow), "adamw"])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_constraints_hold_over_500_steps(optimiser, dtype, bound):
    layer = constrained("lstm", dtype)
    assert train(layer, OPTIMISERS[optimiser](layer.parameters()), 500, "c") < bound


@each
@pytest.mark.parametrize("backend", ["reference", pytest.param("c", marks=pytest.mark.slow)])
def test_constraints_hold_in_every_cell(name, backend):
    layer = constrained(name)
    assert train(layer, OPTIMISERS["adamw"](layer.parameters()), 40, backend) < 1e-12


@pytest.mark.slow
@each
@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("backend", ["reference", "c"])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 5e-6)])
def test_constraints_hold_over_500_steps_everywhere(name, optimiser, backend, dtype, bound):
    layer = constrained(name, dtype)
    assert train(layer, OPTIMISERS[optimiser](layer.parameters()), 500, backend) < bound


def projected(layer, names, matrix):
    """A hook that takes out of the gradients what would leave A w = b: the notes' way, for comparison."""
    weights = [layer.get_parameter(name) for name in names]

    def step():
        g = torch.cat([w.grad.flatten() for w in weights])
        g = g - torch.linalg.pinv(matrix) @ (matrix @ g)
        for w, part in zip(weights, g.split([w.numel() for w in weights]), strict=True):
            w.grad.copy_(part.reshape(w.shape))

    return step


@pytest.mark.parametrize(("optimiser", "holds"), [("sgd", True), ("adam", False), ("adamw", False)])
def test_projecting_the_gradient_alone_holds_for_plain_sgd_only(optimiser, holds):
    layer, name = make("elman"), "cell.U.bias"
    matrix, right = torch.tensor([[1.0, 2, -1, 0.5]], dtype=torch.float64), 0.7
    with torch.no_grad():
        bias = layer.get_parameter(name)
        bias += torch.linalg.pinv(matrix) @ (right - matrix @ bias)
    project = projected(layer, [name], matrix)
    optimiser = OPTIMISERS[optimiser](layer.parameters())
    x = random_tensor(T, B, I)
    for _ in range(50):
        optimiser.zero_grad()
        (layer(x)[0] - 0.5).square().mean().backward()
        project()
        optimiser.step()
    error = abs((matrix @ bias).item() - right)
    assert error < 1e-12 if holds else error > 1e-3


@each
def test_the_shared_gradient_is_the_sum_of_the_parts(name):
    """For w1 = w2 = w: dE/dw = dE/dw1 + dE/dw2, each taken from a network without ties."""
    tied, free = make(name), make(name)
    tie(
        tied, ("cell.U.weight", 0), ("cell.U.weight", 2), ("cell.W.weight", (0, slice(0, I)))
    ) if name != "jordan" else (tie(tied, ("cell.U.weight", (0, slice(0, 2))), ("cell.W.weight", 2)))
    with torch.no_grad():
        for kind in ("U", "W"):
            getattr(free.cell, kind).weight.copy_(getattr(tied.cell, kind).weight)
    x = random_tensor(T, B, I)
    for layer in (tied, free):
        (layer(x)[0] ** 2).sum().backward()
    torch.testing.assert_close(tied(x)[0], free(x)[0], rtol=1e-12, atol=1e-14)
    U, W = free.cell.U.weight.grad, free.cell.W.weight.grad
    got = tied.cell.U.parametrizations.weight.original.grad if name != "jordan" else tied.cell.U.weight.grad
    expected = U[0] + U[2] + W[0, :I] if name != "jordan" else U[0, :2] + W[2]
    torch.testing.assert_close(got[0, : len(expected)], expected, rtol=1e-11, atol=1e-13)
    if name != "jordan":
        assert not got[2].any()
        torch.testing.assert_close(got[1], U[1], rtol=1e-11, atol=1e-13)


def test_the_gradient_of_any_constraint_is_that_of_the_chain_rule():
    """For w = c + M f: dE/df = Mᵀ dE/dw, by autograd of a plain loop."""
    layer = constrained("gru")
    x = random_tensor(T, B, I)
    names = [name for name, _ in layer.named_parameters()]

    def loop(*parameters):
        def run():
            h, total = x.new_zeros(B, H), 0.0
            for t in range(T):
                h = layer.cell.step(x[t], h)
                total = total + (h**2).sum()
            return total

        with nn.utils.stateless._reparametrize_module(layer, dict(zip(names, parameters, strict=True))):
            return run()

    expected = torch.autograd.grad(loop(*layer.parameters()), list(layer.parameters()))
    with compiled_only():
        got = torch.autograd.grad((layer(x)[0] ** 2).sum(), list(layer.parameters()))
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-13)
    with compiled_only():
        function = lambda *p: torch.func.functional_call(layer, dict(zip(names, p, strict=True)), (x,))[0]  # noqa: E731
        assert torch.autograd.gradcheck(function, tuple(layer.parameters()), fast_mode=True)


def test_whole_weights_of_several_modules():
    torch.manual_seed(0)
    model = nn.ModuleDict({"embedding": nn.Embedding(7, H), "stack": elman.Recurrent(elman.LSTM(H, H))})
    model["readout"] = nn.Linear(H, 7)
    first = model["embedding"].weight.detach().clone()
    assert tie(model, "embedding.weight", "readout.weight").dependent == {"readout.weight": 28}
    assert torch.equal(model["readout"].weight, first)
    assert not model["readout"].parametrizations.weight.original.requires_grad  # nothing of it is trained
    model["readout"](model["stack"](model["embedding"](torch.arange(7).unsqueeze(1)))[0]).sum().backward()
    optimiser = OPTIMISERS["adamw"](model.parameters())
    for _ in range(3):
        optimiser.step()
    assert torch.equal(model["readout"].weight, model["embedding"].weight)
    assert not torch.equal(model["readout"].weight, first)


@pytest.mark.parametrize("kind", ["GRU", "LSTM", "RNN"])
def test_modules_of_elman_nn(kind):
    torch.manual_seed(0)
    layer = getattr(elman.nn, kind)(H, H, num_layers=2, bidirectional=True).double()
    names = ["weight_hh_l0", "weight_hh_l0_reverse", "weight_hh_l1"]
    tie(layer, *names)
    optimiser = OPTIMISERS["adam"](layer.parameters())
    for _ in range(5):
        optimiser.zero_grad()
        layer(random_tensor(T, B, H))[0].square().sum().backward()
        optimiser.step()
    assert all(torch.equal(getattr(layer, names[0]), getattr(layer, other)) for other in names)


def test_a_weight_may_be_fixed():
    layer = make("elman")
    constrain(layer, linear([("cell.W.weight", (0, slice(None)))], torch.eye(H), [1.0, 2, 3, 4]))
    assert layer.cell.W.weight[0].tolist() == [1, 2, 3, 4]
    layer(random_tensor(T, B, I))[0].sum().backward()
    assert not layer.cell.W.parametrizations.weight.original.grad[0].any()


def test_what_holds_already_is_not_moved_and_what_does_not_goes_to_the_nearest_point():
    layer = make("elman")
    before = layer.cell.U.bias.detach().clone()
    matrix = torch.tensor([[1.0, 2, -1, 0.5], [0, 1, 1, 0]], dtype=torch.float64)
    assert constrain(copy.deepcopy(layer), linear(["cell.U.bias"], matrix, matrix @ before)).moved < 1e-15
    constrain(layer, linear(["cell.U.bias"], matrix, [1.0, 2.0]))
    nearest = before + torch.linalg.pinv(matrix) @ (torch.tensor([1.0, 2.0]) - matrix @ before)
    torch.testing.assert_close(layer.cell.U.bias.detach(), nearest, rtol=1e-12, atol=1e-13)


def test_row_sums():
    layer = make("gru")
    sums = torch.kron(torch.eye(2 * H), torch.ones(1, H))
    constrain(layer, linear(["cell.W.weight"], sums, 1.0))
    train_me = OPTIMISERS["adam"](layer.parameters())
    for _ in range(20):
        layer(random_tensor(T, B, I))[0].sum().backward()
        train_me.step()
    torch.testing.assert_close(layer.cell.W.weight.sum(1), torch.ones(2 * H).double(), rtol=1e-13, atol=1e-13)


def test_state_dicts_and_files_hold_plain_weights(tmp_path):
    layer = constrained("lstm")
    with torch.no_grad():
        for p in layer.parameters():
            p += 0.1  # what is trained goes on, and what is computed follows
    state = layer.state_dict()
    assert sorted(state) == sorted(make("lstm").state_dict())
    plain = make("lstm")
    write_tensors(tmp_path / "model.elman", state, {"format": "elman model"})
    plain.load_state_dict(read_tensors(tmp_path / "model.elman", "elman model")[0])
    x = random_tensor(T, B, I)
    torch.testing.assert_close(plain(x)[0], layer(x)[0], rtol=1e-12, atol=1e-14)
    again = constrained("lstm")
    again.load_state_dict(state)
    assert all(torch.equal(p, q) for p, q in zip(again.state_dict().values(), state.values(), strict=True))
    with pytest.raises(ArgumentError, match="do not hold in this state dict"):
        again.load_state_dict(make("lstm").state_dict())


def test_copies_have_constraints_of_their_own():
    layer = constrained("gru")
    other = copy.deepcopy(layer)
    with torch.no_grad():
        for p in other.parameters():
            p.add_(1.0)
    assert off(other) < 1e-12 and off(layer) < 1e-12
    assert not torch.equal(other.cell.U.weight, layer.cell.U.weight)


def test_the_kernels_run_and_nothing_is_computed_at_every_step():
    layer, plain = constrained("lstm"), make("lstm")
    x = random_tensor(T, B, I)
    assert [part.backend for part in layer.plan(x).layers] == [part.backend for part in plain.plan(x).layers]
    got, expected = (each.plan(x).layers[0].show("hoist") for each in (layer, plain))
    assert got == expected


@pytest.mark.slow
def test_torch_compile():
    layer = constrained("elman")
    x = random_tensor(T, B, I)
    run = torch.compile(lambda x: layer(x)[0], backend="aot_eager", fullgraph=True)
    run(x).sum().backward()
    got = [p.grad.clone() for p in layer.parameters()]
    layer.zero_grad()
    layer(x)[0].sum().backward()
    torch.testing.assert_close(got, [p.grad for p in layer.parameters()], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("seed", range(8))
def test_random_systems_of_any_rank_and_scale(seed):
    """A w = b holds afterwards, at the point nearest to where w was, with as many free entries as there must be."""
    generator = torch.Generator().manual_seed(seed)
    layer, rank, n = make("elman"), 1 + seed % 4, H * H + H
    base = torch.randn(rank, n, generator=generator, dtype=torch.float64) * (torch.arange(n) % (seed + 1) == 0)
    mix = torch.randn(6, rank, generator=generator, dtype=torch.float64)
    matrix, point = mix @ base, torch.randn(n, generator=generator, dtype=torch.float64)
    scale = 10.0 ** torch.arange(-3, 3).double()
    before = torch.cat([layer.cell.W.weight.flatten(), layer.cell.U.bias]).detach()
    done = constrain(layer, linear(["cell.W.weight", "cell.U.bias"], scale[:, None] * matrix, scale * (matrix @ point)))
    assert sum(done.dependent.values()) == torch.linalg.matrix_rank(matrix)
    w = torch.cat([layer.cell.W.weight.flatten(), layer.cell.U.bias]).detach()
    torch.testing.assert_close(matrix @ w, matrix @ point, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(w, before + torch.linalg.pinv(base) @ (base @ (point - before)), rtol=1e-9, atol=1e-10)


def test_a_parameter_that_stands_in_two_places():
    torch.manual_seed(0)
    model = nn.ModuleDict({"a": nn.Linear(3, 4), "b": nn.Linear(3, 4)})
    model["b"].weight = model["a"].weight
    constrain(model, equal(("a.weight", 0), ("b.weight", 1)))
    with torch.no_grad():
        for p in model.parameters():
            p += torch.randn_like(p)
    assert torch.equal(model["a"].weight, model["b"].weight)
    assert torch.equal(model["a"].weight[0], model["b"].weight[1])


def test_a_large_tie_is_quick_to_make():
    layer = elman.Recurrent(elman.LSTM(256, 256))
    assert tie(layer, "cell.U.weight", "cell.W.weight").dependent == {"cell.W.weight": 4 * 256 * 256}
    layer = elman.Recurrent(elman.GRU(64, 64))
    constrain(layer, linear(["cell.W.weight"], torch.kron(torch.eye(128), torch.ones(1, 64)), 1.0))
    assert (layer.cell.W.weight.sum(1) - 1).abs().max() < 1e-5


# errors


def test_a_weight_that_is_not_there_suggests_the_nearest():
    with pytest.raises(ArgumentError, match=r"no parameter 'cell.W.wieght': did you mean 'cell.W.weight'"):
        tie(make("lstm"), "cell.W.wieght", "cell.U.weight")


def test_sizes_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"as many entries of each weight, got cell.W.weight 64, cell.U.weight 48"):
        tie(make("lstm"), "cell.W.weight", "cell.U.weight")
    with pytest.raises(ShapeError, match=r"A \[m, n\] with n = 4 \(4 of cell.U.bias\), got \[1, 3\]"):
        constrain(make("elman"), linear(["cell.U.bias"], [[1.0, 2, 3]]))
    with pytest.raises(ShapeError, match=r"b \[m\] = \[1\]"):
        constrain(make("elman"), linear(["cell.U.bias"], [[1.0, 2, 3, 4]], [1.0, 2]))
    with pytest.raises(ShapeError, match="has no entries"):
        tie(make("elman"), ("cell.U.bias", 9), ("cell.U.bias", 0))


def test_equations_that_contradict_each_other():
    rows = [[1.0, 1, 0, 0], [1.0, 1, 0, 0], [0, 0, 1, 1]]
    with pytest.raises(ArgumentError, match=r"row 1 of equation 0 says 0 = 1"):
        constrain(make("elman"), linear(["cell.U.bias"], rows, [1.0, 2, 0]))
    twice = linear([("cell.U.bias", [0, 1])], [[1.0, -1]], 0.5)
    with pytest.raises(ArgumentError, match="contradict"):
        constrain(make("elman"), equal(("cell.U.bias", 0), ("cell.U.bias", 1)), twice)


def test_a_second_call_on_the_same_weight():
    layer = constrained("lstm")
    with pytest.raises(ArgumentError, match="give all equations in one call"):
        tie(layer, ("cell.U.bias", 0), ("cell.U.bias", 2))
    layer = make("lstm")
    tie(layer, ("cell.U.weight", 0), ("cell.W.weight", (0, slice(0, I))))
    with pytest.raises(ArgumentError, match="give all equations in one call"):  # U is what W is computed from
        tie(layer, ("cell.U.weight", 0), ("cell.U.weight", 1))


def test_nothing_to_hold():
    with pytest.raises(ArgumentError, match="at least one"):
        constrain(make("lstm"))
    with pytest.raises(ArgumentError, match="at least two"):
        tie(make("lstm"), "cell.U.bias")
    assert constrain(make("lstm"), linear(["cell.U.bias"], torch.zeros(2, 4 * H))).dependent == {}
