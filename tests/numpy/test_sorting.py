"""Sorting, search, quantiles, sets and cumulative operations against NumPy, compiled and not."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.errors import ShapeError
from funcgrad.lower.lowered import ExternStep, RoutineStep, walk_steps

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 7)).astype(np.float32)
WITH_NAN = np.where(X > 1, np.nan, X).astype(np.float32)
I = RNG.integers(0, 6, (4, 9)).astype(np.int32)


def both(function, *args):
    """The results of a function as it is and compiled, which agree."""
    plain, compiled = fg.tree.leaves(function(*args)), fg.tree.leaves(fg.jit(function)(*args))
    for a, b in zip(plain, compiled, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-6)
    return [np.asarray(p) for p in plain]


@pytest.mark.parametrize("x", [X, WITH_NAN, I, X.astype(np.float64), X > 0, I.astype(np.uint8)])
@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_sort_and_argsort(x, axis):
    (out,) = both(lambda x: jnp.sort(x, axis=axis), x)
    np.testing.assert_array_equal(out, np.sort(x, axis=axis))
    (order,) = both(lambda x: jnp.argsort(x, axis=axis), x)
    np.testing.assert_array_equal(order, np.argsort(x, axis=axis, kind="stable"))
    (down,) = both(lambda x: jnp.sort(x, axis=axis, descending=True), x)
    np.testing.assert_array_equal(down, np.flip(np.sort(x, axis=axis), -1 if axis is None else axis))


def test_zeros_of_both_signs_are_equal_and_stay_in_order():
    x = np.array([0.0, -0.0, 1.0, -1.0, 0.0], np.float32)
    assert jnp.argsort(x).tolist() == [3, 0, 1, 4, 2]


def test_sort_by_several_keys():
    a, b, c = I[0], I[1], X.ravel()[:9]
    want = np.lexsort((b, a))
    outs = both(lambda *xs: fg.lax.sort(xs, num_keys=2), a, b, c)
    for got, x in zip(outs, (a, b, c)):
        np.testing.assert_array_equal(got, x[want])
    np.testing.assert_array_equal(both(lambda a, b: jnp.lexsort((b, a)), a, b)[0], want)


@pytest.mark.parametrize("k", [0, 1, 3, 7])
def test_top_k(k):
    values, places = both(lambda x: fg.lax.top_k(x, k), X)
    np.testing.assert_array_equal(places, np.argsort(-X, axis=-1, kind="stable")[:, :k])
    np.testing.assert_array_equal(values, np.take_along_axis(X, places, -1))
    assert places.dtype == np.int32


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(side):
    line, wanted = np.sort(X.ravel()), np.concatenate([X.ravel(), WITH_NAN.ravel(), [9, -9]])
    (got,) = both(lambda a, v: jnp.searchsorted(a, v, side=side), line, wanted.astype(np.float32))
    np.testing.assert_array_equal(got, np.searchsorted(line, wanted.astype(np.float32), side=side))
    assert both(lambda a: jnp.searchsorted(a, 1.0), np.zeros(0, np.float32))[0] == 0


def test_digitize():
    edges = np.array([-1.0, 0.0, 0.5, 2.0], np.float32)
    for bins in (edges, edges[::-1]):
        for right in (False, True):
            (got,) = both(lambda x, b, right=right: jnp.digitize(x, b, right), X, bins.copy())
            np.testing.assert_array_equal(got, np.digitize(X, bins, right))


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "midpoint", "nearest"])
@pytest.mark.parametrize("name", ["quantile", "nanquantile"])
def test_quantiles(name, method):
    q = np.array([0.0, 0.13, 0.5, 1.0], np.float32)
    (got,) = both(lambda x: getattr(jnp, name)(x, q, axis=1, method=method), WITH_NAN)
    want = getattr(np, name)(WITH_NAN.astype(np.float64), q.astype(np.float64), axis=1, method=method)
    np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize("axis", [None, 0, (0, 1)])
def test_medians(axis):
    (got,) = both(lambda x: jnp.median(x, axis=axis, keepdims=True), X)
    np.testing.assert_allclose(got, np.median(X, axis=axis, keepdims=True), rtol=1e-6)
    (got,) = both(lambda x: jnp.nanmedian(x, axis=axis), WITH_NAN)
    np.testing.assert_allclose(got, np.nanmedian(WITH_NAN, axis=axis), rtol=1e-6)
    np.testing.assert_allclose(jnp.percentile(X, 30), np.percentile(X, 30), rtol=1e-6)


def test_unique():
    for got, want in zip(jnp.unique(I, True, True, True), np.unique(I, True, True, True)):
        np.testing.assert_array_equal(got, want)
    values, index, inverse, counts = both(lambda x: jnp.unique(x, True, True, True, size=8, fill_value=-1), I)
    found, first, back, often = np.unique(I, True, True, True)
    np.testing.assert_array_equal(values, [*found, *[-1] * (8 - len(found))])
    np.testing.assert_array_equal(index[: len(first)], first)
    np.testing.assert_array_equal(inverse, back.reshape(I.shape))
    np.testing.assert_array_equal(counts, [*often, *[0] * (8 - len(found))])
    np.testing.assert_array_equal(both(lambda x: jnp.unique(x, size=3), I)[0], found[:3])
    with pytest.raises(fg.errors.ConcretizationError, match="size="):
        fg.jit(jnp.unique)(I)


@pytest.mark.parametrize("name", ["union1d", "intersect1d", "setdiff1d", "setxor1d"])
def test_sets(name):
    a, b = I[0], I[1]
    np.testing.assert_array_equal(getattr(jnp, name)(a, b), getattr(np, name)(a, b))


def test_membership_and_counts():
    np.testing.assert_array_equal(both(lambda x: jnp.isin(x, jnp.array([1, 4])), I)[0], np.isin(I, [1, 4]))
    np.testing.assert_array_equal(
        both(lambda x: jnp.bincount(x, length=8), I[0])[0], np.bincount(I[0], minlength=8)
    )
    np.testing.assert_array_equal(
        jnp.bincount(I[0], X.ravel()[:9]), np.bincount(I[0], X.ravel()[:9]).astype("f4")
    )
    for options in ({"bins": 6}, {"bins": 4, "range": (-1, 1)}, {"bins": [-1.0, 0.0, 2.0], "density": True}):
        counts, edges = jnp.histogram(
            X,
            **{**options, "bins": jnp.asarray(options["bins"])}
            if isinstance(options["bins"], list)
            else options,
        )
        want, at = np.histogram(X, **options)
        np.testing.assert_allclose(counts, want, rtol=1e-5)
        np.testing.assert_allclose(edges, at, rtol=1e-5)


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "nancumsum", "nancumprod"])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_cumulative(name, axis):
    for x in (X, WITH_NAN, I):
        (got,) = both(lambda x: getattr(jnp, name)(x, axis=axis), x)
        want = getattr(np, name)(x.astype(np.float64) if x is not I else x, axis=axis, dtype=None)
        np.testing.assert_allclose(got, want.astype(got.dtype), rtol=2e-5, atol=2e-5)


def test_argwhere_of_a_number_has_rows_without_entries():
    for number in (0, 1.5):
        assert jnp.argwhere(number).shape == np.argwhere(number).shape == (int(number > 0), 0)
    assert fg.jit(lambda x: jnp.argwhere(x, size=2))(1.0).shape == (2, 0)


def test_nonzero_of_a_given_size():
    (got,) = both(lambda x: jnp.argwhere(x > 0.3, size=40), X)
    found = np.argwhere(X > 0.3)
    np.testing.assert_array_equal(got, np.pad(found, ((0, 40 - len(found)), (0, 0))))
    rows, columns = both(lambda x: jnp.where(x > 0.3, size=5, fill_value=-1), X)
    np.testing.assert_array_equal(rows, found[:5, 0])
    np.testing.assert_array_equal(columns, found[:5, 1])


def test_permutation_and_choice():
    key = fg.random.key(3)
    assert sorted(fg.random.permutation(key, 50).tolist()) == list(range(50))
    rows = fg.random.permutation(key, X)
    np.testing.assert_array_equal(np.sort(rows, 0), np.sort(X, 0))
    assert any((np.asarray(rows)[i] == X[0]).all() for i in range(5))
    drawn = fg.jit(lambda key: fg.random.choice(key, 20, (12,), replace=False))(key)
    assert len(set(drawn.tolist())) == 12
    p = jnp.array([0.5, 0.0, 0.5])
    assert set(fg.random.choice(key, 3, (200,), p=p).tolist()) == {0, 2}
    assert sorted(fg.random.choice(key, 3, (2,), replace=False, p=p).tolist()) == [0, 2]
    with pytest.raises(fg.errors.ArgumentError, match="without replacement"):
        fg.random.choice(key, 3, (4,), replace=False)


# ------------------------------------------------------------------------------------------------ edges
def test_a_stable_sort_keeps_the_order_of_zeros_of_both_signs():
    x = np.array([0.0, -0.0, np.nan, 3, -0.0, 0.0], np.float32)
    (out,) = both(jnp.sort, x)
    assert np.signbit(out[:4]).tolist() == [False, True, True, False]
    (down,) = both(lambda x: jnp.sort(x, descending=True), x)
    assert np.signbit(down[2:]).tolist() == [False, True, True, False]


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("bins", [[1, 2, 4], [4, 2, 1]])
def test_digitize_of_elements_on_the_edges(bins, right):
    (got,) = both(lambda x: jnp.digitize(x, jnp.array(bins), right), I)
    np.testing.assert_array_equal(got, np.digitize(I, bins, right))


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_percentiles_of_float64_are_taken_in_float64(method):
    x = RNG.normal(size=11)
    (got,) = both(lambda x: jnp.percentile(x, 30, method=method), x)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, np.percentile(x, 30, method=method))


def test_quantiles_at_infinities_and_in_16_bits():
    assert both(lambda x: jnp.quantile(x, 0.5), np.array([np.inf, -np.inf, np.inf, np.inf]))[0] == np.inf
    many = np.arange(5000, dtype=np.float16)
    np.testing.assert_allclose(both(lambda x: jnp.quantile(x, 0.3), many)[0], 1499.7, rtol=1e-3)
    assert both(lambda x: jnp.quantile(x, 0.5, method="nearest"), np.array([1.0, 2.0]))[0] == 1


def test_unique_under_jit_takes_nan_as_one_or_as_many():
    x = np.array([3.0, np.nan, 1.0, np.nan, 3.0])
    for equal_nan in (True, False):
        want = np.unique(x, True, True, True, equal_nan=equal_nan)
        size = len(want[0])
        got = both(lambda x, n=size, e=equal_nan: jnp.unique(x, True, True, True, size=n, equal_nan=e), x)
        for g, w in zip(got, want):
            np.testing.assert_array_equal(g, w)
    with pytest.raises(fg.errors.ArgumentError, match="axis"):
        fg.jit(lambda x: jnp.unique(x, axis=0, size=2))(X)


@pytest.mark.parametrize("name", ["union1d", "intersect1d", "setdiff1d", "setxor1d"])
def test_sets_of_a_given_size(name):
    found = getattr(np, name)(I[0], I[1])
    for fill in (None, -7):
        (got,) = both(lambda a, b, f=fill: getattr(jnp, name)(a, b, size=9, fill_value=f), I[0], I[1])
        rest = fill if fill is not None else 0 if name == "setdiff1d" else found[0]
        np.testing.assert_array_equal(got, [*found, *[rest] * (9 - len(found))])
    empty = np.zeros(0, np.int32)
    assert both(lambda a, b: getattr(jnp, name)(a, b, size=2), empty, empty)[0].tolist() == [0, 0]


def test_the_largest_element_is_in_the_last_bin_under_jit():
    for seed in range(5):
        x = np.random.default_rng(seed).normal(size=50).astype(np.float32)
        assert fg.jit(jnp.histogram)(x)[0].sum() == 50
    (ends,) = both(lambda a, b: jnp.linspace(a, b, 7), np.float32(0.1), np.float32(0.7))
    assert ends[-1] == np.float32(0.7)
    counts, _ = both(lambda x: jnp.histogram(x, 3, weights=x), I)
    assert counts.dtype.kind == "f"


def test_categorical_without_replacement():
    logits = RNG.normal(size=(3, 6)).astype(np.float32)
    (drawn,) = both(
        lambda k, l: fg.random.categorical(k, l, shape=(2, 2, 3), replace=False), fg.random.key(1), logits
    )
    assert drawn.shape == (2, 2, 3)
    assert all(len(set(drawn[:, :, row].ravel().tolist())) == 4 for row in range(3))
    with pytest.raises(fg.errors.ArgumentError, match="without replacement"):
        fg.random.categorical(fg.random.key(1), logits, shape=(7, 3), replace=False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("sum", [3, 0, 3]), ("prod", [2, 1, 3]), ("max", [2, -np.inf, 3]), ("min", [1, np.inf, 3])],
)
def test_segments(name, expected):
    data, ids = np.array([1.0, 2.0, 3.0, 9.0], np.float32), np.array([0, 0, 2, -1])
    function = getattr(fg.ops, f"segment_{name}")
    np.testing.assert_array_equal(both(lambda d, i: function(d, i, 3), data, ids)[0], expected)
    if name in ("max", "min"):
        (got,) = both(lambda d, i: function(d, i, 2), np.array([True, False]), np.array([0, 0]))
        assert got.tolist() == ([True, False] if name == "max" else [False, True])


def test_histograms_of_points():
    points = RNG.standard_normal((60, 3)).round(1)
    weights = RNG.uniform(0, 1, 60)
    edges = [np.linspace(-1, 1, 4), np.array([-2.0, 0.0, 0.5, 2.0]), 3]
    for options in (
        {"bins": 4},
        {"bins": [2, 3, 4], "weights": weights},
        {"bins": edges, "density": True},
        {"bins": 3, "range": [(-1, 1), (0, 2), (-1, 0)], "weights": weights, "density": True},
    ):
        counts, at = jnp.histogramdd(points, **options)
        want, want_at = np.histogramdd(points, **options)
        np.testing.assert_allclose(counts, want, rtol=1e-6)
        for got, expected in zip(at, want_at):
            np.testing.assert_allclose(got, expected, rtol=1e-6)
    for bins in (4, (2, 3), [np.linspace(-1, 1, 4), 5], np.linspace(-1, 1, 4)):
        for got, expected in zip(
            fg.jit(lambda x, y, b=bins: jnp.histogram2d(x, y, b))(points[:, 0], points[:, 1]),
            np.histogram2d(points[:, 0], points[:, 1], bins),
        ):
            np.testing.assert_allclose(got, expected, rtol=1e-6)
    with pytest.raises(ShapeError, match="points"):
        jnp.histogramdd(points[0])
    with pytest.raises(ShapeError, match="one length"):
        jnp.histogram2d(points[:, 0], points[1:, 1])


def test_sort_complex():
    for x in (RNG.standard_normal((3, 5)), RNG.integers(0, 3, 9), RNG.standard_normal(6) + 1j):
        np.testing.assert_allclose(jnp.sort_complex(x), np.sort_complex(x))
        assert jnp.sort_complex(x).dtype.kind == "c"


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint32"])
@pytest.mark.parametrize("shape", [(5,), (3, 17), (0,), (3, 0), (2, 500), (100, 30)])
def test_few_elements_are_sorted_by_a_kernel_as_by_numpy(dtype, shape):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 9, shape).astype(dtype)
    if dtype.startswith("float"):
        x.flat[::5], x.flat[1::7], x.flat[3::4] = np.nan, -0.0, np.inf
    positions = np.broadcast_to(np.arange(shape[-1], dtype=np.int32), shape)
    np.testing.assert_array_equal(fg.jit(fg.lax.sort)(x), np.sort(x, -1, kind="stable"))
    both = fg.jit(lambda x, p: fg.lax.sort((x, p), num_keys=1))
    np.testing.assert_array_equal(both(x, positions)[1], np.argsort(x, -1, kind="stable"))
    if x.size:
        steps = both.lower(x, positions).executable.placement.steps
        assert [type(s) for s in steps] == [RoutineStep]


def test_a_loop_with_a_permutation_inside_runs_without_python():
    def step(key, _):
        key, own = fg.random.split(key)
        return key, fg.random.permutation(own, 8)

    lowered = fg.jit(lambda key: fg.lax.scan(step, key, None, length=4)).lower(fg.random.key(0))
    assert not any(isinstance(s, ExternStep) for s in walk_steps(lowered.executable.placement.steps))
