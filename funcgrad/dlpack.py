"""Arrays of other libraries without a copy, under the names of `jax.dlpack`."""

from typing import Any

from funcgrad import dtypes
from funcgrad.errors import DTypeError
from funcgrad.numpy import from_dlpack


def is_supported_dtype(dtype: Any) -> bool:
    """Whether arrays of this dtype can be exchanged: those that NumPy knows by itself.

    >>> import funcgrad as fg
    >>> fg.dlpack.is_supported_dtype("float32"), fg.dlpack.is_supported_dtype("bfloat16")
    (True, False)
    """
    try:
        found = dtypes.as_dtype(dtype)
    except DTypeError:
        return False
    return found not in (dtypes.bfloat16, dtypes.float0)


__all__ = ["from_dlpack", "is_supported_dtype"]
