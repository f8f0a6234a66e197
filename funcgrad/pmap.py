"""`pmap` as it is on one device: a batch of one example. Composition of `jit` and `vmap`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import tree
from funcgrad.batching import vmap
from funcgrad.devices import devices as all_devices
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.flat import name_of
from funcgrad.jit import jit
from funcgrad.trace.core import is_operand, type_of


@boundary
def pmap(
    fun: Callable[..., Any],
    axis_name: Any = None,
    *,
    in_axes: Any = 0,
    out_axes: Any = 0,
    static_broadcasted_argnums: int | Sequence[int] = (),
    devices: Sequence[Any] | None = None,
    backend: str | None = None,
    axis_size: int | None = None,
    donate_argnums: int | Sequence[int] = (),
) -> Callable[..., Any]:
    """The function that applies `fun` to one example on each device. There is one device, so the mapped axes have
    length 1: what is written for several devices runs, and collectives over `axis_name` are of one example.

    Args:
        fun: a function of one example.
        axis_name: a name for the mapped axis, for collectives such as `lax.psum`.
        in_axes, out_axes: as for `vmap`.
        static_broadcasted_argnums: positions of arguments that are constants, equal on all devices; hashable.
        devices, backend: nothing, or the one device.
        axis_size: 1.
        donate_argnums: positions of arguments whose memory may be used for results.

    Raises:
        ShapeError: a mapped axis that is longer than there are devices; use `vmap` for a batch.

    >>> import funcgrad as fg
    >>> fg.pmap(lambda x: x / fg.lax.psum(x, "i"), axis_name="i")(fg.numpy.ones((1, 2)))
    Array([[1., 1.]], dtype=float32)
    """
    if not callable(fun):
        raise ArgumentError(f"pmap takes a function, got {type(fun).__name__}", hint="write pmap(f)(x)")
    if devices is not None and list(devices) != all_devices():
        raise ArgumentError(
            f"pmap over the devices {devices!r}", hint="there is one: 'cpu'; leave devices out"
        )
    all_devices(backend)
    if axis_size not in (None, 1):
        raise ShapeError(f"pmap over {axis_size} examples needs as many devices; there is 1", hint="use vmap")
    static = (
        (static_broadcasted_argnums,)
        if isinstance(static_broadcasted_argnums, int)
        else tuple(static_broadcasted_argnums)
    )

    def mapped(*args: Any, **kwargs: Any) -> Any:
        dynamic = [i for i in range(len(args)) if i not in static]
        axes = in_axes if isinstance(in_axes, int) or in_axes is None else tuple(in_axes)

        def one(*some: Any, **named: Any) -> Any:
            whole = list(args)
            for i, x in zip(dynamic, some):
                whole[i] = x
            return fun(*whole, **named)

        chosen = tuple([axes[i] if isinstance(axes, tuple) else axes for i in dynamic])
        _check_lengths(fun, chosen, [args[i] for i in dynamic], kwargs)
        batched = vmap(one, chosen, out_axes, axis_name, 1)
        return batched(*[args[i] for i in dynamic], **kwargs)

    functools.update_wrapper(mapped, fun)
    return jit(mapped, static_argnums=static, donate_argnums=donate_argnums)


def _check_lengths(fun: Any, axes: Sequence[Any], args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    for axis, arg in [*zip(axes, args), *((0, x) for x in kwargs.values())]:
        if not isinstance(axis, int):
            continue
        for leaf in tree.leaves(arg):
            t = type_of(leaf) if is_operand(leaf) else None
            if t is not None and -t.ndim <= axis < t.ndim and t.shape[axis] != 1:
                raise ShapeError(
                    f"pmap of {name_of(fun)} over axis {axis} of {t} needs {t.shape[axis]} devices; there is 1",
                    hint="use vmap for a batch on one device",
                )
