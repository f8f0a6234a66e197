"""`Array`: an immutable, thin wrapper over a NumPy buffer.

Owns storage, conversion to and from other libraries, printing and pickling. Operators and methods that
compute are defined by the `numpy` face, above, which installs them on `ArrayMethods`; tracers share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, DTypeError, ImmutableError, UnhashableError, boundary
from funcgrad.ir.types import ArrayType, array_type


class Device(str):
    """A device, by its name; what JAX's devices say of themselves."""

    __slots__ = ()
    id = process_index = local_hardware_id = 0

    @property
    def platform(self) -> str:
        return str(self)

    device_kind = platform

    def memory_stats(self) -> None:
        """Nothing: memory is the machine's."""


CPU = Device("cpu")


class ArrayMethods:
    """What arrays and traced values have in common; `install_methods` fills in what computes."""

    __slots__ = ()
    __array_priority__ = 1000
    type: ArrayType

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape

    @property
    def dtype(self) -> np.dtype:
        return self.type.dtype

    @property
    def ndim(self) -> int:
        return len(self.type.shape)

    @property
    def size(self) -> int:
        return self.type.size

    @property
    def nbytes(self) -> int:
        return self.type.nbytes

    @property
    def itemsize(self) -> int:
        return self.type.dtype.itemsize

    @property
    def weak_type(self) -> bool:
        return self.type.weak

    @property
    def aval(self) -> ArrayType:
        """JAX's name of `type`."""
        return self.type

    @boundary
    def __len__(self) -> int:
        if not self.type.shape:
            raise ArgumentError(
                f"len() of an array without axes: {self.type}", hint="x.size is 1; x.shape is ()"
            )
        return self.type.shape[0]

    @boundary
    def __hash__(self) -> int:
        raise UnhashableError(
            f"arrays have no hash: {self.type}",
            hint="key by a tuple of Python numbers, or by id(x); arrays cannot be static arguments of jit",
        )

    @boundary
    def __setitem__(self, index: Any, value: Any) -> None:
        raise ImmutableError(
            f"arrays do not change in place: {self.type}",
            hint="write x = x.at[index].set(value), which gives a new array (jit makes it in place), or make a local "
            "array that does change, ref = funcgrad.new_ref(x): then ref[index] = value, and ref[...] is the array",
        )

    @boundary
    def __delitem__(self, index: Any) -> None:
        raise ImmutableError(
            f"arrays do not change in place: {self.type}",
            hint="use funcgrad.numpy.delete(x, index), which gives a new array",
        )


def no_single_truth(type: ArrayType) -> ArgumentError:
    """The error of a condition on an array of several elements, or none."""
    return ArgumentError(
        f"an array of {type.size} elements has no single truth value: {type}",
        hint="use (x > 0).any() or (x > 0).all(), or funcgrad.numpy.where for an element-wise choice; conditions are "
        "combined by & and |: (x > 0) & (x < 1)",
    )


def no_axes_to_iterate(type: ArrayType) -> ArgumentError:
    """The error of iterating over an array without axes."""
    return ArgumentError(
        f"an array without axes cannot be iterated over: {type}",
        hint="x.reshape(1) has one element to iterate over; where a shape is asked for, give Python integers "
        "(under jit: static arguments)",
    )


def install_methods(methods: dict[str, Any]) -> None:
    """Give arrays and tracers the operators and methods that compute."""
    for name, method in methods.items():
        setattr(ArrayMethods, name, method)


class _ArrayClass(type):
    """What makes traced values instances of `Array`, so that functions which ask for arrays do the same under `jit`."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return issubclass(type(instance), ArrayMethods)


class Array(ArrayMethods, metaclass=_ArrayClass):
    """An immutable array of numbers, of any shape and of one dtype, on the CPU.

    Made by `funcgrad.numpy.array` and by every operation; not called directly. Read it back with
    `numpy.asarray(x)` (no copy, read-only), `x.item()`, `x.tolist()` or `float(x)`. Traced values are instances too.
    """

    __slots__ = ("__weakref__", "_data", "_type")
    _data: np.ndarray
    _type: ArrayType | None

    def __init__(self, data: np.ndarray, type: ArrayType | None = None):
        self._data = data
        self._type = type

    @property
    def type(self) -> ArrayType:
        known = self._type
        if known is None:
            data = self._data
            known = self._type = array_type(data.shape, data.dtype)
        return known

    # Conversions. The buffer that leaves is read-only, so that the array stays as it is.
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        data = self._data
        if dtype is not None and dtype != data.dtype:
            if copy is False:
                raise ValueError(f"a change of dtype from {data.dtype} to {dtype} needs a copy")
            return data.astype(dtype)
        if copy:
            return data.copy()
        view = data.view()
        view.flags.writeable = False
        return view

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Any:
        return _namespace[0]

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None
    ):
        if self._data.dtype == dtypes.bfloat16:
            raise BufferError("bfloat16 arrays do not leave by DLPack; convert to float32 first")
        data = self._data if not copy else self._data.copy()
        if max_version is not None and tuple(max_version) >= (1, 0):
            data = data.view()
            data.flags.writeable = False
        elif not data.flags.writeable:  # the protocol before 1.0 has no word for read-only memory
            data = np.asarray(_Writeable(data))
        return data.__dlpack__(max_version=max_version, dl_device=dl_device, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._data.__dlpack_device__()

    @boundary
    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise no_single_truth(self.type)
        return bool(self._data)

    @boundary
    def __float__(self) -> float:
        return float(self._scalar("float"))

    @boundary
    def __int__(self) -> int:
        return int(self._scalar("int"))

    @boundary
    def __complex__(self) -> complex:
        return complex(self._scalar("complex"))

    @boundary
    def __index__(self) -> int:
        if self._data.ndim or not (dtypes.is_integer(self._data.dtype) or dtypes.is_bool(self._data.dtype)):
            raise ArgumentError(
                f"only an integer array without axes can be used as an index or a range: {self.type}",
                hint="use x.astype(int), or int(x)",
            )
        return int(self._data)

    def _scalar(self, what: str) -> Any:
        if self._data.size != 1:
            raise ArgumentError(
                f"{what}() takes an array of one element, and this one has {self._data.size}: {self.type}",
                hint="index it or reduce it first, or use .tolist()",
            )
        if what != "complex" and dtypes.is_complex(self._data.dtype):
            raise DTypeError(
                f"{what}() does not take a complex array: {self.type}", hint="use x.real, or abs(x)"
            )
        return self._data.reshape(())[()]

    @boundary
    def item(self, *index: int) -> Any:
        """The one element (or the element at `index`) as a Python scalar."""
        if not index and self._data.size != 1:
            self._scalar("item")
        return self._data.item(*index)

    def tolist(self) -> Any:
        return self._data.tolist()

    @boundary
    def __iter__(self):
        if not self._data.ndim:
            raise no_axes_to_iterate(self.type)
        return (Array(np.asarray(row)) for row in self._data)

    def __format__(self, spec: str) -> str:
        return format(self._data[()], spec) if not self._data.ndim else format(str(self), spec)

    def __str__(self) -> str:
        return str(self._data) if not self.is_deleted() else f"Array<{self._type}, deleted>"

    def __repr__(self) -> str:
        if self.is_deleted():
            return str(self)
        body = np.array2string(self._data, separator=", ", prefix="Array(")
        if not self._data.size:
            body = f"[], shape={self._data.shape}".replace(",)", ",)")
        weak = ", weak_type=True" if self.type.weak else ""
        return f"Array({body}, dtype={self._data.dtype.name}{weak})"

    def __reduce__(self):
        return (_rebuild, (self._data, self.type.weak))

    def __copy__(self) -> Array:
        return self

    def __deepcopy__(self, memo: Any) -> Array:
        return self

    def block_until_ready(self) -> Array:
        """The array itself: on the CPU a value is ready when it is returned."""
        return self

    def delete(self) -> None:
        """Give the memory of the array back; any use of it from here on is an error."""
        self._type = self.type
        self._data = Donated(None)  # type: ignore[assignment]

    def is_deleted(self) -> bool:
        """Whether the array was deleted or donated and is gone."""
        return self._data.__class__ is Donated

    @property
    def strides(self) -> tuple[int, ...]:
        return self._data.strides

    @property
    def device(self) -> Device:
        return CPU

    def devices(self) -> set[Device]:
        return {CPU}

    def to_device(self, device: Any, /, *, stream: Any = None) -> Array:
        if device not in (CPU, None):
            raise ArgumentError(f"no device {device!r}; the devices are: 'cpu'")
        return self

    # What JAX's arrays say of where they lie; here they are whole, in this process, as soon as they exist.
    committed = is_fully_addressable = is_fully_replicated = True

    def is_ready(self) -> bool:
        return not self.is_deleted()

    def platform(self) -> str:
        return CPU.platform

    def copy_to_host_async(self) -> None:
        """Nothing: the array is on the host."""

    def addressable_data(self, index: int) -> Array:
        """The part of the array that lies on device `index`: all of it."""
        if index != 0:
            raise ArgumentError(f"no device {index}: an array lies on device 0")
        return self

    def on_device_size_in_bytes(self) -> int:
        return self.type.nbytes

    def unsafe_buffer_pointer(self) -> int:
        """The address of the first element, which holds as long as the array does."""
        return self._data.ctypes.data

    def tobytes(self, order: str = "C") -> bytes:
        return self._data.tobytes(order)  # type: ignore[arg-type]

    def clone(self) -> Array:
        """The same values in memory of their own, which stays when this array is donated."""
        return Array(self._data.copy(), self._type)


class _Writeable:
    """Read-only memory, as NumPy sees it, without the mark that it is."""

    def __init__(self, data: np.ndarray):
        self.data = data
        self.__array_interface__ = data.__array_interface__ | {"data": (data.ctypes.data, False)}


class Donated:
    """Stands in an array for the buffer that a compiled function has taken over, or that was deleted. Any use of it
    is an error.

    The driver looks into it as if it were an ndarray: the empty slots are where that has its flags, and say that
    its elements are not to be read.
    """

    __slots__ = ("function", *(f"empty_{i}" for i in range(8)))

    def __init__(self, function: str | None):
        self.function = function

    def __getattr__(self, name: str) -> Any:
        if self.function is None:
            raise ArgumentError("this array was deleted by x.delete()", hint="delete it after its last use")
        raise ArgumentError(
            f"this array was donated to {self.function}, which has written its result over it",
            hint="use the result of that call, or leave the argument out of donate_argnums",
        )

    def __getitem__(self, index: Any) -> Any:
        return self.__getattr__("__getitem__")


class ShapeDtypeStruct:
    """A shape and a dtype that stand for an array: what `eval_shape` gives, and `lower` and `eval_shape` take.

    >>> import funcgrad as fg
    >>> fg.eval_shape(fg.numpy.sum, fg.ShapeDtypeStruct((3, 4), "float32"))
    ShapeDtypeStruct(shape=(), dtype=float32)
    """

    __slots__ = ("type",)

    def __init__(self, shape: Sequence[int], dtype: Any, *, weak_type: bool = False, sharding: None = None):
        self.type = array_type(tuple([int(n) for n in shape]), dtypes.as_dtype(dtype), weak_type)

    @classmethod
    def of(cls, type: ArrayType) -> ShapeDtypeStruct:
        return cls(type.shape, type.dtype, weak_type=type.weak)

    @classmethod
    def like(cls, x: Any) -> ShapeDtypeStruct:
        """The shape and dtype of an array, or of what has these."""
        return cls(x.shape, x.dtype, weak_type=getattr(x, "weak_type", False))

    shape = property(lambda self: self.type.shape)
    dtype = property(lambda self: self.type.dtype)
    ndim = property(lambda self: self.type.ndim)
    size = property(lambda self: self.type.size)
    weak_type = property(lambda self: self.type.weak)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ShapeDtypeStruct) and self.type.matches(other.type)

    def __hash__(self) -> int:
        return hash((self.type.shape, self.type.dtype))

    def __repr__(self) -> str:
        weak = ", weak_type=True" if self.type.weak else ""
        return f"ShapeDtypeStruct(shape={self.type.shape}, dtype={self.type.dtype.name}{weak})"


_namespace: list[Any] = [None]
"""The module that `__array_namespace__` gives; set by the numpy face."""


def _rebuild(data: np.ndarray, weak: bool) -> Array:
    return Array(data, array_type(data.shape, data.dtype, weak))


def array_of(value: Any, type: ArrayType | None = None) -> Array:
    """An Array over `value` (a NumPy array or scalar) without a copy."""
    return Array(value if value.__class__ is np.ndarray else np.asarray(value), type)
