"""Filters as cells: equal to a direct computation, trained as well as by expectation maximisation."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch

import elman
from elman.compiler import find_compiler
from elman.errors import ArgumentError, NumericsError, ShapeError
from elman.examples import filters
from elman.examples.filters.__main__ import compare_hmm, compare_kalman, main
from tolerances import assert_close

V, K, P, N = 4, 3, 2, 3  # the sizes of all tests, so that each cell is built once


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def hidden_markov(left_to_right=False):
    """A filter, and the probabilities that it holds."""
    torch.manual_seed(1)
    cell = filters.HMMFilter(V, K).double()
    with torch.no_grad():
        cell.pi.copy_(torch.randn(K))
        if left_to_right:
            cell.pi.copy_(torch.tensor([0.0, -torch.inf, -torch.inf]))
            cell.A.masked_fill_(torch.ones(K, K).tril(-1).bool(), -torch.inf)
    return cell, *(torch.softmax(p, -1).detach().numpy() for p in (cell.pi, cell.A, cell.emission.B))


def dynamical():
    """A filter with correlated noise, of which that on the state does not reach all directions, and its matrices."""
    torch.manual_seed(2)
    cell = filters.KalmanFilter(P, N).double()
    root = torch.randn(N, 2).double()
    matrices = {
        "A": 0.4 * torch.randn(N, N).double(),
        "C": torch.randn(P, N).double(),
        "Q": root @ root.T,
        "R": torch.tensor([[0.6, -0.3], [-0.3, 0.5]]).double(),
        "m0": torch.randn(N).double(),
        "P0": torch.tensor([[2.0, 0.5, 0.0], [0.5, 1.0, 0.1], [0.0, 0.1, 0.7]]).double(),
    }
    cell.assign(**matrices)
    return cell, {name: matrix.numpy() for name, matrix in matrices.items()}


def forward(pi, A, B, symbols):
    """Filtered probabilities and log P(x(t) | x(1..t-1)), by the textbook's loop over one row."""
    filtered, said, before = [], [], pi
    for symbol in symbols:
        joint = before * (1.0 if symbol is None else B[:, symbol])
        said.append(np.log(joint.sum()))
        filtered.append(joint / joint.sum())
        before = filtered[-1] @ A
    return np.array(filtered).reshape(-1, len(pi)), np.array(said)


def kalman(given, x):
    """Filtered and predicted means, and log p(x(t) | x(1..t-1)), by the textbook's loop over one row."""
    A, C, Q, R, m, S = (given[name] for name in ("A", "C", "Q", "R", "m0", "P0"))
    filtered, predicted, said = [], [], []
    for seen in x:
        W, e = C @ S @ C.T + R, seen - C @ m
        said.append(-0.5 * (len(e) * np.log(2 * np.pi) + np.linalg.slogdet(W)[1] + e @ np.linalg.solve(W, e)))
        gain = S @ C.T @ np.linalg.inv(W)
        m, S = m + gain @ e, S - gain @ C @ S
        filtered.append(m)
        m, S = A @ m, A @ S @ A.T + Q
        predicted.append(m)
    return np.array(filtered), np.array(predicted), np.array(said), S


@pytest.mark.parametrize("left_to_right", [False, True])
def test_hmm_is_the_sum_over_all_paths(left_to_right):
    cell, pi, A, B = hidden_markov(left_to_right)
    symbols, missing = [2, 0, 3, 1], 2
    x = torch.nn.functional.one_hot(torch.tensor(symbols), V).double().unsqueeze(1)
    x[missing] = 0
    ends = np.zeros(K)
    for path in product(range(K), repeat=len(symbols)):
        p = pi[path[0]] * np.prod([A[i, j] for i, j in pairwise(path)])
        ends[path[-1]] += p * np.prod(
            [B[z, s] for t, (z, s) in enumerate(zip(path, symbols, strict=True)) if t != missing]
        )
    y, _ = elman.Recurrent(cell)(x)
    assert_close(y[-1, 0, :K], torch.from_numpy(ends / ends.sum()))
    assert_close(filters.log_likelihood(cell, x)[0], torch.tensor(np.log(ends.sum())))
    filters.log_likelihood(cell, x).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in cell.parameters())  # also where a probability is 0


def test_kalman_is_the_joint_normal_distribution():
    """All z and x at once, as one normal distribution, and z(T) given x by conditioning."""
    cell, given = dynamical()
    A, C, Q, R = (given[name] for name in ("A", "C", "Q", "R"))
    T, generator = 5, seeded()
    x, _ = cell.sample(T, 1, generator)
    means, covariance = [given["m0"]], np.zeros((T * N, T * N))
    covariance[:N, :N] = given["P0"]
    for t in range(1, T):
        means.append(A @ means[-1])
        now, before = slice(t * N, t * N + N), slice(t * N - N, t * N)
        covariance[now, : t * N] = A @ covariance[before, : t * N]
        covariance[: t * N, now] = covariance[now, : t * N].T
        covariance[now, now] = A @ covariance[before, before] @ A.T + Q
    seen = [0, 1, 3, 4]  # one step is missing
    rows = np.concatenate([np.arange(t * P, t * P + P) for t in seen])
    every = np.kron(np.eye(T), C)[rows]
    W = every @ covariance @ every.T + np.kron(np.eye(len(seen)), R)
    e = x[seen, 0].numpy().ravel() - every @ np.concatenate(means)
    gain = covariance @ every.T @ np.linalg.inv(W)
    z, S = np.concatenate(means) + gain @ e, covariance - gain @ every @ covariance
    x[2, 0, 1] = torch.nan
    y, (_, _, filtered, last, _) = elman.Recurrent(cell)(x)
    assert_close(y[-1, 0, :N], torch.from_numpy(z[-N:]), 1e-10)
    assert_close(filtered, y[-1, :, :N])
    assert_close(last[0], torch.from_numpy(S[-N:, -N:].copy()), 1e-10)
    expected = -0.5 * (len(e) * np.log(2 * np.pi) + np.linalg.slogdet(W)[1] + e @ np.linalg.solve(W, e))
    assert_close(filters.log_likelihood(cell, x)[0], torch.tensor(expected), 1e-10)


def test_hmm_over_long_rows_of_unequal_length():
    cell, pi, A, B = hidden_markov()
    lengths = torch.tensor([10_000, 0, 1, 4321])
    x, z = cell.sample(10_000, 4, seeded())
    with torch.no_grad():
        y, (_, last, _) = elman.Recurrent(cell)(x, lengths=lengths)
        total = filters.log_likelihood(cell, x, lengths)
    for row, length in enumerate(lengths.tolist()):
        filtered, said = forward(pi, A, B, x[:length, row].argmax(-1).tolist())
        assert_close(y[:length, row, :K], torch.from_numpy(filtered), 1e-11)
        assert_close(total[row], torch.tensor(said.sum()), 1e-11)
        assert_close(last[row], torch.from_numpy(filtered[-1] if length else pi), 1e-11)
    sure, guess = y[:, 0, :K].max(-1)  # how often the likeliest state is the hidden one is as often as it says
    assert abs((guess == z[:, 0]).double().mean() - sure.mean()) < 0.03 and sure.mean() > 1.1 / K


def test_kalman_over_long_rows_of_unequal_length():
    cell, given = dynamical()
    lengths = torch.tensor([10_000, 0, 1, 777])
    x, z = cell.sample(10_000, 4, seeded())
    with torch.no_grad():
        y, states = elman.Recurrent(cell)(x, lengths=lengths)
        total = filters.log_likelihood(cell, x, lengths)
    for row, length in enumerate(lengths.tolist()):
        filtered, predicted, said, S = kalman(given, x[:length, row].numpy())
        got = y[:length, row].split([N, N, 1], -1)
        for one, expected in zip(got, (filtered, predicted, said), strict=True):
            assert_close(one, torch.from_numpy(expected.reshape(one.shape)), 1e-10)
        assert_close(total[row], torch.tensor(said.sum(), dtype=torch.float64), 1e-10)
        assert_close(states[1][row], torch.from_numpy(S), 1e-10)
    error = (y[:, 0, :N] - z[:, 0]).square().mean()
    assert error < 0.8 * (z[:, 0] - z[:, 0].mean(0)).square().mean()


def made(which):
    cell = (hidden_markov if which == "hmm" else dynamical)()[0]
    return cell, cell.sample(6, 3, seeded())[0], torch.tensor([6, 0, 4])


@pytest.mark.parametrize("which", ["hmm", "kalman"])
def test_filters_are_layers_like_all_others(which):
    cell, x, lengths = made(which)
    layer = elman.Recurrent(cell)
    if find_compiler() is not None:
        assert layer.plan(x, lengths=lengths).layers[0].backend == "c"
    y, state = layer(x)
    first, middle = layer(x[:2])
    second, last = layer(x[2:], middle)
    assert_close(torch.cat([first, second]), y)
    assert_close(last, state)
    ahead, _ = layer(None, state, steps=2)
    assert_close(ahead[0, :, : state[0].size(-1)], state[0])
    assert not ahead[..., -1].any()
    parameters = list(cell.parameters())
    assert torch.autograd.gradcheck(lambda *_: filters.log_likelihood(cell, x, lengths), parameters, fast_mode=True)


def test_normal_emissions():
    torch.manual_seed(3)
    cell = filters.HMMFilter(2, K, filters.Gaussian(2, K)).double()
    x, _ = cell.sample(4, 2, seeded())
    said = -0.5 * ((x.unsqueeze(2) - cell.emission.mean) ** 2 + np.log(2 * np.pi)).sum(-1)  # [T, B, K]
    expected, before = 0.0, torch.softmax(cell.pi, -1)
    for t in range(4):
        joint = before * said[t].exp()
        expected, before = (
            expected + joint.sum(-1).log(),
            joint / joint.sum(-1, keepdim=True) @ torch.softmax(cell.A, -1),
        )
    assert_close(filters.log_likelihood(cell, x), expected)
    far = torch.full((3, 1, 2), 1e3).double()  # where the densities themselves are 0
    assert torch.isfinite(filters.log_likelihood(cell, far)).all()
    x[1, 0, 0] = torch.nan
    assert torch.isfinite(filters.log_likelihood(cell, x)).all()


def test_what_an_iteration_of_em_never_does():
    cell, *model = hidden_markov()
    rows = (cell.sample(12, 20, seeded())[0], torch.randint(1, 13, (20,), generator=seeded()))
    model = dict(
        zip(("pi", "A", "B"), (np.full(K, 1 / K), model[1].T / model[1].T.sum(1, keepdims=True), model[2]), strict=True)
    )
    curve = []
    for _ in range(8):
        with torch.no_grad():
            for name, p in (("pi", cell.pi), ("A", cell.A), ("B", cell.emission.B)):
                p.copy_(torch.from_numpy(model[name]).log())
            curve.append(filters.mean_log_likelihood(cell, rows).item())
        model = filters.baum_welch(model, rows[0].argmax(-1).numpy(), rows[1].numpy())
    assert all(later > earlier for earlier, later in pairwise(curve)), curve

    cell, given = dynamical()
    x, curve = cell.sample(12, 20, seeded())[0], []
    given = given | {"A": np.eye(N) / 2, "Q": np.eye(N), "C": given["C"] + 0.3}
    for _ in range(8):
        cell.assign(**{name: torch.from_numpy(matrix) for name, matrix in given.items()})
        curve.append(filters.mean_log_likelihood(cell, (x, None)).item())
        given = filters.shumway_stoffer(given, x.numpy())
    assert all(later > earlier for earlier, later in pairwise(curve)), curve


@pytest.mark.slow
@pytest.mark.parametrize("compare", [compare_hmm, compare_kalman])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_trained_as_well_as_by_em(compare, seed):
    found = compare(seed, 300)
    gained = found.em[-1] - found.em[0]
    assert gained > 0.1 and abs(found.bptt[0] - found.em[0]) < 1e-9  # from the same start
    assert found.bptt[-1] > found.em[-1] - 0.003
    assert found.bptt[-1] > found.true - 0.015


def test_training_makes_rows_more_likely():
    for which in ("hmm", "kalman"):
        cell, x, lengths = made(which)
        curve = filters.fit(cell, (x, lengths), iterations=20, held_out=(x, lengths))
        assert len(curve) == 21 and curve[-1] > curve[0] + 0.05
        probabilities = [torch.softmax(cell.A, -1).sum(-1)] if which == "hmm" else []
        covariances = (
            [torch.linalg.eigvalsh(cell.matrices()[name]) for name in ("Q", "R", "P0")] if not probabilities else []
        )
        assert all(torch.allclose(p, torch.ones(K).double()) for p in probabilities)
        assert all((values > -1e-12).all() for values in covariances)


def test_matrices_are_taken_over():
    cell, given = dynamical()
    for name, matrix in cell.matrices().items():
        assert_close(matrix, torch.from_numpy(given[name]), what=name)
    with pytest.raises(ArgumentError, match="expected matrices among A, C, Q, R, m0, P0, got H"):
        cell.assign(H=torch.eye(2))
    with pytest.raises(ShapeError, match=r"Q: expected \[3, 3\], got \[2, 2\]"):
        cell.assign(Q=torch.eye(2))
    with pytest.raises(ArgumentError, match="not symmetric"):
        cell.assign(R=torch.tensor([[1.0, 0.5], [0.0, 1.0]]))
    with pytest.raises(ArgumentError, match="eigenvalue"):
        cell.assign(R=torch.tensor([[1.0, 1.0], [1.0, 1.0]]))
    with pytest.raises(ArgumentError, match="eigenvalue -1"):
        cell.assign(Q=-torch.eye(3))


def test_what_cannot_be():
    cell, *_ = hidden_markov(left_to_right=True)
    with torch.no_grad():
        cell.emission.B[:, 2] = -torch.inf
    x = torch.nn.functional.one_hot(torch.tensor([[0, 1], [1, 2]]), V).double()
    with pytest.raises(NumericsError, match="step 1 of row 1"):
        filters.log_likelihood(cell, x)
    with pytest.raises(ArgumentError, match="iterations >= 1"):
        filters.fit(cell, (x, None), iterations=0)
    with pytest.raises(ArgumentError, match="at least one step"):
        filters.fit(cell, (x, torch.tensor([0, 0])))
    with pytest.raises(ArgumentError, match="input_size"):
        filters.KalmanFilter(0, 2)


@pytest.mark.slow
def test_the_command(tmp_path, capsys):
    main(["--iterations", "3", "--seed", "1", "--picture", str(tmp_path / "filters.png")])
    once = capsys.readouterr().out
    assert "hidden Markov model" in once and (tmp_path / "filters.png").read_bytes()[:4] == b"\x89PNG"
    main(["--iterations", "3", "--seed", "1"])
    assert capsys.readouterr().out == once
    with pytest.raises(SystemExit):
        main(["--iterations", "0"])
    assert "--iterations" in capsys.readouterr().err
