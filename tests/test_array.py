"""Array: immutable, thin over NumPy, and well behaved among NumPy, torch, pickle and Python's own protocols."""

from __future__ import annotations

import copy
import enum
import inspect
import pickle
import warnings

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.array import ArrayMethods
from funcgrad.errors import ArgumentError, DTypeError, FuncgradError, ImmutableError, UnhashableError
from funcgrad.numpy import ufuncs
from funcgrad.trace.core import Tracer

DTYPES = [d.name for d in fg.dtypes.ALL]


def sample(dtype="float32", shape=(2, 3)):
    return jnp.asarray(np.arange(int(np.prod(shape))).reshape(shape), dtype)


# --------------------------------------------------------------------------------------------- immutability
def test_an_array_does_not_change_in_place():
    x = sample()
    with pytest.raises(ImmutableError, match=r"\.at\[index\]\.set"):
        x[0] = 1
    with pytest.raises(ImmutableError):
        del x[0]
    before = y = x
    y += 1
    assert y is not x and before is x and float(x[0, 0]) == 0
    with pytest.raises(AttributeError):
        x.shape = (6,)


def test_what_numpy_gets_is_read_only_and_not_copied():
    x = sample()
    view = np.asarray(x)
    assert np.shares_memory(view, np.asarray(x))
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1
    own = np.array(x)
    own[0] = 9
    assert float(x[0, 0]) == 0
    assert np.asarray(x, np.float64).dtype == np.float64
    assert np.asarray(x, dtype=object).dtype == object


@pytest.mark.parametrize(
    "make",
    [
        jnp.array,
        jnp.asarray,
        lambda a: fg.device_put(a),
        lambda a: jnp.reshape(a, (3, 2)),
        lambda a: jnp.ravel(a),
        lambda a: jnp.transpose(a),
        lambda a: jnp.broadcast_to(a, (2, 2, 3)),
        lambda a: jnp.real(a),
        lambda a: jnp.squeeze(a),
        lambda a: fg.vjp(lambda x: x, a)[0],
        lambda a: fg.jvp(lambda x: x, (a,), (a,))[1],
        lambda a: fg.vmap(lambda x: x)(a),
        lambda a: fg.jit(lambda x: x)(a),
        lambda a: fg.checkpoint(lambda x: x)(a),
        lambda a: fg.lax.stop_gradient(a),
        lambda a: fg.lax.rev(a, (0,)),
        lambda a: fg.lax.slice(a, (0, 0), (1, 2)),
        lambda a: fg.vjp(lambda x: x * 2, a)[1](a)[0],
        lambda a: fg.tree.map(jnp.asarray, [a])[0],
    ],
)
def test_an_array_does_not_follow_the_numpy_array_that_it_was_made_from(make):
    source = np.arange(6, dtype=np.float32).reshape(2, 3)
    x = make(source)
    before = np.array(x)
    source[:] = -5
    np.testing.assert_array_equal(np.asarray(x), before)


def test_a_pullback_does_not_follow_a_numpy_argument():
    x = np.array([1.0, 2.0], np.float32)
    _, pullback = fg.vjp(lambda x: x * x, x)
    x[:] = 0
    np.testing.assert_array_equal(np.asarray(pullback(np.ones(2, np.float32))[0]), [2, 4])


def test_arrays_have_no_hash():
    with pytest.raises(UnhashableError, match=r"f32\[2,3\]"):
        hash(sample())
    with pytest.raises(TypeError):
        {sample(): 1}


# -------------------------------------------------------------------------------------------------- copies
@pytest.mark.parametrize("dtype", DTYPES)
def test_pickle_and_copy_keep_value_dtype_and_weakness(dtype):
    x = sample(dtype)
    for y in (
        pickle.loads(pickle.dumps(x)),
        copy.copy(x),
        copy.deepcopy(x),
        copy.deepcopy({"x": [x]})["x"][0],
    ):
        assert y.dtype == x.dtype and y.shape == x.shape and not y.weak_type
        np.testing.assert_array_equal(np.asarray(y), np.asarray(x))
    weak = fg.jit(lambda: 2.0)()
    assert weak.weak_type and pickle.loads(pickle.dumps(weak)).weak_type


# ---------------------------------------------------------------------------------------- other libraries
@pytest.mark.parametrize("dtype", [d for d in DTYPES if d != "bfloat16"])
def test_dlpack_both_ways_with_numpy(dtype):
    x = sample(dtype)
    out = np.from_dlpack(x)
    assert out.dtype == x.dtype and not out.flags.writeable
    np.testing.assert_array_equal(out, np.asarray(x))
    back = jnp.from_dlpack(np.asarray(np.arange(6), dtype).reshape(2, 3))
    assert isinstance(back, fg.Array) and back.dtype == x.dtype
    assert x.__dlpack_device__() == (1, 0)


def test_dlpack_both_ways_with_torch():
    torch = pytest.importorskip("torch")
    x = sample()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that it cannot mark a tensor read-only
        np.testing.assert_array_equal(torch.from_dlpack(x).numpy(), np.asarray(x))
        np.testing.assert_array_equal(torch.as_tensor(np.array(x)).numpy(), np.asarray(x))
    back = jnp.from_dlpack(torch.arange(6.0).reshape(2, 3))
    assert back.dtype == np.float32 and back.shape == (2, 3)
    np.testing.assert_array_equal(np.asarray(jnp.asarray(torch.arange(3))), [0, 1, 2])


def test_bfloat16_does_not_leave_by_dlpack():
    with pytest.raises(BufferError, match="float32"):
        np.from_dlpack(sample("bfloat16"))


def test_arrays_say_their_namespace():
    assert sample().__array_namespace__() is jnp


@pytest.mark.parametrize(
    "operation",
    [
        lambda a, x: a + x,
        lambda a, x: a - x,
        lambda a, x: a * x,
        lambda a, x: a / x,
        lambda a, x: a // x,
        lambda a, x: a % x,
        lambda a, x: a**x,
        lambda a, x: a @ x.T,
        lambda a, x: a < x,
        lambda a, x: a == x,
    ],
)
@pytest.mark.parametrize("left", [np.full((2, 3), 2.0, np.float32), np.float32(2.0), 2.0, 2])
def test_numpy_operands_on_the_left_give_arrays(operation, left):
    x = sample() + 1
    try:
        expected = operation(left, np.asarray(x))
    except ValueError:
        pytest.skip("not defined for scalars")
    got = operation(left, x)
    assert isinstance(got, fg.Array)
    np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-6)
    under = fg.jit(lambda x: operation(left, x))(x)
    np.testing.assert_allclose(np.asarray(under), expected, rtol=1e-6)


# ----------------------------------------------------------------------------------------- Python scalars
def scalar(value, dtype):
    return jnp.asarray(value, dtype)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: bool(scalar(2, "int8")), True),
        (lambda: bool(jnp.zeros((1, 1))), False),
        (lambda: int(scalar(2.7, "float32")), 2),
        (lambda: float(scalar(1.5, "bfloat16")), 1.5),
        (lambda: complex(scalar(2, "int32")), 2 + 0j),
        (lambda: complex(scalar(2 + 1j, "complex64")), 2 + 1j),
        (lambda: [10, 20, 30][scalar(1, "uint8")], 20),
        (lambda: list(range(scalar(2, "int64"))), [0, 1]),
        (lambda: scalar(2.5, "float16").item(), 2.5),
        (lambda: sample().item(1, 2), 5.0),
        (lambda: sample("int32").tolist(), [[0, 1, 2], [3, 4, 5]]),
        (lambda: len(sample()), 2),
        (lambda: [int(row.sum()) for row in sample()], [3, 12]),
        (lambda: 2.0 in sample(shape=(3,)), True),
        (lambda: round(float(scalar(2.567, "float64")), 1), 2.6),
        (lambda: f"{scalar(2.5, 'float32'):.3f}", "2.500"),
        (lambda: f"{scalar(2.5, 'bfloat16'):.3f}", "2.500"),
        (lambda: f"{scalar(7, 'int32'):04d}", "0007"),
        (lambda: f"{sample('int32', (3,))}", "[0 1 2]"),
        (lambda: f"{sample('int32', (3,)):>9}", "  [0 1 2]"),
        (lambda: str(sample("int32", (2,))), "[0 1]"),
        (lambda: math_floor(scalar(2.5, "float32")), 2),
    ],
)
def test_arrays_as_python_scalars(call, expected):
    assert call() == expected


def math_floor(x):
    import math

    return math.floor(x)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: bool(sample()), ArgumentError, r"6 elements.*f32\[2,3\][\s\S]*any\(\)"),
        (lambda: bool(jnp.zeros(0)), ArgumentError, "0 elements"),
        (lambda: 1 if sample() > 2 else 0, ArgumentError, "truth"),
        (lambda: float(sample()), ArgumentError, "float"),
        (lambda: int(sample()), ArgumentError, "int"),
        (lambda: float(scalar(1j, "complex64")), FuncgradError, "complex"),
        (lambda: int(scalar(1j, "complex64")), FuncgradError, "complex"),
        (lambda: [1, 2][scalar(1.0, "float32")], ArgumentError, "integer"),
        (lambda: [1, 2][jnp.ones(1, "int32")], ArgumentError, "without axes"),
        (lambda: len(scalar(1.0, "float32")), TypeError, "len"),
        (lambda: list(scalar(1.0, "float32")), TypeError, "iterated"),
        (lambda: sample() + "text", TypeError, "text|unsupported"),
        (lambda: jnp.sin(object()), DTypeError, "object"),
        (lambda: sample().to_device("tpu"), ArgumentError, "cpu"),
    ],
)
def test_what_has_no_meaning_is_refused_in_words(call, error, words):
    with pytest.raises(error, match=words):
        call()


# ------------------------------------------------------------------------------------------------ printing
@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: sample("float32", (3,)), "Array([0., 1., 2.], dtype=float32)"),
        (lambda: sample("int32", (2, 2)), "Array([[0, 1],\n       [2, 3]], dtype=int32)"),
        (lambda: jnp.asarray(True), "Array(True, dtype=bool)"),
        (lambda: fg.jit(lambda: 2.0)(), "Array(2., dtype=float32, weak_type=True)"),
        (lambda: jnp.zeros((0, 3)), "Array([], shape=(0, 3), dtype=float32)"),
        (lambda: jnp.zeros((0,)), "Array([], shape=(0), dtype=float32)"),
        (lambda: sample("bfloat16", (2,)), "Array([0, 1], dtype=bfloat16)"),
    ],
)
def test_arrays_print_as_in_jax(make, text):
    assert repr(make()) == text.replace("shape=(0)", "shape=(0,)")


def test_large_arrays_print_short():
    assert len(repr(jnp.zeros(10**6))) < 200


# ------------------------------------------------------------------------------------------- what they say
def test_attributes():
    x = sample()
    assert (x.shape, x.ndim, x.size, x.nbytes, x.itemsize) == ((2, 3), 2, 6, 24, 4)
    assert (x.dtype, x.weak_type, x.device, str(x.aval)) == (np.float32, False, "cpu", "f32[2,3]")
    assert x.devices() == {"cpu"} and x.block_until_ready() is x and x.to_device("cpu") is x
    assert isinstance(x, fg.Array) and isinstance(x, jnp.ndarray)
    assert not isinstance(np.zeros(2), fg.Array)


def test_where_an_array_lies():
    x = sample()
    assert x.committed and x.is_fully_addressable and x.is_fully_replicated and x.is_ready()
    assert x.platform() == "cpu" and x.copy_to_host_async() is None and x.addressable_data(0) is x
    assert x.on_device_size_in_bytes() == 24 and x.tobytes() == np.asarray(x).tobytes()
    copy = x.clone()
    assert copy.unsafe_buffer_pointer() != x.unsafe_buffer_pointer() and copy.weak_type == x.weak_type
    np.testing.assert_array_equal(np.asarray(copy), np.asarray(x))
    with pytest.raises(ArgumentError, match="device 1"):
        x.addressable_data(1)


def test_shape_dtype_structs_are_values():
    a = fg.ShapeDtypeStruct((2, 3), "float32")
    assert a == fg.ShapeDtypeStruct([2, 3], np.float32) and hash(a) == hash(
        fg.ShapeDtypeStruct((2, 3), np.float32)
    )
    assert a != fg.ShapeDtypeStruct((2, 3), "float64")
    assert (a.shape, a.dtype, a.ndim, a.size) == ((2, 3), np.float32, 2, 6)
    assert repr(a) == "ShapeDtypeStruct(shape=(2, 3), dtype=float32)"
    with pytest.raises(DTypeError, match="no elements"):
        jnp.sin(a)


class Action(enum.IntEnum):
    LEFT = 1


class Metres(float):
    pass


@pytest.mark.parametrize("run", [lambda f: f, fg.jit, lambda f: fg.vmap(f, axis_size=2)])
def test_subclasses_of_python_numbers_are_numbers(run):
    x = jnp.arange(3)
    np.testing.assert_array_equal(run(lambda: x == Action.LEFT)().reshape(-1)[:3], [False, True, False])
    assert run(lambda: x * Metres(2.0))().dtype == np.float32
    assert run(lambda: jnp.ones(3, "bfloat16") * Metres(2.0))().dtype == jnp.bfloat16
    assert jnp.array([Action.LEFT, 2]).dtype == jnp.array(Action.LEFT).dtype == np.int64


def test_lengths_are_plain_integers_after_vmap():
    keys = fg.random.split(fg.random.PRNGKey(0), 7)
    assert all(type(n) is int for n in fg.vmap(lambda k: fg.random.split(k, 11))(keys).shape)


# ------------------------------------------------------------------------------------------ traced arrays
def test_nothing_of_a_tracer_hides_a_method_of_arrays():
    def kinds(cls):
        return [cls, *(k for sub in cls.__subclasses__() for k in kinds(sub))]

    methods = {name for name in dir(ArrayMethods) if not name.startswith("_")}
    assert "var" in methods
    for kind in kinds(Tracer):
        assert not methods & set(kind.__slots__), kind


@pytest.mark.parametrize(
    "name", ["sum", "mean", "var", "std", "min", "max", "any", "prod", "cumsum", "ravel"]
)
def test_traced_arrays_have_the_methods_of_arrays(name):
    x = sample()
    expected = np.asarray(getattr(x, name)())
    np.testing.assert_allclose(np.asarray(fg.jit(lambda x: getattr(x, name)())(x)), expected)
    _, (rows,) = fg.lax.scan(lambda c, x: (c, (getattr(x, name)(),)), 0.0, x[None])
    np.testing.assert_allclose(np.asarray(rows[0]), expected)


@pytest.mark.parametrize("kind", [fg.Array, jnp.ndarray, (np.ndarray, fg.Array), fg.typing.ArrayLike])
def test_traced_values_are_instances_of_array(kind):
    seen = []

    def f(x):
        seen.append(isinstance(x, kind))
        return x * 2.0

    fg.jit(f)(jnp.arange(3.0))
    fg.vmap(f)(jnp.arange(3.0))
    fg.grad(lambda x: f(x).sum())(jnp.arange(3.0))
    fg.jit(fg.vmap(fg.grad(f)))(jnp.arange(3.0))
    fg.lax.scan(lambda c, x: (f(c), x), 1.0, jnp.arange(3.0))
    f(jnp.arange(3.0))
    assert len(seen) >= 6 and all(seen)


def test_core_says_what_is_traced():
    seen = []
    fg.jit(lambda x: seen.append(isinstance(x, fg.core.Tracer)) or x)(1.0)
    assert seen == [True] and not isinstance(jnp.ones(2), fg.core.Tracer)


@pytest.mark.parametrize(
    "other", [np.ones(3), np.float32(1), 1.0, None, [1], fg.ShapeDtypeStruct((3,), "float32")]
)
def test_nothing_else_is_an_instance_of_array(other):
    assert not isinstance(other, fg.Array)


def test_devices_tell_what_they_are():
    (device,) = fg.devices()
    assert device == "cpu" and repr(device) == "'cpu'" and sample().device is device
    assert (device.platform, device.device_kind, device.id, device.process_index) == ("cpu", "cpu", 0, 0)


def test_in_asks_whether_any_element_is_equal():
    x = jnp.arange(6).reshape(2, 3)
    assert 4 in x and 7 not in x and np.float32(2) in x and 0 not in jnp.zeros((0, 2))
    chosen = fg.jit(lambda x, item: x.sum() if item in x else x.max())
    assert [int(chosen(x, i)) for i in (4, 7)] == [15, 5]


def test_python_numbers_beside_arrays_are_of_the_arrays_dtype_each_time():
    a, b, c = (jnp.asarray([1, 2], dtype) for dtype in ("float32", "float64", "int32"))
    for _ in range(2):
        assert [str((x + 2).dtype) for x in (a, b, c, a)] == ["float32", "float64", "int32", "float32"]
        assert [(x * 0.0).dtype for x in (a, b)] == [np.float32, np.float64]
        assert np.signbit(a * -0.0).all() and not np.signbit(a * 0.0).any()
    assert (c + 2.5).dtype == np.float32
    assert (c < 2**40).all()


def test_an_operation_inside_another_threads_operation():
    # the fast way of eager operations is in one context of NumPy's error state, which one thread can be in at a time
    x = jnp.asarray([1.0, 0.0])
    inside = ufuncs._quiet(lambda: (x + 1, x / 0, x < 1, x + x))
    np.testing.assert_array_equal(inside[0], [2, 1])
    np.testing.assert_array_equal(inside[1], [np.inf, np.nan])
    np.testing.assert_array_equal(inside[2], [False, True])
    np.testing.assert_array_equal(inside[3], [2, 0])


def test_methods_have_the_signatures_of_their_functions():
    x = sample()
    assert x.astype(dtype="int32").dtype == x.astype("int32", True).dtype == np.int32
    assert list(inspect.signature(x.sum).parameters)[:3] == ["axis", "dtype", "out"]
    assert fg.jit(lambda x: x.astype(dtype=jnp.float16))(x).dtype == np.float16
