"""Initial weights, under the names of `jax.nn.initializers`.

An initializer is a function `init(key, shape, dtype)`; most names here make one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import dtypes, random
from funcgrad.errors import ArgumentError, boundary
from funcgrad.promotion import cast
from funcgrad.trace import ops

Initializer = Callable[..., Any]
Axes = int | Sequence[int]

_TRUNCATED_DEVIATION = 0.87962566103423978
"""The standard deviation of a standard normal variable cut off at -2 and 2."""


def _dtype(dtype: Any) -> Any:
    return dtypes.default_float() if dtype is None else dtypes.as_dtype(dtype)


def zeros(key: Any, shape: Sequence[int], dtype: Any = None) -> Any:
    """An initializer: zeros."""
    return ops.full(tuple(shape), 0, _dtype(dtype))


def ones(key: Any, shape: Sequence[int], dtype: Any = None) -> Any:
    """An initializer: ones."""
    return ops.full(tuple(shape), 1, _dtype(dtype))


def constant(value: Any, dtype: Any = None) -> Initializer:
    """Makes an initializer that fills with `value`."""

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        return ops.broadcast_to(cast(value, _dtype(dtype)), tuple(shape))

    return init


def _scaled(draw: Callable[..., Any], scale: Any, dtype: Any) -> Initializer:
    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        wanted = _dtype(dtype)
        return ops.mul(draw(key, tuple(shape), wanted), cast(scale, wanted))

    return init


def uniform(scale: Any = 1e-2, dtype: Any = None) -> Initializer:
    """Makes an initializer: uniform on [0, scale)."""
    return _scaled(random.uniform, scale, dtype)


def normal(stddev: Any = 1e-2, dtype: Any = None) -> Initializer:
    """Makes an initializer: normal of this standard deviation."""
    return _scaled(random.normal, stddev, dtype)


def truncated_normal(
    stddev: Any = 1e-2, dtype: Any = None, lower: Any = -2.0, upper: Any = 2.0
) -> Initializer:
    """Makes an initializer: a standard normal cut off at `lower` and `upper`, times `stddev`."""
    return _scaled(lambda key, shape, t: random.truncated_normal(key, lower, upper, shape, t), stddev, dtype)


def _size(shape: Sequence[int], axes: Axes) -> int:
    return math.prod(shape[a] for a in ((axes,) if isinstance(axes, int) else axes))


def _fans(shape: Sequence[int], in_axis: Axes, out_axis: Axes, batch_axis: Axes) -> tuple[float, float]:
    """The number of inputs of an output, and of outputs of an input."""
    try:
        inputs, outputs, batch = (_size(shape, a) for a in (in_axis, out_axis, batch_axis))
    except IndexError:
        raise ArgumentError(
            f"weights of shape {tuple(shape)} do not have the axes in_axis={in_axis}, out_axis={out_axis}, "
            f"batch_axis={batch_axis}",
            hint="initializers that scale by fan-in need at least two axes; use normal() or zeros for a bias",
        ) from None
    receptive = math.prod(shape) / max(inputs * outputs * batch, 1)
    return inputs * receptive, outputs * receptive


_FANS = {
    "fan_in": lambda i, o: i,
    "fan_out": lambda i, o: o,
    "fan_avg": lambda i, o: (i + o) / 2,
    "fan_geo_avg": lambda i, o: math.sqrt(i * o),
}
_TRUNCATED_COMPLEX_DEVIATION = math.sqrt(1 - 4 / math.expm1(4))
"""The same of a complex normal variable cut off at |z| = 2: |z|^2 is exponential, cut off at 4."""


def _in_the_plane(key: Any, shape: Sequence[int], dtype: Any, square: Callable[[Any], Any]) -> Any:
    """Complex numbers of any angle, whose squared size is `square` of uniform numbers."""
    real = dtypes.real_of(dtype)
    size, angle = (random.uniform(k, shape, real) for k in random.split(key))
    size, angle = ops.sqrt(square(size)), ops.mul(angle, real.type(2 * math.pi))
    return ops.complex_(ops.mul(size, ops.cos(angle)), ops.mul(size, ops.sin(angle)))


_COMPLEX_DRAWS = {
    "truncated_normal": (
        lambda key, shape, dtype: _in_the_plane(
            key, shape, dtype, lambda u: ops.neg(ops.log1p(ops.mul(u, math.expm1(-4))))
        ),
        lambda variance: math.sqrt(variance) / _TRUNCATED_COMPLEX_DEVIATION,
    ),
    "normal": (random.normal, math.sqrt),
    "uniform": (  # in a disk
        lambda key, shape, dtype: _in_the_plane(key, shape, dtype, lambda u: ops.mul(u, 2)),
        math.sqrt,
    ),
}
_DRAWS = {
    "truncated_normal": (
        lambda key, shape, dtype: random.truncated_normal(key, -2.0, 2.0, shape, dtype),
        lambda variance: math.sqrt(variance) / _TRUNCATED_DEVIATION,
    ),
    "normal": (random.normal, math.sqrt),
    "uniform": (
        lambda key, shape, dtype: random.uniform(key, shape, dtype, -1.0, 1.0),
        lambda variance: math.sqrt(3 * variance),
    ),
}


def variance_scaling(
    scale: float,
    mode: str,
    distribution: str,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: Any = None,
) -> Initializer:
    """Makes an initializer of variance `scale` / n.

    n is the number of inputs of an output ("fan_in"), of outputs of an input ("fan_out"), their mean
    ("fan_avg") or their geometric mean ("fan_geo_avg"). `distribution` is "truncated_normal" (at two standard
    deviations), "normal" or "uniform"; of a complex dtype, the same in every direction of the plane.
    """
    if mode not in _FANS or distribution not in _DRAWS:
        raise ArgumentError(
            f"variance_scaling with mode={mode!r}, distribution={distribution!r}",
            hint=f"modes are {', '.join(_FANS)}; distributions are {', '.join(_DRAWS)}",
        )

    @boundary
    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        wanted, sizes = _dtype(dtype), tuple(shape)
        count = _FANS[mode](*_fans(sizes, in_axis, out_axis, batch_axis))
        draw, deviation = (_COMPLEX_DRAWS if dtypes.is_complex(wanted) else _DRAWS)[distribution]
        return ops.mul(draw(key, sizes, wanted), wanted.type(deviation(scale / max(count, 1e-30))))

    return init


def _named(name: str, scale: float, mode: str, distribution: str, source: str) -> Callable[..., Initializer]:
    def make(
        in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
    ) -> Initializer:
        return variance_scaling(scale, mode, distribution, in_axis, out_axis, batch_axis, dtype)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"Makes an initializer: variance {scale:g} / {mode}, {distribution} ({source})."
    return make


_GLOROT, _LECUN, _HE = "Glorot and Bengio 2010", "LeCun et al. 1998", "He et al. 2015"
glorot_uniform = xavier_uniform = _named("glorot_uniform", 1.0, "fan_avg", "uniform", _GLOROT)
glorot_normal = xavier_normal = _named("glorot_normal", 1.0, "fan_avg", "truncated_normal", _GLOROT)
lecun_uniform = _named("lecun_uniform", 1.0, "fan_in", "uniform", _LECUN)
lecun_normal = _named("lecun_normal", 1.0, "fan_in", "truncated_normal", _LECUN)
he_uniform = kaiming_uniform = _named("he_uniform", 2.0, "fan_in", "uniform", _HE)
he_normal = kaiming_normal = _named("he_normal", 2.0, "fan_in", "truncated_normal", _HE)


def orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """Makes an initializer: matrices with orthonormal rows or columns, times `scale` (Saxe et al. 2014).

    The axis `column_axis` counts the columns, all others together the rows.
    """

    @boundary
    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        wanted, sizes = _dtype(dtype), tuple(shape)
        if len(sizes) < 2:
            raise ArgumentError(f"orthogonal weights of shape {sizes}", hint="give two axes or more")
        columns = sizes[column_axis]
        rows = math.prod(sizes) // columns if columns else 0
        matrix = random.orthogonal(key, rows, dtype=wanted, m=columns)
        axis = column_axis % len(sizes)
        others = [n for k, n in enumerate(sizes) if k != axis]
        weights = ops.moveaxis(ops.reshape(matrix, (*others, columns)), len(others), axis)
        return ops.mul(weights, cast(scale, wanted))

    return init


def delta_orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """Makes an initializer of convolutions: an orthogonal matrix at the middle, zeros elsewhere (Xiao et al. 2018).

    The last two axes are inputs and outputs, not fewer outputs than inputs; one to three axes of space come first.
    """

    @boundary
    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        sizes = tuple(shape)
        if len(sizes) not in (3, 4, 5) or sizes[-1] < sizes[-2]:
            raise ArgumentError(
                f"delta_orthogonal weights of shape {sizes}",
                hint="give (space..., inputs, outputs), with one to three axes of space and outputs >= inputs",
            )
        matrix = orthogonal(scale, column_axis, dtype)(key, sizes[-2:], dtype)
        around = [((n - 1) // 2, n - 1 - (n - 1) // 2, 0) for n in sizes[:-2]]
        whole = ops.reshape(matrix, (*[1] * len(around), *sizes[-2:]))
        return ops.pad(whole, 0, [*around, (0, 0, 0), (0, 0, 0)])

    return init
