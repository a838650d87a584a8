"""Expectation maximisation in plain NumPy, to compare with: Baum and Welch's, and that of a linear dynamical system."""

import numpy as np

Arrays = dict[str, np.ndarray]


def baum_welch(model: Arrays, symbols: np.ndarray, lengths: np.ndarray) -> Arrays:
    """One iteration for a hidden Markov model with symbols.

    Args:
        model: pi [K], A [K, K], B [K, V].
        symbols: [T, B], whole numbers.
        lengths: [B].

    Returns:
        The new model; no iteration makes the data less likely.

    Source: L. E. Baum, T. Petrie, G. Soules, N. Weiss, Ann. Math. Statist. 41(1), 1970; Rabiner 1989, section III.C.
    """
    pi, A, B = model["pi"], model["A"], model["B"]
    T, count = symbols.shape
    alive = (np.arange(T)[:, None] < lengths)[..., None]
    b = B.T[symbols]  # [T, B, K]
    alpha, scale = np.empty_like(b), np.empty((T, count, 1))
    for t in range(T):
        joint = (alpha[t - 1] @ A if t else pi) * b[t]
        scale[t] = joint.sum(-1, keepdims=True)
        alpha[t] = joint / scale[t]
    beta = np.ones_like(b)
    pairs = np.zeros_like(A)
    for t in range(T - 2, -1, -1):
        after = b[t + 1] * beta[t + 1] / scale[t + 1]
        beta[t] = np.where(alive[t + 1], after @ A.T, 1.0)
        pairs += A * np.einsum("bi,bj->ij", alpha[t], np.where(alive[t + 1], after, 0.0))
    gamma = alpha * beta * alive
    seen = np.stack([gamma[symbols == symbol].sum(0) for symbol in range(B.shape[1])], axis=1)
    first = gamma[0].sum(0)
    rows = [part / part.sum(-1, keepdims=True) for part in (first, pairs, seen)]
    return dict(zip(("pi", "A", "B"), rows, strict=True))


def shumway_stoffer(model: Arrays, x: np.ndarray) -> Arrays:
    """One iteration for a linear dynamical system.

    Args:
        model: A [n, n], C [p, n], Q [n, n], R [p, p], m0 [n], P0 [n, n].
        x: [T, B, p], all rows of the same length.

    Returns:
        The new model; no iteration makes the data less likely.

    Source: R. H. Shumway, D. S. Stoffer, An Approach to Time Series Smoothing and Forecasting Using the EM Algorithm,
        J. Time Ser. Anal. 3(4), 1982.
    """
    T, B, _ = x.shape
    m, V, J = _smoothed(model, x)
    moments = np.einsum("tbi,tbj->tij", m, m) + B * V
    lagged = np.einsum("tbi,tbj->ij", m[1:], m[:-1]) + B * np.einsum("tij,tkj->ik", V[1:], J)
    crossed, squared = np.einsum("tbi,tbj->ij", x, m), np.einsum("tbi,tbj->ij", x, x)
    A = lagged @ np.linalg.inv(moments[:-1].sum(0))
    C = crossed @ np.linalg.inv(moments.sum(0))
    Q = (moments[1:].sum(0) - A @ lagged.T) / (B * (T - 1))
    R = (squared - C @ crossed.T) / (B * T)
    m0 = m[0].mean(0)
    P0 = moments[0] / B - np.outer(m0, m0)
    return {"A": A, "C": C, "Q": (Q + Q.T) / 2, "R": (R + R.T) / 2, "m0": m0, "P0": (P0 + P0.T) / 2}


def _smoothed(model: Arrays, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means [T, B, n], covariances [T, n, n] and gains [T - 1, n, n] given all of x (Rauch, Tung and Striebel)."""
    A, C, Q, R = (model[name] for name in ("A", "C", "Q", "R"))
    T, B, _ = x.shape
    n = len(A)
    before, m = np.empty((T, B, n)), np.empty((T, B, n))
    ahead, V = np.empty((T, n, n)), np.empty((T, n, n))
    for t in range(T):
        before[t] = m[t - 1] @ A.T if t else model["m0"]
        ahead[t] = A @ V[t - 1] @ A.T + Q if t else model["P0"]
        K = ahead[t] @ C.T @ np.linalg.inv(C @ ahead[t] @ C.T + R)
        m[t] = before[t] + (x[t] - before[t] @ C.T) @ K.T
        V[t] = ahead[t] - K @ C @ ahead[t]
    J = np.empty((T - 1, n, n))
    for t in range(T - 2, -1, -1):
        J[t] = V[t] @ A.T @ np.linalg.inv(ahead[t + 1])
        m[t] += (m[t + 1] - before[t + 1]) @ J[t].T
        V[t] += J[t] @ (V[t + 1] - ahead[t + 1]) @ J[t].T
    return m, V, J
