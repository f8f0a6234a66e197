"""Elementwise functions with NumPy's names: promotion and broadcasting around the strict operations.

Outside every transform, operands of one dtype go straight to NumPy's ufunc, which broadcasts by itself: that
is what makes an eager operation cost about what NumPy's costs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.errors import DTypeError, boundary, hide_internal_frames, with_arrays
from funcgrad.ir.types import array_type
from funcgrad.numpy.promotion import broadcast, promote, promote_inexact
from funcgrad.trace import ops
from funcgrad.trace.core import EAGER, state, type_of

_ndarray = np.ndarray
_new = object.__new__
_quiet = state.new_quiet()
"""What `state.quiet` does, for all threads but one at a time: looking up that of the thread takes longer."""
_NUMBERS = {float: frozenset("fc"), int: frozenset("fciu")}
"""By the kind of a Python number: the kinds of dtypes that it gives way to."""


_constants: dict[type, dict[Any, tuple[np.dtype, np.ndarray]]] = {int: {}, float: {}}
"""By the kind of a Python number (1 and 1.0 are the same key): the dtype it gave way to last, and what it is there."""
_MOST_CONSTANTS = 4096


def _constant(number: Any, dtype: np.dtype) -> Any:
    """The number as an array of the dtype, which is kept: NumPy takes longer to convert it than to compute with
    it. The number itself where only NumPy knows what it means there (a comparison with what the dtype cannot hold);
    None where it does not give way to the dtype."""
    kind = number.__class__
    if dtype.kind not in _NUMBERS[kind]:
        return None
    try:
        array = state.quiet(np.asarray, number, dtype)
    except OverflowError:
        return number
    if number or kind is int:  # 0.0 and -0.0 are the same key
        known = _constants[kind]
        if len(known) >= _MOST_CONSTANTS:
            known.clear()
        known[number] = dtype, array
    return array


def _weak(out: np.ndarray, like: np.ndarray) -> Array:
    """The result of an operation on weak operands; that of a comparison is not weak."""
    return Array(out, array_type(out.shape, out.dtype, out.dtype == like.dtype))


def straight_to_numpy(
    ufunc: Callable[..., Any], general: Callable[[Any, Any], Any], inexact: bool = False, swap: bool = False
) -> Callable[[Any, Any], Any]:
    """`general`, but by one call of NumPy's `ufunc` where that is all there is to do.

    That is so outside every transform, where the first operand is an array (floating, if `inexact`) and the
    second an array of its dtype or a Python number that gives way to it. With `swap`, the ufunc takes them in
    the other order.
    """

    integers, floats = _constants[int], _constants[float]

    def function(x: Any, y: Any, /) -> Any:
        if x.__class__ is Array and state.trace is EAGER:
            a, t = x._data, x._type
            weak = t is not None and t.weak
            if not (inexact and a.dtype.kind not in "fc"):
                kind = y.__class__
                try:
                    if kind is Array:
                        b, t = y._data, y._type
                        if a.dtype == b.dtype:
                            out = _quiet(ufunc, b, a) if swap else _quiet(ufunc, a, b)
                            out = out if out.__class__ is _ndarray else np.asarray(out)
                            return _weak(out, a) if weak and t is not None and t.weak else Array(out)
                    elif kind is int or kind is float:
                        known = integers.get(y) if kind is int else floats.get(y)
                        if known is not None and known[0] is a.dtype:
                            b = known[1]
                        else:
                            b = _constant(y, a.dtype)
                        if b is not None:
                            out = _quiet(ufunc, b, a) if swap else _quiet(ufunc, a, b)
                            out = out if out.__class__ is _ndarray else np.asarray(out)
                            if weak:
                                return _weak(out, a)
                            result = _new(Array)  # without the call of __init__
                            result._data, result._type = out, None
                            return result
                except (ValueError, TypeError, OverflowError, RuntimeError):
                    pass  # `general` says it better, and works where another thread is in `_quiet`
        try:
            return general(x, y)
        except Exception as error:
            if isinstance(error, DTypeError) and (again := with_arrays((x, y), {})) is not None:
                return function(*again[0])
            hide_internal_frames(error)
            raise

    return function


def binary(
    name: str,
    operation: Callable[..., Any],
    ufunc: Callable[..., Any] | None,
    doc: str,
    promotion: Callable[..., list[Any]] = promote,
) -> Callable[[Any, Any], Any]:
    """The NumPy function `name` of two operands over a strict operation.

    `ufunc` is NumPy's function where it does the same on operands of one dtype.
    """

    def function(x1: Any, x2: Any, /) -> Any:
        return operation(*broadcast(name, promotion(name, x1, x2)))

    if ufunc is None:
        function = boundary(function)
    else:
        function = straight_to_numpy(ufunc, function, promotion is promote_inexact)
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _in_order(operation: Callable[..., Any], strict: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """A comparison that takes complex numbers too, as NumPy's does: by their real parts, and where these are equal by
    the imaginary ones. `strict` is the comparison without equality."""

    def compare(x: Any, y: Any) -> Any:
        if not dtypes.is_complex(type_of(x).dtype):
            return operation(x, y)
        (a, b), (c, d) = ((ops.real(z), ops.imag(z)) for z in (x, y))
        return ops.or_(strict(a, c), ops.and_(ops.eq(a, c), operation(b, d)))

    return compare


def unary(
    name: str, operation: Callable[..., Any], doc: str, promotion: Callable[..., list[Any]] = promote
) -> Callable[[Any], Any]:
    """The NumPy function `name` of one operand over a strict operation."""

    @boundary
    def function(x: Any, /) -> Any:
        return operation(*promotion(name, x))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


add = binary("add", ops.add, np.add, "x1 + x2, element by element; of booleans, or.")
subtract = binary("subtract", ops.sub, np.subtract, "x1 - x2, element by element.")
multiply = binary("multiply", ops.mul, np.multiply, "x1 * x2, element by element; of booleans, and.")
true_divide = divide = binary(
    "true_divide",
    ops.div,
    np.true_divide,
    "x1 / x2, element by element; of integers, as floats.",
    promote_inexact,
)
equal = binary("equal", ops.eq, np.equal, "x1 == x2, element by element.")
not_equal = binary("not_equal", ops.ne, np.not_equal, "x1 != x2, element by element.")
less = binary("less", _in_order(ops.lt, ops.lt), np.less, "x1 < x2, element by element.")
less_equal = binary("less_equal", _in_order(ops.le, ops.lt), np.less_equal, "x1 <= x2, element by element.")
greater = binary("greater", _in_order(ops.gt, ops.gt), np.greater, "x1 > x2, element by element.")
greater_equal = binary(
    "greater_equal", _in_order(ops.ge, ops.gt), np.greater_equal, "x1 >= x2, element by element."
)
maximum = binary("maximum", ops.max_, np.maximum, "The larger of x1 and x2; NaN where either is NaN.")
minimum = binary("minimum", ops.min_, np.minimum, "The smaller of x1 and x2; NaN where either is NaN.")


# Of one operand, in its own dtype.
negative = unary("negative", ops.neg, "-x, element by element.")
absolute = abs = unary(
    "absolute",
    lambda x: x if dtypes.is_bool(type_of(x).dtype) else ops.abs_(x),
    "The absolute value; of complex numbers, the modulus, as a real.",
)
sign = unary("sign", ops.sign, "-1, 0 or 1; NaN of NaN.")
square = unary("square", ops.square, "x * x.")
conjugate = conj = unary(
    "conjugate",
    lambda x: ops.conj(x) if dtypes.is_complex(type_of(x).dtype) else x,
    "The complex conjugate; of real numbers, themselves.",
)

# Of one operand, as floats where it is integer.
exp = unary("exp", ops.exp, "e to the power x.", promote_inexact)
exp2 = unary("exp2", ops.exp2, "2 to the power x.", promote_inexact)
expm1 = unary("expm1", ops.expm1, "exp(x) - 1, without loss of accuracy near 0.", promote_inexact)
log = unary("log", ops.log, "The natural logarithm.", promote_inexact)
log1p = unary("log1p", ops.log1p, "log(1 + x), without loss of accuracy near 0.", promote_inexact)
sqrt = unary("sqrt", ops.sqrt, "The square root.", promote_inexact)
cbrt = unary("cbrt", ops.cbrt, "The cube root.", promote_inexact)
sin = unary("sin", ops.sin, "The sine of x radians.", promote_inexact)
cos = unary("cos", ops.cos, "The cosine of x radians.", promote_inexact)
tan = unary("tan", ops.tan, "The tangent of x radians.", promote_inexact)
arcsin = asin = unary("arcsin", ops.asin, "The angle in radians whose sine is x.", promote_inexact)
arccos = acos = unary("arccos", ops.acos, "The angle in radians whose cosine is x.", promote_inexact)
arctan = atan = unary("arctan", ops.atan, "The angle in radians whose tangent is x.", promote_inexact)
sinh = unary("sinh", ops.sinh, "The hyperbolic sine.", promote_inexact)
cosh = unary("cosh", ops.cosh, "The hyperbolic cosine.", promote_inexact)
tanh = unary("tanh", ops.tanh, "The hyperbolic tangent.", promote_inexact)
arcsinh = asinh = unary("arcsinh", ops.asinh, "The inverse hyperbolic sine.", promote_inexact)
arccosh = acosh = unary("arccosh", ops.acosh, "The inverse hyperbolic cosine.", promote_inexact)
arctanh = atanh = unary("arctanh", ops.atanh, "The inverse hyperbolic tangent.", promote_inexact)
arctan2 = atan2 = binary(
    "arctan2", ops.atan2, None, "The angle in radians of the point (x2, x1) in the plane.", promote_inexact
)
