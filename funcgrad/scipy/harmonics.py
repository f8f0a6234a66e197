"""Spherical harmonics, which SciPy computes; `funcgrad.scipy.special` shows them."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as jnp
from funcgrad.array import ShapeDtypeStruct
from funcgrad.callbacks import pure_callback
from funcgrad.custom_rules import custom_jvp
from funcgrad.errors import ArgumentError, DTypeError, boundary
from funcgrad.trace.core import type_of


def _by_scipy(n: np.ndarray, m: np.ndarray, theta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    from scipy.special import sph_harm_y

    found = sph_harm_y(*map(np.asarray, (n, m)), np.asarray(theta, float), np.asarray(phi, float))
    dtype = np.complex128 if np.asarray(theta).dtype == np.float64 else np.complex64
    return np.asarray(np.where(np.abs(m) > n, 0, found), dtype)


@custom_jvp
def _harmonic(n: Any, m: Any, theta: Any, phi: Any) -> Any:
    like = ShapeDtypeStruct(theta.shape, jnp.result_type(theta.dtype, jnp.complex64))
    return pure_callback(_by_scipy, like, n, m, theta, phi, vmap_method="broadcast_all")


@_harmonic.defjvp
def _harmonic_jvp(primals: Any, tangents: Any) -> Any:
    (n, m, theta, phi), (_, _, by_theta, by_phi) = primals, tangents
    out = _harmonic(n, m, theta, phi)
    turn = jnp.exp(1j * phi).astype(out.dtype)

    def step(k: int) -> Any:
        """What a ladder operator makes of the harmonic; without the poles of the usual cotangent."""
        size = jnp.sqrt(jnp.maximum((n - k * m) * (n + k * m + 1), 0).astype(theta.dtype))
        return size * _harmonic(n, m + k, theta, phi)

    slope = (step(1) / turn - step(-1) * turn) / 2
    return out, slope * by_theta + 1j * m.astype(theta.dtype) * out * by_phi


@boundary
def sph_harm_y(n: Any, m: Any, theta: Any, phi: Any, diff_n: None = None, n_max: int | None = None) -> Any:
    """The spherical harmonic of degree n and order m, with the Condon-Shortley phase, of length 1 over the sphere.

    Args:
        n: integers, 0 or more.
        m: integers from -n to n; 0 beyond.
        theta: the angle from the pole, 0 to pi, real.
        phi: the angle around it, real. All four broadcast.
        n_max: where degrees are larger, this one is taken.

    Returns:
        complex64, or complex128 of float64. Differentiable by theta and phi.

    Raises:
        DTypeError: degrees and orders that are no integers, complex angles.

    >>> import funcgrad as fg
    >>> round(float(fg.scipy.special.sph_harm_y(1, 0, 0.0, 0.0).real), 4)
    0.4886
    """
    if diff_n is not None:
        raise ArgumentError("sph_harm_y does not give derivatives", hint="use funcgrad.jvp or funcgrad.grad")
    n, m, theta, phi = map(jnp.asarray, (n, m, theta, phi))
    if not all(jnp.issubdtype(x.dtype, jnp.integer) for x in (n, m)):
        raise DTypeError(f"sph_harm_y takes integers n and m, got {type_of(n)} and {type_of(m)}")
    angle = jnp.result_type(theta, phi, float)
    if jnp.issubdtype(angle, jnp.complexfloating):
        raise DTypeError(f"sph_harm_y takes real angles, got {type_of(theta)} and {type_of(phi)}")
    angle = angle if angle in (jnp.dtype("float32"), jnp.dtype("float64")) else jnp.dtype("float32")
    n = n if n_max is None else jnp.minimum(n, n_max)
    n, m, theta, phi = jnp.broadcast_arrays(n, m, theta.astype(angle), phi.astype(angle))
    return _harmonic(n, m, theta, phi)
