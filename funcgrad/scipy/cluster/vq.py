"""Vector quantisation, under the names of `jax.scipy.cluster.vq`."""

from __future__ import annotations

from typing import Any

import funcgrad.numpy as jnp
from funcgrad.errors import ShapeError, boundary
from funcgrad.trace.core import type_of


@boundary
def vq(obs: Any, code_book: Any, check_finite: bool = True) -> tuple[Any, Any]:
    """For each row of `obs` (n, d) the nearest row of `code_book` (k, d), and the Euclidean distance to it.

    >>> import funcgrad as fg
    >>> codes, distances = fg.scipy.cluster.vq.vq(fg.numpy.array([[1.0], [4.0]]), fg.numpy.array([[0.0], [5.0]]))
    >>> codes, distances
    (Array([0, 1], dtype=int64), Array([1., 1.], dtype=float32))
    """
    obs, code_book = jnp.asarray(obs), jnp.asarray(code_book)
    if obs.ndim != code_book.ndim or obs.ndim not in (1, 2) or obs.shape[1:] != code_book.shape[1:]:
        raise ShapeError(f"vq takes rows of one length, got {type_of(obs)} and {type_of(code_book)}")
    if obs.ndim == 1:
        obs, code_book = obs[:, None], code_book[:, None]
    distances = jnp.linalg.norm(obs[:, None, :] - code_book[None, :, :], axis=-1)
    codes = jnp.argmin(distances, axis=-1)
    return codes, jnp.take_along_axis(distances, codes[:, None], -1)[:, 0]
