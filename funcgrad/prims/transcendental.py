"""Elementwise transcendental functions: exponentials, logarithms, trigonometry, special functions.

One line per derivative: `rule(g, out, x)`, where `g` is the tangent of the operand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.ir.primitive import Primitive, Sample
from funcgrad.prims.arithmetic import INEXACT
from funcgrad.prims.registry import Rule, elementwise, library_call, numpy_ufunc
from funcgrad.prims.samples import binary_samples, draw_in, unary_samples
from funcgrad.prims.special import unknown
from funcgrad.trace import ops

mul, div, sub, add, neg = ops.mul, ops.div, ops.sub, ops.add, ops.neg


def _define(
    name: str,
    partial: Rule,
    ufunc: str | None = None,
    evaluate: Rule | None = None,
    accepts: Sequence[np.dtype] = INEXACT,
    **domain: Any,
) -> Primitive:
    """A function of one operand; `domain` says where its samples lie."""
    return elementwise(
        name,
        evaluate or numpy_ufunc(ufunc or name),
        [partial],
        accepts=accepts,
        samples=unary_samples(accepts, **domain),
    )


def _evaluate_log1p(xp: Any, x: Any) -> Any:
    """NumPy loses what is small in complex numbers near 0; there |1 + x|**2 - 1 is summed without the 1."""
    if not dtypes.is_complex(x.dtype):
        return _log1p(xp, x)
    a, b = x.real, x.imag
    result = xp.empty_like(x)
    result.real = xp.where(xp.abs(x) < 0.5, xp.log1p(a * (2 + a) + b * b) / 2, xp.log(1 + x).real)
    result.imag = xp.arctan2(b, 1 + a)
    return result


_log1p = numpy_ufunc("log1p")
_expm1 = numpy_ufunc("expm1")


def _evaluate_expm1(xp: Any, x: Any) -> Any:
    """NumPy leaves out C99's special cases of complex exp(x) - 1, which exp has."""
    result = _expm1(xp, x)
    if dtypes.is_complex(x.dtype):
        special = ~xp.isfinite(result)
        if special.any():
            return xp.where(special, xp.exp(x) - 1, result).astype(x.dtype)
    return result


exp_p = _define("exp", lambda g, out, x: mul(g, out))
exp2_p = _define("exp2", lambda g, out, x: mul(g, mul(out, math.log(2))))
expm1_p = _define("expm1", lambda g, out, x: mul(g, add(out, 1)), evaluate=_evaluate_expm1)
log_p = _define("log", lambda g, out, x: div(g, x), positive=True)
log1p_p = _define("log1p", lambda g, out, x: div(g, add(x, 1)), evaluate=_evaluate_log1p, low=-0.5)
sin_p = _define("sin", lambda g, out, x: mul(g, ops.cos(x)))
cos_p = _define("cos", lambda g, out, x: neg(mul(g, ops.sin(x))))
tan_p = _define("tan", lambda g, out, x: mul(g, add(1, mul(out, out))), low=-1.0, high=1.0)
asin_p = _define("asin", lambda g, out, x: mul(g, ops.rsqrt(sub(1, mul(x, x)))), "arcsin", low=-0.8, high=0.8)
acos_p = _define(
    "acos", lambda g, out, x: neg(mul(g, ops.rsqrt(sub(1, mul(x, x))))), "arccos", low=-0.8, high=0.8
)
atan_p = _define("atan", lambda g, out, x: div(g, add(1, mul(x, x))), "arctan", low=-0.8, high=0.8)
sinh_p = _define("sinh", lambda g, out, x: mul(g, ops.cosh(x)))
cosh_p = _define("cosh", lambda g, out, x: mul(g, ops.sinh(x)))
tanh_p = _define("tanh", lambda g, out, x: mul(g, sub(1, mul(out, out))), low=-1.0, high=1.0)
asinh_p = _define(
    "asinh", lambda g, out, x: mul(g, ops.rsqrt(add(mul(x, x), 1))), "arcsinh", low=-0.8, high=0.8
)
acosh_p = _define(
    "acosh",
    lambda g, out, x: mul(g, mul(ops.rsqrt(sub(x, 1)), ops.rsqrt(add(x, 1)))),
    "arccosh",
    low=1.2,
    high=3.0,
)
atanh_p = _define("atanh", lambda g, out, x: div(g, sub(1, mul(x, x))), "arctanh", low=-0.8, high=0.8)

atan2_p = elementwise(
    "atan2",
    numpy_ufunc("arctan2"),
    [
        lambda g, out, x, y: mul(g, div(y, add(mul(x, x), mul(y, y)))),
        lambda g, out, x, y: mul(g, div(neg(x), add(mul(x, x), mul(y, y)))),
    ],
    accepts=dtypes.FLOATS,
    samples=binary_samples(dtypes.FLOATS, nonzero=True),
)


def _evaluate_logistic(xp: Any, x: Any) -> Any:
    wide = x.astype(dtypes.compute_dtype(x.dtype))
    with np.errstate(all="ignore"):
        one = wide.dtype.type(1)
        return (one / (one + xp.exp(-wide))).astype(x.dtype)


logistic_p = _define(
    "logistic",
    lambda g, out, x: mul(g, mul(out, sub(1, out))),
    evaluate=_evaluate_logistic,
    low=-1.0,
    high=1.0,
)


def _special(name: str) -> Callable[..., Any]:
    """Evaluation by scipy.special, which is imported when it is first needed."""

    def evaluate(xp: Any, x: Any) -> Any:
        from scipy import special

        wide = x.astype(dtypes.compute_dtype(x.dtype))
        with np.errstate(all="ignore"):
            return getattr(special, name)(wide).astype(x.dtype)

    return evaluate


_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)

erf_p = _define(
    "erf",
    lambda g, out, x: mul(g, mul(ops.exp(neg(mul(x, x))), _TWO_OVER_ROOT_PI)),
    evaluate=_special("erf"),
    accepts=dtypes.FLOATS,
)
erfc_p = _define(
    "erfc",
    lambda g, out, x: mul(g, mul(ops.exp(neg(mul(x, x))), -_TWO_OVER_ROOT_PI)),
    evaluate=_special("erfc"),
    accepts=dtypes.FLOATS,
)
erf_inv_p = _define(
    "erf_inv",
    lambda g, out, x: mul(g, mul(ops.exp(mul(out, out)), math.sqrt(math.pi) / 2)),
    evaluate=_special("erfinv"),
    accepts=dtypes.FLOATS,
    low=-0.8,
    high=0.8,
)
lgamma_p = _define(
    "lgamma",
    lambda g, out, x: mul(g, ops.digamma(x)),
    evaluate=_special("gammaln"),
    accepts=dtypes.FLOATS,
    positive=True,
)
digamma_p = _define(
    "digamma",
    lambda g, out, x: mul(g, ops.apply("polygamma", ops.full_like(x, 1), x)),
    evaluate=_special("digamma"),
    accepts=dtypes.FLOATS,
    positive=True,
)


def _evaluate_polygamma(xp: Any, n: Any, x: Any) -> Any:
    from scipy import special

    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        sign = xp.where(n % 2 == 0, -1.0, 1.0)
        regular = (
            sign * special.gamma(n.astype(np.float64) + 1) * special.zeta(n.astype(np.float64) + 1, wide)
        )
        return xp.where(n == 0, special.digamma(wide), regular).astype(x.dtype)


polygamma_p = elementwise(
    "polygamma",
    _evaluate_polygamma,
    [unknown("polygamma", "order"), lambda g, out, n, x: mul(g, ops.apply("polygamma", add(n, 1), x))],
    accepts=dtypes.FLOATS,
    lower=library_call("polygamma"),
    samples=lambda: [
        Sample(
            (lambda rng, d=d: np.array([0, 1, 2], d), draw_in(0.5, 3.0, 3, dtype=d)), {}, (1,), dtypes.name(d)
        )
        for d in (dtypes.float32, dtypes.float64)
    ],
)
