"""The less common functions against NumPy, eagerly and, where shapes do not depend on values, under jit."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.errors import ArgumentError, ConcretizationError, DTypeError, ShapeError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 5)).astype(np.float32)
V = X[0]
I = RNG.integers(-5, 5, (4, 5))
U = RNG.integers(0, 255, (3, 5)).astype(np.uint8)
POSITIONS = np.array([0.0, 1.0, 1.5, 3.0, 4.0], np.float32)
XP, FP = np.sort(RNG.standard_normal(7)).astype(np.float32), RNG.standard_normal(7).astype(np.float32)

OF_ARRAYS = {
    "diff": [lambda m, x: m.diff(x), lambda m, x: m.diff(x, 2, 0), lambda m, x: m.diff(x > 0)],
    "diff with edges": [lambda m, x: m.diff(x, 1, 1, prepend=x[:, :2], append=x[:, :1])],
    "ediff1d": [lambda m, x: m.ediff1d(x, m.array([1.0, 2.0]), 3.0)],
    "gradient": [lambda m, x: m.gradient(x), lambda m, x: m.gradient(x, 0.5, m.array(POSITIONS))],
    "trapezoid": [
        lambda m, x: m.trapezoid(x, dx=0.5, axis=0),
        lambda m, x: m.trapezoid(x, m.array(POSITIONS)),
    ],
    "unwrap": [lambda m, x: m.unwrap(5 * x), lambda m, x: m.unwrap(9 * x, 4.0, 0)],
    "interp": [lambda m, x: m.interp(2 * x, XP, FP), lambda m, x: m.interp(x, XP, FP, left=9.0, right=8.0)],
    "periodic interp": [lambda m, x: m.interp(x, XP, FP, period=1.5)],
    "cov": [lambda m, x: m.cov(x), lambda m, x: m.cov(x, x + 1, False), lambda m, x: m.cov(x, bias=True)],
    "weighted cov": [lambda m, x: m.cov(x, fweights=m.array([1, 2, 1, 3, 1]), aweights=abs(m.array(V)))],
    "corrcoef": [lambda m, x: m.corrcoef(x), lambda m, x: m.corrcoef(x + 1j * x[::-1])],
    "polyval": [lambda m, x: m.polyval(m.array(V), x)],
    "poly arithmetic": [
        lambda m, x: m.polyadd(x[0], x[1, :3]),
        lambda m, x: m.polysub(x[0, :2], x[1]),
        lambda m, x: m.polymul(x[0], x[1, :3]),
        lambda m, x: m.polyder(x[0], 2),
        lambda m, x: m.polyint(x[0], 2, m.array([1.0, 2.0])),
        lambda m, x: m.poly(x[0]),
        lambda m, x: m.vander(x[0], 4),
        lambda m, x: m.vander(x[0], increasing=True),
    ],
    "r_": [
        lambda m, x: m.r_[1:4, 0.0, x[0]],
        lambda m, x: m.r_["0,2", x[0], x[1]],
        lambda m, x: m.r_["0,4,-2", x[0], x[1]],
        lambda m, x: m.c_[x, x[:, 0]],
    ],
    "block": [
        lambda m, x: m.block([[x, x], [m.ones((2, 10), np.float32)]]),
        lambda m, x: m.block([x[0], x[1]]),
    ],
    "apply": [
        lambda m, x: m.apply_along_axis(lambda line: line.sum(), 0, x),
        lambda m, x: m.apply_along_axis(lambda line: m.stack([line, 2 * line]), 1, x),
        lambda m, x: m.apply_over_axes(m.sum, x, (0, 1)),
    ],
    "piecewise": [lambda m, x: m.piecewise(x, [x < 0, x > 1], [lambda t: -t, lambda t: t**2, 5])],
    "pad": [
        lambda m, x: m.pad(x, ((1, 2), (3, 0)), "linear_ramp", end_values=((1, 2), (3, 4))),
        lambda m, x: m.pad(x, 2, "mean"),
        lambda m, x: m.pad(x, ((0, 2), (1, 1)), "maximum", stat_length=2),
        lambda m, x: m.pad(x, 1, "minimum"),
        lambda m, x: m.pad(x, 3, "reflect", reflect_type="odd"),
        lambda m, x: m.pad(x, 2, "symmetric", reflect_type="odd"),
    ],
    "nan reductions": [
        lambda m, x: m.nansum(m.where(x > 1, m.nan, x), 1, where=m.array(V) > 0),
        lambda m, x: m.nanmax(m.where(x > 1, m.nan, x), 0, initial=0.5),
        lambda m, x: m.nanmean(m.where(x > 1, m.nan, x), where=x > -1),
        lambda m, x: m.nanstd(m.where(x > 1, m.nan, x), 0),
    ],
    "polyfit": [
        lambda m, x: m.polyfit(x[:, 0], x[:, 1:], 1, w=abs(x[:, 2]))[0],
        lambda m, x: m.polyfit(m.array(POSITIONS), x[0], 2, cov=True),
    ],
    "array methods": [
        lambda m, x: x.compress(np.array([True, False, True]), 1),
        lambda m, x: x.ravel().take(2),
    ],
    "rollaxis": [lambda m, x: m.rollaxis(x, 1), lambda m, x: m.rollaxis(x, 0, 2)],
    "nan positions": [lambda m, x: m.nanargmax(m.where(x > 0, m.nan, x)), lambda m, x: m.nanargmin(x, 1)],
    "i0": [lambda m, x: m.i0(x)],
    "frexp": [lambda m, x: m.frexp(x * 1e9), lambda m, x: m.spacing(x)],
    "matvec": [lambda m, x: m.matvec(x, x[0]), lambda m, x: m.vecmat(1j * x[:, 0], x)],
    "methods of ufuncs": [
        lambda m, x: m.add.outer(x[0], x),
        lambda m, x: m.multiply.reduce(x, axis=1),
        lambda m, x: m.maximum.accumulate(x, axis=1),
        lambda m, x: m.logical_and.reduce(x > -1),
    ],
    "packbits": [lambda m, x: m.packbits(x > 0), lambda m, x: m.packbits(x > 0, 0, bitorder="little")],
    "choose": [lambda m, x: m.choose(m.array([0, 5, -2, 1, 3]), (x[0], x[1], x[2]), mode="wrap")],
    "vectorize": [
        lambda m, x: m.vectorize(lambda a, b: a @ b, signature="(n),(n)->()")(x[:, None], x),
        lambda m, x: m.vectorize(lambda a, b: a * b)(x, x[0]),
    ],
}


def same(result, expected):
    if isinstance(expected, tuple | list):
        assert len(result) == len(expected)
        for r, e in zip(result, expected):
            same(r, e)
        return
    expected = np.asarray(expected)
    assert result.shape == expected.shape
    assert result.dtype.kind == expected.dtype.kind or {result.dtype.kind, expected.dtype.kind} <= set("iu")
    np.testing.assert_allclose(np.asarray(result), expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", OF_ARRAYS)
def test_functions_of_arrays(name):
    for function in OF_ARRAYS[name]:
        expected = function(np, X)
        same(function(fnp, fnp.array(X)), expected)
        same(fg.jit(lambda x, function=function: function(fnp, x))(X), expected)


KNOWN = {
    "mgrid": [lambda m: m.mgrid[0:3, 1:4], lambda m: m.mgrid[0:1:5j, 0:2], lambda m: m.ogrid[0:3, 1:4]],
    "ix_": [lambda m: m.ix_(m.array([0, 2]), m.array([True, False, True]))],
    "diagonals": [lambda m: m.diag_indices(3, 3), lambda m: m.diag_indices_from(m.ones((3, 3)))],
    "triangles": [
        lambda m: m.tril_indices_from(m.array(X), 1),
        lambda m: m.triu_indices_from(m.array(X), -1),
        lambda m: m.mask_indices(3, m.triu, 1),
    ],
    "positions": [
        lambda m: m.unravel_index(m.array([3, 7, 0]), (3, 4)),
        lambda m: m.ravel_multi_index((m.array([0, 2]), m.array([1, 3])), (3, 4)),
        lambda m: m.ravel_multi_index((m.array([0, 5]), m.array([1, -3])), (3, 4), mode="clip", order="F"),
    ],
    "fromfunction": [lambda m: m.fromfunction(lambda a, b: a * 2 + b, (3, 4))],
    "trim_zeros": [lambda m: m.trim_zeros(m.array([0, 0, 1, 0, 2, 0])), lambda m: m.trim_zeros(m.zeros(3))],
    "polydiv": [lambda m: m.polydiv(m.array([5.0, 2, 3, 1]), m.array([1.0, 2]))[0]],
    "bits": [
        lambda m: m.unpackbits(m.array(U)),
        lambda m: m.unpackbits(m.array(U), 0, 20),
        lambda m: m.unpackbits(m.array(U), 1, 50, bitorder="little"),
    ],
    "windows": [lambda m: [m.bartlett(5), m.blackman(6), m.hamming(7), m.hanning(8), m.kaiser(9, 4.0)]],
    "roots": [
        lambda m: m.sort(m.roots(m.array([0.0, 1.0, -6.0, 11.0, -6.0, 0.0])).real),
        lambda m: abs(m.roots(m.array([2.0, 0.0, 8.0]))),
    ],
    "dsplit": [lambda m: m.dsplit(m.ones((2, 3, 4)), 2)],
    "of integers": [
        lambda m: m.diff(m.array(I)),
        lambda m: m.cov(m.array(I)),
        lambda m: m.polyval(m.array([1, 2]), 3),
    ],
}


@pytest.mark.parametrize("name", KNOWN)
def test_functions_of_known_values(name):
    for function in KNOWN[name]:
        same(function(fnp), function(np))


CHANGING = {
    "fill_diagonal": (9,),
    "put": (np.array([0, 3, -1]), np.array([1, 2])),
    "place": (X > 0, np.array([1.0, 2.0, 3.0], np.float32)),
    "put_along_axis": (np.array([[1], [2], [0], [3]]), np.float32(9), 1),
}


@pytest.mark.parametrize("name", CHANGING)
def test_functions_that_change_their_argument_in_numpy(name):
    expected = X.copy()
    getattr(np, name)(expected, *CHANGING[name])
    same(getattr(fnp, name)(X, *CHANGING[name], inplace=False), expected)
    with pytest.raises(ArgumentError, match="inplace=False"):
        getattr(fnp, name)(X, *CHANGING[name])


def test_ufunc_of_a_python_function():
    f = fnp.frompyfunc(lambda a, b: a * 2 + b, 2, 1)
    expected = np.frompyfunc(lambda a, b: a * 2 + b, 2, 1)
    same(f(X, V), X * 2 + V)
    same(f.outer(V, V), V[:, None] * 2 + V)
    same(f.reduce(X), expected.reduce(X).astype(np.float32))
    same(f.accumulate(X, 1), expected.accumulate(X, 1).astype(np.float32))
    same(f.reduceat(V, np.array([0, 3])), expected.reduceat(V, [0, 3]).astype(np.float32))
    changed = V.copy()
    for k in (0, 0, 1):
        changed[k] = changed[k] * 2 + 3
    same(f.at(V, np.array([0, 0, 1]), 3.0, inplace=False), changed)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: fnp.interp(0.3, XP, x[0, :1] + FP),
        lambda x: fnp.corrcoef(x)[0, 1],
        lambda x: fnp.polymul(x[0], x[1])[3],
        lambda x: fnp.trapezoid(x[0] ** 2),
        lambda x: fnp.unwrap(x[0])[3],
        lambda x: fnp.i0(x).sum(),
    ],
)
def test_derivatives(function):
    step = 1e-6
    x = X.astype(np.float64)
    slope = fg.grad(function)(x)
    for at in ((0, 0), (1, 2), (3, 4)):
        moved = np.zeros_like(x)
        moved[at] = step
        expected = (float(function(fnp.array(x + moved))) - float(function(fnp.array(x - moved)))) / (
            2 * step
        )
        assert float(slope[at]) == pytest.approx(expected, abs=1e-6)


def test_saved_arrays_come_back(tmp_path):
    for dtype in ("float32", "bfloat16", "int8", "complex64"):
        fnp.save(tmp_path / "x.npy", fnp.array(X, dtype))
        back = fnp.load(tmp_path / "x.npy")
        assert back.dtype == fnp.array(X, dtype).dtype
        np.testing.assert_array_equal(np.asarray(back), np.asarray(fnp.array(X, dtype)))
    same(fnp.fromstring("1 2 3", sep=" "), np.array([1.0, 2.0, 3.0]))
    same(fnp.fromiter(range(3), int), np.arange(3))
    with fnp.printoptions(precision=2):
        assert fnp.array_str(fnp.array([1 / 3])) == "[0.33]"


@pytest.mark.parametrize("counts", [[2, 1, 0], [2, 0, 0], [0, 0, 0], [0, 3, 2]])
@pytest.mark.parametrize("total", [0, 2, 6])
def test_repeat_to_a_length_with_counts_that_are_traced(counts, total):
    def repeat(c):
        return fnp.repeat(fnp.arange(3), c, total_repeat_length=total)

    expected = np.repeat(np.arange(3), counts)[:total]
    expected = np.append(expected, np.full(total - len(expected), 2))
    np.testing.assert_array_equal(np.asarray(repeat(np.array(counts))), expected)
    np.testing.assert_array_equal(np.asarray(fg.jit(repeat)(np.array(counts))), expected)


def test_roll_by_shifts_that_are_traced():
    for shift, axis in ((2, None), (-7, (0, 1)), (np.array([1, -3]), (0, 1)), (5, 1)):
        result = fg.jit(lambda s: fnp.roll(X, s, axis))(shift)  # noqa: B023
        np.testing.assert_array_equal(np.asarray(result), np.roll(X, shift, axis))


def test_mistakes_are_told():
    with pytest.raises(ConcretizationError, match="number of repeats"):
        fg.jit(lambda n: fnp.repeat(X, n))(2)
    with pytest.raises(ArgumentError, match="num is an integer"):
        fnp.linspace(0, 1, 2.5)
    with pytest.raises(ArgumentError, match="donate_argnums counts"):
        fg.jit(fnp.sin, donate_argnums="x")
    with pytest.raises(ShapeError, match="needs at least two samples"):
        fnp.gradient(X[:1])
    with pytest.raises(ShapeError, match="core axis n"):
        fnp.vectorize(lambda a, b: a @ b, signature="(n),(n)->()")(X, X[:, :3])
    with pytest.raises(ArgumentError, match="no signature"):
        fnp.vectorize(lambda a: a, signature="(n)->")
    with pytest.raises(ArgumentError, match="outside an axis"):
        fnp.ravel_multi_index((np.array([5]),), (3,))
    with pytest.raises(ArgumentError, match="3 conditions and 1 functions"):
        fnp.piecewise(X, [X > 0, X > 1, X > 2], [1])
    with pytest.raises(DTypeError, match="uint8"):
        fnp.unpackbits(I)
    with pytest.raises(ConcretizationError):
        fg.jit(fnp.trim_zeros)(V)
    with pytest.raises(ArgumentError, match="one depth"):
        fnp.block([[X], X])
