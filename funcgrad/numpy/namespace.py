"""What the Array API asks of a namespace: which devices, dtypes and abilities it has."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import dtypes as _dtypes
from funcgrad.numpy.creation import check_device
from funcgrad.numpy.inspection import isdtype

_STANDARD = tuple(d for d in _dtypes.ALL if d != _dtypes.bfloat16 and d != _dtypes.float16)


class NamespaceInfo:
    """The inspection functions of the Array API; made by `funcgrad.numpy.__array_namespace_info__()`."""

    __module__ = "funcgrad.numpy"

    def capabilities(self) -> dict[str, Any]:
        """Boolean masks and results whose shape depends on values work outside of jit."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """The device of new arrays."""
        return "cpu"

    def devices(self) -> tuple[str, ...]:
        """The devices that `device=` takes."""
        return ("cpu",)

    def default_dtypes(self, *, device: Any = None) -> dict[str, np.dtype]:
        """The dtypes of new arrays where none is asked for, by kind."""
        check_device(device)
        return {
            "real floating": _dtypes.default_float(),
            "complex floating": _dtypes.default_complex(),
            "integral": _dtypes.default_int(),
            "indexing": _dtypes.default_int(),
        }

    def dtypes(self, *, device: Any = None, kind: str | tuple[str, ...] | None = None) -> dict[str, np.dtype]:
        """The dtypes of the standard, by name; those of a kind (or of one in a tuple) where it is given."""
        check_device(device)
        return {d.name: d for d in _STANDARD if kind is None or isdtype(d, kind)}


def __array_namespace_info__() -> NamespaceInfo:
    """The namespace's devices, dtypes and abilities, by the functions that the Array API names.

    >>> import funcgrad.numpy as fnp
    >>> fnp.__array_namespace_info__().default_dtypes()["real floating"]
    dtype('float32')
    """
    return NamespaceInfo()
