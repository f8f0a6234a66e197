"""Kernel density estimation."""

from __future__ import annotations

import math
from typing import Any

import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError, boundary
from funcgrad.nn import logsumexp
from funcgrad.random import categorical, multivariate_normal, split
from funcgrad.scipy.linalg import cho_solve, cholesky, solve_triangular
from funcgrad.scipy.special import ndtr
from funcgrad.trace.core import type_of
from funcgrad.tree_util import register_pytree_node_class


@register_pytree_node_class
class gaussian_kde:
    """A density estimated from samples, a Gaussian around each; see Scott, Multivariate Density Estimation, 1992.

    Args:
        dataset: (d, n) samples of d numbers, or a vector of numbers.
        bw_method: 'scott' or 'silverman', or a function of the estimate that gives one: the width.
        weights: of the samples, equal by default.

    >>> import funcgrad as fg
    >>> density = fg.scipy.stats.gaussian_kde(fg.numpy.array([0.0, 1.0, 2.0]))
    >>> bool(density(fg.numpy.array([1.0]))[0] > density(fg.numpy.array([5.0]))[0])
    True
    """

    @boundary
    def __init__(self, dataset: Any, bw_method: Any = None, weights: Any = None):
        data = jnp.atleast_2d(jnp.asarray(dataset))
        if data.size < 2 or data.ndim != 2:
            raise ArgumentError(f"gaussian_kde takes (d, n) samples, at least two, got {type_of(data)}")
        self.dataset = data if jnp.issubdtype(data.dtype, jnp.floating) else data.astype(float)
        given = (
            jnp.ones(self.n, self.dataset.dtype)
            if weights is None
            else jnp.asarray(weights, self.dataset.dtype)
        )
        if given.shape != (self.n,):
            raise ArgumentError(f"gaussian_kde: {self.n} samples need as many weights, got {type_of(given)}")
        self.weights = given / given.sum()
        self.neff = 1 / (self.weights**2).sum()
        self.factor = self._factor(bw_method)
        self.covariance = (
            jnp.atleast_2d(jnp.cov(self.dataset, bias=False, aweights=self.weights)) * self.factor**2
        )
        self._root = cholesky(self.covariance, lower=True)

    def _factor(self, method: Any) -> Any:
        if method is None or method == "scott":
            return self.neff ** (-1 / (self.d + 4))
        if method == "silverman":
            return (self.neff * (self.d + 2) / 4) ** (-1 / (self.d + 4))
        if callable(method):
            return method(self)
        if isinstance(method, str):
            raise ArgumentError(
                f"gaussian_kde: there is no bw_method {method!r}", hint="'scott' or 'silverman'"
            )
        return jnp.asarray(method, self.dataset.dtype)

    def tree_flatten(self) -> tuple[tuple[Any, ...], None]:
        """The arrays of the estimate, which is a tree of them: it passes through jit, grad and vmap."""
        return (self.dataset, self.weights, self.neff, self.factor, self.covariance, self._root), None

    @classmethod
    def tree_unflatten(cls, _: None, arrays: tuple[Any, ...]) -> gaussian_kde:
        """The estimate of these arrays."""
        self = object.__new__(cls)
        self.dataset, self.weights, self.neff, self.factor, self.covariance, self._root = arrays
        return self

    @property
    def d(self) -> int:
        """How many numbers a sample has."""
        return self.dataset.shape[0]

    @property
    def n(self) -> int:
        """The number of samples."""
        return self.dataset.shape[1]

    @property
    def inv_cov(self) -> Any:
        """The inverse of the covariance of each Gaussian."""
        return cho_solve((self._root, True), jnp.eye(self.d, dtype=self.dataset.dtype))

    @boundary
    def logpdf(self, x: Any) -> Any:
        """The logarithm of the density at points (d, m); a vector for d = 1."""
        points = jnp.atleast_2d(jnp.asarray(x, self.dataset.dtype))
        if points.shape[0] != self.d:
            if points.shape != (1, self.d):
                raise ArgumentError(f"gaussian_kde: points have {points.shape[0]} rows, the samples {self.d}")
            points = points.T
        white = solve_triangular(self._root, self.dataset, lower=True)
        asked = solve_triangular(self._root, points, lower=True)
        squares = ((asked[:, :, None] - white[:, None, :]) ** 2).sum(0)
        norm = jnp.log(jnp.diag(self._root)).sum() + self.d / 2 * math.log(2 * math.pi)
        return logsumexp(-squares / 2, axis=1, b=self.weights) - norm

    def evaluate(self, points: Any) -> Any:
        """The density at points (d, m)."""
        return jnp.exp(self.logpdf(points))

    __call__ = pdf = evaluate

    def _overlap(self, points: Any, covariance: Any) -> Any:
        """The integral of the density times a Gaussian of that covariance around each of the points (d, m)."""
        root = cholesky(self.covariance + covariance, lower=True)
        apart = (points[:, :, None] - self.dataset[:, None, :]).reshape(self.d, -1)
        squares = (solve_triangular(root, apart, lower=True) ** 2).sum(0).reshape(points.shape[1], self.n)
        norm = jnp.prod(jnp.diag(root)) * (2 * math.pi) ** (self.d / 2)
        return (jnp.exp(-squares / 2) * self.weights).sum(1) / norm

    @boundary
    def integrate_gaussian(self, mean: Any, cov: Any) -> Any:
        """The integral of the density times a Gaussian, of mean (d,) and covariance (d, d)."""
        mean = jnp.atleast_1d(jnp.squeeze(jnp.asarray(mean, self.dataset.dtype)))
        cov = jnp.atleast_2d(jnp.asarray(cov, self.dataset.dtype))
        if mean.shape != (self.d,) or cov.shape != (self.d, self.d):
            raise ArgumentError(
                f"gaussian_kde: a Gaussian of mean {type_of(mean)} and covariance {type_of(cov)} for samples of "
                f"{self.d} numbers"
            )
        return self._overlap(mean[:, None], cov)[0]

    @boundary
    def integrate_box_1d(self, low: Any, high: Any) -> Any:
        """The probability of being between `low` and `high`, for samples of one number."""
        if self.d != 1:
            raise ArgumentError(
                f"gaussian_kde: integrate_box_1d of samples of {self.d} numbers, which takes one"
            )
        low, high = (ndtr((end - self.dataset[0]) / self._root[0, 0]) for end in (low, high))
        return (self.weights * (high - low)).sum()

    @boundary
    def integrate_kde(self, other: gaussian_kde) -> Any:
        """The integral of the product with another density of samples of as many numbers."""
        if other.d != self.d:
            raise ArgumentError(f"gaussian_kde: densities of samples of {self.d} and of {other.d} numbers")
        return (self._overlap(other.dataset, other.covariance) * other.weights).sum()

    @boundary
    def resample(self, key: Any, shape: tuple[int, ...] = ()) -> Any:
        """Draws from the density, (d, *shape)."""
        which, where = split(key)
        chosen = self.dataset[:, categorical(which, jnp.log(self.weights), shape=shape)]
        noise = multivariate_normal(where, jnp.zeros(self.d), self.covariance, shape, self.dataset.dtype)
        return chosen + jnp.moveaxis(noise, -1, 0)
