"""Compiled convolutions against NumPy: planes in several parts, many taps, strides, dilations, groups, both
derivatives."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.lower.lowered import ExternStep, RoutineStep, walk_steps
from funcgrad.prims.convolution import conv_general_dilated_p

RNG = np.random.default_rng(0)


def params(rank, **changes):
    ones = (1,) * rank
    plain = {"window_strides": ones, "padding": ((0, 0),) * rank, "lhs_dilation": ones, "rhs_dilation": ones}
    return {**plain, "feature_group_count": 1, **changes}


CASES = {
    "several parts": ((2, 3, 50, 60), (8, 3, 3, 3), params(2, padding=((1, 1), (1, 1)))),
    "large kernel": ((1, 2, 30, 40), (4, 2, 7, 9), params(2)),
    "kernel as large as the output": ((2, 2, 15, 15), (3, 2, 8, 8), params(2)),
    "kernel larger than the output": ((4, 3, 12, 14), (5, 3, 10, 12), params(2)),
    "one output": ((4, 3, 6, 7), (5, 3, 6, 7), params(2)),
    "strides": ((2, 3, 41, 43), (6, 3, 3, 5), params(2, window_strides=(2, 3), padding=((1, 2), (0, 3)))),
    "dilated kernel": ((2, 3, 41, 43), (6, 3, 3, 2), params(2, rhs_dilation=(2, 4))),
    "dilated operand": (
        (2, 3, 21, 23),
        (6, 3, 3, 3),
        params(2, lhs_dilation=(2, 3), padding=((2, 1), (1, 2))),
    ),
    "cut": ((2, 3, 21, 23), (6, 3, 3, 3), params(2, padding=((-2, 0), (1, -3)), window_strides=(2, 2))),
    "depthwise": ((2, 8, 21, 23), (8, 1, 3, 3), params(2, feature_group_count=8)),
    "groups": ((2, 8, 21, 23), (12, 4, 3, 3), params(2, feature_group_count=2)),
    "one axis": ((3, 4, 2500), (7, 4, 5), params(1, padding=((2, 2),))),
    "three axes": ((2, 2, 9, 10, 11), (3, 2, 2, 3, 2), params(3, window_strides=(1, 2, 1))),
}


def rotated(x):
    return np.random.default_rng(1).standard_normal(x.shape).astype(x.dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_values_and_both_derivatives(case, dtype):
    lhs, rhs, options = CASES[case]
    x, w = (RNG.standard_normal(s).astype(dtype) for s in (lhs, rhs))

    def convolve(x, w):
        return fg.lax.conv_general_dilated(x, w, **options)

    tolerance = 1e-4 if dtype == "float32" else 1e-11
    want = conv_general_dilated_p.evaluate(np, x, w, **options)
    np.testing.assert_allclose(fg.jit(convolve)(x, w), want, tolerance, tolerance)
    # the derivative is linear: along a direction it is the convolution with that direction
    weights = rotated(want)
    gx, gw = fg.jit(fg.grad(lambda x, w: (convolve(x, w) * weights).sum(), (0, 1)))(x, w)
    tx, tw = rotated(x), rotated(w)
    for got, direction, args in ((gx, tx, (tx, w)), (gw, tw, (x, tw))):
        along = (conv_general_dilated_p.evaluate(np, *args, **options).astype(np.float64) * weights).sum()
        size = np.abs(np.asarray(got, np.float64) * direction).sum()
        np.testing.assert_allclose(
            (np.asarray(got, np.float64) * direction).sum(), along, atol=tolerance * size
        )


def test_which_dtypes_have_kernels():
    for dtype, kind in (("float32", RoutineStep), ("float16", RoutineStep), ("int32", ExternStep)):
        x, w = np.ones((1, 1, 20), dtype), np.ones((1, 1, 3), dtype)
        f = fg.jit(lambda x, w: fg.lax.conv_general_dilated(x, w, (1,), "VALID"))
        steps = [type(s) for s in walk_steps(f.lower(x, w).executable.placement.steps)]
        assert kind in steps
        np.testing.assert_array_equal(f(x, w), np.full((1, 1, 18), 3, dtype))


def test_what_lies_between_rows_does_not_count():
    x = RNG.standard_normal((1, 1, 6, 6)).astype(np.float32)
    x[..., -1, :] = np.nan
    out = np.asarray(
        fg.jit(lambda x: fg.lax.conv_general_dilated(x, np.ones((1, 1, 2, 2), np.float32), (1, 1), "VALID"))(
            x
        )
    )
    assert np.isfinite(out[..., :-1, :]).all() and np.isnan(out[..., -1, :]).all()
