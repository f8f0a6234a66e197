"""Compiled convolutions with channels last against NumPy: odd sizes, strides, dilations, groups, padding, holes, one
tap, few and many outputs, both derivatives."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.lower.lowered import RoutineStep, walk_steps
from funcgrad.prims.convolution import conv_general_dilated_p
from funcgrad.testing import check_grads

RNG = np.random.default_rng(0)

CASES = {
    # operand (N, spatial, C), kernel (window, C, O), strides, padding, dilation of operand and kernel, groups
    "odd sizes": ((3, 7, 13, 5), (3, 3, 5, 33), (1, 1), ((1, 1), (1, 1)), (1, 1), (1, 1), 1),
    "one row of blocks": ((1, 1, 40, 3), (1, 5, 3, 16), (1, 1), ((0, 0), (2, 2)), (1, 1), (1, 1), 1),
    "strides": ((2, 11, 13, 4), (3, 5, 4, 24), (2, 3), ((1, 2), (0, 3)), (1, 1), (1, 1), 1),
    "dilated kernel": ((2, 11, 13, 4), (3, 2, 4, 16), (1, 2), ((0, 0), (2, 1)), (1, 1), (2, 4), 1),
    "operand with holes": ((2, 5, 6, 4), (3, 3, 4, 16), (1, 1), ((2, 1), (1, 2)), (2, 3), (1, 1), 1),
    "holes and strides": ((2, 5, 6, 4), (3, 3, 4, 16), (2, 2), ((2, 1), (1, 2)), (2, 3), (1, 1), 1),
    "cut": ((2, 9, 8, 3), (2, 2, 3, 16), (1, 1), ((-2, 0), (1, -1)), (1, 1), (1, 1), 1),
    "groups of vectors": ((2, 5, 6, 6), (3, 2, 2, 96), (1, 1), ((1, 1), (1, 0)), (1, 1), (1, 1), 3),
    "groups of few": ((2, 5, 6, 6), (3, 2, 2, 12), (1, 1), ((1, 1), (1, 0)), (1, 1), (1, 1), 3),
    "one tap": ((2, 5, 6, 7), (1, 1, 7, 48), (1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1), 1),
    "a matrix product": ((2, 5, 6, 20), (1, 1, 20, 32), (1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1), 1),
    "one tap, padded": ((2, 5, 6, 20), (1, 1, 20, 32), (1, 1), ((1, 0), (0, 2)), (1, 1), (1, 1), 1),
    "one tap of many, strides": ((2, 5, 6, 20), (1, 1, 20, 16), (2, 1), ((0, 0), (0, 0)), (1, 1), (1, 1), 1),
    "one tap, strides": ((2, 5, 6, 7), (1, 1, 7, 16), (2, 1), ((0, 0), (0, 0)), (1, 1), (1, 1), 1),
    "one tap in a row of rows": ((2, 4, 3, 5), (2, 1, 5, 16), (1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1), 1),
    "many outputs": ((1, 3, 3, 40), (3, 3, 40, 112), (1, 1), ((1, 1), (1, 1)), (1, 1), (1, 1), 1),
    "few outputs": ((2, 6, 7, 4), (3, 3, 4, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), (1, 1), 1),
    "one axis": ((3, 300, 4), (5, 4, 20), (1,), ((2, 2),), (1,), (1,), 1),
    "three axes": (
        (2, 5, 4, 6, 3),
        (2, 3, 2, 3, 16),
        (1, 2, 1),
        ((1, 0), (1, 1), (0, 0)),
        (1,) * 3,
        (1,) * 3,
        1,
    ),
    "no images": ((0, 7, 7, 4), (3, 3, 4, 16), (1, 1), ((1, 1), (1, 1)), (1, 1), (1, 1), 1),
    "no channels": ((2, 7, 7, 0), (3, 3, 0, 16), (1, 1), ((1, 1), (1, 1)), (1, 1), (1, 1), 1),
    "no room": ((2, 2, 7, 4), (3, 3, 4, 16), (1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1), 1),
}


def layout(rank):
    letters = "DHW"[3 - rank :]
    return f"N{letters}C", f"{letters}IO", f"N{letters}C"


def problem(case, dtype):
    lhs, rhs, strides, pads, holes, spread, groups = CASES[case]
    x, w = (RNG.standard_normal(s).astype(dtype) for s in (lhs, rhs))
    rank = len(strides)

    def convolve(x, w):
        return fg.lax.conv_general_dilated(x, w, strides, pads, holes, spread, layout(rank), groups)

    def oracle(x, w):
        out = conv_general_dilated_p.evaluate(
            np,
            np.moveaxis(x, -1, 1),
            np.moveaxis(w, (-1, -2), (0, 1)),
            window_strides=strides,
            padding=pads,
            lhs_dilation=holes,
            rhs_dilation=spread,
            feature_group_count=groups,
        )
        return np.moveaxis(out, 1, -1)

    return convolve, oracle, x, w


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("case", CASES)
def test_values_and_both_derivatives(case, dtype):
    convolve, oracle, x, w = problem(case, dtype)
    tolerance = {"float16": 2e-2, "float32": 1e-4, "float64": 1e-11}[dtype]
    want = oracle(x, w)
    got = fg.jit(convolve)(x, w)
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got, want, tolerance, tolerance)
    if dtype == "float16":
        return
    # the derivative is linear: along a direction it is the convolution with that direction
    weights = RNG.standard_normal(want.shape).astype(dtype)
    gx, gw = fg.jit(fg.grad(lambda x, w: (convolve(x, w) * weights).sum(), (0, 1)))(x, w)
    tx, tw = (RNG.standard_normal(a.shape).astype(dtype) for a in (x, w))
    for grad, direction, args in ((gx, tx, (tx, w)), (gw, tw, (x, tw))):
        along = (oracle(*args).astype(np.float64) * weights).sum()
        parts = np.asarray(grad, np.float64) * direction
        np.testing.assert_allclose(parts.sum(), along, atol=tolerance * np.abs(parts).sum())


@pytest.mark.parametrize("case", ["odd sizes", "strides", "groups of vectors"])
def test_derivatives_to_second_order(case):
    convolve, _, x, w = problem(case, "float64")
    check_grads(convolve, (x[:1, :5, :6], w), order=2)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0), (1, 3)])
def test_vmap(axes):
    convolve, _, x, w = problem("odd sizes", "float64")
    xs = x if axes[0] is None else np.stack([x, 2 * x[::-1]], axes[0])
    ws = w if axes[1] is None else np.stack([w, 1 - w], axes[1])
    got = fg.jit(fg.vmap(convolve, axes))(xs, ws)
    for k in range(2):
        one = xs if axes[0] is None else xs.take(k, axes[0]), ws if axes[1] is None else ws.take(k, axes[1])
        np.testing.assert_allclose(got[k], convolve(*one), atol=1e-11)


def test_nothing_is_transposed():
    """Of two convolutions with activations between them, only the kernels, given outputs first, are transposed."""
    x = np.ones((2, 8, 8, 3), np.float32)
    weights = [np.ones((16, 3, 3, 3), np.float32), np.ones((32, 16, 3, 3), np.float32)]

    def net(x, weights):
        for w in weights:
            x = fg.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "OIHW", "NHWC"))
            x = fg.nn.relu(x)
        return x

    lowered = fg.jit(net).lower(x, weights)
    equations = [e for e in lowered.graph.equations if e.primitive.name == "transpose"]
    assert [e.inputs[0].type.shape for e in equations] == [w.shape for w in weights]
    routines = [s for s in walk_steps(lowered.executable.placement.steps) if isinstance(s, RoutineStep)]
    assert [s.routine for s in routines] == ["convolve_channels_last"] * 2
