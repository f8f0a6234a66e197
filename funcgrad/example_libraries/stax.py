"""Neural networks as pairs of functions, under the names of `jax.example_libraries.stax`.

A layer is `(init, apply)`: `init(key, input_shape)` gives (output_shape, params), and `apply(params, inputs, **kwargs)`
the outputs; `rng=` is a key for the layers that draw. A shape may have -1 for the batch.

>>> import funcgrad as fg
>>> from funcgrad.example_libraries import stax
>>> init, apply = stax.serial(stax.Dense(32), stax.Relu, stax.Dense(10), stax.LogSoftmax)
>>> shape, params = init(fg.random.key(0), (-1, 784))
>>> shape, apply(params, fg.numpy.ones((5, 784))).shape
((-1, 10), (5, 10))
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import funcgrad.numpy as fnp
from funcgrad import lax, nn, random
from funcgrad.api import eval_shape
from funcgrad.array import ShapeDtypeStruct
from funcgrad.errors import ArgumentError
from funcgrad.nn.initializers import glorot_normal, normal, ones, zeros

Layer = tuple[Callable[..., Any], Callable[..., Any]]
Shape = tuple[int, ...]

_GLOROT, _SMALL, _TINY = glorot_normal(), normal(), normal(1e-6)


def _shape_after(function: Callable[[Any], Any], shape: Shape) -> Shape:
    """The shape of what a function of one array gives, also where the batch is -1."""
    known = ShapeDtypeStruct(tuple([1 if n < 0 else n for n in shape]), fnp.float32)
    found = eval_shape(function, known).shape
    return (shape[0], *found[1:]) if shape and shape[0] < 0 else found


def Dense(out_dim: int, W_init: Any = _GLOROT, b_init: Any = _SMALL) -> Layer:
    """inputs @ W + b."""

    def init(rng: Any, input_shape: Shape) -> tuple[Shape, Any]:
        first, second = random.split(rng)
        params = W_init(first, (input_shape[-1], out_dim)), b_init(second, (out_dim,))
        return (*input_shape[:-1], out_dim), params

    def apply(params: Any, inputs: Any, **kwargs: Any) -> Any:
        W, b = params
        return fnp.dot(inputs, W) + b

    return init, apply


def _convolution(
    convolve: Callable[..., Any],
    dimension_numbers: tuple[str, str, str],
    out_chan: int,
    filter_shape: Sequence[int],
    strides: Sequence[int] | None,
    padding: Any,
    W_init: Any,
    b_init: Any,
) -> Layer:
    lhs, rhs, out = dimension_numbers
    steps = tuple(strides or (1,) * len(filter_shape))
    W_init = W_init or glorot_normal(rhs.index("I"), rhs.index("O"))

    def init(rng: Any, input_shape: Shape) -> tuple[Shape, Any]:
        first, second = random.split(rng)
        lengths = iter(filter_shape)
        sizes = {"O": out_chan, "I": input_shape[lhs.index("C")]}
        W = W_init(first, tuple([sizes[c] if c in sizes else next(lengths) for c in rhs]))
        b = b_init(second, tuple([out_chan if c == "C" else 1 for c in out]))
        return _shape_after(lambda x: apply((W, b), x), input_shape), (W, b)

    def apply(params: Any, inputs: Any, **kwargs: Any) -> Any:
        W, b = params
        return convolve(inputs, W, steps, padding, dimension_numbers=dimension_numbers) + b

    return init, apply


def GeneralConv(
    dimension_numbers: tuple[str, str, str],
    out_chan: int,
    filter_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Any = "VALID",
    W_init: Any = None,
    b_init: Any = _TINY,
) -> Layer:
    """A convolution and a bias for each channel; `dimension_numbers` as for `lax.conv_general_dilated`."""
    return _convolution(
        lax.conv_general_dilated, dimension_numbers, out_chan, filter_shape, strides, padding, W_init, b_init
    )


def GeneralConvTranspose(
    dimension_numbers: tuple[str, str, str],
    out_chan: int,
    filter_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Any = "VALID",
    W_init: Any = None,
    b_init: Any = _TINY,
) -> Layer:
    """A transposed convolution (`lax.conv_transpose`) and a bias for each channel."""
    return _convolution(
        lax.conv_transpose, dimension_numbers, out_chan, filter_shape, strides, padding, W_init, b_init
    )


Conv = functools.partial(GeneralConv, ("NHWC", "HWIO", "NHWC"))
ConvTranspose = functools.partial(GeneralConvTranspose, ("NHWC", "HWIO", "NHWC"))
Conv1DTranspose = functools.partial(GeneralConvTranspose, ("NHC", "HIO", "NHC"))


def BatchNorm(
    axis: int | Sequence[int] = (0, 1, 2),
    epsilon: float = 1e-5,
    center: bool = True,
    scale: bool = True,
    beta_init: Any = zeros,
    gamma_init: Any = ones,
) -> Layer:
    """Mean 0 and variance 1 over `axis`, then times gamma (with `scale`) plus beta (with `center`)."""
    axes = (axis,) if isinstance(axis, int) else tuple(axis)

    def init(rng: Any, input_shape: Shape) -> tuple[Shape, Any]:
        shape = tuple([n for d, n in enumerate(input_shape) if d not in axes])
        first, second = random.split(rng)
        beta = beta_init(first, shape) if center else ()
        return input_shape, (beta, gamma_init(second, shape) if scale else ())

    def apply(params: Any, x: Any, **kwargs: Any) -> Any:
        beta, gamma = params
        z = nn.standardize(x, axis=axes, epsilon=epsilon)
        if scale:
            z = z * fnp.expand_dims(gamma, axes)
        return z + fnp.expand_dims(beta, axes) if center else z

    return init, apply


def elementwise(fun: Callable[..., Any], **fun_kwargs: Any) -> Layer:
    """A layer without parameters: `fun` of the inputs."""
    return (lambda rng, shape: (shape, ())), (lambda params, inputs, **kwargs: fun(inputs, **fun_kwargs))


Identity = elementwise(lambda x: x)
Tanh = elementwise(fnp.tanh)
Relu = elementwise(nn.relu)
Exp = elementwise(fnp.exp)
LogSoftmax = elementwise(nn.log_softmax, axis=-1)
Softmax = elementwise(nn.softmax, axis=-1)
Softplus = elementwise(nn.softplus)
Sigmoid = elementwise(nn.sigmoid)
Elu = elementwise(nn.elu)
LeakyRelu = elementwise(nn.leaky_relu)
Selu = elementwise(nn.selu)
Gelu = elementwise(nn.gelu)


def _pool(
    reduce: Callable[..., Any],
    window_shape: Sequence[int],
    strides: Sequence[int] | None,
    padding: Any,
    spec: str | None,
) -> Layer:
    """Windows over the spatial axes, those of `spec` but for N and C: by default all between the first and the last."""
    spec = spec or "N" + "." * len(window_shape) + "C"

    def whole(lengths: Sequence[int]) -> tuple[int, ...]:
        inner = iter(lengths)
        return tuple([1 if c in "NC" else next(inner) for c in spec])

    window, steps = whole(window_shape), whole(strides or (1,) * len(window_shape))

    def apply(params: Any, inputs: Any, **kwargs: Any) -> Any:
        return reduce(inputs, window, steps, padding)

    return (lambda rng, shape: (_shape_after(lambda x: apply((), x), shape), ())), apply


def _sums(x: Any, window: Shape, steps: Shape, padding: Any) -> Any:
    return lax.reduce_window(x, fnp.zeros((), x.dtype), lax.add, window, steps, padding)


def MaxPool(
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Any = "VALID",
    spec: str | None = None,
) -> Layer:
    """The largest element of each window."""

    def largest(x: Any, window: Shape, steps: Shape, padding: Any) -> Any:
        return lax.reduce_window(x, -fnp.inf, lax.max, window, steps, padding)

    return _pool(largest, window_shape, strides, padding, spec)


def SumPool(
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Any = "VALID",
    spec: str | None = None,
) -> Layer:
    """The sum of each window."""
    return _pool(_sums, window_shape, strides, padding, spec)


def AvgPool(
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Any = "VALID",
    spec: str | None = None,
) -> Layer:
    """The mean of each window, of what is inside the operand."""

    def mean(x: Any, window: Shape, steps: Shape, padding: Any) -> Any:
        return _sums(x, window, steps, padding) / _sums(fnp.ones_like(x), window, steps, padding)

    return _pool(mean, window_shape, strides, padding, spec)


Flatten = (
    lambda rng, shape: ((shape[0], math.prod(shape[1:])), ()),
    lambda params, inputs, **kwargs: fnp.reshape(inputs, (inputs.shape[0], -1)),
)


def Dropout(rate: float, mode: str = "train") -> Layer:
    """Keeps an element with probability `rate` and divides it by that; passes all where `mode` is not "train"."""

    def apply(params: Any, inputs: Any, **kwargs: Any) -> Any:
        if mode != "train":
            return inputs
        if kwargs.get("rng") is None:
            raise ArgumentError(
                "Dropout draws what it keeps",
                hint="call the network with a key: apply(params, inputs, rng=key)",
            )
        kept = random.bernoulli(kwargs["rng"], rate, inputs.shape)
        return fnp.where(kept, inputs / rate, 0)

    return (lambda rng, shape: (shape, ())), apply


# ------------------------------------------------------------------------------------------------ composition
def FanOut(num: int) -> Layer:
    """The inputs `num` times, for `parallel`."""
    return (lambda rng, shape: ([shape] * num, ())), (lambda params, inputs, **kwargs: [inputs] * num)


FanInSum = (
    lambda rng, shapes: (shapes[0], ()),
    lambda params, inputs, **kwargs: sum(inputs[1:], inputs[0]),
)


def FanInConcat(axis: int = -1) -> Layer:
    """Several inputs as one, along `axis`."""

    def init(rng: Any, shapes: Sequence[Shape]) -> tuple[Shape, Any]:
        place = axis % len(shapes[0])
        joined = sum(shape[place] for shape in shapes)
        return (*shapes[0][:place], joined, *shapes[0][place + 1 :]), ()

    return init, lambda params, inputs, **kwargs: fnp.concatenate(inputs, axis)


def _keys(rng: Any, count: int) -> Sequence[Any]:
    return random.split(rng, count) if rng is not None else [None] * count


def serial(*layers: Layer) -> Layer:
    """One layer after the other."""
    inits, applies = zip(*layers) if layers else ((), ())

    def init(rng: Any, shape: Any) -> tuple[Any, list[Any]]:
        params = []
        for one in inits:
            rng, key = random.split(rng)
            shape, param = one(key, shape)
            params.append(param)
        return shape, params

    def apply(params: Sequence[Any], inputs: Any, **kwargs: Any) -> Any:
        for one, param, key in zip(applies, params, _keys(kwargs.pop("rng", None), len(applies))):
            inputs = one(param, inputs, rng=key, **kwargs)
        return inputs

    return init, apply


def parallel(*layers: Layer) -> Layer:
    """Each layer on its own input, as `FanOut` gives them."""
    inits, applies = zip(*layers) if layers else ((), ())

    def init(rng: Any, shapes: Sequence[Shape]) -> tuple[list[Shape], list[Any]]:
        found = [one(key, shape) for one, key, shape in zip(inits, _keys(rng, len(inits)), shapes)]
        return [shape for shape, _ in found], [param for _, param in found]

    def apply(params: Sequence[Any], inputs: Sequence[Any], **kwargs: Any) -> list[Any]:
        keys = _keys(kwargs.pop("rng", None), len(applies))
        return [f(p, x, rng=key, **kwargs) for f, p, x, key in zip(applies, params, inputs, keys)]

    return init, apply


def shape_dependent(make_layer: Callable[[Shape], Layer]) -> Layer:
    """The layer that `make_layer` gives for the shape of the inputs."""

    def apply(params: Any, inputs: Any, **kwargs: Any) -> Any:
        return make_layer(inputs.shape)[1](params, inputs, **kwargs)

    return (lambda rng, shape: make_layer(shape)[0](rng, shape)), apply
