"""Loops and branches: integration, stencils, recurrences, and vmap around them."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.workloads.registry import normal, workload


def _lorenz(fw, jnp, steps):
    def field(s):
        x, y, z = s
        return jnp.stack([10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z])

    def solve(start):
        def step(s, _):
            k1 = field(s)
            k2 = field(s + 0.005 * k1)
            k3 = field(s + 0.005 * k2)
            k4 = field(s + 0.01 * k3)
            return s + 0.01 / 6.0 * (k1 + 2 * k2 + 2 * k3 + k4), None

        return fw.lax.scan(step, start, None, length=steps)[0]

    return solve


@workload(chaotic=True)
def lorenz(fw, jnp):
    return fw.jit(_lorenz(fw, jnp, 10_000)), (jnp.asarray(np.ones(3, np.float32)),)


@workload()
def lorenz_jacobian(fw, jnp):
    return fw.jit(fw.jacfwd(_lorenz(fw, jnp, 200))), (jnp.asarray(np.ones(3, np.float32)),)


@workload()
def lorenz_vmap(fw, jnp):
    starts = 1 + 0.01 * normal(64, 3)
    return fw.jit(fw.vmap(_lorenz(fw, jnp, 500))), (jnp.asarray(starts),)


@workload()
def heat_stencil(fw, jnp):
    def solve(u):
        def step(_, u):
            inner = u[1:-1, 1:-1]
            around = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2]
            return u.at[1:-1, 1:-1].set(inner + 0.1 * (around - 4 * inner))

        return fw.lax.fori_loop(0, 100, step, u)

    return fw.jit(solve), (jnp.asarray(normal(256, 256)),)


@workload()
def mandelbrot(fw, jnp):
    def escape(c):
        def go_on(state):
            return state[0] < 100

        def step(state):
            i, z, count = state
            z = jnp.where(jnp.abs(z) < 4, z * z + c, z)
            return i + 1, z, count + (jnp.abs(z) < 4)

        zero = jnp.zeros(c.shape, c.dtype)
        return fw.lax.while_loop(go_on, step, (0, zero, jnp.zeros(c.shape, jnp.int32)))[2]

    x, y = np.linspace(-2, 0.5, 600, dtype=np.float32), np.linspace(-1, 1, 400, dtype=np.float32)
    return fw.jit(escape), (jnp.asarray((x[None, :] + 1j * y[:, None]).astype(np.complex64)),)


@workload()
def uneven_while_vmap(fw, jnp):
    def collatz(n):
        def step(state):
            n, count = state
            return jnp.where(n % 2 == 0, n // 2, 3 * n + 1), count + 1

        return fw.lax.while_loop(lambda s: s[0] != 1, step, (n, jnp.zeros((), jnp.int32)))[1]

    return fw.jit(fw.vmap(collatz)), (jnp.asarray(np.arange(1, 4097, dtype=np.int32)),)


@workload()
def cond_vmap(fw, jnp):
    def cheap(x):
        return x * 2

    def dear(x):
        return fw.lax.fori_loop(0, 50, lambda _, y: jnp.sin(y) + 0.5, x)

    x = np.random.default_rng(0).uniform(size=20_000).astype(np.float32)
    return fw.jit(fw.vmap(lambda x: fw.lax.cond(x > 0.95, dear, cheap, x))), (jnp.asarray(x),)


def _associative_scan(fw, jnp):
    def linear(a, b):
        return fw.lax.associative_scan(lambda p, q: (p[0] * q[0], q[0] * p[1] + q[1]), (a, b))

    return linear, (jnp.asarray(normal(1_000_000) * 0.1), jnp.asarray(normal(1_000_000)))


@workload()
def associative_scan(fw, jnp):
    linear, args = _associative_scan(fw, jnp)
    return fw.jit(linear), args


@workload(repeat=10)
def associative_scan_grad(fw, jnp):
    linear, args = _associative_scan(fw, jnp)
    return fw.jit(fw.grad(lambda a, b: jnp.sum(linear(a, b)[1] ** 2), (0, 1))), args


def _lstm(fw, jnp):
    def forward(params, xs):
        w, u, b = params

        def step(state, x):
            h, c = state
            i, f, g, o = jnp.split(x @ w + h @ u + b, 4, axis=-1)
            c = fw.nn.sigmoid(f) * c + fw.nn.sigmoid(i) * jnp.tanh(g)
            h = fw.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zero = jnp.zeros((xs.shape[1], u.shape[0]), xs.dtype)
        return fw.lax.scan(step, (zero, zero), xs)[1]

    w = normal(2, 256, 1024) * 0.05
    params = (jnp.asarray(w[0]), jnp.asarray(w[1]), jnp.asarray(np.zeros(1024, np.float32)))
    return forward, (params, jnp.asarray(normal(64, 32, 256)))


@workload(repeat=15)
def lstm(fw, jnp):
    forward, args = _lstm(fw, jnp)
    return fw.jit(forward), args


@workload(repeat=10)
def lstm_grad(fw, jnp):
    forward, args = _lstm(fw, jnp)
    return fw.jit(fw.grad(lambda p, x: (forward(p, x) ** 2).sum())), args
