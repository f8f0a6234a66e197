"""PyTorch programs: loops and branches. PyTorch has no compiled loop: a loop is Python's."""

from __future__ import annotations

import torch

from tests.benchmarks.torch_programs.registry import grad, program


def _field(s):
    x, y, z = s.unbind(-1)
    return torch.stack([10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z], -1)


def _solve(s, steps):
    for _ in range(steps):
        k1 = _field(s)
        k2 = _field(s + 0.005 * k1)
        k3 = _field(s + 0.005 * k2)
        k4 = _field(s + 0.01 * k3)
        s = s + 0.01 / 6.0 * (k1 + 2 * k2 + 2 * k3 + k4)
    return s


@program(compiles=False)
def lorenz(start):
    return _solve(start, 10_000)


@program(compiles=False)
def lorenz_jacobian(start):
    return torch.func.jacfwd(lambda s: _solve(s, 200))(start)


@program(compiles=False)
def lorenz_vmap(starts):
    return _solve(starts, 500)


@program(compiles=False)
def heat_stencil(u):
    u = u.clone()
    for _ in range(100):
        around = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2]
        u[1:-1, 1:-1] += 0.1 * (around - 4 * u[1:-1, 1:-1])
    return u


@program(compiles=False)
def mandelbrot(c):
    z = torch.zeros_like(c)
    count = torch.zeros(c.shape, dtype=torch.int32)
    for _ in range(100):
        z = torch.where(z.abs() < 4, z * z + c, z)
        count += z.abs() < 4
    return count


@program(compiles=False)
def uneven_while_vmap(n):
    count = torch.zeros_like(n)
    while (going := n != 1).any():
        n = torch.where(going, torch.where(n % 2 == 0, n // 2, 3 * n + 1), n)
        count += going
    return count


@program(compiles=False)
def cond_vmap(x):
    out, dear = x * 2, x > 0.95
    y = x[dear]
    for _ in range(50):
        y = torch.sin(y) + 0.5
    out[dear] = y
    return out


@program()
def associative_scan(a, b):
    span = 1
    while span < len(a):
        b = torch.cat([b[:span], a[span:] * b[:-span] + b[span:]])
        a = torch.cat([a[:span], a[span:] * a[:-span]])
        span *= 2
    return a, b


@program(compiles=False)
def associative_scan_grad(a, b):
    return grad(lambda a, b: (associative_scan(a, b)[1] ** 2).sum(), (0, 1))(a, b)


def _lstm(params, xs):
    w, u, b = params
    zero = xs.new_zeros(1, xs.shape[1], u.shape[0])
    weights = [w.T, u.T, b, torch.zeros_like(b)]
    return torch.lstm(xs, (zero, zero), weights, True, 1, 0.0, False, False, False)[0]


@program(compiles=False)
def lstm(params, xs):
    return _lstm(params, xs)


@program(compiles=False)
def lstm_grad(params, xs):
    return grad(lambda p: (_lstm(p, xs) ** 2).sum())(params)
