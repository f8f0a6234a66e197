"""Rotations in space and their interpolation, with the names of `scipy.spatial.transform`: trees of arrays, so that
grad, vmap and jit take them and give them.

Quaternions are (x, y, z, w). Euler angles come from quaternions by E. Bernardes and S. Viollet, "Quaternion to Euler
angles conversion: a direct, general and computationally efficient method" (2022).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as jnp
from funcgrad import random
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.trace.core import type_of
from funcgrad.tree_util import register_pytree_node_class


def _floats(name: str, x: Any, *last: int) -> Any:
    """A float array of one or two axes (or more in `last`) whose last lengths are `last`."""
    x = jnp.asarray(x)
    x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(float)
    if x.shape[-len(last) :] != last or x.ndim > len(last) + 1:
        shape = ", ".join(map(str, last))
        raise ShapeError(f"Rotation.{name} takes ({shape}) or (n, {shape}), got {type_of(x)}")
    return x


def _unit(x: Any) -> Any:
    return x / jnp.sqrt(jnp.sum(x * x, -1, keepdims=True))


def _length(square: Any) -> Any:
    """The square root, whose derivative at 0 is 0."""
    zero = square == 0
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, square)))


def _compose(p: Any, q: Any) -> Any:
    px, py, pz, pw = (p[..., i] for i in range(4))
    qx, qy, qz, qw = (q[..., i] for i in range(4))
    parts = (
        pw * qx + px * qw + py * qz - pz * qy,
        pw * qy - px * qz + py * qw + pz * qx,
        pw * qz + px * qy - py * qx + pz * qw,
        pw * qw - px * qx - py * qy - pz * qz,
    )
    return jnp.stack(parts, -1)


def _axes(seq: str) -> tuple[bool, list[int]]:
    """Whether the axes move along (capital letters), and their numbers."""
    if not 1 <= len(seq) <= 3 or not (set(seq) <= set("xyz") or set(seq) <= set("XYZ")):
        raise ArgumentError(
            f"Euler angles: {seq!r} is no sequence of axes",
            hint="one to three of 'xyz' (fixed axes) or of 'XYZ' (axes that turn along)",
        )
    if any(a == b for a, b in itertools.pairwise(seq)):
        raise ArgumentError(f"Euler angles: {seq!r} turns around one axis twice in a row")
    return seq.isupper(), ["xyz".index(a) for a in seq.lower()]


@register_pytree_node_class
class Rotation:
    """A rotation, or several along a leading axis. `quat` holds unit quaternions, (4,) or (n, 4).

    >>> import numpy as np, funcgrad as fg
    >>> turn = fg.scipy.spatial.transform.Rotation.from_euler("z", 90.0, degrees=True)
    >>> np.round(turn.apply(np.array([1.0, 0.0, 0.0])), 3).tolist()
    [0.0, 1.0, 0.0]
    """

    def __init__(self, quat: Any):
        self.quat = quat

    def tree_flatten(self) -> tuple[tuple[Any], None]:
        return (self.quat,), None

    @classmethod
    def tree_unflatten(cls, aux: None, children: Sequence[Any]) -> Rotation:
        return cls(children[0])

    def __repr__(self) -> str:
        return f"Rotation({self.quat!r})"

    # -------------------------------------------------------------------------------------- made from
    @classmethod
    @boundary
    def from_quat(cls, quat: Any) -> Rotation:
        """From quaternions (x, y, z, w) of any length but 0: (4,) or (n, 4)."""
        return cls(_unit(_floats("from_quat", quat, 4)))

    @classmethod
    @boundary
    def from_matrix(cls, matrix: Any) -> Rotation:
        """From rotation matrices, (3, 3) or (n, 3, 3)."""
        m = _floats("from_matrix", matrix, 3, 3)
        trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
        found = []
        for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
            parts = {
                i: 1 - trace + 2 * m[..., i, i],
                j: m[..., j, i] + m[..., i, j],
                k: m[..., k, i] + m[..., i, k],
                3: m[..., k, j] - m[..., j, k],
            }
            found.append(jnp.stack([parts[n] for n in range(4)], -1))
        turn = [m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]]
        found.append(jnp.stack([*turn, 1 + trace], -1))
        # of the four that are the same quaternion but for its length, the longest
        size = jnp.stack([*(m[..., i, i] for i in range(3)), trace], -1)
        best = jnp.argmax(size, -1)[..., None]
        quat = found[3]
        for n in range(3):
            quat = jnp.where(best == n, found[n], quat)
        return cls(_unit(quat))

    @classmethod
    @boundary
    def from_rotvec(cls, rotvec: Any, degrees: bool = False) -> Rotation:
        """From vectors along the axis, as long as the angle: (3,) or (n, 3)."""
        v = _floats("from_rotvec", rotvec, 3)
        v = jnp.deg2rad(v) if degrees else v
        square = jnp.sum(v * v, -1, keepdims=True)
        near = square < 1e-6
        angle = jnp.sqrt(jnp.where(near, 1, square))
        scale = jnp.where(near, 0.5 - square / 48 + square**2 / 3840, jnp.sin(angle / 2) / angle)
        w = jnp.where(near, 1 - square / 8 + square**2 / 384, jnp.cos(angle / 2))
        return cls(jnp.concatenate([scale * v, w], -1))

    @classmethod
    @boundary
    def from_mrp(cls, mrp: Any) -> Rotation:
        """From modified Rodrigues parameters, (3,) or (n, 3)."""
        v = _floats("from_mrp", mrp, 3)
        square = jnp.sum(v * v, -1, keepdims=True)
        return cls(jnp.concatenate([2 * v, 1 - square], -1) / (1 + square))

    @classmethod
    @boundary
    def from_euler(cls, seq: str, angles: Any, degrees: bool = False) -> Rotation:
        """From one to three angles around the axes of `seq`: 'xyz' stay, 'XYZ' turn along.

        `angles` of one axis is a number, (n,) or (n, 1), of several (len(seq),) or (n, len(seq)).
        """
        moving, axes = _axes(seq)
        a = jnp.asarray(angles)
        a = a if jnp.issubdtype(a.dtype, jnp.floating) else a.astype(float)
        a = a[..., None] if len(axes) == 1 and a.ndim < 2 else a
        a = _floats("from_euler", jnp.deg2rad(a) if degrees else a, len(axes))
        total = None
        for i, axis in enumerate(axes):
            half = a[..., i] / 2
            parts = [jnp.zeros_like(half)] * 3 + [jnp.cos(half)]
            parts[axis] = jnp.sin(half)
            one = jnp.stack(parts, -1)
            total = one if total is None else _compose(total, one) if moving else _compose(one, total)
        return cls(total)

    @classmethod
    def identity(cls, num: int | None = None, dtype: Any = float) -> Rotation:
        """The rotation that leaves everything where it is; `num` of them."""
        quat = jnp.asarray(np.array([0, 0, 0, 1]), dtype)
        return cls(quat if num is None else jnp.tile(quat, (num, 1)))

    @classmethod
    def random(cls, random_key: Any, num: int | None = None) -> Rotation:
        """Rotations that are uniformly distributed, by a key of `funcgrad.random`."""
        return cls(_unit(random.normal(random_key, (4,) if num is None else (num, 4))))

    @classmethod
    def concatenate(cls, rotations: Sequence[Rotation]) -> Rotation:
        """The rotations of several, one after the other."""
        return cls(jnp.concatenate([jnp.atleast_2d(r.quat) for r in rotations], 0))

    # ------------------------------------------------------------------------------------------- shown as
    def as_quat(self, canonical: bool = False, scalar_first: bool = False) -> Any:
        """The quaternions; `canonical` with w >= 0; (w, x, y, z) where `scalar_first`."""
        q = self.quat
        if canonical:
            q = jnp.where(_negative(q)[..., None], -q, q)
        return jnp.roll(q, 1, -1) if scalar_first else q

    def as_matrix(self) -> Any:
        """The matrices, (3, 3) or (n, 3, 3)."""
        x, y, z, w = (self.quat[..., i] for i in range(4))
        rows = [
            [x * x - y * y - z * z + w * w, 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), y * y - x * x - z * z + w * w, 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), z * z - x * x - y * y + w * w],
        ]
        return jnp.stack([jnp.stack(row, -1) for row in rows], -2)

    def as_rotvec(self, degrees: bool = False) -> Any:
        """Vectors along the axis, as long as the angle, at most pi."""
        q = self.as_quat(canonical=True)
        v, w = q[..., :3], q[..., 3:]
        square = jnp.sum(v * v, -1, keepdims=True)
        near = square < 1e-6
        sine = jnp.sqrt(jnp.where(near, 1, square))
        series = 2 + square / 3 + 3 * square**2 / 20  # of 2 * arcsin(s) / s
        out = jnp.where(near, series, 2 * jnp.arctan2(sine, w) / sine) * v
        return jnp.rad2deg(out) if degrees else out

    def as_mrp(self) -> Any:
        """Modified Rodrigues parameters, of the rotation by at most pi."""
        q = self.as_quat(canonical=True)
        return q[..., :3] / (1 + q[..., 3:])

    @boundary
    def as_euler(self, seq: str, degrees: bool = False) -> Any:
        """Three angles around the axes of `seq` as for `from_euler`: (3,) or (n, 3).

        Where the first and the third axis coincide the third angle is 0.
        """
        moving, axes = _axes(seq)
        if len(axes) != 3:
            raise ArgumentError(f"as_euler takes three axes, got {seq!r}", hint="'xyz' or 'ZYX', for example")
        i, j, k = axes[::-1] if moving else axes
        symmetric = i == k
        k = 3 - i - j if symmetric else k
        sign = (i - j) * (j - k) * (k - i) // 2
        p = [self.quat[..., n] for n in range(4)]
        if symmetric:
            a, b, c, d = p[3], p[i], p[j], p[k] * sign
        else:
            a, b, c, d = p[3] - p[j], p[i] + p[k] * sign, p[j] + p[3], p[k] * sign - p[i]
        middle = 2 * jnp.arctan2(_length(c * c + d * d), _length(a * a + b * b))
        half_sum, half_difference = jnp.arctan2(b, a), jnp.arctan2(d, c)
        low, high = jnp.abs(middle) <= 1e-7, jnp.abs(middle - math.pi) <= 1e-7
        first, third = half_sum - half_difference, half_sum + half_difference
        if moving:
            first, third = third, first
        alone = jnp.where(low, 2 * half_sum, (2 if moving else -2) * half_difference)
        first = jnp.where(low | high, alone, first)
        third = jnp.where(low | high, 0, third)
        if not symmetric:
            first, third = (first * sign, third) if moving else (first, third * sign)
            middle = middle - math.pi / 2
        out = jnp.stack([first, middle, third], -1)
        out = jnp.where(out < -math.pi, out + 2 * math.pi, jnp.where(out > math.pi, out - 2 * math.pi, out))
        return jnp.rad2deg(out) if degrees else out

    # -------------------------------------------------------------------------------------------- used for
    @boundary
    def apply(self, vectors: Any, inverse: bool = False) -> Any:
        """The vectors (3,) or (n, 3), rotated: each by its own of several rotations, or all by one."""
        m = self.as_matrix()
        return jnp.einsum("...ji,...j->...i" if inverse else "...ij,...j->...i", m, jnp.asarray(vectors))

    def inv(self) -> Rotation:
        """The rotation back."""
        return Rotation(self.quat * np.array([-1, -1, -1, 1], self.quat.dtype))

    def magnitude(self) -> Any:
        """The angle, from 0 to pi."""
        v, w = self.quat[..., :3], self.quat[..., 3]
        return 2 * jnp.arctan2(_length(jnp.sum(v * v, -1)), jnp.abs(w))

    def mean(self, weights: Any = None) -> Rotation:
        """The rotation that is nearest to all of them, as `weights` say."""
        q = jnp.atleast_2d(self.quat)
        w = jnp.ones(q.shape[0], q.dtype) if weights is None else jnp.asarray(weights, q.dtype)
        _, vectors = jnp.linalg.eigh((w[:, None] * q).T @ q)
        return Rotation(vectors[:, -1])

    def __mul__(self, other: Rotation) -> Rotation:
        return Rotation(_unit(_compose(self.quat, other.quat)))

    def __getitem__(self, indexer: Any) -> Rotation:
        if self.single:
            raise ArgumentError("this is a single rotation: it has no items")
        return Rotation(self.quat[indexer])

    def __len__(self) -> int:
        if self.single:
            raise ArgumentError("this is a single rotation: it has no length")
        return self.quat.shape[0]

    def __bool__(self) -> bool:
        return True

    @property
    def single(self) -> bool:
        """Whether this is one rotation, without a leading axis."""
        return self.quat.ndim == 1


def _negative(q: Any) -> Any:
    """Which quaternions have w < 0, or the first of z, y, x that is not 0 below 0."""
    x, y, z, w = (q[..., i] for i in range(4))
    return (w < 0) | ((w == 0) & ((x < 0) | ((x == 0) & ((y < 0) | ((y == 0) & (z < 0))))))


@register_pytree_node_class
class Slerp:
    """Rotations between those at given times, with constant angular velocity in between; made by `Slerp.init`.

    >>> import numpy as np, funcgrad as fg
    >>> transform = fg.scipy.spatial.transform
    >>> ends = transform.Rotation.from_euler("z", np.array([0.0, 90.0]), degrees=True)
    >>> between = transform.Slerp.init(np.array([0.0, 1.0]), ends)
    >>> round(float(between(0.5).as_euler("xyz", degrees=True)[2]), 3)
    45.0
    """

    def __init__(self, times: Any, timedelta: Any, rotations: Rotation, rotvecs: Any):
        self.times, self.timedelta, self.rotations, self.rotvecs = times, timedelta, rotations, rotvecs

    def tree_flatten(self) -> tuple[tuple[Any, ...], None]:
        return (self.times, self.timedelta, self.rotations, self.rotvecs), None

    @classmethod
    def tree_unflatten(cls, aux: None, children: Sequence[Any]) -> Slerp:
        return cls(*children)

    @classmethod
    @boundary
    def init(cls, times: Any, rotations: Rotation) -> Slerp:
        """Through `rotations`, two or more, at the rising `times`."""
        times = jnp.asarray(times)
        if rotations.single or len(rotations) < 2 or times.shape != (len(rotations),):
            raise ShapeError(
                f"Slerp takes two or more rotations and as many times, got {type_of(times)} and quaternions "
                f"{type_of(rotations.quat)}"
            )
        steps = rotations[:-1].inv() * rotations[1:]
        return cls(times, jnp.diff(times), rotations[:-1], steps.as_rotvec())

    @boundary
    def __call__(self, times: Any) -> Rotation:
        """The rotations at `times`, a number or (n,)."""
        times = jnp.asarray(times)
        last = self.rotvecs.shape[0] - 1
        at = jnp.clip(jnp.searchsorted(self.times, times, side="right") - 1, 0, last)
        share = (times - self.times[at]) / self.timedelta[at]
        return self.rotations[at] * Rotation.from_rotvec(self.rotvecs[at] * share[..., None])


__all__ = ["Rotation", "Slerp"]
