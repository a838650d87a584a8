"""The equations of the papers as loops of NumPy over single rows, gate by gate; nothing here looks at a cell's step.

Each reads the parameters by name, then x and the states of one row as vectors, and gives back the next states.
"""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def relu(z):
    return np.maximum(z, 0)


tanh, exp, log = np.tanh, np.exp, np.log


def norm(z, weight, bias):
    mean = z.sum() / z.size
    variance = ((z - mean) ** 2).sum() / z.size
    return weight * (z - mean) / np.sqrt(variance + 1e-5) + bias


def parts(weights, name, count):
    """The gates of a stacked matrix or bias."""
    return np.split(weights[name], count)


# simple networks


def elman(w, x, h):
    return (tanh(w["U.weight"] @ x + w["W.weight"] @ h + w["U.bias"]),)


def one_matrix(w, x, s):
    return (tanh(w["W.weight"] @ np.concatenate([x, s]) + w["W.bias"]),)


def autonomous(w, x, s):
    return (tanh(w["f.0.weight"] @ s + w["f.0.bias"]),)


def jordan(w, x, y):
    h = tanh(w["U.bias"] + w["W.weight"] @ y + w["U.weight"] @ x)
    return (w["V.bias"] + w["V.weight"] @ h,)


def ind_rnn(w, x, h):
    return (relu(w["U.weight"] @ x + w["w"] * h + w["U.bias"]),)


def antisymmetric(w, x, h):
    epsilon, gamma = 0.5, 0.3
    A = w["W"] - w["W"].T - gamma * np.eye(h.size)
    return (h + epsilon * tanh(A @ h + w["U.weight"] @ x + w["U.bias"]),)


def antisymmetric_gated(w, x, h):
    epsilon, gamma = 0.5, 0.3
    A = w["W"] - w["W"].T - gamma * np.eye(h.size)
    V_z, V_h = parts(w, "U.weight", 2)
    b_z, b_h = parts(w, "U.bias", 2)
    z = sigmoid(A @ h + V_z @ x + b_z)
    return (h + epsilon * z * tanh(A @ h + V_h @ x + b_h),)


def fast_rnn(w, x, h):
    alpha, beta = sigmoid(w["alpha"]), sigmoid(w["beta"])
    return (alpha * tanh(w["U.weight"] @ x + w["W.weight"] @ h + w["U.bias"]) + beta * h,)


def fast_grnn(w, x, h):
    zeta, nu = sigmoid(w["zeta"]), sigmoid(w["nu"])
    z = sigmoid(w["U.weight"] @ x + w["W.weight"] @ h + w["b_z"])
    candidate = tanh(w["U.weight"] @ x + w["W.weight"] @ h + w["b_n"])
    return ((zeta * (1 - z) + nu) * candidate + z * h,)


def multiplicative_rnn(w, x, h):
    f = np.diag(w["U_m.weight"] @ x) @ w["W_m.weight"] @ h
    return (tanh(w["W.weight"] @ f + w["U.weight"] @ x + w["U.bias"]),)


def scrn(w, x, h, s):
    alpha = 0.8
    s = (1 - alpha) * w["U_s.weight"] @ x + alpha * s
    return sigmoid(w["W_s.weight"] @ s + w["U.weight"] @ x + w["W.weight"] @ h), s


# units that oscillate, leak, or live in continuous time


def cornn(w, x, y, z):
    dt, gamma, epsilon = 0.042, 2.7, 4.7
    inside = w["W_y.weight"] @ y + w["W_z.weight"] @ z + w["U.weight"] @ x + w["U.bias"]
    z = z + dt * tanh(inside) - dt * gamma * y - dt * epsilon * z
    return y + dt * z, z


def unicornn(w, x, y, z):
    dt, alpha = 0.19, 30.65
    z = z - dt * sigmoid(w["c"]) * (tanh(w["w"] * y + w["U.weight"] @ x + w["U.bias"]) + alpha * y)
    return y + dt * sigmoid(w["c"]) * z, z


def lem(w, x, y, z):
    dt = 0.8
    V_1, V_2, V_z, V_y = parts(w, "U.weight", 4)
    b_1, b_2, b_z, b_y = parts(w, "U.bias", 4)
    W_1, W_2, W_z = parts(w, "W.weight", 3)
    first = dt * sigmoid(W_1 @ y + V_1 @ x + b_1)
    second = dt * sigmoid(W_2 @ y + V_2 @ x + b_2)
    z = (1 - first) * z + first * tanh(W_z @ y + V_z @ x + b_z)
    return (1 - second) * y + second * tanh(w["W_y.weight"] @ z + V_y @ x + b_y), z


def leaky_rate(w, x, v):
    alpha = 20 / 50
    positive = relu(w["W.weight"])
    recurrent = w["mask"] * (positive @ np.diag(w["signs"]))
    return ((1 - alpha) * v + alpha * (recurrent @ relu(v) + w["U.weight"] @ x + w["U.bias"]),)


def leaky_rate_free(w, x, v):
    alpha = 20 / 100
    return ((1 - alpha) * v + alpha * (w["W.weight"] @ tanh(v) + w["U.weight"] @ x + w["U.bias"]),)


def cfc(w, x, h):
    time = 0.7
    backbone = 1.7159 * tanh((w["U.weight"] @ x + w["W.weight"] @ h + w["U.bias"]) * 2 / 3)
    V_f, V_g, V_n = parts(w, "V.weight", 3)
    b_f, b_g, b_n = parts(w, "V.bias", 3)
    gate = sigmoid(-(V_f @ backbone + b_f) * time)
    return (gate * tanh(V_g @ backbone + b_g) + (1 - gate) * tanh(V_n @ backbone + b_n),)


# one gate


def atr(w, x, h):
    p, q = w["U.weight"] @ x + w["U.bias"], w["W.weight"] @ h
    return (sigmoid(p + q) * p + sigmoid(p - q) * h,)


def light_ru(w, x, h):
    f = sigmoid(w["U.weight"] @ x + w["W.weight"] @ h + w["U.bias"])
    return ((1 - f) * h + f * tanh(w["U_n.weight"] @ x),)


def sgrn(w, x, h):
    f = sigmoid(w["U.weight"] @ x + w["W.weight"] @ h + w["U.bias"])
    i = 1 - f
    return (tanh(i * (w["U.weight"] @ x + w["U.bias"]) + f * h),)


def star(w, x, h):
    U_k, U_z = parts(w, "U.weight", 2)
    b_k, b_z = parts(w, "U.bias", 2)
    k = sigmoid(U_k @ x + w["W.weight"] @ h + b_k)
    z = tanh(U_z @ x + b_z)
    return (tanh((1 - k) * h + k * z),)


def ugrnn(w, x, h):
    U_g, U_n = parts(w, "U.weight", 2)
    W_g, W_n = parts(w, "W.weight", 2)
    b_g, b_n = parts(w, "U.bias", 2)
    g = sigmoid(U_g @ x + W_g @ h + b_g)
    return (g * h + (1 - g) * tanh(U_n @ x + W_n @ h + b_n),)


def li_gru(w, x, h):
    U_z, U_h = parts(w, "U.weight", 2)
    W_z, W_h = parts(w, "W.weight", 2)
    b_z, b_h = parts(w, "U.bias", 2)
    z = sigmoid(U_z @ x + W_z @ h + b_z)
    return (z * h + (1 - z) * relu(U_h @ x + W_h @ h + b_h),)


def janet(w, x, h):
    beta = 1.0
    U_f, U_c = parts(w, "U.weight", 2)
    W_f, W_c = parts(w, "W.weight", 2)
    b_f, b_c = parts(w, "U.bias", 2)
    s = U_f @ x + W_f @ h + b_f
    candidate = tanh(U_c @ x + W_c @ h + b_c)
    return (sigmoid(s) * h + (1 - sigmoid(s - beta)) * candidate,)


def mgu(w, x, h):
    U_f, U_h = parts(w, "U.weight", 2)
    b_f, b_h = parts(w, "U.bias", 2)
    f = sigmoid(U_f @ x + w["W.weight"] @ h + b_f)
    return ((1 - f) * h + f * tanh(U_h @ x + w["W_n.weight"] @ (f * h) + b_h),)


def mgu_of(gate):
    def step(w, x, h):
        f = gate(w, h)
        return ((1 - f) * h + f * tanh(w["U.weight"] @ x + w["W_n.weight"] @ (f * h) + w["U.bias"]),)

    return step


mgu1 = mgu_of(lambda w, h: sigmoid(w["W.weight"] @ h + w["W.bias"]))
mgu2 = mgu_of(lambda w, h: sigmoid(w["W.weight"] @ h))
mgu3 = mgu_of(lambda w, h: sigmoid(w["b_f"]))


def min_gru(w, x, h):
    U_z, U_h = parts(w, "U.weight", 2)
    b_z, b_h = parts(w, "U.bias", 2)
    z = sigmoid(U_z @ x + b_z)
    return ((1 - z) * h + z * (U_h @ x + b_h),)


# two gates


def gru(w, x, h):
    U_r, U_z, U_n = parts(w, "U.weight", 3)
    b_r, b_z, b_n = parts(w, "U.bias", 3)
    W_r, W_z = parts(w, "W.weight", 2)
    r, z = sigmoid(U_r @ x + W_r @ h + b_r), sigmoid(U_z @ x + W_z @ h + b_z)
    return (z * h + (1 - z) * tanh(U_n @ x + w["W_n.weight"] @ (r * h) + b_n),)


def gru_reset_after(w, x, h):
    U_r, U_z, U_n = parts(w, "U.weight", 3)
    b_r, b_z, b_n = parts(w, "U.bias", 3)
    W_r, W_z, W_n = parts(w, "W.weight", 3)
    d_r, d_z, d_n = parts(w, "W.bias", 3)
    r, z = sigmoid(U_r @ x + b_r + W_r @ h + d_r), sigmoid(U_z @ x + b_z + W_z @ h + d_z)
    return ((1 - z) * tanh(U_n @ x + b_n + r * (W_n @ h + d_n)) + z * h,)


def layer_norm_gru(w, x, h):
    sums = norm(w["U.weight"] @ x, w["N_x.weight"], w["N_x.bias"])
    sums = sums + norm(w["W.weight"] @ h, w["N_h.weight"], w["N_h.bias"])
    z, r = np.split(sums, 2)
    u = norm(w["U_n.weight"] @ x, w["N_u.weight"], w["N_u.bias"])
    v = norm(w["W_n.weight"] @ h, w["N_w.weight"], w["N_w.bias"])
    candidate = tanh(u + sigmoid(r) * v)
    return ((1 - sigmoid(z)) * h + sigmoid(z) * candidate,)


def brc(w, x, h):
    U_a, U_c = parts(w, "U.weight", 2)
    b_a, b_c = parts(w, "U.bias", 2)
    a = 1 + tanh(U_a @ x + w["w_a"] * h + b_a)
    c = sigmoid(U_c @ x + w["w_c"] * h + b_c)
    return (c * h + (1 - c) * tanh(w["U_n.weight"] @ x + a * h),)


def nbrc(w, x, h):
    U_a, U_c = parts(w, "U.weight", 2)
    b_a, b_c = parts(w, "U.bias", 2)
    W_a, W_c = parts(w, "W.weight", 2)
    a = 1 + tanh(U_a @ x + W_a @ h + b_a)
    c = sigmoid(U_c @ x + W_c @ h + b_c)
    return (c * h + (1 - c) * tanh(w["U_n.weight"] @ x + a * h),)


def cfn(w, x, h):
    V_t, V_e = parts(w, "U.weight", 2)
    U_t, U_e = parts(w, "W.weight", 2)
    b_t, b_e = parts(w, "U.bias", 2)
    theta = sigmoid(U_t @ h + V_t @ x + b_t)
    eta = sigmoid(U_e @ h + V_e @ x + b_e)
    return (theta * tanh(h) + eta * tanh(w["U_n.weight"] @ x),)


def mut1(w, x, h):
    U_z, U_r = parts(w, "U.weight", 2)
    b_z, b_r = parts(w, "U.bias", 2)
    z = sigmoid(U_z @ x + b_z)
    r = sigmoid(U_r @ x + w["W.weight"] @ h + b_r)
    x = w["U_n.weight"] @ x if "U_n.weight" in w else x
    return (tanh(w["W_n.weight"] @ (r * h) + tanh(x) + w["W_n.bias"]) * z + h * (1 - z),)


def mut2(w, x, h):
    U_z, U_h = parts(w, "U.weight", 2)
    b_z, b_h = parts(w, "U.bias", 2)
    z = sigmoid(U_z @ x + w["W.weight"] @ h + b_z)
    bare = w["U_r.weight"] @ x if "U_r.weight" in w else x
    r = sigmoid(bare + w["W_r.weight"] @ h + w["W_r.bias"])
    return (tanh(w["W_n.weight"] @ (r * h) + U_h @ x + b_h) * z + h * (1 - z),)


def mut3(w, x, h):
    U_z, U_r, U_h = parts(w, "U.weight", 3)
    b_z, b_r, b_h = parts(w, "U.bias", 3)
    z = sigmoid(U_z @ x + w["W_z.weight"] @ tanh(h) + b_z)
    r = sigmoid(U_r @ x + w["W_r.weight"] @ h + b_r)
    return (tanh(w["W_n.weight"] @ (r * h) + U_h @ x + b_h) * z + h * (1 - z),)


def rhn(w, x, h):
    U_h, U_t = parts(w, "U.weight", 2)
    for layer in range(3):
        R_h, R_t = parts(w, f"W.{layer}.weight", 2)
        b_h, b_t = parts(w, f"W.{layer}.bias", 2)
        candidate, transform = R_h @ h + b_h, R_t @ h + b_t
        if layer == 0:
            candidate, transform = candidate + U_h @ x, transform + U_t @ x
        t = sigmoid(transform)
        c = 1 - t
        h = tanh(candidate) * t + h * c
    return (h,)


def ran(w, x, h, c):
    U_i, U_f = parts(w, "U.weight", 2)
    W_i, W_f = parts(w, "W.weight", 2)
    b_i, b_f = parts(w, "U.bias", 2)
    i = sigmoid(W_i @ h + U_i @ x + b_i)
    f = sigmoid(W_f @ h + U_f @ x + b_f)
    c = i * (w["U_c.weight"] @ x) + f * c
    return tanh(c), c


def min_lstm(w, x, h):
    U_f, U_i, U_h = parts(w, "U.weight", 3)
    b_f, b_i, b_h = parts(w, "U.bias", 3)
    f, i = sigmoid(U_f @ x + b_f), sigmoid(U_i @ x + b_i)
    return (f / (f + i) * h + i / (f + i) * (U_h @ x + b_h),)


# three gates


def lstm(w, x, h, c):
    U_i, U_f, U_g, U_o = parts(w, "U.weight", 4)
    W_i, W_f, W_g, W_o = parts(w, "W.weight", 4)
    b_i, b_f, b_g, b_o = parts(w, "U.bias", 4)
    i, f = sigmoid(U_i @ x + W_i @ h + b_i), sigmoid(U_f @ x + W_f @ h + b_f)
    c = f * c + i * tanh(U_g @ x + W_g @ h + b_g)
    return sigmoid(U_o @ x + W_o @ h + b_o) * tanh(c), c


def original_lstm(w, x, h, c):
    U_i, U_g, U_o = parts(w, "U.weight", 3)
    W_i, W_g, W_o = parts(w, "W.weight", 3)
    b_i, b_g, b_o = parts(w, "U.bias", 3)
    c = c + sigmoid(U_i @ x + W_i @ h + b_i) * 2 * tanh((U_g @ x + W_g @ h + b_g) / 2)
    return sigmoid(U_o @ x + W_o @ h + b_o) * tanh(c / 2), c


def peephole_lstm(w, x, h, c):
    U_i, U_f, U_g, U_o = parts(w, "U.weight", 4)
    W_i, W_f, W_g, W_o = parts(w, "W.weight", 4)
    b_i, b_f, b_g, b_o = parts(w, "U.bias", 4)
    i = sigmoid(U_i @ x + W_i @ h + w["p_i"] * c + b_i)
    f = sigmoid(U_f @ x + W_f @ h + w["p_f"] * c + b_f)
    c = f * c + i * tanh(U_g @ x + W_g @ h + b_g)
    return sigmoid(U_o @ x + W_o @ h + w["p_o"] * c + b_o) * tanh(c), c


def wmc_lstm(w, x, h, c):
    U_i, U_f, U_g, U_o = parts(w, "U.weight", 4)
    W_i, W_f, W_g, W_o = parts(w, "W.weight", 4)
    b_i, b_f, b_g, b_o = parts(w, "U.bias", 4)
    C_i, C_f = parts(w, "C.weight", 2)
    i = sigmoid(U_i @ x + W_i @ h + tanh(C_i @ c) + b_i)
    f = sigmoid(U_f @ x + W_f @ h + tanh(C_f @ c) + b_f)
    c = f * c + i * tanh(U_g @ x + W_g @ h + b_g)
    o = sigmoid(U_o @ x + W_o @ h + tanh(w["C_o.weight"] @ c) + b_o)
    return o * tanh(c), c


def multiplicative_lstm(w, x, h, c):
    U_i, U_f, U_h, U_o = parts(w, "U.weight", 4)
    W_i, W_f, W_h, W_o = parts(w, "W.weight", 4)
    b_i, b_f, b_h, b_o = parts(w, "U.bias", 4)
    m = (w["U_m.weight"] @ x) * (w["W_m.weight"] @ h)
    candidate = U_h @ x + W_h @ m + b_h
    i, f, o = sigmoid(U_i @ x + W_i @ m + b_i), sigmoid(U_f @ x + W_f @ m + b_f), sigmoid(U_o @ x + W_o @ m + b_o)
    c = f * c + i * candidate
    return tanh(c * o), c


def layer_norm_lstm(w, x, h, c):
    sums = norm(w["U.weight"] @ x, w["N_x.weight"], w["N_x.bias"])
    sums = sums + norm(w["W.weight"] @ h, w["N_h.weight"], w["N_h.bias"])
    i, f, g, o = np.split(sums, 4)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(norm(c, w["N_c.weight"], w["N_c.bias"])), c


def nas(w, x, h, c):
    u, v = [U @ x for U in parts(w, "U.weight", 8)], [W @ h for W in parts(w, "W.weight", 8)]
    leaves = [
        sigmoid(u[0] + v[0]),
        relu(u[1] + v[1]),
        sigmoid(u[2] + v[2]),
        relu(u[3] * v[3]),
        tanh(u[4] + v[4]),
        sigmoid(u[5] + v[5]),
        tanh(u[6] + v[6]),
        sigmoid(u[7] + v[7]),
    ]
    second = [
        tanh(tanh(leaves[0] * leaves[1]) + c),
        tanh(leaves[2] + leaves[3]),
        tanh(leaves[4] * leaves[5]),
        sigmoid(leaves[6] + leaves[7]),
    ]
    c = second[0] * second[1]
    return tanh(c * tanh(second[2] + second[3])), c


def slstm(w, x, h, c, n, m):
    """Without stabiliser: the cells and normalisers are those of the paper's first equations."""
    U_i, U_f, U_z, U_o = parts(w, "U.weight", 4)
    W_i, W_f, W_z, W_o = parts(w, "W.weight", 4)
    b_i, b_f, b_z, b_o = parts(w, "U.bias", 4)
    i, f = exp(U_i @ x + W_i @ h + b_i), sigmoid(U_f @ x + W_f @ h + b_f)
    cell, normaliser = exp(m) * c, exp(m) * n
    cell, normaliser = f * cell + i * tanh(U_z @ x + W_z @ h + b_z), f * normaliser + i
    m = np.maximum(log(f) + m, log(i))
    return sigmoid(U_o @ x + W_o @ h + b_o) * cell / normaliser, cell / exp(m), normaliser / exp(m), m


def lru(w, x, re, im):
    """With complex numbers."""
    B_re, B_im = parts(w, "U.weight", 2)
    h = re + 1j * im
    turn = exp(-exp(w["nu"]) + 1j * exp(w["theta"]))
    h = turn * h + exp(w["gamma"]) * ((B_re + 1j * B_im) @ x)
    return h.real, h.imag


def neuron(w, x, h):
    return (tanh(w["U.weight"][0] @ x + w["W.weight"][0, 0] * h + w["U.bias"]),)
