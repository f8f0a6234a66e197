"""`custom_vmap` and `sequential_vmap`: functions that say themselves what `vmap` makes of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import tree
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.flat import FlatFunction, check_operands, name_of
from funcgrad.ir.primitive import AxisSize
from funcgrad.lax import mapping
from funcgrad.prims.custom_batching import CustomVmap
from funcgrad.trace.core import eager, named_type, type_of

F = Callable[..., Any]


class custom_vmap:
    """A function with a batching rule of its own.

    The rule, given by `def_vmap`, is `rule(axis_size, in_batched, *args)`: `in_batched` is a list with a tree of
    booleans for each argument, and batched leaves have their batch axis in front. It returns (output, out_batched), a
    tree of booleans of the output's structure, or one boolean for all of it. The function is differentiated as it is,
    and the derivative of a batch is that of the rule.

    Raises:
        ArgumentError: there is no rule yet, or it returns something else than that.
        ShapeError: a result that is said to be batched has no leading axis of that size.

    >>> import funcgrad as fg
    >>> @fg.custom_batching.custom_vmap
    ... def norm(x):
    ...     return fg.numpy.sqrt((x * x).sum())
    >>> @norm.def_vmap
    ... def norm_of_batch(axis_size, in_batched, xs):
    ...     return fg.numpy.sqrt((xs * xs).sum(1)), True
    >>> fg.vmap(norm)(fg.numpy.ones((2, 4)))
    Array([2., 2.], dtype=float32)
    """

    _rule: F | None = None

    def __init__(self, fun: F):
        if not callable(fun):
            raise ArgumentError(f"custom_vmap takes a function, got {type(fun).__name__}")
        functools.update_wrapper(self, fun)
        self.fun = fun

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def def_vmap(self, vmap_rule: F) -> F:
        """Give the rule; usable as a decorator."""
        self._rule = vmap_rule
        return vmap_rule

    @boundary
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = name_of(self.fun)
        if self._rule is None:
            raise ArgumentError(
                f"custom_vmap function {name} has no rule yet", hint=f"define one with @{name}.def_vmap"
            )
        if kwargs:
            bound = inspect.signature(self.fun).bind(*args, **kwargs)
            if bound.kwargs:
                raise ArgumentError(
                    f"{name} has a batching rule of its own and takes keyword-only arguments "
                    f"({', '.join(bound.kwargs)}), which its rule could not receive",
                    hint="make them positional",
                )
            bound.apply_defaults()
            args = bound.args
        check_operands(self.fun, args, {}, "custom_vmap")
        if eager():
            return self.fun(*args)
        leaves, in_tree = tree.flatten((args, {}))
        flat = FlatFunction(self.fun, in_tree)
        outs = CustomVmap(flat, self._flat_rule(flat), name).bind(leaves)
        return flat.out_tree.unflatten(outs)

    def _flat_rule(self, flat: FlatFunction) -> Any:
        name = name_of(self.fun)

        def rule(size: AxisSize, batched: Sequence[bool], values: Sequence[Any]) -> tuple[Any, Any]:
            args = flat.in_tree.unflatten(values)[0]
            in_batched = list(flat.in_tree.unflatten(batched)[0])
            result = self._rule(int(size), in_batched, *args)  # type: ignore[misc]
            if not isinstance(result, tuple | list) or len(result) != 2:
                raise ArgumentError(
                    f"the batching rule of {name} has to return (output, out_batched), got {named_type(result)}",
                    hint="return y, True for a batched output, and y, False for one that all examples share",
                )
            outs, out_tree = tree.flatten(result[0])
            if out_tree != flat.out_tree:
                raise ArgumentError(
                    f"the batching rule of {name} returned an output of structure {out_tree}, and {name} itself one "
                    f"of structure {flat.out_tree}"
                )
            flags, flag_tree = tree.flatten(result[1])
            if isinstance(result[1], bool):
                flags = [result[1]] * len(outs)
            elif flag_tree != out_tree:
                raise ArgumentError(
                    f"the batching rule of {name} returned out_batched of structure {flag_tree} for an output of "
                    f"structure {out_tree}"
                )
            for out, flag in zip(outs, flags):
                if flag and type_of(out).shape[:1] != (size,):
                    raise ShapeError(
                        f"the batching rule of {name} returned {type_of(out)} as batched over an axis of size {size}",
                        hint="a batched output has the batch axis in front; say False for one that is not batched",
                    )
            return outs, [bool(f) for f in flags]

        return rule


def sequential_vmap(f: F) -> custom_vmap:
    """`f`, which `vmap` runs for one example after the other (lax.map), never for a whole batch at once.

    >>> import funcgrad as fg
    >>> f = fg.custom_batching.sequential_vmap(lambda x: fg.lax.cond(x > 0, fg.numpy.sin, fg.numpy.cos, x))
    >>> fg.vmap(f)(fg.numpy.zeros(2))
    Array([1., 1.], dtype=float32)
    """
    wrapped = custom_vmap(f)

    def rule(axis_size: int, in_batched: list[Any], *args: Any) -> tuple[Any, bool]:
        leaves, structure = tree.flatten(args)
        flags = tree.leaves(in_batched)

        def one(batched: list[Any]) -> Any:
            given = iter(batched)
            values = [next(given) if b else x for x, b in zip(leaves, flags)]
            return wrapped(*structure.unflatten(values))

        return mapping.map(one, [x for x, b in zip(leaves, flags) if b]), True

    wrapped.def_vmap(rule)
    return wrapped


__all__ = ["custom_vmap", "sequential_vmap"]
