"""Functions defined by integrals and series, evaluated by scipy.special: exponential, sine and cosine integrals,
Fresnel's, Dawson's, the dilogarithm, Owen's T, hypergeometric functions, Bessel functions of whole order.

They move with their argument; those of several numbers do not move with the order or the shape.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.prims import parameter_slopes
from funcgrad.prims.registry import elementwise, library_call
from funcgrad.prims.samples import unary_samples
from funcgrad.prims.special import by_parameter, by_scipy, define, unknown
from funcgrad.trace import ops

mul, div, sub, add, neg, apply = ops.mul, ops.div, ops.sub, ops.add, ops.neg, ops.apply

_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)


def _part(name: str, index: int) -> Any:
    """One of the results of a function of scipy.special that has several."""

    def evaluate(xp: Any, x: Any) -> Any:
        from scipy import special

        wide = x.astype(dtypes.compute_dtype(x.dtype))
        return np.asarray(getattr(special, name)(wide)[index]).astype(x.dtype)

    return evaluate


expi_p = define("expi", by_scipy("expi"), [lambda g, out, x: mul(g, div(ops.exp(x), x))], (0.3, 3.0))
exp1_p = define(
    "exp1", by_scipy("exp1"), [lambda g, out, x: neg(mul(g, div(ops.exp(neg(x)), x)))], (0.3, 3.0)
)


def _expn_slope(g: Any, out: Any, n: Any, x: Any) -> Any:
    """-expn(n - 1), which of order -1 is exp(-x) / x."""
    first = ops.lt(n, 1)
    order = ops.select(first, 0, sub(n, 1))
    slope = ops.select(
        first, ops.mul(div(ops.exp(neg(x)), x), add(1, div(1, x))), apply("expn", *_pair(order, x))
    )
    return neg(mul(g, slope))


def _pair(*operands: Any) -> tuple[Any, ...]:
    return ops.same_dtype(*operands)


def _evaluate_expn(xp: Any, n: Any, x: Any) -> Any:
    from scipy import special

    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        return np.asarray(special.expn(n.astype(np.int64), wide)).astype(x.dtype)


expn_p = define(
    "expn", _evaluate_expn, [unknown("expn", "order"), _expn_slope], (2.0, 2.0), (0.3, 3.0), unchecked=(0,)
)
dawsn_p = define(
    "dawsn", by_scipy("dawsn"), [lambda g, out, x: mul(g, sub(1, mul(2, mul(x, out))))], (-2.0, 2.0)
)
erfcx_p = define(
    "erfcx",
    by_scipy("erfcx"),
    [lambda g, out, x: mul(g, sub(mul(2, mul(x, out)), _TWO_OVER_ROOT_PI))],
    (-1.0, 2.0),
)
fresnel_sine_p = define(
    "fresnel_sine",
    _part("fresnel", 0),
    [lambda g, out, x: mul(g, ops.sin(mul(ops.square(x), math.pi / 2)))],
    (-1.5, 1.5),
)
fresnel_cosine_p = define(
    "fresnel_cosine",
    _part("fresnel", 1),
    [lambda g, out, x: mul(g, ops.cos(mul(ops.square(x), math.pi / 2)))],
    (-1.5, 1.5),
)
sine_integral_p = define(
    "sine_integral",
    _part("sici", 0),
    [lambda g, out, x: mul(g, _or_one(x, lambda x: div(ops.sin(x), x)))],
    (0.3, 3.0),
)
cosine_integral_p = define(
    "cosine_integral", _part("sici", 1), [lambda g, out, x: mul(g, div(ops.cos(x), x))], (0.3, 3.0)
)
spence_p = define(
    "spence",
    by_scipy("spence"),
    [lambda g, out, x: mul(g, neg(_or_one(sub(x, 1), lambda y: div(ops.log1p(y), y))))],
    (1.3, 3.0),
)


def _or_one(x: Any, function: Any) -> Any:
    """`function(x)`, and 1 at 0, where it has a hole."""
    hole = ops.eq(x, 0)
    return ops.select(hole, 1, function(ops.select(hole, ops.full_like(x, 1), x)))


def _owens_t_by_h(g: Any, out: Any, h: Any, a: Any) -> Any:
    """-exp(-h**2 / 2) * erf(a h / sqrt 2) / (2 sqrt(2 pi))."""
    density = ops.exp(mul(ops.square(h), -0.5))
    return mul(g, mul(mul(density, ops.erf(mul(mul(a, h), math.sqrt(0.5)))), -0.5 / math.sqrt(2 * math.pi)))


def _owens_t_by_a(g: Any, out: Any, h: Any, a: Any) -> Any:
    square = add(ops.square(a), 1)
    return mul(g, div(mul(ops.exp(mul(mul(ops.square(h), square), -0.5)), 0.5 / math.pi), square))


owens_t_p = define("owens_t", by_scipy("owens_t"), [_owens_t_by_h, _owens_t_by_a], (0.3, 2.0), (0.3, 2.0))
hyp1f1_p = define(
    "hyp1f1",
    by_scipy("hyp1f1"),
    [
        *by_parameter(parameter_slopes.hyp1f1, "ab", (0.5, 2.0), (0.5, 2.0), (-1.0, 1.0)),
        lambda g, out, a, b, x: mul(g, mul(div(a, b), apply("hyp1f1", *_pair(add(a, 1), add(b, 1), x)))),
    ],
    (0.5, 2.0),
    (0.5, 2.0),
    (-1.0, 1.0),
    unchecked=(0, 1),
)
hyp2f1_p = define(
    "hyp2f1",
    by_scipy("hyp2f1"),
    [
        *by_parameter(parameter_slopes.hyp2f1, "abc", (0.5, 2.0), (0.5, 2.0), (0.5, 2.0), (-0.6, 0.6)),
        lambda g, out, a, b, c, x: mul(
            g, mul(div(mul(a, b), c), apply("hyp2f1", *_pair(add(a, 1), add(b, 1), add(c, 1), x)))
        ),
    ],
    (0.5, 2.0),
    (0.5, 2.0),
    (0.5, 2.0),
    (-0.6, 0.6),
    unchecked=(0, 1, 2),
)


def _bessel_j_slope(g: Any, out: Any, v: Any, x: Any) -> Any:
    below, above = (apply("bessel_jv", *_pair(add(v, d), x)) for d in (-1, 1))
    return mul(g, mul(sub(below, above), 0.5))


bessel_jv_p = define(
    "bessel_jv",
    by_scipy("jv"),
    [unknown("bessel_jv", "order"), _bessel_j_slope],
    (1.0, 3.0),
    (0.3, 3.0),
    unchecked=(0,),
)
wofz_p = elementwise(
    "wofz",
    by_scipy("wofz"),
    [lambda g, out, z: mul(g, sub(_TWO_OVER_ROOT_PI * 1j, mul(2, mul(z, out))))],
    accepts=dtypes.COMPLEX,
    samples=unary_samples(dtypes.COMPLEX, low=-1.0, high=1.0),
    lower=library_call("wofz"),
)
