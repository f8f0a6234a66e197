"""`elementwise` and `kernel`: functions that users write for Numba or in CUDA C, as operations of funcgrad.

Owns the checks of what users pass; the operations are the primitives of prims/user_functions.py and
prims/user_arrays.py.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from funcgrad import dtypes
from funcgrad.array import ShapeDtypeStruct
from funcgrad.callbacks import result_types
from funcgrad.custom_rules import custom_jvp, custom_vjp
from funcgrad.errors import ArgumentError, boundary
from funcgrad.flat import name_of
from funcgrad.ir.user_functions import python_function
from funcgrad.lower.gpu.user_functions import cuda_function
from funcgrad.numpy.promotion import broadcast, check_arrays, promote, promote_inexact
from funcgrad.prims.user_arrays import BATCH_METHODS, UserArrayFunction, array_kernel_p
from funcgrad.prims.user_functions import UserFunction, elementwise_function_p
from funcgrad.trace.core import bind


def elementwise(
    fun: Callable[..., Any] | None = None,
    *,
    derivative: Callable[..., Any] | None = None,
    dtype: Any = None,
    outputs: int | None = None,
) -> Callable[..., Any]:
    """Make a function of numbers an operation on arrays; usable as a decorator.

    The result is a function that broadcasts its operands, is fused with the operations around it in compiled code,
    and works under every transform. `fun` takes numbers and gives one: what `numba.njit` compiles, that is arithmetic,
    comparisons, `if`, loops, `math.*`, NumPy's functions of numbers, and calls of such functions. It may refer to
    numbers, tuples of numbers and small NumPy arrays outside of it, whose values are taken at the first use. Numbers
    follow IEEE 754 (1/0 is infinite, the square root of -1 NaN), and what it raises is not seen in compiled code.
    `lower(...)` prints it for the GPU, too: as CUDA C, from its source.

    Args:
        fun: the function of numbers. Operands are promoted to one dtype, integers alone to the default float; 16-bit
            floats are computed in float32, and constants take the precision of the operands.
        derivative: a function of the operands, arrays of the same shapes, that gives the partial derivatives: a tuple
            with one for each operand, or the one where there is one; None stands for zero. It is made of funcgrad
            operations or other elementwise functions, whose own derivatives give the second one.
        dtype: the dtype of the result, where it is not the operands'. With it integers stay integers. With `outputs`
            it may be a tuple, with None for the operands' dtype.
        outputs: the number of results, where `fun` returns a tuple of numbers: the operation then gives a tuple of
            arrays, and `derivative` a tuple with an entry for each result: its partial derivatives, as above, or None
            where all are zero. The function runs once for all results that a kernel needs.

    Raises:
        KernelError: `fun` has no bytecode, refers to something that a kernel cannot hold, or Numba does not compile it.
        NotDifferentiableError: differentiated without `derivative`.
        ShapeError, DTypeError: operands that do not broadcast or are no numbers.
        ArgumentError: `outputs` that is no positive int, or a `dtype` with another number of entries.

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
        return functools.partial(elementwise, derivative=derivative, dtype=dtype, outputs=outputs)
    own = python_function(fun)
    if own.__code__.co_argcount == 0:
        raise ArgumentError(f"elementwise takes a function of numbers, and {own.__name__} has no argument")
    if derivative is not None and not callable(derivative):
        raise ArgumentError(
            f"elementwise: derivative is a function of the operands, got {type(derivative).__name__}",
            hint="derivative=lambda x: ... returns the partial derivatives",
        )
    if outputs is not None and (isinstance(outputs, bool) or not isinstance(outputs, int) or outputs < 1):
        raise ArgumentError(f"elementwise: outputs is the number of results, got {outputs!r}")
    each = dtype if outputs is not None and isinstance(dtype, tuple | list) else (dtype,) * (outputs or 1)
    if len(each) != (outputs or 1):
        raise ArgumentError(f"elementwise: dtype has {len(each)} entries for {outputs} results")
    results = tuple([None if d is None else dtypes.as_dtype(d) for d in each])
    function = UserFunction(fun, derivative, results, name_of(own), outputs is not None)
    name = function.name

    @boundary
    def call(*operands: Any) -> Any:
        if not operands:
            raise ArgumentError(f"{name} was called without operands")
        promoted = promote_inexact(name, *operands) if None in results else promote(name, *operands)
        given = broadcast(name, promoted)
        if outputs is None:
            return bind(elementwise_function_p, *given, call=function)
        return tuple(bind(elementwise_function_p, *given, call=function, part=k) for k in range(outputs))

    functools.update_wrapper(call, own)
    return call


class kernel:
    """Make a function of arrays, written in loops for Numba or in CUDA C, an operation of funcgrad; usable as a
    decorator.

    `fun` takes the operands and then an array for each result, which it fills, and returns nothing. Operands are
    C-contiguous arrays that it must not change, or numbers where they have no axes; a result without axes comes as an
    array of one element. What it may refer to is as for `elementwise`; it may be a `numba.njit` function, whose
    `fastmath`, `error_model` and `boundscheck` are kept. Compiled code runs it natively, inside loops too.

    Args:
        fun: the function. Numba compiles it for the dtypes and the numbers of axes of the operands. Or a string, the
            name of a function that there is in CUDA C only; a call of it on the CPU is an error.
        out_shape: a tree of `ShapeDtypeStruct`s (or anything with `shape` and `dtype`): the results; or a function of
            the operands' types, which have a `shape` and a `dtype`, that gives it.
        vmap_method: what `fun` is called with under `vmap`: 'sequential' with one example after the other, which
            threads share; 'expand_dims' once, with a leading batch axis on every operand, of length 1 on those that
            are not batched; 'broadcast_all' once, with the full length on each.
        cuda: the text of CUDA C that defines a `__device__` function of the same name, for the GPU. Every thread of a
            grid calls it, with `fg::Array<const T, axes>` for the operands (numbers where they have no axes) and
            `fg::Array<T, axes>` for the results: docs/user_kernels.md. There is nothing yet that runs on a GPU:
            `lower(...)` prints it.

    A derivative is given as for `custom_jvp` and `custom_vjp`, by `defjvp(rule)` or `defvjp(fwd, bwd)`, with functions
    of funcgrad arrays that may call this kernel and others.

    Raises:
        KernelError: `fun` refers to something that a kernel cannot hold, Numba does not compile it, or it raises in
            compiled code (elsewhere its own exception is seen). `cuda` defines no such function, or a kernel in CUDA C
            only is to run on the CPU.
        NotDifferentiableError: differentiated without a rule.
        DTypeError: a 16-bit float, which Numba does not know.

    >>> import funcgrad as fg
    >>> @fg.kernel(out_shape=lambda x: x)
    ... def running_max(x, out):
    ...     out[0] = x[0]
    ...     for i in range(1, x.size):
    ...         out[i] = max(out[i - 1], x[i])
    >>> x = fg.numpy.array([[1.0, 3.0, 2.0], [5.0, 4.0, 6.0]])
    >>> fg.jit(fg.vmap(running_max))(x)
    Array([[1., 3., 3.],
           [5., 5., 6.]], dtype=float32)
    """

    def __new__(cls, fun: Callable[..., Any] | str | None = None, **options: Any) -> Any:
        return functools.partial(kernel, **options) if fun is None else super().__new__(cls)

    @boundary
    def __init__(
        self,
        fun: Callable[..., Any] | str,
        *,
        out_shape: Any,
        vmap_method: str = "sequential",
        cuda: str | None = None,
    ):
        if vmap_method not in BATCH_METHODS:
            raise ArgumentError(
                f"kernel: vmap_method is one of {', '.join(map(repr, BATCH_METHODS))}, got {vmap_method!r}"
            )
        if isinstance(fun, str):
            if cuda is None:
                raise ArgumentError(
                    f"kernel: {fun!r} is the name of a function in CUDA C, whose text is not there",
                    hint=f"fg.kernel({fun!r}, cuda=..., out_shape=...); a Python function is given itself",
                )
            name, function = fun, None
            self.__name__ = self.__qualname__ = name
        else:
            function = python_function(fun)
            name = name_of(function)
            functools.update_wrapper(self, function)
            del self.__wrapped__  # whose signature has the results too
        on_gpu = None if cuda is None else cuda_function(name, cuda)
        counts = [function.__code__.co_argcount] if function else []
        counts += [on_gpu.arity] if on_gpu else []
        if len(set(counts)) > 1:
            raise ArgumentError(
                f"the kernel {name} has {counts[0]} arguments in Python and {counts[1]} in CUDA C",
                hint="both take every operand, and then an array for every result",
            )
        self._call = UserArrayFunction(None if isinstance(fun, str) else fun, vmap_method, name, on_gpu)
        self._out_shape = out_shape
        self._arity = counts[0]
        self._rule: Any = None

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def defjvp(self, jvp: Callable[..., Any], symbolic_zeros: bool = False) -> Callable[..., Any]:
        """Give the forward rule, (primals, tangents) -> (output, output tangent); usable as a decorator."""
        self._rule = custom_jvp(self._plain())
        return self._rule.defjvp(jvp, symbolic_zeros)

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any], symbolic_zeros: bool = False) -> None:
        """Give the reverse rule: `fwd(*operands)` -> (output, residuals), `bwd(residuals, cotangent)` -> a tuple of
        cotangents."""
        self._rule = custom_vjp(self._plain())
        self._rule.defvjp(fwd, bwd, symbolic_zeros)

    def _plain(self) -> Callable[..., Any]:
        def plain(*operands: Any) -> Any:
            return self._bound(operands)

        plain.__name__ = self._call.name
        return plain

    @boundary
    def __call__(self, *operands: Any) -> Any:
        return self._bound(operands) if self._rule is None else self._rule(*operands)

    def _bound(self, operands: tuple[Any, ...]) -> Any:
        name = self._call.name
        types = [t.strong() for t in check_arrays(name, *operands)]
        declared = self._out_shape
        if callable(declared) and not hasattr(declared, "dtype"):
            declared = declared(*[ShapeDtypeStruct(t.shape, t.dtype) for t in types])
        results, out_tree = result_types(name, declared, "out_shape")
        if len(types) + len(results) != self._arity:
            raise ArgumentError(
                f"the kernel {name} has {self._arity} arguments, and is called with {len(types)} operands and "
                f"{len(results)} results",
                hint="it takes every operand, and then an array for every result",
            )
        return out_tree.unflatten(
            bind(array_kernel_p, *operands, call=self._call, results=results, levels=())
        )


__all__ = ["elementwise", "kernel"]
