"""Devices and moving arrays between them, under JAX's names. For now there is one device, the CPU."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.array import CPU, ArrayMethods, Device
from funcgrad.config import SETTINGS, config
from funcgrad.errors import ArgumentError, boundary
from funcgrad.numpy.promotion import check_arrays
from funcgrad.sharding import check_layout
from funcgrad.trace.core import Tracer, as_array
from funcgrad.version import __version__


@boundary
def devices(backend: str | None = None) -> list[Device]:
    """The devices of this machine."""
    if backend not in (None, CPU):
        raise ArgumentError(f"there is no device of kind {backend!r}", hint="the devices are: 'cpu'")
    return [CPU]


@boundary
def local_devices(
    process_index: int | None = None, backend: str | None = None, host_id: int | None = None
) -> list[Device]:
    """The devices of a process: of this one."""
    for number in (process_index, host_id):
        if number not in (None, 0):
            raise ArgumentError(f"there is no process {number!r}", hint="there is one: 0")
    return devices(backend)


def device_count(backend: str | None = None) -> int:
    """The number of devices."""
    return len(devices(backend))


local_device_count = device_count


def process_count(backend: str | None = None) -> int:
    """The number of processes that work together: one."""
    return 1


def process_index(backend: str | None = None) -> int:
    """The number of this process among them."""
    return 0


def process_indices(backend: str | None = None) -> list[int]:
    """The numbers of all processes: 0."""
    return [0]


host_count, host_id, host_ids = process_count, process_index, process_indices


def print_environment_info(return_string: bool = False) -> str | None:
    """Print what a report of a mistake needs: versions, processor, settings that are not the default.

    >>> import funcgrad as fg
    >>> fg.print_environment_info(return_string=True).split(":")[0]
    'funcgrad'
    """
    import platform

    import numba
    import scipy

    changed = {n: str(v) for n, s in SETTINGS.items() if (v := getattr(config, n)) != s.default}
    info = "\n".join(
        [
            f"funcgrad: {__version__}",
            f"numpy:    {np.__version__}, scipy {scipy.__version__}, numba {numba.__version__}",
            f"python:   {sys.version}",
            f"platform: {platform.platform()}, {platform.machine()}, {os.cpu_count()} processors",
            f"settings: {changed or 'the defaults'}",
        ]
    )
    if return_string:
        return info
    print(info)
    return None


@contextmanager
def default_device(device: Any) -> Iterator[None]:
    """Inside, new arrays lie on `device`; ArgumentError where there is no such device."""
    if device not in (None, CPU):
        raise ArgumentError(f"there is no device {device!r}", hint="the devices are: 'cpu'")
    yield


def default_backend() -> str:
    """The kind of the device that computes."""
    return CPU


@boundary
def device_put(x: Any, device: Any = None, *, donate: bool = False, may_alias: bool | None = None) -> Any:
    """The leaves of a tree as arrays on `device`: a device, a sharding of it, or a tree of these.

    >>> import funcgrad as fg
    >>> fg.device_put({"a": 1.0})
    {'a': Array(1., dtype=float32, weak_type=True)}
    """
    check_layout(x, device, "device_put")

    def put(leaf: Any) -> Any:
        if isinstance(leaf, ArrayMethods):
            return leaf
        check_arrays("device_put", leaf)
        return as_array(leaf)

    return tree.map(put, x)


@boundary
def device_get(x: Any) -> Any:
    """The leaves of a tree as NumPy arrays (read-only, without a copy if they are on the CPU); traced values stay."""
    return tree.map(lambda leaf: leaf if isinstance(leaf, Tracer) else np.asarray(leaf), x)
