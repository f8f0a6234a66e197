"""How JAX's programs lay arrays out over devices, where there is one device: meshes of size 1, specs, and `shard_map`.

What is written for several devices runs, as under `pmap`; nothing is ever spread. Arrays get their attribute `sharding`
here.
"""

from __future__ import annotations

import enum
import functools
import inspect
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.array import CPU, Device, install_methods
from funcgrad.batching import vmap
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.flat import name_of
from funcgrad.ir.types import ArrayType
from funcgrad.records import record
from funcgrad.trace.core import is_operand, type_of


class PartitionSpec(tuple):
    """For each axis of an array the mesh axis (a name, several names, or None) along which it is spread.

    >>> from funcgrad.sharding import PartitionSpec as P
    >>> P("data", None)
    PartitionSpec('data', None)
    """

    def __new__(cls, *partitions: Any) -> PartitionSpec:
        return super().__new__(cls, partitions)

    def __repr__(self) -> str:
        return f"PartitionSpec({', '.join(map(repr, self))})"

    def names(self) -> list[Hashable]:
        """The mesh axes that it names."""
        parts = [p if isinstance(p, tuple) else (p,) for p in self]
        return [name for part in parts for name in part if name is not None]


P = PartitionSpec


class AxisType(enum.Enum):
    """Who decides how arrays are spread along an axis of a mesh; without effect on one device."""

    Auto = enum.auto()
    Explicit = enum.auto()
    Manual = enum.auto()


class Mesh:
    """Devices in a grid with named axes: here one device, and every axis has length 1.

    Args:
        devices: a device, or a nested sequence or array of devices.
        axis_names: a name for each axis of `devices`.
        axis_types: accepted for JAX's sake; without effect on one device.

    Raises:
        ArgumentError: several devices, or not as many names as axes.
    """

    def __init__(self, devices: Any, axis_names: Any, axis_types: Any = None):
        grid = np.array(devices, dtype=object)
        names = (axis_names,) if isinstance(axis_names, str) else tuple(axis_names)
        if grid.size != 1 or grid.flat[0] != CPU:
            raise ArgumentError(
                f"a mesh of {grid.size} devices; there is 1: {CPU!r}",
                hint="give every axis of the mesh length 1, or use vmap for a batch on one device",
            )
        if len(names) != grid.ndim:
            raise ArgumentError(
                f"a mesh of shape {grid.shape} has {grid.ndim} axes, and got the names {names}"
            )
        self.devices, self.axis_names = grid, names

    @property
    def shape(self) -> dict[Hashable, int]:
        """The lengths of the axes, by name."""
        return dict.fromkeys(self.axis_names, 1)

    size, empty = 1, False

    def __enter__(self) -> Mesh:
        return self

    def __exit__(self, *exception: Any) -> None:
        """Nothing: which mesh is current makes no difference."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mesh) and self.axis_names == other.axis_names

    def __hash__(self) -> int:
        return hash(self.axis_names)

    def __repr__(self) -> str:
        return f"Mesh({', '.join(f'{name!r}: 1' for name in self.axis_names)})"


@boundary
def make_mesh(
    axis_shapes: Sequence[int], axis_names: Sequence[Any], axis_types: Any = None, *, devices: Any = None
) -> Mesh:
    """A mesh with axes of these lengths and names, over all devices: over one.

    >>> import funcgrad as fg
    >>> fg.make_mesh((1, 1), ("data", "model"))
    Mesh('data': 1, 'model': 1)
    """
    shape = tuple(axis_shapes)
    if math.prod(shape) != 1:
        raise ArgumentError(
            f"a mesh of shape {shape} needs {math.prod(shape)} devices; there is 1",
            hint="use len(funcgrad.devices()) for the length of an axis, or vmap for a batch on one device",
        )
    return Mesh(np.full(shape, CPU, object) if devices is None else devices, axis_names, axis_types)


class Sharding:
    """How an array lies on devices: all of it on the one there is."""

    device_set = addressable_devices = frozenset({CPU})
    is_fully_replicated = is_fully_addressable = True
    num_devices = 1
    memory_kind = None

    def shard_shape(self, global_shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of what lies on one device."""
        return tuple(global_shape)


@record
class SingleDeviceSharding(Sharding):
    """All of an array on one device."""

    device: Device = CPU


class NamedSharding(Sharding):
    """An array spread over a mesh as a `PartitionSpec` says.

    Raises:
        ArgumentError: a name that the mesh does not have.

    >>> import funcgrad as fg
    >>> from funcgrad.sharding import NamedSharding, PartitionSpec
    >>> fg.device_put(fg.numpy.ones(2), NamedSharding(fg.make_mesh((1,), ("data",)), PartitionSpec("data")))
    Array([1., 1.], dtype=float32)
    """

    def __init__(self, mesh: Mesh, spec: PartitionSpec, *, memory_kind: str | None = None):
        self.mesh, self.spec = mesh, spec
        for name in spec.names():
            if name not in mesh.axis_names:
                have = ", ".join(map(repr, mesh.axis_names))
                raise ArgumentError(
                    f"{spec} names the axis {name!r}, and the mesh has {have}",
                    hint="name axes of the mesh, or None for an axis that is not spread",
                )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NamedSharding) and (self.mesh, self.spec) == (other.mesh, other.spec)

    def __hash__(self) -> int:
        return hash((self.mesh, self.spec))

    def __repr__(self) -> str:
        return f"NamedSharding(mesh={self.mesh}, spec={self.spec})"


def check_layout(x: Any, layout: Any, function: str) -> None:
    """Raise where a tree of arrays cannot lie as a device, a sharding, a spec, or a tree of these says."""
    if layout is None or isinstance(layout, Sharding | PartitionSpec):
        spec = layout.spec if isinstance(layout, NamedSharding) else layout
        for leaf in tree.leaves(x):
            if isinstance(spec, PartitionSpec) and is_operand(leaf) and len(spec) > type_of(leaf).ndim:
                raise ShapeError(
                    f"{function}: {spec} has {len(spec)} entries, and the array is {type_of(leaf)}",
                    hint="give at most one entry for each axis",
                )
    elif isinstance(layout, str):
        if layout != CPU:
            raise ArgumentError(f"there is no device {layout!r}", hint=f"the devices are: {CPU!r}")
    elif isinstance(layout, Mapping | list | tuple):
        for one in layout.values() if isinstance(layout, Mapping) else layout:
            check_layout((), one, function)
    else:
        raise ArgumentError(
            f"{function} takes a device or a sharding, got {type(layout).__name__}",
            hint=f"the devices are: {CPU!r}",
        )


def takes_out_sharding(function: Callable[..., Any]) -> Callable[..., Any]:
    """The public function with JAX's argument `out_sharding`: on one device, a check that the results can lie so."""

    public = boundary(function)  # which says what does not fit its signature

    @boundary
    @functools.wraps(function)
    def wrapped(*args: Any, out_sharding: Any = None, **kwargs: Any) -> Any:
        out = public(*args, **kwargs)
        if out_sharding is not None:
            check_layout(out, out_sharding, name_of(function))
        return out

    signature = inspect.signature(function)
    extra = inspect.Parameter("out_sharding", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="Any")
    wrapped.__signature__ = signature.replace(parameters=[*signature.parameters.values(), extra])  # type: ignore
    return wrapped


def _specs_of(specs: Any) -> list[PartitionSpec]:
    """The specs in a tree of them."""
    if isinstance(specs, PartitionSpec):
        return [specs]
    if isinstance(specs, Mapping):
        specs = list(specs.values())
    return [spec for one in specs for spec in _specs_of(one)] if isinstance(specs, list | tuple) else []


@boundary
def with_sharding_constraint(x: Any, shardings: Any) -> Any:
    """`x` itself: on one device there is one way for it to lie.

    >>> import funcgrad as fg
    >>> fg.lax.with_sharding_constraint(fg.numpy.ones(2), fg.P())
    Array([1., 1.], dtype=float32)
    """
    check_layout(x, shardings, "with_sharding_constraint")
    return x


@boundary
def shard_map(
    f: Callable[..., Any] | None = None,
    /,
    *,
    mesh: Mesh | None = None,
    in_specs: Any = None,
    out_specs: Any = None,
    axis_names: Any = None,
    check_vma: bool = True,
    check_rep: bool = True,
) -> Callable[..., Any]:
    """`f` on each device's part of the arguments: on one device on all of them, with the mesh's axes named for
    collectives.

    Args:
        f: a function of what lies on one device; without it a decorator is returned.
        mesh: a `Mesh`.
        in_specs, out_specs: how arguments and results are spread, as `PartitionSpec`s or trees of them.
        axis_names, check_vma, check_rep: accepted for JAX's sake; without effect.

    >>> import funcgrad as fg
    >>> mesh = fg.make_mesh((1,), ("i",))
    >>> fg.shard_map(lambda x: fg.lax.psum(x, "i"), mesh=mesh, in_specs=fg.P("i"), out_specs=fg.P())(fg.numpy.ones(2))
    Array([1., 1.], dtype=float32)
    """
    if f is None:
        return functools.partial(shard_map, mesh=mesh, in_specs=in_specs, out_specs=out_specs)
    function = f"shard_map of {name_of(f)}"
    if not isinstance(mesh, Mesh):
        raise ArgumentError(
            f"shard_map needs a mesh, got {mesh!r}", hint='pass mesh=funcgrad.make_mesh((1,), ("data",))'
        )

    for specs in (in_specs, out_specs):
        for spec in _specs_of(specs):
            NamedSharding(mesh, spec)

    @functools.wraps(f)
    @boundary
    def mapped(*args: Any) -> Any:
        specs = in_specs if isinstance(in_specs, tuple) and not isinstance(in_specs, PartitionSpec) else None
        if specs is not None and len(specs) != len(args):
            raise ArgumentError(
                f"{function} has {len(specs)} in_specs, and is called with {len(args)} arguments",
                hint="give a PartitionSpec for each argument, or one for all",
            )
        for arg, spec in zip(args, specs or [in_specs] * len(args)):
            check_layout(arg, spec, function)

        def named(names: Sequence[Any]) -> Any:
            if not names:
                return f(*args)
            outs = vmap(lambda: named(names[1:]), in_axes=(), axis_name=names[0], axis_size=1)()
            return tree.map(lambda x: x[0], outs)

        return named(mesh.axis_names)

    return mapped


_sharding = property(lambda self: SingleDeviceSharding())
install_methods({"sharding": _sharding})
ArrayType.sharding = _sharding  # type: ignore[attr-defined]  # what jax.typeof(x).sharding is
