"""Rotations and their interpolation, against SciPy; derivatives against finite differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.spatial import transform as scipys

import funcgrad as fg
from funcgrad.errors import ArgumentError, ShapeError
from funcgrad.testing import check_grads

transform = fg.scipy.spatial.transform
Rotation, Slerp = transform.Rotation, transform.Slerp
RNG = np.random.default_rng(0)
QUATS = RNG.standard_normal((6, 4))
WANTED = scipys.Rotation.from_quat(QUATS)
OURS = Rotation.from_quat(QUATS)
SEQUENCES = ["".join(s) for s in itertools.product("xyz", repeat=3) if s[0] != s[1] and s[1] != s[2]]


def close(got, want, tolerance=1e-10):
    np.testing.assert_allclose(np.asarray(got), want, rtol=tolerance, atol=tolerance)


def same(got, want, tolerance=1e-10):
    close(got.as_matrix(), want.as_matrix(), tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_forms_of_a_rotation(dtype):
    r = Rotation.from_quat(QUATS.astype(dtype))
    tolerance = 1e-5 if dtype == np.float32 else 1e-10
    assert r.as_matrix().dtype == dtype and r.as_rotvec().dtype == dtype
    close(r.as_quat(), WANTED.as_quat(), tolerance)
    close(r.as_quat(canonical=True), WANTED.as_quat(canonical=True), tolerance)
    close(r.as_quat(scalar_first=True), np.roll(WANTED.as_quat(), 1, -1), tolerance)
    close(r.as_matrix(), WANTED.as_matrix(), tolerance)
    close(r.as_rotvec(), WANTED.as_rotvec(), tolerance)
    close(r.as_rotvec(degrees=True), WANTED.as_rotvec(degrees=True), 10 * tolerance)
    close(r.as_mrp(), WANTED.as_mrp(), tolerance)
    close(r.magnitude(), WANTED.magnitude(), tolerance)
    same(Rotation.from_matrix(r.as_matrix()), WANTED, tolerance)
    same(Rotation.from_rotvec(r.as_rotvec()), WANTED, tolerance)
    same(Rotation.from_mrp(r.as_mrp()), WANTED, tolerance)
    same(fg.vmap(Rotation.from_matrix)(r.as_matrix()), WANTED, tolerance)


@pytest.mark.parametrize("seq", [*SEQUENCES, *map(str.upper, SEQUENCES)])
def test_euler_angles(seq):
    angles = OURS.as_euler(seq, degrees=True)
    close(angles, WANTED.as_euler(seq, degrees=True), 1e-8)
    same(Rotation.from_euler(seq, angles, degrees=True), WANTED)
    same(Rotation.from_euler(seq[:2], angles[:, :2]), scipys.Rotation.from_euler(seq[:2], angles[:, :2]))
    same(Rotation.from_euler(seq[0], np.float64(0.3)), scipys.Rotation.from_euler(seq[0], 0.3))
    lost = [0.3, 0.0 if seq[0] == seq[2] else np.pi / 2, 0.4]
    with pytest.warns(UserWarning, match="[Gg]imbal"):
        wanted = scipys.Rotation.from_euler(seq, lost).as_euler(seq)
    close(Rotation.from_euler(seq, np.array(lost)).as_euler(seq), wanted, 1e-6)


def test_what_is_done_with_rotations():
    v = RNG.standard_normal((6, 3))
    close(OURS.apply(v), WANTED.apply(v))
    close(OURS.apply(v, inverse=True), WANTED.apply(v, inverse=True))
    close(OURS[0].apply(v), WANTED[0].apply(v))
    close(OURS.apply(v[0]), WANTED.apply(v[0]))
    same(OURS * OURS[::-1], WANTED * WANTED[::-1])
    same(OURS.inv(), WANTED.inv())
    weights = RNG.random(6)
    same(OURS.mean(weights), WANTED.mean(weights))
    same(OURS.mean(), WANTED.mean())
    same(Rotation.concatenate([OURS[:2], OURS[3]]), scipys.Rotation.concatenate([WANTED[:2], WANTED[3]]))
    assert len(OURS[1:3]) == 2 and OURS[0].single and not OURS.single
    close(Rotation.identity(2, np.float64).as_matrix(), np.stack([np.eye(3)] * 2))
    drawn = Rotation.random(fg.random.key(0), 500).as_quat()
    close(np.linalg.norm(drawn, axis=-1), 1, 1e-5)
    assert np.abs(np.mean(drawn, 0)).max() < 0.1
    turned = fg.jit(lambda r, v: (r * r).apply(v))(OURS, v)
    close(turned, (WANTED * WANTED).apply(v))


def test_interpolation():
    times = np.array([0.0, 1.0, 2.5, 3.0, 4.0, 7.0])
    at = np.array([0.0, 0.2, 1.0, 2.0, 2.9, 6.9, 7.0])
    between = Slerp.init(times, OURS)
    same(fg.jit(lambda s, t: s(t))(between, at), scipys.Slerp(times, WANTED)(at))
    same(between(2.0), scipys.Slerp(times, WANTED)(2.0))
    check_grads(lambda t: between(t).as_matrix(), (np.array([0.3, 1.7, 6.1]),), order=1)
    with pytest.raises(ShapeError, match="as many times"):
        Slerp.init(times[:3], OURS)


def test_derivatives_also_of_no_rotation():
    v = RNG.standard_normal((2, 3))
    check_grads(lambda v: Rotation.from_rotvec(v).as_matrix(), (v,), order=2)
    check_grads(lambda v: Rotation.from_rotvec(v).as_rotvec(), (0.3 * v,), order=2)
    check_grads(lambda v: Rotation.from_rotvec(v).as_euler("xyz"), (0.3 * v,), order=1)
    for function in (
        lambda v: Rotation.from_rotvec(v).as_rotvec(),
        lambda v: Rotation.from_mrp(4 * v).as_mrp(),
    ):
        close(
            fg.jacobian(function)(np.zeros(3)) / np.abs(fg.jacobian(function)(np.zeros(3))).max(), np.eye(3)
        )
    slope = fg.grad(lambda v: Rotation.from_rotvec(v).apply(np.array([1.0, 0, 0]))[1])(np.zeros(3))
    close(slope, [0, 0, 1])
    same(Rotation.from_rotvec(np.full(3, 1e-4)), scipys.Rotation.from_rotvec(np.full(3, 1e-4)), 1e-14)
    close(Rotation.from_rotvec(np.full(3, 1e-4)).as_rotvec(), np.full(3, 1e-4), 1e-14)


def test_mistakes_are_said():
    with pytest.raises(ShapeError, match="from_quat"):
        Rotation.from_quat(np.ones(3))
    with pytest.raises(ArgumentError, match="no sequence"):
        Rotation.from_euler("xYz", np.ones(3))
    with pytest.raises(ArgumentError, match="twice in a row"):
        OURS.as_euler("xxz")
    with pytest.raises(ArgumentError, match="three axes"):
        OURS.as_euler("xy")
    with pytest.raises(ArgumentError, match="single"):
        OURS[0][1]
