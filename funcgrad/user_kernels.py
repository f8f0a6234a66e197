"""`elementwise` and `kernel`: functions that users write for Numba, as operations of funcgrad.

Owns the checks of what users pass; the operations are the primitives of prims/user_functions.py and
prims/user_arrays.py.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, boundary
from funcgrad.flat import name_of
from funcgrad.ir.user_functions import python_function
from funcgrad.numpy.promotion import broadcast, promote, promote_inexact
from funcgrad.prims.user_functions import UserFunction, elementwise_function_p
from funcgrad.trace.core import bind


def elementwise(
    fun: Callable[..., Any] | None = None, *, derivative: Callable[..., Any] | None = None, dtype: Any = None
) -> Callable[..., Any]:
    """Make a function of numbers an operation on arrays; usable as a decorator.

    The result is a function that broadcasts its operands, is fused with the operations around it in compiled code,
    and works under every transform. `fun` takes numbers and gives one: what `numba.njit` compiles, that is arithmetic,
    comparisons, `if`, loops, `math.*`, NumPy's functions of numbers, and calls of such functions. It may refer to
    numbers, tuples of numbers and small NumPy arrays outside of it, whose values are taken at the first use. Numbers
    follow IEEE 754 (1/0 is infinite, the square root of -1 NaN), and what it raises is not seen in compiled code.

    Args:
        fun: the function of numbers. Operands are promoted to one dtype, integers alone to the default float; 16-bit
            floats are computed in float32, and constants take the precision of the operands.
        derivative: a function of the operands, arrays of the same shapes, that gives the partial derivatives: a tuple
            with one for each operand, or the one where there is one; None stands for zero. It is made of funcgrad
            operations or other elementwise functions, whose own derivatives give the second one.
        dtype: the dtype of the result, where it is not the operands'. With it integers stay integers.

    Raises:
        KernelError: `fun` has no bytecode, refers to something that a kernel cannot hold, or Numba does not compile it.
        NotDifferentiableError: differentiated without `derivative`.
        ShapeError, DTypeError: operands that do not broadcast or are no numbers.

    >>> import math, funcgrad as fg
    >>> def bump(x):
    ...     return math.exp(-1 / (1 - x * x)) if abs(x) < 1 else 0.0
    >>> slope = fg.elementwise(lambda x: -2 * x / (1 - x * x) ** 2 * bump(x) if abs(x) < 1 else 0.0)
    >>> smooth = fg.elementwise(bump, derivative=slope)
    >>> fg.jit(smooth)(fg.numpy.array([0.0, 0.5, 2.0]))
    Array([0.36787945, 0.26359713, 0.        ], dtype=float32)
    >>> round(float(fg.grad(smooth)(0.5)), 4)
    -0.4686
    """
    if fun is None:
        return functools.partial(elementwise, derivative=derivative, dtype=dtype)
    own = python_function(fun)
    if own.__code__.co_argcount == 0:
        raise ArgumentError(f"elementwise takes a function of numbers, and {own.__name__} has no argument")
    if derivative is not None and not callable(derivative):
        raise ArgumentError(
            f"elementwise: derivative is a function of the operands, got {type(derivative).__name__}",
            hint="derivative=lambda x: ... returns the partial derivatives",
        )
    result = None if dtype is None else dtypes.as_dtype(dtype)
    function = UserFunction(fun, derivative, result, name_of(own))
    name = function.name

    @boundary
    def call(*operands: Any) -> Any:
        if not operands:
            raise ArgumentError(f"{name} was called without operands")
        promoted = promote_inexact(name, *operands) if result is None else promote(name, *operands)
        return bind(elementwise_function_p, *broadcast(name, promoted), call=function)

    functools.update_wrapper(call, own)
    return call


__all__ = ["elementwise"]
