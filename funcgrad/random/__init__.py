"""Random numbers with explicit keys, under the names of `jax.random`.

A key is a uint32 array of shape (2,), made from a seed by `key` or `PRNGKey`. The same key always gives the
same numbers, on every device and whatever the number of threads; `split` and `fold_in` make new keys. Bits
come from Threefry-2x32 (prims/random.py) over the position of each element, so that a seed gives the numbers
that it gives in JAX. Owns the distributions; keeps no state.

Draws of integers use 32 bits unless a 64-bit dtype or default float says otherwise, as JAX does by default.
"""

from funcgrad.names import unknown_names as _unknown_names
from funcgrad.random.basic import (
    PRNGKey,
    bernoulli,
    bits,
    categorical,
    cauchy,
    choice,
    clone,
    exponential,
    fold_in,
    geometric,
    gumbel,
    key,
    key_data,
    key_dtype,
    key_impl,
    key_watchers,
    laplace,
    logistic,
    lognormal,
    maxwell,
    normal,
    pareto,
    permutation,
    rademacher,
    randint,
    rayleigh,
    split,
    truncated_normal,
    uniform,
    weibull_min,
    wrap_key_data,
)
from funcgrad.random.counts import binomial, multinomial, poisson
from funcgrad.random.gammas import ball, beta, chisquare, dirichlet, f, gamma, generalized_normal, loggamma, t
from funcgrad.random.matrices import multivariate_normal, orthogonal
from funcgrad.random.shapes import double_sided_maxwell, triangular, wald

__getattr__ = _unknown_names(
    __name__,
    {
        "rand": "funcgrad.random.uniform(key, shape)",
        "randn": "funcgrad.random.normal(key, shape)",
        "seed": "key = funcgrad.random.key(seed): nothing keeps a state",
    },
)

__all__ = [
    "PRNGKey",
    "ball",
    "bernoulli",
    "beta",
    "binomial",
    "bits",
    "categorical",
    "cauchy",
    "chisquare",
    "choice",
    "clone",
    "dirichlet",
    "double_sided_maxwell",
    "exponential",
    "f",
    "fold_in",
    "gamma",
    "generalized_normal",
    "geometric",
    "gumbel",
    "key",
    "key_data",
    "key_dtype",
    "key_impl",
    "key_watchers",
    "laplace",
    "loggamma",
    "logistic",
    "lognormal",
    "maxwell",
    "multinomial",
    "multivariate_normal",
    "normal",
    "orthogonal",
    "pareto",
    "permutation",
    "poisson",
    "rademacher",
    "randint",
    "rayleigh",
    "split",
    "t",
    "triangular",
    "truncated_normal",
    "uniform",
    "wald",
    "weibull_min",
    "wrap_key_data",
]
