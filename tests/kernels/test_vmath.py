"""Vector math: the stated error bounds, special values of IEEE 754, integers, conversions, vector code."""

from __future__ import annotations

import cmath
import ctypes
import math
import platform
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from funcgrad.kernels.cpu import vmath as vm
from scipy import special

sys.path.insert(0, str(Path(__file__).parent))
from native import compiled, declared, run, short

FLOATS = [np.float32, np.float64]
EXTENDED = np.finfo(np.longdouble).nmant >= 63
"""Has this platform a float wider than float64, to measure float64 against?"""

NUMPY = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh", "acosh": "arccosh"}
NUMPY |= {"atanh": "arctanh", "atan2": "arctan2", "pow": "power"}
SCIPY = {"erf": special.erf, "erfc": special.erfc, "erf_inv": special.erfinv, "digamma": special.digamma}
UNARY = [name for name in vm.BOUNDS if name not in ("pow", "atan2")]
RANGES = {"asin": 1, "acos": 1, "atanh": 1, "erf_inv": 1, "tanh": 20, "erf": 6, "digamma": 30}


def reference(name, *arrays):
    """The function in a wider float."""
    wide = [a.astype(np.longdouble) for a in arrays]
    if name == "logistic":
        return 1 / (1 + np.exp(-wide[0]))
    if name == "rsqrt":
        return 1 / np.sqrt(wide[0])
    if name not in SCIPY:
        return getattr(np, NUMPY.get(name, name))(*wide)
    if arrays[0].dtype == np.float32:
        return SCIPY[name](arrays[0].astype(np.float64)).astype(np.longdouble)
    return by_mpmath(name, arrays[0])


def by_mpmath(name, x):
    mpmath = pytest.importorskip("mpmath")
    ends = SCIPY[name](x)  # where there is no finite value

    def one(value, end):
        if not (np.isfinite(value) and np.isfinite(end)) or abs(end) < 1e-310 or abs(value) > 1e100:
            return np.longdouble(end)
        exact = getattr(mpmath, {"erf_inv": "erfinv"}.get(name, name))(mpmath.mpf(float(value)))
        return np.longdouble(float(exact)) + np.longdouble(float(exact - mpmath.mpf(float(exact))))

    with mpmath.workprec(120):
        return np.array([one(*pair) for pair in zip(x, ends, strict=True)], np.longdouble)


def errors(got, want):
    """|got - want| in units of the last place of `want`."""
    info = np.finfo(got.dtype)
    rounded = want.astype(got.dtype)
    right = (np.isnan(got) & np.isnan(rounded)) | ((got == rounded) & ~np.isfinite(got))
    exponent = np.floor(np.log2(np.where(want == 0, 1, np.abs(want))))
    unit = np.exp2(np.maximum(exponent, info.minexp) - info.nmant)
    top = np.copysign(np.longdouble(2) ** info.maxexp, got)  # an infinity beside the largest number
    value = np.where(np.isinf(got) & np.isfinite(rounded), top, got.astype(np.longdouble))
    return np.where(right, 0, np.nan_to_num(np.abs(value - want) / unit, nan=np.inf))


def samples(dtype, name, count):
    """Random bit patterns, the range where things happen, and numbers of every special kind."""
    rng = np.random.default_rng(7)
    integer = {4: np.int32, 8: np.int64}[np.dtype(dtype).itemsize]
    patterns = rng.integers(np.iinfo(integer).min, np.iinfo(integer).max, count, integer).view(dtype)
    end = RANGES.get(name, {4: 105, 8: 750}[np.dtype(dtype).itemsize])
    parts = [patterns, rng.uniform(-end, end, count), rng.uniform(-2, 2, count), rng.normal(1, 0.01, count)]
    parts.append(np.exp(rng.uniform(-40, 5, count)) * rng.choice([-1, 1], count))
    return np.concatenate([special_values(dtype), *[p.astype(dtype) for p in parts]])


def special_values(dtype):
    info = np.finfo(dtype)
    positive = [
        0.0,
        info.smallest_subnormal,
        info.tiny,
        0.5,
        1.0,
        1.5,
        2.0,
        3.0,
        1e5,
        1e10,
        info.max,
        math.inf,
    ]
    return np.array([*positive, *[-p for p in positive], math.nan], dtype)


def within_bound(name, dtype, got, want):
    bound = vm.BOUNDS[name][dtype is np.float64]
    error = errors(got, want)
    worst = int(np.argmax(error))
    assert error[worst] <= bound + 0.005, f"{name}: {error[worst]} ulp, {got[worst]} for {want[worst]}"
    zero = (got == 0) & (want == 0) & (name != "erf_inv")  # SciPy's loses the sign
    assert np.array_equal(np.signbit(got[zero]), np.signbit(want[zero])), f"{name}: sign of zero"


def skip_where_reference_is_coarse(dtype):
    if dtype is np.float64 and not EXTENDED:
        pytest.skip("no float wider than float64 here")


@pytest.mark.skipif(platform.machine() != "x86_64" or sys.platform != "linux", reason="the flag's number")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["exp", "exp2", "expm1"])
def test_what_underflows_for_certain_is_not_computed(name, dtype):
    """A processor takes many times as long for a product that underflows, and masked scores are all such."""
    libm, underflow = ctypes.CDLL(None), 0x10
    subnormal = {"exp": 0.7, "exp2": 1, "expm1": 1}[name] * {4: -140.3, 8: -1060.3}[np.dtype(dtype).itemsize]

    def flagged(value):
        x = np.full(64, value, dtype)
        libm.feclearexcept(underflow)
        got = run(f"vm.{name}(x)", x)
        return bool(libm.fetestexcept(underflow)), got[0]

    nothing = -1 if name == "expm1" else 0
    for value in (-2000, -1e30, -math.inf):
        flagged(value)  # compiles
        assert flagged(value) == (False, nothing)
    if name != "expm1":
        raised, value = flagged(subnormal)
        assert raised and 0 < value < np.finfo(dtype).tiny


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", UNARY)
def test_stated_error_bound_holds(name, dtype):
    skip_where_reference_is_coarse(dtype)
    x = samples(dtype, name, 500 if name in SCIPY and dtype is np.float64 else 20000)
    if name == "digamma":
        x = x[~(x < 0)]
    within_bound(name, dtype, run(f"vm.{name}(x)", x), reference(name, x))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", [*(n for n in UNARY if n not in SCIPY), "pow"])
def test_bounds_hold_in_kernels_that_reassociate(name, dtype):
    skip_where_reference_is_coarse(dtype)
    operands = powers(dtype) if name == "pow" else (samples(dtype, name, 5000),)
    got = run(f"vm.{name}({', '.join('xy'[: len(operands)])})", *operands, reassociate=True)
    within_bound(name, dtype, got, reference(name, *operands))


def powers(dtype):
    rng = np.random.default_rng(3)
    a, b = np.meshgrid(special_values(dtype), np.append(special_values(dtype), dtype(-0.3)))
    base = np.concatenate([rng.lognormal(0, 5, 20000), rng.normal(1, 1e-3, 20000), rng.uniform(-9, 9, 2000)])
    limit = 88 if dtype is np.float32 else 709
    exponent = rng.uniform(-limit, limit, base.size) / np.log(np.abs(base))
    exponent[-2000:] = rng.integers(-30, 30, 2000)
    return np.append(a, base.astype(dtype)), np.append(b, exponent.astype(dtype))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", FLOATS)
def test_pow(dtype):
    skip_where_reference_is_coarse(dtype)
    x, y = powers(dtype)
    within_bound("pow", dtype, run("vm.pow(x, y)", x, y), reference("pow", x, y))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", FLOATS)
def test_atan2(dtype):
    skip_where_reference_is_coarse(dtype)
    rng = np.random.default_rng(3)
    a, b = np.meshgrid(special_values(dtype), special_values(dtype))
    y, x = (np.append(s, rng.normal(size=20000).astype(dtype)) for s in (a, b))
    within_bound("atan2", dtype, run("vm.atan2(x, y)", y, x), reference("atan2", y, x))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_huge_angles_are_reduced_exactly(name, dtype):
    """A few among ordinary ones, in each place of a vector and in the loop's remainder."""
    x = np.linspace(-3, 3, 67).astype(dtype)
    for k in range(67):
        x[k] = dtype(1.7e30) if k % 5 == 0 else x[k]
    want = [getattr(math, name)(float(v)) for v in x]
    np.testing.assert_allclose(run(f"vm.{name}(x)", x), want, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", FLOATS)
def test_digamma_below_zero(dtype):
    x = np.random.default_rng(0).uniform(-20, 0, 500).astype(dtype)
    x = np.append(x, np.array([-1, -2, -1e20, -math.inf], dtype))
    want = special.digamma(x.astype(np.float64))
    np.testing.assert_allclose(run("vm.digamma(x)", x), want, rtol=1e-5 if dtype is np.float32 else 1e-11)


@pytest.mark.parametrize("dtype", FLOATS)
def test_lgamma(dtype):
    x = np.random.default_rng(0).uniform(-5, 50, 500).astype(dtype)
    want = special.gammaln(x.astype(np.float64))
    tolerance = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(run("vm.lgamma(x)", x), want, rtol=tolerance, atol=tolerance)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["floor", "ceil", "trunc", "sign", "abs", "square"])
def test_exact_functions_are_numpys(name, dtype):
    x = samples(dtype, name, 500)
    np.testing.assert_array_equal(run(f"vm.{name}(x)", x), getattr(np, name)(x))


@pytest.mark.parametrize("dtype", FLOATS)
def test_rounding(dtype):
    x = np.array([-2.5, -1.5, -0.5, -0.2, 0.2, 0.5, 1.5, 2.5, 2.4999998, 1e30, math.inf, math.nan], dtype)
    away = np.trunc(x + np.copysign(dtype(0.5), x))
    np.testing.assert_array_equal(run("vm.round_even(x)", x), np.rint(x))
    np.testing.assert_array_equal(run("vm.round_away(x)", x), away)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("name", "numpy"),
    [("maximum", np.maximum), ("minimum", np.minimum), ("rem", np.fmod), ("nextafter", np.nextafter)],
)
def test_binary_functions_are_numpys(name, numpy, dtype):
    x, y = (a.ravel() for a in np.meshgrid(special_values(dtype), special_values(dtype)))
    if name in ("maximum", "minimum"):
        x, y = x[(x != 0) | (y != 0)], y[(x != 0) | (y != 0)]  # NumPy does not order zeros
    np.testing.assert_array_equal(run(f"vm.{name}(x, y)", x, y), numpy(x, y))


@pytest.mark.parametrize("dtype", FLOATS)
def test_is_finite(dtype):
    x = special_values(dtype)
    np.testing.assert_array_equal(run("vm.is_finite(x)", x, result=np.bool_), np.isfinite(x))


INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]


def integers(dtype):
    info = np.iinfo(dtype)
    ends = [info.min, info.min + 1, 0, 1, 2, 3, 7, info.max - 1, info.max] + [-1, -2, -7] * (info.min < 0)
    x, y = np.meshgrid(np.array(ends, dtype), np.array(ends, dtype))
    return x.ravel(), y.ravel()


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_division_never_traps(dtype):
    x, y = integers(dtype)
    wide = [[int(v) for v in a] for a in (x, y)]
    bits = np.iinfo(dtype).bits

    def wrapped(values):
        return np.array([v % 2**bits for v in values], f"uint{bits}").view(dtype)

    quotients = [
        -1 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1) for a, b in zip(*wide)
    ]
    remainders = [a if b == 0 else a - b * q for a, b, q in zip(*wide, quotients)]
    np.testing.assert_array_equal(run("vm.div(x, y)", x, y), wrapped(quotients))
    np.testing.assert_array_equal(run("vm.rem(x, y)", x, y), wrapped(remainders))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_shifts_by_any_amount(dtype):
    x, _ = integers(dtype)
    bits = np.iinfo(dtype).bits
    unsigned = np.dtype(f"uint{bits}")
    for amount in (0, 1, bits - 1, bits, bits + 3):
        by = np.full_like(x, amount)
        whole = [int(v) for v in x]
        left = np.array([(v << amount) % 2**bits for v in whole], unsigned).view(dtype)
        logical = np.array([(v % 2**bits) >> amount for v in whole], unsigned).view(dtype)
        signed = [int(v) for v in x.view(f"int{bits}")]  # unsigned integers too, as in XLA
        arithmetic = np.array([(v >> amount) % 2**bits for v in signed], unsigned).view(dtype)
        np.testing.assert_array_equal(run("vm.shift_left(x, y)", x, by), left)
        np.testing.assert_array_equal(run("vm.shift_right_logical(x, y)", x, by), logical)
        np.testing.assert_array_equal(run("vm.shift_right_arithmetic(x, y)", x, by), arithmetic)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_bits_and_signs_of_integers(dtype):
    x, y = integers(dtype)
    bits = np.iinfo(dtype).bits
    patterns = [int(v) % 2**bits for v in x]
    ones = [bin(p).count("1") for p in patterns]
    zeros = [bits - p.bit_length() for p in patterns]
    np.testing.assert_array_equal(run("vm.population_count(x)", x), ones)
    np.testing.assert_array_equal(run("vm.clz(x)", x), zeros)
    np.testing.assert_array_equal(run("vm.sign(x)", x), np.sign(x))
    np.testing.assert_array_equal(run("vm.abs(x)", x), np.abs(x))
    np.testing.assert_array_equal(run("vm.maximum(x, y)", x, y), np.maximum(x, y))
    np.testing.assert_array_equal(run("vm.minimum(x, y)", x, y), np.minimum(x, y))


@pytest.mark.parametrize(("name", "half"), [("f16", np.float16), ("bf16", ml_dtypes.bfloat16)])
def test_16_bit_floats_are_read_exactly(name, half):
    bits = np.arange(2**16, dtype=np.uint16)
    want = bits.view(half).astype(np.float32)
    got = run(f"vm.{name}_to_f32(x)", bits, result=np.float32)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.signbit(got), np.signbit(want))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("name", "half"), [("f16", np.float16), ("bf16", ml_dtypes.bfloat16)])
def test_16_bit_floats_are_rounded_to_even(name, half):
    exact = np.arange(2**16, dtype=np.uint16).view(half).astype(np.float32)
    exact = exact[np.isfinite(exact)]
    ties = (np.sort(exact)[1:].astype(np.float64) + np.sort(exact)[:-1]) / 2
    near = np.concatenate([np.nextafter(ties.astype(np.float32), np.float32(s)) for s in (-1e38, 1e38)])
    x = np.concatenate([exact, ties.astype(np.float32), near, samples(np.float32, name, 5000)])
    want, got = x.astype(half), run(f"vm.f32_to_{name}(x)", x, result=np.uint16).view(half)
    assert np.array_equal(np.isnan(got), np.isnan(want))
    number = ~np.isnan(want)
    np.testing.assert_array_equal(got.view(np.uint16)[number], want.view(np.uint16)[number])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("target", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_conversion_to_integers_stops_at_the_ends(target, dtype):
    info = np.iinfo(target)
    x = np.array([0, 1.9, -1.9, 100.5, 1e30, -1e30, math.inf, -math.inf, math.nan], dtype)
    want = [
        0 if math.isnan(v) else int(min(max(float(v), info.min), info.max))
        for v in x
        if abs(v) < 200 or v != v
    ]
    got = run(f"vm.to_{target[0]}{info.bits}(x)", x, result=np.dtype(target))
    assert [int(got[k]) for k in (0, 1, 2, 3, 8)] == want
    assert [int(v) for v in got[4:8]] == [info.max, info.min, info.max, info.min]


COMPLEX = ["exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan", "sqrt"]


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("name", COMPLEX)
def test_complex_functions(name, dtype):
    rng = np.random.default_rng(0)
    z = (rng.normal(size=50) + 1j * rng.normal(size=50)).astype(dtype)
    want = [getattr(cmath, name)(complex(v)) for v in z]
    np.testing.assert_allclose(run(f"vm.{name}(x)", z), want, rtol=30 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_powers_and_signs(dtype):
    rng = np.random.default_rng(0)
    z = (rng.normal(size=50) + 1j * rng.normal(size=50)).astype(dtype)
    w = (rng.normal(size=50) + 1j * rng.normal(size=50)).astype(dtype)
    z[:2], w[:2] = 0, [0, 2]
    tolerance = 30 * np.finfo(dtype).eps
    np.testing.assert_allclose(run("vm.pow(x, y)", z, w), z**w, rtol=tolerance)
    np.testing.assert_allclose(run("vm.sign(x)", z), np.sign(z), rtol=tolerance)
    np.testing.assert_allclose(run("vm.abs(x)", z, result=z.real.dtype), np.abs(z), rtol=tolerance)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("name", ["exp", "sin", "cos", "sinh", "cosh"])
def test_complex_functions_on_the_axes_multiply_no_zero_by_an_infinity(name, dtype):
    z = np.array([1000, -1000, complex(1000, -0.0), 1000j, complex(-0.0, -1000)], dtype)
    with np.errstate(all="ignore"):
        want = getattr(np, name)(z)
    np.testing.assert_array_equal(np.isnan(want), False)
    got = run(f"vm.{name}(x)", z)
    np.testing.assert_allclose(got, want, rtol=30 * np.finfo(dtype).eps)
    for part in (np.real, np.imag):
        np.testing.assert_array_equal(np.signbit(part(got)), np.signbit(part(want)))


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_the_sign_of_a_number_with_one_infinite_part_is_that_of_the_part(dtype):
    inf, nan = np.inf, np.nan
    z = np.array([complex(*v) for v in [(-inf, 5), (3, inf), (nan, -inf), (inf, inf), (nan, 0)]], dtype)
    np.testing.assert_array_equal(run("vm.sign(x)", z), np.array([-1, 1j, -1j, nan, nan], dtype))


VECTORIZED = sorted(set(vm.BOUNDS) - {"pow", "atan2"})


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", VECTORIZED)
def test_loops_are_vectorized(name, dtype):
    """The optimised IR stores whole vectors of results."""
    from funcgrad.kernels.cpu import codegen, compiling

    body = str(
        codegen.optimised(compiling.lower_kernel(declared(f"vm.{name}(x)", (short(np.dtype(dtype)),) * 2)))
    )
    stored = [line for line in body.splitlines() if line.lstrip().startswith("store <")]
    assert any(
        np.dtype(dtype).name.replace("float64", "double").replace("float32", "float") in s for s in stored
    )


def test_a_kernel_may_call_many_functions():
    code = compiled("vm.sin(x) * vm.cos(x) + vm.tan(x) * vm.exp(x) - vm.erf(x)", ("f32", "f32"))
    assert len(code) < 60_000
