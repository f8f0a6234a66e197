"""Convolutions and windowed reductions of `lax`, against sums written out, and in other layouts and groupings."""

import itertools

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.testing import check_grads

RNG = np.random.default_rng(0)
X, W = RNG.normal(size=(2, 4, 7, 8)), RNG.normal(size=(6, 4, 3, 2))
LAST = ("NHWC", "HWIO", "NHWC")


def by_hand(x, w, strides, pads, spread):
    """The definition: a sum over channels and the kernel at each place."""
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    span = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], spread)]
    places = [range(0, n - s + 1, t) for n, s, t in zip(x.shape[2:], span, strides)]
    out = np.zeros((x.shape[0], w.shape[0], *map(len, places)))
    for (i, a), (j, b) in itertools.product(*map(enumerate, places)):
        window = x[:, :, a : a + span[0] : spread[0], b : b + span[1] : spread[1]]
        out[:, :, i, j] = np.einsum("nchw,ochw->no", window, w)
    return out


@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
@pytest.mark.parametrize("spread", [(1, 1), (2, 1)])
@pytest.mark.parametrize("pads", [((0, 0), (0, 0)), ((1, 2), (0, 3))])
def test_convolution(strides, spread, pads):
    want = by_hand(X, W, strides, pads, spread)

    def convolve(x, w):
        return fg.lax.conv_general_dilated(x, w, strides, pads, rhs_dilation=spread)

    for f in (convolve, fg.jit(convolve)):
        np.testing.assert_allclose(f(X, W), want, atol=1e-10)
    last = fg.lax.conv_general_dilated(
        X.transpose(0, 2, 3, 1), W.transpose(2, 3, 1, 0), strides, pads, None, spread, LAST
    )
    np.testing.assert_allclose(last, want.transpose(0, 2, 3, 1), atol=1e-10)


@pytest.mark.parametrize("holes", [(2, 3), (3, 1), (2, 4)])
@pytest.mark.parametrize(("strides", "spread"), [((1, 1), (1, 1)), ((1, 2), (3, 1)), ((1, 1), (2, 2))])
def test_an_operand_with_holes(holes, strides, spread):
    pads = ((3, 1), (2, 4))
    x = np.zeros((2, 4, 6 * holes[0] + 1, 7 * holes[1] + 1))
    x[:, :, :: holes[0], :: holes[1]] = X
    got = fg.jit(lambda x, w: fg.lax.conv_general_dilated(x, w, strides, pads, holes, spread))(X, W)
    np.testing.assert_allclose(got, by_hand(x, W, strides, pads, spread), atol=1e-10)


@pytest.mark.parametrize("groups", [1, 2])
def test_many_channels(groups):
    """Matrix products by BLAS, in both gradients too."""
    x, w = RNG.normal(size=(2, 96 * groups, 5, 4)), RNG.normal(size=(96 * groups, 96, 3, 2)) / 10

    def convolve(x, w):
        return fg.lax.conv_general_dilated(x, w, (1, 2), "SAME", feature_group_count=groups)

    pads = ((1, 1), (0, 0))
    parts = [slice(96 * g, 96 * g + 96) for g in range(groups)]
    want = np.concatenate([by_hand(x[:, p], w[p], (1, 2), pads, (1, 1)) for p in parts], 1)
    out, pull = fg.vjp(convolve, x, w)
    np.testing.assert_allclose(out, want, atol=1e-10)
    ct = RNG.normal(size=want.shape)
    dx, dw = fg.jit(pull)(jnp.asarray(ct))
    tx, tw = RNG.normal(size=x.shape), RNG.normal(size=w.shape)
    np.testing.assert_allclose((dx * tx).sum(), (convolve(tx, w) * ct).sum(), rtol=1e-9)
    np.testing.assert_allclose((dw * tw).sum(), (convolve(x, tw) * ct).sum(), rtol=1e-9)


def test_complex_numbers():
    x, w = X + 1j * X[::-1], W - 1j * W[::-1]
    np.testing.assert_allclose(
        fg.jit(lambda x, w: fg.lax.conv(x, w, (1, 1), "VALID"))(x, w),
        by_hand(x.real, w.real, (1, 1), ((0, 0), (0, 0)), (1, 1))
        - by_hand(x.imag, w.imag, (1, 1), ((0, 0), (0, 0)), (1, 1))
        + 1j * by_hand(x.real, w.imag, (1, 1), ((0, 0), (0, 0)), (1, 1))
        + 1j * by_hand(x.imag, w.real, (1, 1), ((0, 0), (0, 0)), (1, 1)),
        atol=1e-10,
    )


def test_padding_by_name():
    assert fg.lax.padtype_to_pads((7, 8), (3, 2), (2, 3), "SAME") == [(1, 1), (0, 0)]
    assert fg.lax.padtype_to_pads((8,), (2,), (1,), "SAME_LOWER") == [(1, 0)]
    assert fg.lax.conv(X, W, (2, 3), "SAME").shape == (2, 6, 4, 3)
    assert fg.lax.conv(X, W, (1, 1), "VALID").shape == (2, 6, 5, 7)


def test_groups_are_convolutions_side_by_side():
    halves = [fg.lax.conv(X[:, 2 * g : 2 * g + 2], W[3 * g : 3 * g + 3, :2], (1, 1), "SAME") for g in (0, 1)]
    whole = fg.lax.conv_general_dilated(X, W[:, :2], (1, 1), "SAME", feature_group_count=2)
    np.testing.assert_allclose(whole, np.concatenate(halves, 1), atol=1e-10)
    halves = [fg.lax.conv(X[g : g + 1], W[3 * g : 3 * g + 3], (1, 1), "SAME") for g in (0, 1)]
    whole = fg.lax.conv_general_dilated(X, W, (1, 1), "SAME", batch_group_count=2)
    np.testing.assert_allclose(whole, np.concatenate(halves, 1), atol=1e-10)


def test_a_transposed_convolution_is_the_transpose():
    x, w = X.transpose(0, 2, 3, 1)[:, :6], W.transpose(2, 3, 1, 0)
    y = RNG.normal(size=fg.lax.conv_general_dilated(x, w, (2, 2), "SAME", dimension_numbers=LAST).shape)
    (pulled,) = fg.vjp(
        lambda x: fg.lax.conv_general_dilated(x, w, (2, 2), "SAME", dimension_numbers=LAST), x
    )[1](jnp.asarray(y))
    turned = fg.lax.conv_transpose(y, w, (2, 2), "SAME", transpose_kernel=True)
    np.testing.assert_allclose(turned, pulled, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "start", "whole"),
    [("max", -np.inf, np.max), ("min", np.inf, np.min), ("add", 0.0, np.sum), ("mul", 1.0, np.prod)],
)
@pytest.mark.parametrize(
    ("window", "stride"), [((2, 2), (2, 2)), ((3, 1), (1, 2)), ((1, 8), (1, 1)), ((7, 5), (1, 1))]
)
def test_windows(name, start, whole, window, stride):
    x = X[0, 0]

    def reduce(x):
        return fg.lax.reduce_window(x, start, getattr(fg.lax, name), window, stride, "VALID")

    views = np.lib.stride_tricks.sliding_window_view(x, window)[:: stride[0], :: stride[1]]
    for f in (reduce, fg.jit(reduce)):
        np.testing.assert_allclose(f(x), whole(views, axis=(2, 3)), rtol=1e-10)
    check_grads(reduce, (x,), order=2, modes=("fwd", "rev"))


def test_of_equal_elements_the_first_has_the_derivative():
    pool = fg.grad(lambda x: fg.lax.reduce_window(x, -jnp.inf, fg.lax.max, (2, 2), (2, 2), "VALID").sum())
    np.testing.assert_array_equal(pool(jnp.ones((2, 2))), [[1, 0], [0, 0]])
    np.testing.assert_array_equal(pool(jnp.array([[0.0, 1.0], [1.0, 0.0]])), [[0, 1], [0, 0]])


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("lengths", [(5, 3), (3, 5), (6, 4), (4, 4), (1, 3)])
def test_vectors(mode, lengths):
    a, v = (RNG.normal(size=n) + 1j * RNG.normal(size=n) for n in lengths)
    np.testing.assert_allclose(jnp.convolve(a, v, mode), np.convolve(a, v, mode), atol=1e-12)
    np.testing.assert_allclose(fg.jit(lambda a, v: jnp.convolve(a, v, mode))(a, v), np.convolve(a, v, mode))
    if mode != "same" or lengths[0] >= lengths[1]:
        np.testing.assert_allclose(jnp.correlate(a, v, mode), np.correlate(a, v, mode), atol=1e-12)


def test_wrong_calls_say_what_is_wrong():
    with pytest.raises(fg.errors.ShapeError, match="vectors"):
        jnp.convolve(X, W)
    with pytest.raises(fg.errors.ShapeError, match="channels"):
        fg.lax.conv(X, W[:, :3], (1, 1), "SAME")
    with pytest.raises(fg.errors.ArgumentError, match="SAME"):
        fg.lax.conv(X, W, (1, 1), "FULL")
    with pytest.raises(fg.errors.ArgumentError, match="once each"):
        fg.lax.conv_general_dilated(X, W, (1, 1), "SAME", dimension_numbers=("NHWX", "HWIO", "NHWC"))


def test_sums_of_small_integers_are_of_the_preferred_dtype():
    x, w = np.full((1, 1, 3, 3), 100, np.int8), np.full((1, 1, 2, 2), 2, np.int8)
    for conv in (fg.lax.conv, fg.jit(fg.lax.conv, static_argnums=(2, 3, 4, 5))):
        result = conv(x, w, (1, 1), "VALID", None, np.int32)
        assert result.dtype == np.int32
        np.testing.assert_array_equal(result, np.full((1, 1, 2, 2), 800))
    large = np.full((1, 1, 2, 2), 2e4, np.float16)
    sums = fg.lax.conv(large, w.astype(np.float16), (1, 1), "VALID", None, np.float32)
    assert sums.dtype == np.float32 and float(sums[0, 0, 0, 0]) == 160000
    small = fg.lax.conv(X.astype(np.float32), W.astype(np.float32), (1, 1), "VALID", None, "bfloat16")
    assert small.dtype == jnp.bfloat16


def test_without_spatial_axes_it_is_a_product():
    x, w = X[:, :, 0, 0], W[:, :, 0, 0]
    np.testing.assert_allclose(fg.lax.conv_general_dilated(x, w, (), ()), x @ w.T)
    swapped = fg.lax.conv_general_dilated(x.T, w.T, (), "VALID", dimension_numbers=("CN", "IO", "CN"))
    np.testing.assert_allclose(swapped, (x @ w.T).T)
    check_grads(lambda x, w: fg.lax.conv_general_dilated(x, w, (), ()), (x, w), 2)


@pytest.mark.parametrize("padding", [(3, 3), [(0, 0)], 5])
def test_padding_is_a_pair_for_each_spatial_axis(padding):
    with pytest.raises(ValueError, match="padding is"):
        fg.lax.conv_general_dilated(X, W, (1, 1), padding)


def test_consistent_padding_transposes_the_convolution_with_that_padding():
    padding = [(1, 0), (0, 1)]

    def forward(v):
        return fg.lax.conv_general_dilated(v, W, (2, 1), padding)

    ct = RNG.normal(size=forward(X).shape)
    (expected,) = fg.linear_transpose(forward, X)(ct)
    found = fg.lax.conv_transpose(
        ct,
        W,
        (2, 1),
        padding,
        dimension_numbers=("NCHW", "OIHW", "NCHW"),
        transpose_kernel=True,
        use_consistent_padding=True,
    )
    assert found.shape[2] <= 7 and found.shape[3] == 8
    np.testing.assert_allclose(found, expected[:, :, : found.shape[2]], rtol=1e-10)


@pytest.mark.parametrize("compiled", [False, True])
def test_no_examples(compiled):
    def conv(x, w):
        return fg.lax.conv(x, w, (1, 1), "SAME")

    xs, ws = np.zeros((0, *X.shape)), np.zeros((0, *W.shape))
    for axes, operands in [((0, None), (xs, W)), ((None, 0), (X, ws)), ((0, 0), (xs, ws))]:
        batched = fg.vmap(conv, axes)
        result = (fg.jit(batched) if compiled else batched)(*operands)
        assert result.shape == (0, 2, 6, 7, 8)


def test_windows_that_do_not_fit_give_nothing_and_strides_of_0_are_refused():
    x = np.ones((5, 3, 2))
    out = fg.lax.reduce_window(x, 0.0, fg.lax.add, (3, 1, 1), (1, 1, 1), "VALID", window_dilation=(3, 1, 1))
    assert out.shape == (0, 3, 2)
    with pytest.raises(ValueError, match="at least 1"):
        fg.lax.reduce_window(x, 0.0, fg.lax.add, (1, 1, 1), (0, 1, 1), "VALID")
    np.testing.assert_array_equal(
        fg.lax.reduce_window(x, 0.0, fg.lax.add, (2, 1, 1)),
        fg.lax.reduce_window(x, 0.0, fg.lax.add, (2, 1, 1), (1, 1, 1), "VALID"),
    )
