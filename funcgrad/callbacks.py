"""Python functions called from traced and compiled code: `pure_callback`, `io_callback`.

Owns the checks of what users pass; the calls themselves are the primitives of prims/callbacks.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad import dtypes, tree
from funcgrad.errors import ArgumentError, DTypeError, boundary
from funcgrad.flat import describe_argument, name_of
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.callbacks import VMAP_METHODS, HostCall, io_callback_p, pure_callback_p
from funcgrad.source import user_line
from funcgrad.trace.core import bind, is_operand


def host_call(
    what: str, callback: Any, args: Any, kwargs: Any, out_tree: Any, static: bool = False
) -> tuple[HostCall, list[Any]]:
    """The call of `callback(*args, **kwargs)` and its operands. With `static`, leaves of the arguments that are
    neither arrays nor numbers go to the callback as they are."""
    if not callable(callback):
        raise ArgumentError(f"{what}: the callback has to be a function, got {type(callback).__name__}")
    leaves, in_tree = tree.flatten((args, kwargs))
    dynamic = tuple([k for k, x in enumerate(leaves) if is_operand(x)])
    if not static and len(dynamic) < len(leaves):
        for path, leaf in tree.leaves_with_path((args, kwargs)):
            if not is_operand(leaf):
                named = path[0].idx == 1
                place = (
                    f"keyword argument {path[1].key!r}"
                    if named
                    else describe_argument(callback, args, path[1].idx)
                )
                raise DTypeError(
                    f"{what} takes arrays and numbers, but {place} is {leaf!r}",
                    hint="close over it: functools.partial or a lambda",
                )
    operands = [leaves[k] for k in dynamic]
    kept = tuple([None if k in dynamic else x for k, x in enumerate(leaves)])
    call = HostCall(callback, name_of(callback), kept, dynamic, in_tree, out_tree, user_line(2))
    return call, operands


def result_types(
    what: str, result_shape_dtypes: Any, argument: str = "result_shape_dtypes"
) -> tuple[tuple[ArrayType, ...], Any]:
    """The types of declared results, and the structure that they stand in; `argument` is what declares them."""
    leaves, out_tree = tree.flatten(result_shape_dtypes)
    types = []
    for leaf in leaves:
        if isinstance(leaf, type) or not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
            raise ArgumentError(
                f"{what}: {argument} says the shape and dtype of each result, and has {leaf!r}",
                hint="use funcgrad.ShapeDtypeStruct(shape, dtype), or an array of the same shape and dtype",
            )
        types.append(array_type(tuple(leaf.shape), dtypes.as_dtype(leaf.dtype)))
    return tuple(types), out_tree


@boundary
def pure_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    sharding: Any = None,
    vmap_method: str | None = None,
    **kwargs: Any,
) -> Any:
    """Call a Python function without side effects from inside traced and compiled code.

    The function gets arrays, and may use NumPy, SciPy or anything else. The call may be left out where its result is
    not needed, and repeated; an exception that it raises ends the program and reaches the caller.

    Args:
        callback: the function of `args` and `kwargs`.
        result_shape_dtypes: a tree of things with `shape` and `dtype` (arrays, ShapeDtypeStructs): what it returns.
        args, kwargs: trees of arrays and numbers.
        sharding: accepted for JAX's sake; without effect.
        vmap_method: what to do under `vmap`. 'sequential' and 'sequential_unrolled' call it for each example;
            'expand_dims' calls it once, with a leading batch axis on every operand, of length 1 on those that are
            not batched; 'broadcast_all' does so with the full length on each. None raises.

    Raises:
        ArgumentError, ShapeError, DTypeError: results of another structure, shape or dtype than declared.
        NotDifferentiableError: differentiated without a custom rule.

    >>> import numpy as np, funcgrad as fg
    >>> f = lambda x: fg.pure_callback(np.sin, fg.ShapeDtypeStruct((), np.float32), x)
    >>> fg.jit(f)(np.float32(0.0))
    Array(0., dtype=float32)
    """
    if vmap_method is not None and vmap_method not in VMAP_METHODS:
        raise ArgumentError(
            f"pure_callback: vmap_method is one of {', '.join(map(repr, VMAP_METHODS))} or None, got {vmap_method!r}"
        )
    types, out_tree = result_types("pure_callback", result_shape_dtypes)
    call, operands = host_call("pure_callback", callback, args, kwargs, out_tree)
    outs = bind(pure_callback_p, *operands, call=call, results=types, vmap_method=vmap_method)
    return out_tree.unflatten(outs)


@boundary
def io_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    sharding: Any = None,
    ordered: bool = False,
    **kwargs: Any,
) -> Any:
    """Call a Python function that has side effects from inside traced and compiled code.

    It is called exactly once for each time that the program comes by, also where its result is not needed. All
    calls happen in the order of the program, whether `ordered` or not; under `vmap` for one example after the other.

    Args and errors are those of `pure_callback`.

    >>> import numpy as np, funcgrad as fg
    >>> rng = np.random.default_rng(0)
    >>> draw = lambda: rng.integers(10, size=2)
    >>> fg.jit(lambda: fg.io_callback(draw, fg.ShapeDtypeStruct((2,), np.int64)))().shape
    (2,)
    """
    types, out_tree = result_types("io_callback", result_shape_dtypes)
    call, operands = host_call("io_callback", callback, args, kwargs, out_tree)
    outs = bind(io_callback_p, *operands, call=call, results=types, ordered=bool(ordered))
    return out_tree.unflatten(outs)


def effects_barrier() -> None:
    """Wait until all effects have happened: they have when a function returns, so there is nothing to wait for."""


__all__ = ["effects_barrier", "host_call", "io_callback", "pure_callback"]
