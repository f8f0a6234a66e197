"""Distributions under the names of `jax.scipy.stats`: one module each, with pdf, logpdf, cdf and so on."""

from funcgrad.scipy.stats import (
    bernoulli,
    beta,
    cauchy,
    expon,
    gamma,
    laplace,
    logistic,
    norm,
    poisson,
    t,
    uniform,
)

__all__ = [
    "bernoulli",
    "beta",
    "cauchy",
    "expon",
    "gamma",
    "laplace",
    "logistic",
    "norm",
    "poisson",
    "t",
    "uniform",
]
