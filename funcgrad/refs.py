"""`new_ref`: a local array that changes in place, for `x[i] = v` inside a pure function.

A `Ref` holds an immutable array and puts another one in its place when it is written to, so that it works wherever
arrays do: eagerly, under jit, grad and vmap. Owns the rule that only the function (and the transform) that made a
Ref writes to it, and the bodies of its loops (lending.py); what it holds never changes for anybody else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.array import Array, ArrayMethods
from funcgrad.errors import Held, ImmutableError, LeakedTracerError, UnhashableError, boundary
from funcgrad.ir.types import ArrayType
from funcgrad.lending import Lendable, borrow
from funcgrad.numpy import creation, indexing, updates
from funcgrad.source import SourceLine, user_line
from funcgrad.trace.core import EAGER, Tracer, state


class Ref(Held, Lendable):
    """A local array that changes in place; `new_ref` makes it.

    `ref[index]` reads and `ref[index] = value` writes, with the indices of arrays; `ref[...]` is all of it, as an
    array. `ref[index] += value` and the like are a read and a write. Everything else that an array has (operators,
    `shape`, `sum()`, ...) is that of the array that it holds now, and functions of arrays take it as that array.
    """

    __slots__ = ("_frozen", "_made_at")
    __array_priority__ = ArrayMethods.__array_priority__ + 1

    def __init__(self, value: Any):
        self._value = value
        self._trace = state.trace
        self._made_at: SourceLine | None = user_line(2)
        self._own = False  # whether nobody else has seen the memory of the array
        self._frozen = False

    def read(self) -> Any:
        """The array that the Ref holds now."""
        self._check_alive()
        self._own = False
        return self._value

    @property
    def type(self) -> ArrayType:
        return self._value.type

    def _check_alive(self) -> None:
        value = self._value
        if isinstance(value, Tracer) and not value.made_by.alive:
            raise LeakedTracerError(
                f"a Ref of {value.type} is used after the function that made it has returned{self._made()}",
                hint="return ref[...] from the traced function, instead of keeping the Ref in a global, an attribute "
                "or a list",
            )

    def _made(self) -> str:
        return f"; it was made at {self._made_at}" if self._made_at else ""

    def _check_writable(self) -> None:
        if self._frozen:
            raise ImmutableError(
                f"a frozen Ref does not change: {self.type}", hint="make another of its array: new_ref(array)"
            )
        self._check_alive()
        if not self.made_in(state.trace):
            borrow(self)
            raise ImmutableError(
                f"a Ref of {self.type} is written to inside another traced function than the one that made it"
                f"{self._made()}",
                hint="a function under jit, grad or vmap changes only what it makes itself: take the array as an "
                "argument, make ref = new_ref(array) inside, and return ref[...]; a Python `for` or `if`, and the "
                "bodies of lax.scan, fori_loop, while_loop, cond and switch, need none of that",
            )

    @boundary
    def __getitem__(self, index: Any) -> Any:
        if index is Ellipsis:
            return self.read()
        self._check_alive()
        out = indexing.getitem(self._value, index)
        if self._own and out.__class__ is Array and np.may_share_memory(out._data, self._value._data):
            return Array(out._data.copy(), out._type)
        return out

    @boundary
    def __setitem__(self, index: Any, value: Any) -> None:
        self._check_writable()
        if isinstance(value, Held):
            value = value.read()
        if self._value.__class__ is Array and state.trace is EAGER and self._write(index, value):
            return
        self._value = updates.At(self._value)[index].set(value)
        self._own = False

    def _write(self, index: Any, value: Any) -> bool:
        """Write into the memory of the array, where that is all there is to do; whether it was."""
        entries = index if index.__class__ is tuple else (index,)
        if not all(i is Ellipsis or i.__class__ is int or i.__class__ is slice for i in entries):
            return False
        data = value._data if value.__class__ is Array else value
        dtype = self._value.dtype
        known = {int: "iuf", float: "f"}.get(data.__class__, "")
        if dtype.kind not in known and getattr(data, "dtype", None) != dtype:
            return False
        if not self._own:
            self._value = Array(self._value._data.copy(), self._value._type)
            self._own = True
        try:
            self._value._data[index] = data
        except (IndexError, ValueError):  # `at` says it better, or drops what is out of bounds
            return False
        return True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.read(), name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.read(), dtype=dtype)

    @boundary
    def __hash__(self) -> int:
        raise UnhashableError(f"a Ref has no hash: {self.type}", hint="key by a name or a number")

    def __repr__(self) -> str:
        return f"Ref({self._value!r})"

    def __str__(self) -> str:
        return str(self._value)

    def __format__(self, spec: str) -> str:
        return format(self._value, spec)

    def __deepcopy__(self, memo: Any) -> Ref:
        return Ref(self.read())

    def __reduce__(self) -> Any:
        return (Ref, (self.read(),))


def _of_the_array(name: str) -> Callable[..., Any]:
    """A special method of the array that a Ref holds."""

    def method(self: Ref, *args: Any) -> Any:
        args = tuple([x.read() if isinstance(x, Held) else x for x in args])
        return getattr(self.read(), name)(*args)

    method.__name__ = method.__qualname__ = name
    return boundary(method)


def _in_place(name: str) -> Callable[[Ref, Any], Ref]:
    """`ref += value` and the like, which write."""

    def method(self: Ref, other: Any) -> Ref:
        new = getattr(self, f"__{name}__")(other)
        if new is NotImplemented:
            return new
        self[...] = new
        return self

    method.__name__ = method.__qualname__ = f"__i{name}__"
    return boundary(method)


_BINARY = (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
)
for _name in (*_BINARY, "divmod"):
    setattr(Ref, f"__{_name}__", _of_the_array(f"__{_name}__"))
    setattr(Ref, f"__r{_name}__", _of_the_array(f"__r{_name}__"))
for _name in _BINARY:
    setattr(Ref, f"__i{_name}__", _in_place(_name))
for _name in (
    *("eq", "ne", "lt", "le", "gt", "ge", "neg", "pos", "abs", "invert", "round"),
    *("len", "iter", "bool", "int", "float", "complex", "index"),
):
    setattr(Ref, f"__{_name}__", _of_the_array(f"__{_name}__"))


@boundary
def new_ref(init_val: Any, *, memory_space: None = None, kind: None = None) -> Ref:
    """A local array that starts as `init_val` and changes in place: `ref[i] = v`, `ref[i] += v`.

    Works in eager code and inside functions under jit, grad and vmap, in Python loops, under Python conditions and in
    the bodies of `lax.scan`, `fori_loop`, `while_loop`, `cond` and `switch`, which carry what it holds;
    what is written becomes operations on immutable arrays, and `init_val` itself never changes. Return the array:
    `ref[...]`.

    Args:
        init_val: an array or a number. The Ref keeps its shape and dtype.
        memory_space, kind: accepted for JAX's sake; without effect here.

    Raises:
        ImmutableError: in a write, inside another function under jit, grad or vmap than the one that made the Ref, or
            after `freeze`.
        LeakedTracerError: in a use after the traced function that made it has returned.

    >>> import funcgrad as fg
    >>> @fg.jit
    ... def running_sum(x):
    ...     total = fg.new_ref(x)
    ...     for i in range(1, len(x)):
    ...         total[i] += total[i - 1]
    ...     return total[...]
    >>> running_sum(fg.numpy.arange(4.0))
    Array([0., 1., 3., 6.], dtype=float32)
    """
    if isinstance(init_val, Held):
        init_val = init_val.read()
    value = creation.array(init_val)
    return Ref(creation.astype(value, value.dtype))


@boundary
def freeze(ref: Ref) -> Any:
    """The array that a Ref holds; the Ref takes no more writes.

    >>> import funcgrad as fg
    >>> ref = fg.new_ref(fg.numpy.zeros(2))
    >>> ref[0] = 3.0
    >>> fg.freeze(ref)
    Array([3., 0.], dtype=float32)
    """
    value = ref.read()
    ref._frozen = True
    return value
