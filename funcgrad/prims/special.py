"""Special functions of one to three numbers, evaluated by scipy.special: Bessel, incomplete gamma and beta, zeta.

Derivatives by a parameter that scipy.special does not have are primitives of their own, which have none: by series
here for the gamma functions, and by `parameter_slopes` for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import NotDifferentiableError
from funcgrad.ir.primitive import Primitive, Sample
from funcgrad.prims import parameter_slopes
from funcgrad.prims.parameter_slopes import slope
from funcgrad.prims.registry import (
    Fixed,
    Rule,
    batch_elementwise,
    elementwise,
    elementwise_type,
    library_call,
)
from funcgrad.prims.samples import draw_in
from funcgrad.trace import ops

mul, div, sub, add, neg, apply = ops.mul, ops.div, ops.sub, ops.add, ops.neg, ops.apply


def by_scipy(name: str) -> Callable[..., Any]:
    def evaluate(xp: Any, *operands: Any) -> Any:
        from scipy import special

        dtype = operands[0].dtype
        wide = dtypes.compute_dtype(dtype)
        with np.errstate(all="ignore"):
            return np.asarray(getattr(special, name)(*[x.astype(wide) for x in operands])).astype(dtype)

    return evaluate


def _samples(ranges: Sequence[tuple[float, float]], moving: tuple[int, ...]) -> Callable[[], list[Sample]]:

    def samples() -> list[Sample]:
        result = []
        for dtype in dtypes.FLOATS:
            for shape in [(2, 3), (), (0, 2)] if dtype == dtypes.float64 else [(3,)]:
                operands = tuple([draw_in(*r, *shape, dtype=dtype) for r in ranges])
                result.append(Sample(operands, {}, moving, dtypes.name(dtype)))
        return result

    return samples


def define(
    name: str,
    evaluate: Callable[..., Any],
    partials: Sequence[Rule | Fixed],
    *ranges: tuple[float, float],
    unchecked: Sequence[int] = (),
) -> Primitive:
    """A function of as many numbers as there are `ranges`, from which its samples come.

    Samples do not check derivatives by the operands `unchecked`, which have none, or only a first one.
    """
    moving = tuple([k for k in range(len(ranges)) if k not in unchecked])
    return elementwise(
        name,
        evaluate,
        partials,
        accepts=dtypes.FLOATS,
        samples=_samples(ranges, moving),
        lower=library_call(name),
    )


bessel_i0e_p = define(
    "bessel_i0e",
    by_scipy("i0e"),
    [lambda g, out, x: mul(g, sub(apply("bessel_i1e", x), mul(ops.sign(x), out)))],
    (0.3, 3.0),
)


def _i1e_slope(g: Any, out: Any, x: Any) -> Any:
    """i0e - out * (sign(x) + 1 / x), and 1/2 at 0."""
    zero = ops.eq(x, 0)
    safe = ops.select(zero, ops.full_like(x, 1), x)
    slope = sub(apply("bessel_i0e", safe), mul(out, add(ops.sign(safe), div(1, safe))))
    return mul(g, ops.select(zero, ops.full_like(x, 0.5), slope))


bessel_i1e_p = define("bessel_i1e", by_scipy("i1e"), [_i1e_slope], (0.3, 3.0))


# The regularised incomplete gamma functions P(a, x) and Q = 1 - P.
def _density(a: Any, x: Any) -> Any:
    """dP / dx = x**(a - 1) * exp(-x) / gamma(a)."""
    first = ops.and_(ops.eq(x, 0), ops.eq(a, 1))  # 0**0 is 1
    logarithm = ops.log(ops.select(first, 1, x))
    return ops.exp(sub(sub(mul(sub(a, 1), logarithm), x), ops.lgamma(a)))


_ENOUGH = 3000
"""Terms after which a series is given up: more than numbers of any use here need."""


def _series(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dP / da where x <= a + 1, from P = x**a exp(-x) / gamma(a + 1) * sum of x**n / ((a + 1) ... (a + n))."""
    from scipy import special

    term, slope = np.ones_like(x), np.zeros_like(x)
    total, total_slope = term.copy(), slope.copy()
    for n in range(1, _ENOUGH):
        slope = (slope - term / (a + n)) * x / (a + n)
        term = term * x / (a + n)
        total += term
        total_slope += slope
        if np.all(np.abs(slope) <= 1e-17 * np.abs(total_slope)):
            break
    front = np.exp(a * np.log(x) - x - special.gammaln(a + 1))
    return front * ((np.log(x) - special.digamma(a + 1)) * total + total_slope)


def _fraction(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dP / da where x > a + 1, from the continued fraction of Q, with its derivative carried along (Lentz)."""
    from scipy import special

    b = x + 1 - a
    c, dc = np.full_like(x, 1e300), np.zeros_like(x)
    d = 1 / b
    dd = d * d
    h, dh = d.copy(), dd.copy()
    for n in range(1, _ENOUGH):
        numerator = n * (a - n)
        b = b + 2
        # derivatives by a: of the numerator n, of b -1
        inner = b + numerator * d
        d_inner = -1 + n * d + numerator * dd
        new_d = 1 / inner
        dd = -d_inner * new_d * new_d
        d_c = -1 + n / c - numerator * dc / (c * c)
        c = b + numerator / c
        dc, d = d_c, new_d
        factor, d_factor = c * d, dc * d + c * dd
        dh = dh * factor + h * d_factor
        h = h * factor
        if np.all(np.abs(factor - 1) < 1e-15) and np.all(np.abs(d_factor * h) <= 1e-15 * np.abs(dh)):
            break
    front = np.exp(a * np.log(x) - x - special.gammaln(a))
    return -front * ((np.log(x) - special.digamma(a)) * h + dh)


def _gamma_slope(a: Any, x: Any) -> np.ndarray:
    """dP / da in double precision."""
    a, x = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(x, np.float64))
    result = np.full(a.shape, np.nan)
    good = (a > 0) & (x >= 0)
    result[good & ((x == 0) | np.isinf(x))] = 0.0
    for function, chosen in ((_series, x <= a + 1), (_fraction, x > a + 1)):
        chosen = chosen & good & (x > 0) & np.isfinite(x) & np.isfinite(a)
        if chosen.any():
            result[chosen] = function(a[chosen], x[chosen])
    return result


def _evaluate_igamma_grad_a(xp: Any, a: Any, x: Any) -> Any:
    with np.errstate(all="ignore"):
        return _gamma_slope(a, x).astype(a.dtype)


def _evaluate_random_gamma_grad(xp: Any, a: Any, x: Any) -> Any:
    from scipy import special

    with np.errstate(all="ignore"):
        wide_a, wide_x = np.asarray(a, np.float64), np.asarray(x, np.float64)
        density = np.exp((wide_a - 1) * np.log(wide_x) - wide_x - special.gammaln(wide_a))
        slope = -_gamma_slope(wide_a, wide_x) / density
        small = wide_x < 1e-200  # the power law near 0, where both underflow
        slope = np.where(small, -(np.log(wide_x) - special.digamma(wide_a + 1)) * wide_x / wide_a, slope)
        return slope.astype(a.dtype)


def _slope(
    name: str,
    evaluate: Callable[..., Any],
    ranges: Sequence[tuple[float, float]] = ((0.5, 3.0), (0.5, 3.0)),
) -> Primitive:
    """A derivative of a function by a parameter, which itself has none here."""

    def jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        raise NotDifferentiableError(
            f"the derivative of {name}, a second one of a function by its parameter, is not known",
            hint="stop_gradient the parameter, or differentiate once",
        )

    return Primitive(
        name=name,
        type_rule=elementwise_type(name, dtypes.FLOATS, None),
        evaluate=evaluate,
        jvp=jvp,
        transpose=None,
        batch=batch_elementwise(name),
        lower=library_call(name),
        samples=_samples(ranges, ()),
    )


def by_parameter(
    function: Callable[..., Any], parameters: str, *ranges: tuple[float, float]
) -> list[Callable[..., Any]]:
    """The rules for the derivatives of a function of `parameter_slopes` by its first operands, of these names."""

    def rule(operand: int, name: str) -> Callable[..., Any]:
        def evaluate(xp: Any, *operands: Any) -> Any:
            return slope(function, operand, *operands).astype(operands[0].dtype)

        _slope(name, evaluate, ranges)
        return lambda g, out, *operands: mul(g, apply(name, *ops.same_dtype(*operands)))

    return [rule(k, f"{function.__name__}_grad_{letter}") for k, letter in enumerate(parameters)]


def unknown(name: str, parameter: str) -> Callable[..., Any]:
    """The rule of a parameter by which no derivative is known."""

    def rule(*_: Any) -> Any:
        raise NotDifferentiableError(
            f"the derivative of {name} by its {parameter} is not known", hint="stop_gradient it"
        )

    return rule


igamma_grad_a_p = _slope("igamma_grad_a", _evaluate_igamma_grad_a)
random_gamma_grad_p = _slope("random_gamma_grad", _evaluate_random_gamma_grad)
"""How a gamma variate x of shape a moves with a, at constant probability: -(dP/da) / (dP/dx)."""

igamma_p = define(
    "igamma",
    by_scipy("gammainc"),
    [
        lambda g, out, a, x: mul(g, apply("igamma_grad_a", *ops.same_dtype(a, x))),
        lambda g, out, a, x: mul(g, _density(a, x)),
    ],
    (0.5, 3.0),
    (0.5, 3.0),
    unchecked=(0,),
)
igammac_p = define(
    "igammac",
    by_scipy("gammaincc"),
    [
        lambda g, out, a, x: neg(mul(g, apply("igamma_grad_a", *ops.same_dtype(a, x)))),
        lambda g, out, a, x: neg(mul(g, _density(a, x))),
    ],
    (0.5, 3.0),
    (0.5, 3.0),
    unchecked=(0,),
)


def _beta_density(g: Any, out: Any, a: Any, b: Any, x: Any) -> Any:
    norm = sub(add(ops.lgamma(a), ops.lgamma(b)), ops.lgamma(add(a, b)))
    left = ops.and_(ops.eq(x, 0), ops.eq(a, 1))  # 0**0 is 1
    right = ops.and_(ops.eq(x, 1), ops.eq(b, 1))
    left_power = mul(sub(a, 1), ops.log(ops.select(left, 1, x)))
    powers = add(left_power, mul(sub(b, 1), ops.log1p(neg(ops.select(right, 0, x)))))
    return mul(g, ops.exp(sub(powers, norm)))


betainc_p = define(
    "betainc",
    by_scipy("betainc"),
    [*by_parameter(parameter_slopes.betainc, "ab", (0.5, 3.0), (0.5, 3.0), (0.2, 0.8)), _beta_density],
    (0.5, 3.0),
    (0.5, 3.0),
    (0.2, 0.8),
    unchecked=(0, 1),
)
zeta_p = define(
    "zeta",
    by_scipy("zeta"),
    [
        *by_parameter(parameter_slopes.zeta, "s", (1.5, 4.0), (0.5, 3.0)),
        lambda g, out, s, q: neg(mul(g, mul(s, apply("zeta", add(s, 1), q)))),
    ],
    (1.5, 4.0),
    (0.5, 3.0),
    unchecked=(0,),
)
