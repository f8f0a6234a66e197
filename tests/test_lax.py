"""The names of jax.lax: values against NumPy, strictness, gradients against finite differences, errors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gammainc

import funcgrad as fg
from funcgrad import lax
from funcgrad.errors import ArgumentError, AxisError, DTypeError, ShapeError

rng = np.random.default_rng(0)
X = rng.standard_normal((3, 4))
B = X > 0


def rounded(x):
    """Half away from zero."""
    return np.sign(x) * np.floor(np.abs(x) + 0.5)


# name: (function, the same by NumPy)
VALUES = {
    "scalar with array": (lambda: lax.add(X, 1.0), lambda: X + 1),
    "int with floats": (lambda: lax.mul(2, X), lambda: X * 2),
    "max": (lambda: lax.max(X, 0.0), lambda: np.maximum(X, 0)),
    "pow": (lambda: lax.pow(np.abs(X), 2.5), lambda: np.abs(X) ** 2.5),
    "pow of int": (lambda: lax.pow(X, 3), lambda: X**3),
    "integer_pow": (lambda: lax.integer_pow(X, -2), lambda: X**-2.0),
    "reciprocal": (lambda: lax.reciprocal(X), lambda: 1 / X),
    "rsqrt": (lambda: lax.rsqrt(np.abs(X)), lambda: np.abs(X) ** -0.5),
    "clamp": (lambda: lax.clamp(-0.5, X, 0.5), lambda: np.clip(X, -0.5, 0.5)),
    "select": (lambda: lax.select(B, X, -X), lambda: np.abs(X)),
    "select by scalar": (lambda: lax.select(np.bool_(True), X, -X), lambda: X),
    "select_n": (lambda: lax.select_n(B, X, -X), lambda: -np.abs(X)),
    "select_n of three": (
        lambda: lax.select_n(np.arange(3, dtype="i4"), *np.eye(3)),
        lambda: np.ones(3),
    ),
    "round": (lambda: lax.round(2 * X), lambda: rounded(2 * X)),
    "round to even": (
        lambda: lax.round(np.array([0.5, 1.5, 2.5]), lax.RoundingMethod.TO_NEAREST_EVEN),
        lambda: np.array([0.0, 2.0, 2.0]),
    ),
    "rem": (lambda: lax.rem(X, 0.3), lambda: np.fmod(X, 0.3)),
    "atan2": (lambda: lax.atan2(X, 1.0), lambda: np.arctan2(X, 1)),
    "integer division": (
        lambda: lax.div(np.array([7, -7]), np.array([2, 2])),
        lambda: np.array([3, -3]),
    ),
    "shift": (lambda: lax.shift_left(np.int32([1, 2]), np.int32([3, 40])), lambda: np.int32([8, 0])),
    "bitwise_not": (lambda: lax.bitwise_not(np.int32([1, 2])), lambda: np.int32([-2, -3])),
    "convert": (
        lambda: lax.convert_element_type(np.array([1.7, -1.7, np.nan]), np.int32),
        lambda: np.int32([1, -1, 0]),
    ),
    "bitcast": (lambda: lax.bitcast_convert_type(np.float32(1), "uint32"), lambda: np.uint32(0x3F800000)),
    "reduce_precision": (lambda: lax.reduce_precision(X, 8, 23), lambda: X.astype("f").astype("d")),
    "conj of real": (lambda: lax.conj(X), lambda: X.astype("complex128")),
    "complex": (lambda: lax.complex(X, 2 * X), lambda: X + 2j * X),
    "broadcast": (lambda: lax.broadcast(X, (2,)), lambda: np.stack([X, X])),
    "broadcast_in_dim": (
        lambda: lax.broadcast_in_dim(X, (3, 2, 4), (0, 2)),
        lambda: np.repeat(X[:, None], 2, 1),
    ),
    "reshape": (lambda: lax.reshape(X, (2, -1)), lambda: X.reshape(2, 6)),
    "reshape of transposed": (lambda: lax.reshape(X, (12,), (1, 0)), lambda: X.T.reshape(12)),
    "transpose": (lambda: lax.transpose(X, (1, 0)), lambda: X.T),
    "rev": (lambda: lax.rev(X, (1,)), lambda: X[:, ::-1]),
    "squeeze": (lambda: lax.squeeze(X[None], (0,)), lambda: X),
    "expand_dims": (lambda: lax.expand_dims(X, (0, -1)), lambda: X[None, :, :, None]),
    "collapse": (lambda: lax.collapse(X, 0, 2), lambda: X.reshape(-1)),
    "pad": (
        lambda: lax.pad(np.array([1.0, 2, 3]), 9.0, ((1, -1, 1),)),
        lambda: np.array([9.0, 1, 9, 2, 9]),
    ),
    "concatenate": (lambda: lax.concatenate([X, X], 1), lambda: np.concatenate([X, X], 1)),
    "split": (lambda: lax.split(X, (1, 3), 1)[1], lambda: X[:, 1:]),
    "tile": (lambda: lax.tile(X, (2, 3)), lambda: np.tile(X, (2, 3))),
    "slice": (lambda: lax.slice(X, (0, 1), (3, 4), (2, 1)), lambda: X[0:3:2, 1:4]),
    "slice_in_dim": (lambda: lax.slice_in_dim(X, -3, None, axis=1), lambda: X[:, -3:]),
    "index_in_dim": (lambda: lax.index_in_dim(X, -1, 1, keepdims=False), lambda: X[:, -1]),
    "iota": (lambda: lax.iota("int32", 5), lambda: np.arange(5, dtype="i4")),
    "broadcasted_iota": (lambda: lax.broadcasted_iota("f4", (2, 3), 1), lambda: np.float32([[0, 1, 2]] * 2)),
    "full": (lambda: lax.full((2,), np.float64(3.0)), lambda: np.full(2, 3.0)),
    "full_like": (lambda: lax.full_like(X, 7), lambda: np.full_like(X, 7)),
    "reduce_sum": (lambda: lax.reduce_sum(X, (0,)), lambda: X.sum(0)),
    "reduce_prod": (lambda: lax.reduce_prod(X, (1,)), lambda: X.prod(1)),
    "reduce_and": (lambda: lax.reduce_and(B, (0,)), lambda: B.all(0)),
    "reduce by a lambda": (lambda: lax.reduce(X, 1.0, lambda a, b: a + b, (0,)), lambda: X.sum(0) + 1),
    "reduce by a computation": (
        lambda: lax.reduce(X, -np.inf, lambda a, b: np.float64(1) * fg.numpy.logaddexp(a, b), (1,)),
        lambda: np.logaddexp.reduce(X, 1),
    ),
    "reduce a tree": (
        lambda: lax.reduce(
            (X, np.arange(X.size).reshape(X.shape)),
            (-np.inf, -1),
            lambda a, b: tuple(lax.select(a[0] >= b[0], x, y) for x, y in zip(a, b)),
            (0, 1),
        )[1],
        lambda: np.argmax(X),
    ),
    "reduce_xor": (
        lambda: lax.reduce_xor(np.arange(15).reshape(3, 5), (1,)),
        lambda: np.bitwise_xor.reduce(np.arange(15).reshape(3, 5), 1),
    ),
    "mulhi": (
        lambda: lax.mulhi(np.array([2**62, -5, 3**39]), np.array([12, 7, 5**26])),
        lambda: np.array([(a * b) >> 64 for a, b in ((2**62, 12), (-5, 7), (3**39, 5**26))]),
    ),
    "igamma": (lambda: lax.igamma(np.abs(X) + 0.1, np.abs(X)), lambda: gammainc(np.abs(X) + 0.1, np.abs(X))),
    "stack": (lambda: lax.stack([X, 2 * X], 1), lambda: np.stack([X, 2 * X], 1)),
    "unstack": (lambda: lax.unstack(X, 1)[1], lambda: X[:, 1]),
    "broadcast_like": (lambda: lax.broadcast_like(X[0], X), lambda: np.broadcast_to(X[0], X.shape)),
    "reduce by max": (lambda: lax.reduce(X, 0.5, lax.max, (1,)), lambda: np.maximum(X.max(1), 0.5)),
    "argmax": (lambda: lax.argmax(X, 1, "int32"), lambda: X.argmax(1).astype("i4")),
    "argmin": (lambda: lax.argmin(X, -1, "int64"), lambda: X.argmin(1)),
    "dot": (lambda: lax.dot(X, X.T), lambda: X @ X.T),
    "dot of vectors": (lambda: lax.dot(X[0], X[1]), lambda: X[0] @ X[1]),
    "dot_general": (
        lambda: lax.dot_general(X, X, (((1,), (1,)), ((0,), (0,)))),
        lambda: (X * X).sum(1),
    ),
    "batch_matmul": (lambda: lax.batch_matmul(X[None], X.T[None]), lambda: (X @ X.T)[None]),
    "stop_gradient": (lambda: lax.stop_gradient(X), lambda: X),
}


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    function, oracle = VALUES[name]
    value, expected = function(), oracle()
    assert value.dtype == expected.dtype
    np.testing.assert_allclose(np.asarray(value), expected, rtol=1e-12)


UNARY = {
    "exp": np.exp,
    "exp2": np.exp2,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "cbrt": np.cbrt,
    "sin": np.sin,
    "tan": np.tan,
    "asin": np.arcsin,
    "tanh": np.tanh,
    "atanh": np.arctanh,
    "floor": np.floor,
    "sign": np.sign,
    "is_finite": np.isfinite,
    "square": np.square,
}


@pytest.mark.parametrize("name", UNARY)
def test_unary_functions(name):
    x = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(np.asarray(getattr(lax, name)(x)), UNARY[name](x), rtol=1e-12)


def test_python_numbers_stay_weak_together_and_take_the_dtype_of_arrays():
    assert lax.add(1.0, 2).weak_type
    assert lax.add(np.float16([1]), 2).dtype == np.float16
    assert lax.exp(1).dtype == np.float32


# ---------------------------------------------------------------------------- slices at traced indices


@pytest.mark.parametrize("start", [0, 2, -1, 99])
def test_dynamic_slices_are_clamped(start):
    first = min(max(start + 4 * (start < 0), 0), 2)
    for i in (start, np.int32(start)):
        np.testing.assert_array_equal(lax.dynamic_slice(X, (1, i), (2, 2)), X[1:3, first : first + 2])
        np.testing.assert_array_equal(lax.dynamic_slice_in_dim(X, i, 2, 1), X[:, first : first + 2])
        updated = X.copy()
        updated[:, first : first + 2] = 0
        np.testing.assert_array_equal(lax.dynamic_update_slice(X, np.zeros((3, 2)), (0, i)), updated)
        zeros = np.zeros((3, 2))
        np.testing.assert_array_equal(lax.dynamic_update_slice_in_dim(X, zeros, i, 1), updated)


def test_dynamic_indices_under_jit_and_vmap():
    take = fg.vmap(lambda i: lax.dynamic_index_in_dim(X, i, 0, keepdims=False))
    np.testing.assert_array_equal(take(np.array([2, 0])), X[[2, 0]])
    put = fg.jit(lambda i: lax.dynamic_update_index_in_dim(X, np.zeros(4), i, 0))
    np.testing.assert_array_equal(put(1), X * np.array([[1], [0], [1]]))


# -------------------------------------------------------------------------------------- gather, scatter


def test_gather_and_scatter():
    rows = np.array([[2], [0]])
    numbers = lax.GatherDimensionNumbers((1,), (0,), (0,))
    np.testing.assert_array_equal(lax.gather(X, rows, numbers, (1, 4)), X[[2, 0]])
    outside = np.array([[2], [7]])
    np.testing.assert_array_equal(lax.gather(X, outside, numbers, (1, 4), mode="clip"), X[[2, 2]])
    np.testing.assert_array_equal(
        np.isnan(lax.gather(X, outside, numbers, (1, 4))), [[False] * 4, [True] * 4]
    )
    np.testing.assert_array_equal(
        lax.gather(X, outside, numbers, (1, 4), mode="fill", fill_value=-1)[1], np.full(4, -1)
    )
    numbers = lax.ScatterDimensionNumbers((1,), (0,), (0,))
    twice, ones = np.array([[1], [1]]), np.ones((2, 4))
    np.testing.assert_array_equal(lax.scatter_add(X, twice, ones, numbers), X + [[0], [2], [0]])
    np.testing.assert_array_equal(lax.scatter_sub(X, twice, ones, numbers), X - [[0], [2], [0]])
    np.testing.assert_array_equal(lax.scatter_mul(X, rows, 2 * ones, numbers), X * [[2], [1], [2]])
    np.testing.assert_array_equal(lax.scatter(X, rows, 0 * ones, numbers), X * [[0], [1], [0]])
    np.testing.assert_array_equal(lax.scatter_max(X, rows, 9 * ones, numbers)[0], np.full(4, 9))
    np.testing.assert_array_equal(lax.index_take(X, (np.array([1, 0]),), (1,)), X[:, [1, 0]].T)
    with pytest.raises(ArgumentError, match="mode"):
        lax.gather(X, rows, lax.GatherDimensionNumbers((1,), (0,), (0,)), (1, 4), mode="wrap")


def test_segments():
    ids = np.array([1, 0, 1])
    for function in (fg.ops.segment_sum, fg.jit(fg.ops.segment_sum, static_argnums=2)):
        np.testing.assert_allclose(function(X, ids, 3), [X[1], X[0] + X[2], np.zeros(4)])
    np.testing.assert_allclose(fg.ops.segment_prod(X, ids), [X[1], X[0] * X[2]])
    np.testing.assert_allclose(fg.ops.segment_max(X, ids), [X[1], np.maximum(X[0], X[2])])
    np.testing.assert_allclose(fg.ops.segment_min(X[:, 0], ids), [X[1, 0], min(X[0, 0], X[2, 0])])
    np.testing.assert_array_equal(fg.ops.segment_sum(np.arange(3), np.array([0, 5, -1]), 2), [0, 0])
    slope = fg.grad(lambda x: (fg.ops.segment_sum(x, ids, 2) ** 2).sum())(X)
    np.testing.assert_allclose(slope, 2 * np.stack([X[0] + X[2], X[1], X[0] + X[2]]))
    with pytest.raises(ArgumentError, match="num_segments"):
        fg.jit(fg.ops.segment_sum)(X, ids)
    with pytest.raises(ShapeError, match="each row"):
        fg.ops.segment_sum(X, ids[:2])


# ------------------------------------------------------------------------------------------- derivatives

SMOOTH = {
    "clamp": lambda x: lax.clamp(-0.5, x, 0.5),
    "select": lambda x: lax.select(B, x, x * x),
    "pad": lambda x: lax.pad(x, 0.0, ((1, 2, 1), (0, -1, 0))),
    "slice": lambda x: lax.slice(x, (0, 1), (3, 4), (2, 1)) ** 2,
    "tile": lambda x: lax.tile(x, (2, 1)) ** 2,
    "reduce": lambda x: lax.reduce(x * x, 1.0, lax.mul, (1,)),
    "dot": lambda x: lax.dot(x, X.T) ** 2,
    "dynamic_slice": lambda x: lax.dynamic_slice(x, (1, np.int32(1)), (2, 2)) ** 2,
    "dynamic_update_slice": lambda x: lax.dynamic_update_slice(x, np.ones((2, 2)), (0, 1)) ** 2,
}


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_agree_with_finite_differences(name):
    weights = rng.standard_normal(SMOOTH[name](X).shape)

    def loss(x):
        return lax.reduce_sum(lax.mul(SMOOTH[name](x), weights), tuple(range(weights.ndim)))

    direction, step = rng.standard_normal(X.shape), 1e-6
    numeric = (float(loss(X + step * direction)) - float(loss(X - step * direction))) / (2 * step)
    analytic = np.sum(np.asarray(fg.grad(loss)(X)) * direction)
    np.testing.assert_allclose(analytic, numeric, rtol=1e-6)


def test_clamp_has_slope_one_at_its_limits():
    slopes = fg.vmap(fg.grad(lambda x: lax.clamp(-1.0, x, 1.0)))(np.array([-1.0, 0.0, 1.0, 1.1]))
    assert np.asarray(slopes).tolist() in ([1, 1, 1, 0], [0, 1, 0, 0])


# ------------------------------------------------------------------------------------------------ errors

WRONG = {
    "two dtypes": (lambda: lax.add(X, np.float16(1)), DTypeError, "one dtype"),
    "float with ints": (lambda: lax.mul(np.arange(3), 1.5), DTypeError, "one dtype"),
    "two shapes": (lambda: lax.add(X, X[0]), ShapeError, "one shape"),
    "a list": (lambda: lax.sin([1.0]), DTypeError, "list"),
    "reshape": (lambda: lax.reshape(X, (5, 2)), ShapeError, "12 elements"),
    "transpose": (lambda: lax.transpose(X, (0,)), AxisError, "every axis"),
    "axis": (lambda: lax.reduce_sum(X, (2,)), AxisError, "axis 2"),
    "axis twice": (lambda: lax.reduce_sum(X, (0, -2)), AxisError, "twice"),
    "squeeze": (lambda: lax.squeeze(X, (0,)), ShapeError, "length 3"),
    "clamp": (lambda: lax.clamp(X[0], X, 1.0), ShapeError, "limits"),
    "select": (lambda: lax.select(B, X, X[0]), ShapeError, "one shape"),
    "integer_pow": (lambda: lax.integer_pow(X, 1.5), ArgumentError, "Python int"),
    "index": (lambda: lax.index_in_dim(X, 4, 1), AxisError, "outside"),
    "start": (lambda: lax.dynamic_slice(X, (0, 1.5), (1, 1)), DTypeError, "integer"),
    "starts": (lambda: lax.dynamic_slice(X, (0,), (1, 1)), ArgumentError, "2 axes"),
    "reduce": (lambda: lax.reduce(X, 0.0, lambda a, b: a > b, (0,)), ArgumentError, "gives bool"),
    "dot": (lambda: lax.dot(X[None], X), ShapeError, "vectors and matrices"),
    "full": (lambda: lax.full((2,), X), ShapeError, "scalar"),
    "shape": (lambda: lax.full((-2,), 1.0), ShapeError, "negative"),
    "dtype": (lambda: lax.convert_element_type(X, "float99"), DTypeError, "not a dtype"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_explained(name):
    call, kind, words = WRONG[name]
    with pytest.raises(kind, match=words):
        call()


def test_reduced_precision():
    x = np.array([1.001, 70000.0, 0.1], np.float32)
    for bits, dtype in (((8, 7), "bfloat16"), ((5, 10), "float16"), ((11, 52), "float32")):
        expected = fg.numpy.asarray(x).astype(dtype).astype("float32")
        np.testing.assert_array_equal(np.asarray(lax.reduce_precision(x, *bits)), np.asarray(expected))
    half = lax.reduce_precision(np.float16(1.001), 8, 7)
    assert half.dtype == np.float16 and float(half) == 1.0
    few = [0.0, -0.0, 1.2345, -3.3, 0.9, 448.0, 480.0, 1e-3, 2.0**-7, 1.0625, 1.1875, np.inf, -np.inf]
    expected = [0.0, -0.0, 1.25, -3.25, 0.875, np.inf, np.inf, 0.0, 0.0, 1.0, 1.25, np.inf, -np.inf]
    for dtype in (np.float32, np.float64):
        got = np.asarray(lax.reduce_precision(np.array(few, dtype), 4, 3))
        np.testing.assert_array_equal(got, np.array(expected, dtype))
        np.testing.assert_array_equal(np.signbit(got), np.signbit(expected))
        assert np.isnan(lax.reduce_precision(dtype(np.nan), 4, 3))
    tangent = fg.jvp(lambda x: lax.reduce_precision(x, 5, 3), (1.2345,), (0.77,))[1]
    assert float(tangent) == 0.75
    with pytest.raises(ArgumentError, match="exponent"):
        lax.reduce_precision(x, 0, 3)


def test_the_derivative_of_reduced_precision_is_reduced_in_reverse_too():
    def f(x):
        return lax.reduce_precision(x, 5, 3)

    value, pullback = fg.vjp(f, np.float32(1.2345))
    assert float(value) == 1.25
    assert float(pullback(np.float32(0.77))[0]) == 0.75
    assert float(fg.jit(fg.grad(lambda x: f(x * x)))(np.float32(1.5))) == 3
    np.testing.assert_array_equal(fg.vmap(f)(X), f(X))


def test_products_promote_their_operands_and_take_dimension_numbers():
    x, n = X.astype(np.float32), np.arange(12).reshape(4, 3)
    product = lax.dot(x, n)
    assert product.dtype == np.float32
    np.testing.assert_allclose(product, x @ n, rtol=1e-5)
    numbers = (((0,), (1,)), ((), ()))
    np.testing.assert_allclose(lax.dot(X, n.astype(float), dimension_numbers=numbers), X.T @ n.T)


def test_shapes_and_permutations_may_be_arrays():
    order, sizes = fg.numpy.array([1, 0]), fg.numpy.array([2, 2])
    np.testing.assert_array_equal(lax.transpose(X, order), X.T)
    np.testing.assert_array_equal(lax.dynamic_slice(X, (1, 1), sizes), X[1:, 1:3])
    np.testing.assert_array_equal(lax.reshape(X, fg.numpy.array([4, 3])), X.reshape(4, 3))


def test_initial_values_of_reduce_are_scalars_in_the_containers_of_the_operands():
    with pytest.raises(ArgumentError, match="structure"):
        lax.reduce({"x": X}, {"y": 0.0}, lambda a, b: {"x": a["x"] + b["x"]}, [0])
    with pytest.raises(ShapeError, match="scalars"):
        lax.reduce(X, np.ones(4), lax.add, [0])


@pytest.mark.parametrize("shape", [(-1,), "hello", (2.5,)])
def test_broadcast_shapes_takes_shapes(shape):
    with pytest.raises(ShapeError):
        lax.broadcast_shapes(shape, (3, 1))


def test_map_in_one_batch():
    np.testing.assert_array_equal(lax.map(lambda x: x * 2, X, batch_size=0), X * 2)
    with pytest.raises(ArgumentError, match="at least 0"):
        lax.map(lambda x: x, X, batch_size=-1)


def test_broadcast_in_dim_turns_axes():
    x = np.arange(6.0).reshape(2, 3)
    out = lax.broadcast_in_dim(x, (3, 4, 2), (2, 0))
    np.testing.assert_array_equal(out, np.broadcast_to(x.T[:, None], (3, 4, 2)))
    grad = fg.grad(lambda x: (lax.broadcast_in_dim(x, (3, 4, 2), (2, 0)) ** 2).sum())(x)
    np.testing.assert_array_equal(grad, 8 * x)
    for wrong in ((0, 0), (1, -2)):
        with pytest.raises(AxisError, match="increasing"):
            lax.broadcast_in_dim(x, (3, 3), wrong)
