"""Promotion against the table that JAX documents, and the questions about dtypes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import dtypes, lax
from funcgrad.errors import DTypeError, UnknownNameError

NAMES = [
    "b1",
    "u1",
    "u2",
    "u4",
    "u8",
    "i1",
    "i2",
    "i4",
    "i8",
    "bf",
    "f2",
    "f4",
    "f8",
    "c4",
    "c8",
    "i*",
    "f*",
    "c*",
]
# https://docs.jax.dev/en/latest/jep/9407-type-promotion.html, with 64-bit types on; * marks weak types
TABLE = """
b1 u1 u2 u4 u8 i1 i2 i4 i8 bf f2 f4 f8 c4 c8 i* f* c*
u1 u1 u2 u4 u8 i2 i2 i4 i8 bf f2 f4 f8 c4 c8 u1 f* c*
u2 u2 u2 u4 u8 i4 i4 i4 i8 bf f2 f4 f8 c4 c8 u2 f* c*
u4 u4 u4 u4 u8 i8 i8 i8 i8 bf f2 f4 f8 c4 c8 u4 f* c*
u8 u8 u8 u8 u8 f* f* f* f* bf f2 f4 f8 c4 c8 u8 f* c*
i1 i2 i4 i8 f* i1 i2 i4 i8 bf f2 f4 f8 c4 c8 i1 f* c*
i2 i2 i4 i8 f* i2 i2 i4 i8 bf f2 f4 f8 c4 c8 i2 f* c*
i4 i4 i4 i8 f* i4 i4 i4 i8 bf f2 f4 f8 c4 c8 i4 f* c*
i8 i8 i8 i8 f* i8 i8 i8 i8 bf f2 f4 f8 c4 c8 i8 f* c*
bf bf bf bf bf bf bf bf bf bf f4 f4 f8 c4 c8 bf bf c4
f2 f2 f2 f2 f2 f2 f2 f2 f2 f4 f2 f4 f8 c4 c8 f2 f2 c4
f4 f4 f4 f4 f4 f4 f4 f4 f4 f4 f4 f4 f8 c4 c8 f4 f4 c4
f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 c8 c8 f8 f8 c8
c4 c4 c4 c4 c4 c4 c4 c4 c4 c4 c4 c4 c8 c4 c8 c4 c4 c4
c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8
i* u1 u2 u4 u8 i1 i2 i4 i8 bf f2 f4 f8 c4 c8 i* f* c*
f* f* f* f* f* f* f* f* f* bf f2 f4 f8 c4 c8 f* f* c*
c* c* c* c* c* c* c* c* c* c4 c4 c4 c8 c4 c8 c* c* c*
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]
DTYPE = {
    "b1": dtypes.bool_,
    **{f"u{n}": np.dtype(f"u{n}") for n in (1, 2, 4, 8)},
    **{f"i{n}": np.dtype(f"i{n}") for n in (1, 2, 4, 8)},
    **{f"f{n}": np.dtype(f"f{n}") for n in (2, 4, 8)},
    "bf": dtypes.bfloat16,
    "c4": dtypes.complex64,
    "c8": dtypes.complex128,
}
WEAK = {"i*": 1, "f*": 1.0, "c*": 1j}
DEFAULT = {"i*": dtypes.int64, "f*": dtypes.float32, "c*": dtypes.complex64}
PAIRS = [(a, b, ROWS[i][j]) for (i, a), (j, b) in itertools.product(enumerate(NAMES), repeat=2)]


def pair(name):
    return (DEFAULT[name], True) if name in WEAK else (DTYPE[name], False)


def test_promotion_is_that_of_the_documented_table():
    wrong = []
    for a, b, expected in PAIRS:
        dtype, _ = dtypes.promote(pair(a), pair(b))
        if dtype != {**DTYPE, **DEFAULT}[expected]:
            wrong.append(f"{a} with {b}: {dtype}, not {expected}")
    assert not wrong, "\n".join(wrong)


def test_addition_promotes_as_the_table_says():
    def operand(name):
        return WEAK[name] if name in WEAK else jnp.ones((), DTYPE[name])

    wrong = []
    for a, b, expected in PAIRS:
        if a in WEAK and b in WEAK:
            continue
        got = jnp.add(operand(a), operand(b)).dtype
        if got != {**DTYPE, **DEFAULT}[expected]:
            wrong.append(f"{a} + {b}: {got}, not {expected}")
    assert not wrong, "\n".join(wrong)


def test_promotion_is_symmetric_and_associative():
    pairs = [pair(n) for n in NAMES]
    for a, b in itertools.product(pairs, repeat=2):
        assert dtypes.promote(a, b) == dtypes.promote(b, a)
    for a, b, c in itertools.product(pairs, repeat=3):
        assert dtypes.promote(a, b, c) == dtypes.promote(c, a, b), (a, b, c)


def test_what_a_number_of_a_higher_kind_gives_is_weak():
    order = "biufc".index
    for a, b in itertools.product(NAMES, repeat=2):
        kinds = {
            weak: [
                order(dtype.kind.replace("u", "i").replace("V", "f"))
                for dtype, w in map(pair, (a, b))
                if w is weak
            ]
            for weak in (True, False)
        }
        strong = max(kinds[False], default=-1)
        expected = strong < order("f") and max(kinds[True], default=-1) > strong
        without = "u8" in (a, b) and any(
            name in (a, b) for name in ("i1", "i2", "i4", "i8")
        )  # float, as JAX has it
        assert dtypes.promote(pair(a), pair(b))[1] is (expected or without), (a, b)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (float, "float32"),
        (int, "int64"),
        (complex, "complex64"),
        (bool, "bool"),
        ("f4", "float32"),
        ("float64", "float64"),
        ("bf16", "bfloat16"),
        ("bfloat16", "bfloat16"),
        ("f32", "float32"),
        ("i8", "int8"),
        (np.float16, "float16"),
        (np.dtype("int16"), "int16"),
        (">f4", "float32"),
        (jnp.float64, "float64"),
        (jnp.bfloat16, "bfloat16"),
        (jnp.bool_, "bool"),
        (np.zeros(1, np.uint8), "uint8"),
    ],
)
def test_what_can_be_given_as_a_dtype(given, expected):
    assert dtypes.as_dtype(given).name == expected


@pytest.mark.parametrize("given", ["text", object, "U3", "datetime64[s]", np.longdouble, None, 3])
def test_what_is_no_dtype_is_refused(given):
    with pytest.raises(DTypeError, match="use one of bool, int8"):
        dtypes.as_dtype(given)


def test_the_defaults_are_settings():
    assert (dtypes.default_float(), dtypes.default_int(), dtypes.default_complex()) == ("f4", "i8", "c8")
    with fg.config.using(default_float="float64", default_int="int32"):
        assert (dtypes.default_float(), dtypes.default_int(), dtypes.default_complex()) == ("f8", "i4", "c16")
        assert jnp.asarray(1.0).dtype == np.float64
        assert jnp.asarray(1).dtype == np.int32
        assert fg.grad(jnp.sin)(1.0).dtype == np.float64
    assert jnp.asarray(1.0).dtype == np.float32


def test_float64_works_whatever_the_default():
    x = np.array([1.0, 2.0])
    assert jnp.sin(x).dtype == np.float64
    assert fg.jit(lambda x: x * 2.0)(x).dtype == np.float64
    assert jnp.zeros(3, "float64").dtype == np.float64


def test_settings_are_checked_and_put_back():
    with pytest.raises(ValueError, match=r"default_float.*float16"):
        fg.config.update("default_float", "float16")
    with pytest.raises(AttributeError, match=r"no setting 'speed'(.|\n)*there are default_float"):
        fg.config.update("speed", 1)
    with pytest.raises(ZeroDivisionError), fg.config.using(default_float="float64"):
        1 / 0  # noqa: B018
    assert fg.config.default_float == np.float32
    fg.config.update("jax_enable_x64", True)
    assert fg.config.default_float == np.float64
    fg.config.update("jax_enable_x64", False)
    assert fg.config.default_float == np.float32
    fg.config.disable_jit = True
    assert fg.config.disable_jit
    fg.config.disable_jit = False


def test_machine_limits():
    assert float(dtypes.finfo("bfloat16").eps) == 2.0**-7
    assert dtypes.finfo("complex64").max == np.finfo(np.float32).max
    assert dtypes.iinfo("uint8").max == 255


def test_keys_are_not_of_an_extended_dtype():
    key = fg.random.key(0)
    assert not fg.numpy.issubdtype(key.dtype, dtypes.prng_key)
    assert not dtypes.issubdtype(key.dtype, dtypes.extended)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jax_platform_name", "cpu"),
        ("jax_platforms", "cpu"),
        ("jax_default_matmul_precision", "float32"),
        ("jax_compilation_cache_dir", "/tmp/cache"),
        ("jax_threefry_partitionable", True),
        ("jax_default_prng_impl", "threefry2x32"),
        ("jax_numpy_rank_promotion", "allow"),
        ("jax_traceback_filtering", "off"),
    ],
)
def test_settings_of_jax_that_hold_anyway_are_accepted(name, value):
    generation = fg.config.generation
    fg.config.update(name, value)
    assert fg.config.generation == generation


@pytest.mark.parametrize(
    ("name", "value"),
    [("jax_platforms", "cuda"), ("jax_default_prng_impl", "rbg"), ("jax_numpy_rank_promotion", "raise")],
)
def test_settings_of_jax_that_cannot_be_kept_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}.*{value}.*only"):
        fg.config.update(name, value)


def test_settings_of_jax_can_be_read():
    assert fg.config.jax_enable_x64 is False
    with fg.enable_x64():
        assert fg.config.jax_enable_x64 is True and fg.config.read("jax_enable_x64") is True
    assert fg.config.jax_debug_nans is False
    assert fg.config.jax_platforms == "cpu"
    with pytest.raises(UnknownNameError, match="did you mean jax_enable_x64"):
        _ = fg.config.jax_enabel_x64
    assert not hasattr(fg.config, "no_such_setting")


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=str)
def test_there_is_one_object_for_each_dtype(dtype):
    for given in (dtype, dtype.name, dtype.newbyteorder("=")):
        assert fg.dtypes.as_dtype(given) is dtype
        assert jnp.zeros(2, given).dtype is dtype
    assert fg.dtypes.canonicalize_dtype(None) is np.dtype("float32")
    assert jnp.issubdtype(None, jnp.floating) and not jnp.issubdtype(None, jnp.complexfloating)


@pytest.mark.parametrize("name", ["less", "less_equal", "greater", "greater_equal"])
def test_complex_numbers_compare_by_their_real_parts_first(name):
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 3, 50) + 1j * rng.integers(0, 3, 50) for _ in range(2))
    wanted = getattr(np, name)(a, b)
    compare = getattr(jnp, name)
    a, b = jnp.asarray(a), jnp.asarray(b)
    assert (compare(a, b) == wanted).all() and (fg.jit(compare)(a, b) == wanted).all()
    assert (compare(a, 1.0) == getattr(np, name)(np.asarray(a), 1.0)).all()


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["eager", "jit"])
def test_numpys_numbers_that_are_python_floats_give_way(wrap):
    x, half = jnp.ones(3), jnp.ones(3, "bfloat16")
    two, unit = np.sqrt(4.0), np.complex128(1j)
    for f in (
        lambda x, c: x * c,
        lambda x, c: c - x,
        lambda x, c: jnp.where(x > 0, x, c),
    ):
        assert wrap(f)(x, two).dtype == np.float32
        assert wrap(lambda x, f=f: f(x, two))(half).dtype == half.dtype
    assert wrap(lambda x, c: x * c)(x, np.full(3, 2.0)).dtype == np.float64, "arrays do not"
    assert wrap(lambda x: lax.mul(x, two))(x).dtype == np.float32
    assert wrap(lambda x, c: x * c)(x, unit).dtype == np.complex64
    assert wrap(lambda c: jnp.sin(c) * 0.5)(two).dtype == np.float64, "alone they keep their precision"
    assert wrap(fg.grad(lambda c: c**2))(two) == 4 and fg.grad(lambda c: c**2)(two).dtype == np.float64
    assert jnp.asarray(two).weak_type and jnp.asarray(two).dtype == np.float64
