"""Figures about loops, tracing and debugging that are ratios within a process: `python -m tests.benchmarks.control`.

Each is a median of alternating measurements: the gradient through 10,000 dynamic steps against the loop alone, tracing
a function of 300 operations against JAX's tracing, and compiled functions under `debug.nans` against the same without.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

STEPS = 10_000
ROUNDS = 15


def times(*calls: Callable[[], Any]) -> list[float]:
    """The median seconds of each call, which take turns."""
    for call in calls:
        call()
        call()
    found: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, seconds in zip(calls, found):
            before = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - before)
    return [statistics.median(seconds) for seconds in found]


def bodies(fnp: Any) -> dict[str, tuple[Callable[[Any], Any], Any]]:
    """Steps of loops, and where they start."""
    matrix = fnp.asarray(np.eye(64, dtype=np.float32) * 0.99)

    def lorenz(s):
        x, y, z = s
        moved = fnp.stack([10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z])
        return s + 0.001 * moved

    ones = lambda n: fnp.asarray(np.ones(n, np.float32))  # noqa: E731
    return {
        "a number, x + 0.01 sin(x)": (lambda x: x + 0.01 * fnp.sin(x), ones(())),
        "Lorenz": (lorenz, ones(3)),
        "32 numbers, sin(x) + 0.5 x": (lambda x: fnp.sin(x) + 0.5 * x, ones(32)),
        "1000 numbers, sin(x) + 0.5 x": (lambda x: fnp.sin(x) + 0.5 * x, ones(1000)),
        "1000 numbers, x (1 - 0.01 x)": (lambda x: x * (1 - 0.01 * x), ones(1000)),
        "tanh of 64 x 64 times a vector": (lambda x: fnp.tanh(matrix @ x), ones(64)),
    }


def reverse(fw: Any, fnp: Any) -> list[str]:
    """The gradient through a loop whose number of steps is an argument."""
    lines = []
    for name, (body, start) in bodies(fnp).items():

        def loop(x, steps, body=body):
            return fw.lax.fori_loop(0, steps, lambda _, x: body(x), x)

        forward, backward = fw.jit(loop), fw.jit(fw.grad(lambda x, n, loop=loop: loop(x, n).sum()))
        alone, both = times(lambda f=forward, x=start: f(x, STEPS), lambda f=backward, x=start: f(x, STEPS))
        lines.append(f"| {name} | {alone * 1e3:.2f} ms | {both * 1e3:.2f} ms | {both / alone:.2f} |")
    return lines


def three_hundred(fnp: Any) -> Callable[[Any], Any]:
    """A function of 300 operations."""

    def function(x):
        for k in range(50):
            y = fnp.sin(x) * 0.5
            x = fnp.where(x > k, x + y, fnp.tanh(x))
        return x

    return function


def tracing(fw: Any, fnp: Any, x: Any) -> Callable[[], Any]:
    function = three_hundred(fnp)
    return lambda: fw.make_jaxpr(lambda x: function(x))(x)


def nans(fg: Any, fnp: Any) -> list[str]:
    """Compiled functions with their results looked at, and without."""

    def mlp(params, x):
        for w in params:
            x = fnp.tanh(x @ w)
        return (x * x).mean()

    rng = np.random.default_rng(0)
    draw = lambda *shape: fnp.asarray(rng.standard_normal(shape).astype(np.float32) * 0.1)  # noqa: E731
    cases = {
        "x + 1, 4 numbers": (lambda x: x + 1, (draw(4),)),
        "x + 1, a million numbers": (lambda x: x + 1, (draw(1_000_000),)),
        "exp and sums of a million": (lambda x: fnp.exp(x) / fnp.exp(x).sum(), (draw(1_000_000),)),
        "gradient of an MLP": (fg.grad(mlp), ([draw(256, 256)] * 3, draw(64, 256))),
        "scan of 1000 steps": (
            lambda x: fg.lax.scan(lambda c, _: (fnp.sin(c) + 0.5 * c, c), x, None, length=1000),
            (draw(8),),
        ),
    }
    lines = []
    for name, (function, args) in cases.items():
        call = fg.jit(function)
        rounds = [[], []]
        for _ in range(3):
            rounds[0] += times(lambda call=call, args=args: call(*args))
            with fg.debug.nans():
                rounds[1] += times(lambda call=call, args=args: call(*args))
        plain, looked = map(statistics.median, rounds)
        lines.append(f"| {name} | {plain * 1e6:.1f} us | {looked * 1e6:.1f} us | {looked / plain:.2f} |")
    return lines


def main() -> None:
    import jax
    import jax.numpy as jnp

    import funcgrad as fg
    import funcgrad.numpy as fnp

    print(f"\n| {STEPS} dynamic steps of | loop | gradient | ratio |\n|---|---|---|---|")
    print("\n".join(reverse(fg, fnp)))
    x = np.ones(4, np.float32)
    ours, theirs = times(tracing(fg, fnp, x), tracing(jax, jnp, jnp.asarray(x)))
    print(f"\nTracing 300 operations: {ours * 1e3:.1f} ms, JAX {theirs * 1e3:.1f} ms: {ours / theirs:.2f}")
    print("\n| under debug.nans | without | with | ratio |\n|---|---|---|---|")
    print("\n".join(nans(fg, fnp)))


if __name__ == "__main__":
    main()
