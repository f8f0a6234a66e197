"""Derivatives against finite differences.

A directional derivative is compared with a central difference along a random direction, and reverse mode with
forward mode by the identity <ct, J t> = <J^T ct, t>.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes, tree
from funcgrad.api import jvp, vjp
from funcgrad.array import Array
from funcgrad.trace.core import as_array, type_of

STEP = 1e-6
"""The step of the central difference in float64: the cube root of its precision."""

_DEFAULTS = {64: (1e-5, STEP), 32: (1e-2, 1e-3), 16: (0.1, 0.25)}
"""By the bits of the least precise argument: the tolerance, and the step."""


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 1,
    modes: Sequence[str] = ("fwd", "rev"),
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    seed: int = 0,
) -> None:
    """Check the derivatives of `f` at `args`, up to `order`, by mode "fwd", "rev" or both.

    Arguments are trees of float or complex arrays and numbers. Raises AssertionError with the two values where they
    differ by more than atol + rtol * |value|. The defaults, and that of the step `eps`, suit the dtype.

    >>> import funcgrad as fg
    >>> from funcgrad.testing import check_grads
    >>> check_grads(fg.numpy.sin, (fg.numpy.array(0.5, "float64"),), order=2)
    """
    args = tree.map(as_array, tuple(args))
    width = min(map(_precision, tree.leaves(args)), default=64)
    tolerance, step = _DEFAULTS[width]
    atol = tolerance if atol is None else atol
    rtol = tolerance if rtol is None else rtol
    eps = step if eps is None else eps
    _check(f, args, order, tuple(modes), (atol, rtol), eps, np.random.default_rng(seed))


def _precision(x: Any) -> int:
    """The bits of a real number of the dtype of `x`; 64 for integers."""
    dtype = type_of(x).dtype
    bits = 8 * dtype.itemsize // (2 if dtypes.is_complex(dtype) else 1)
    return bits if dtypes.is_inexact(dtype) else 64


def _check(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    order: int,
    modes: tuple[str, ...],
    tolerance: tuple[float, float],
    eps: float,
    rng: np.random.Generator,
) -> None:
    if "fwd" in modes:
        check_forward(f, args, tolerance, eps, rng)
        if order > 1:
            direction = random_like(args, rng)
            _check(lambda *xs: jvp(f, xs, direction)[1], args, order - 1, modes, tolerance, eps, rng)
    if "rev" in modes:
        check_reverse(f, args, tolerance, rng)
        if order > 1:
            cotangent = random_like(f(*args), rng)
            _check(lambda *xs: vjp(f, *xs)[1](cotangent), args, order - 1, modes, tolerance, eps, rng)


def random_like(values: Any, rng: np.random.Generator) -> Any:
    """A tree of normal numbers with the shapes and dtypes of `values`."""

    def draw(x: Any) -> Array:
        t = type_of(x)
        numbers = rng.standard_normal(t.shape)
        if dtypes.is_complex(t.dtype):
            numbers = numbers + 1j * rng.standard_normal(t.shape)
        return Array(np.asarray(numbers).astype(t.dtype))

    return tree.map(draw, values)


def check_forward(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    tolerance: tuple[float, float],
    eps: float,
    rng: np.random.Generator,
) -> None:
    """Compare a directional derivative with the central difference."""
    direction = random_like(args, rng)

    def moved(step: float) -> list[np.ndarray]:
        point = tree.map(
            lambda x, t: Array(np.asarray(np.asarray(x) + step * np.asarray(t)).astype(type_of(x).dtype)),
            args,
            direction,
        )
        return [np.asarray(y) for y in tree.leaves(f(*point))]

    _, tangent = jvp(f, args, direction)
    for have, ahead, behind in zip(tree.leaves(tangent), moved(eps), moved(-eps)):
        difference = (ahead - behind) / (2 * eps)
        assert_close(np.asarray(have), difference, tolerance, "the tangent and the finite difference")


def check_reverse(
    f: Callable[..., Any], args: tuple[Any, ...], tolerance: tuple[float, float], rng: np.random.Generator
) -> None:
    """Compare <ct, J t> by forward mode with <J^T ct, t> by reverse mode."""
    direction = random_like(args, rng)
    out, tangent = jvp(f, args, direction)
    cotangent = random_like(out, rng)
    pulled = vjp(f, *args)[1](cotangent)
    forward = sum(_inner(a, b) for a, b in zip(tree.leaves(cotangent), tree.leaves(tangent)))
    reverse = sum(_inner(a, b) for a, b in zip(tree.leaves(pulled), tree.leaves(direction)))
    assert_close(np.asarray(reverse), np.asarray(forward), tolerance, "reverse and forward mode")


def _inner(a: Any, b: Any) -> Any:
    """The real part of the bilinear product, which transposes keep for maps that are not holomorphic too."""
    return np.real(np.sum(np.asarray(a) * np.asarray(b)))


def assert_close(have: np.ndarray, wanted: np.ndarray, tolerance: tuple[float, float], what: str) -> None:
    """Raise AssertionError where two arrays differ."""
    atol, rtol = tolerance
    np.testing.assert_allclose(have, wanted, atol=atol, rtol=rtol, err_msg=f"{what} differ")
