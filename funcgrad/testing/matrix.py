"""The checks that every primitive passes on each of its samples.

`check_primitive` runs all of them; the project's test matrix is made of the single ones. Each takes a `Case`:
one sample with its operands drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.ad_checkpoint import checkpoint
from funcgrad.api import grad, jvp, vjp
from funcgrad.array import Array
from funcgrad.batching import vmap
from funcgrad.errors import GraphError
from funcgrad.ir.primitive import Primitive, Sample
from funcgrad.ir.types import array_type
from funcgrad.jit import jit
from funcgrad.lax import scan
from funcgrad.numpy import stack
from funcgrad.testing.gradients import STEP, check_forward, check_reverse, random_like
from funcgrad.trace.core import bind, type_of

TOLERANCE = {2: 2e-2, 4: 1e-5, 8: 1e-11}
"""Relative and absolute error between two ways to compute, by the bytes of a real element."""


DIFFERENCES = {2: ((6e-2, 6e-2), 0.5), 4: ((2e-2, 2e-2), 1e-3), 8: ((2e-5, 2e-5), STEP)}
"""Tolerances and step of finite differences, by the bytes of a real element."""


class Case:
    """A primitive with one of its samples, operands drawn."""

    def __init__(self, primitive: Primitive, sample: Sample, seed: int = 0):
        self.primitive = primitive
        self.sample = sample
        self.rng = np.random.default_rng(seed)
        self.operands = [Array(np.asarray(o(self.rng) if callable(o) else o)) for o in sample.operands]

    def __repr__(self) -> str:
        return f"{self.primitive.name}({', '.join(str(x.type) for x in self.operands)}) {self.sample.label}".strip()

    def call(self, *operands: Any) -> list[Any]:
        """The outputs for these operands, as a list."""
        out = bind(self.primitive, *operands, **self.sample.params)
        return out if self.primitive.multiple_results else [out]

    @property
    def moving(self) -> tuple[int, ...]:
        """The operands whose derivatives are checked."""
        if self.sample.differentiable is not None:
            return self.sample.differentiable
        if self.primitive.jvp is None:
            return ()
        return tuple([i for i, x in enumerate(self.operands) if dtypes.is_inexact(x.dtype)])

    def of_moving(self) -> tuple[Callable[..., list[Any]], list[Array]]:
        """The function of the moving operands alone, to its inexact outputs, and where it is taken: in float64 where
        the primitive works there."""
        operands = _widened(self.operands)
        try:
            outs = self.call(*operands)
        except (TypeError, GraphError):  # parameters that fix a dtype
            operands, outs = self.operands, self.call(*self.operands)
        kept = [i for i, o in enumerate(outs) if dtypes.is_inexact(type_of(o).dtype)]

        def function(*values: Any) -> list[Any]:
            full = list(operands)
            for i, v in zip(self.moving, values):
                full[i] = v
            results = self.call(*full)
            return [results[i] for i in kept]

        return function, [operands[i] for i in self.moving]


def _widened(operands: Sequence[Array]) -> list[Array]:
    wide = {dtypes.float32: dtypes.float64, dtypes.complex64: dtypes.complex128}
    wide |= {dtypes.float16: dtypes.float64, dtypes.bfloat16: dtypes.float64}
    return [Array(x._data.astype(wide.get(x.dtype, x.dtype))) for x in operands]


def cases(primitive: Primitive) -> Iterator[Case]:
    """The cases of a primitive, one per sample."""
    for number, sample in enumerate(primitive.samples()):
        yield Case(primitive, sample, number)


def close(have: Sequence[Any], wanted: Sequence[Any], what: str) -> None:
    """Raise AssertionError unless two lists of results agree in shape, dtype and value."""
    assert len(have) == len(wanted), f"{what}: {len(have)} results, not {len(wanted)}"
    for h, w in zip(have, wanted):
        a, b = np.asarray(h), np.asarray(w)
        assert a.shape == b.shape and a.dtype == b.dtype, (
            f"{what}: {a.dtype}{a.shape}, not {b.dtype}{b.shape}"
        )
        if not dtypes.is_inexact(b.dtype):
            np.testing.assert_array_equal(a, b, err_msg=what)
            continue
        wide = np.complex128 if dtypes.is_complex(b.dtype) else np.float64
        tolerance = TOLERANCE[dtypes.real_of(b.dtype).itemsize]
        np.testing.assert_allclose(
            a.astype(wide), b.astype(wide), rtol=tolerance, atol=tolerance, err_msg=what
        )


def check_types(case: Case) -> None:
    """The type rule says what evaluation gives."""
    types = [array_type(x.shape, x.dtype) for x in case.operands]
    expected = case.primitive.type_rule(*types, **case.sample.params)
    outs = case.primitive.evaluate(np, *[x._data for x in case.operands], **case.sample.params)
    pairs = zip(expected, outs) if case.primitive.multiple_results else [(expected, outs)]
    for type, out in pairs:
        array = np.asarray(out)
        assert (array.shape, array.dtype) == (type.shape, type.dtype), (
            f"{case}: {array.dtype}{array.shape} for {type}"
        )


def check_compiled(case: Case) -> None:
    """Compiled code computes what evaluation does, of strided operands too."""
    wanted = case.call(*case.operands)
    compiled = jit(case.call)
    close(compiled(*case.operands), wanted, f"{case} compiled")
    close(compiled(*map(_strided, case.operands)), wanted, f"{case} compiled, strided operands")


def _strided(x: Array) -> Array:
    """The same elements with gaps between them in memory."""
    if not x.ndim:
        return x
    apart = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    apart[..., ::2] = x._data
    return Array(apart[..., ::2])


def check_derivatives(case: Case, order: int = 2) -> None:
    """Forward mode agrees with finite differences, reverse with forward mode; to second order, of tangents and of
    cotangents."""
    function, values = case.of_moving()
    outs = function(*values) if values else []
    if not outs:
        return
    tolerance, eps = DIFFERENCES[_precision(*values, *outs)]
    check_forward(function, tuple(values), tolerance, eps, case.rng)
    check_reverse(function, tuple(values), tolerance, case.rng)
    if order > 1:
        direction = random_like(tuple(values), case.rng)

        def pushed(*xs: Any) -> Any:
            return jvp(function, xs, direction)[1]

        check_forward(pushed, tuple(values), tolerance, eps, case.rng)
        cotangent = random_like(function(*values), case.rng)

        def pulled(*xs: Any) -> Any:
            return list(vjp(function, *xs)[1](cotangent))

        check_forward(pulled, tuple(values), tolerance, eps, case.rng)
        check_reverse(pulled, tuple(values), tolerance, case.rng)


def check_transpose(case: Case) -> None:
    """The pullback is a function of cotangents that can be pulled back itself (transposes compose)."""
    function, values = case.of_moving()
    if not values or not function(*values):
        return
    outs, pull = vjp(function, *values)
    cotangent = random_like(outs, case.rng)
    tolerance, _ = DIFFERENCES[_precision(*values, *outs)]
    check_reverse(lambda ct: list(pull(ct)), (cotangent,), tolerance, case.rng)


def _precision(*values: Any) -> int:
    """The bytes of a real element of the least precise value."""
    return min(dtypes.real_of(type_of(x).dtype).itemsize for x in values)


def check_batching(case: Case, every: bool = False) -> None:
    """vmap agrees with a loop: on the first and last axis, of all operands and of each alone.

    With `every`, on every axis that all the operands have, and of every subset of up to four operands.
    """
    count = len(case.operands)
    masks = {(True,) * count} | {tuple(i == j for j in range(count)) for i in range(count)}
    if every and count <= 4:
        masks = set(itertools.product((False, True), repeat=count)) - {(False,) * count}
    for mask in sorted(masks - {()}):
        ranks = [x.ndim for x, batched in zip(case.operands, mask) if batched]
        for axis in (*range(min(ranks) if every else 1), -1):
            _check_batch(case, mask, axis)


def _check_batch(case: Case, mask: Sequence[bool], axis: int) -> None:
    size = 3
    drawn = [Case(case.primitive, case.sample, seed).operands for seed in range(size)]
    stacked = [
        Array(np.stack([np.asarray(d[i]) for d in drawn], axis)) if m else case.operands[i]
        for i, m in enumerate(mask)
    ]
    have = vmap(case.call, in_axes=tuple(axis if m else None for m in mask))(*stacked)
    rows = [case.call(*[d[i] if m else case.operands[i] for i, m in enumerate(mask)]) for d in drawn]
    wanted = [np.stack([np.asarray(row[k]) for row in rows]) for k in range(len(have))]
    close(have, wanted, f"{case} batched {tuple(mask)} on axis {axis}")


Transform = Callable[[Callable[..., Any], Sequence[Any]], tuple[Callable[..., Any], Sequence[Any]]]


def _under_jit(f: Callable[..., Any], args: Sequence[Any]) -> tuple[Callable[..., Any], Sequence[Any]]:
    return jit(f), args


def _under_checkpoint(f: Callable[..., Any], args: Sequence[Any]) -> tuple[Callable[..., Any], Sequence[Any]]:
    return checkpoint(f), args


def _under_jvp(f: Callable[..., Any], args: Sequence[Any]) -> tuple[Callable[..., Any], Sequence[Any]]:
    direction = random_like(tuple(args), np.random.default_rng(1))
    return lambda *xs: jvp(f, xs, direction)[1], args


def _under_vjp(f: Callable[..., Any], args: Sequence[Any]) -> tuple[Callable[..., Any], Sequence[Any]]:
    cotangent = random_like(f(*args), np.random.default_rng(2))
    return lambda *xs: list(vjp(f, *xs)[1](cotangent)), args


def _under_grad(f: Callable[..., Any], args: Sequence[Any]) -> tuple[Callable[..., Any], Sequence[Any]]:
    weights = random_like(f(*args), np.random.default_rng(3))

    def scalar(*xs: Any) -> Any:
        return sum((w * o).sum().real for w, o in zip(weights, f(*xs)))

    if any(dtypes.is_complex(type_of(x).dtype) for x in args):
        return _under_vjp(f, args)
    return lambda *xs: list(grad(scalar, tuple(range(len(args))))(*xs)), args


def _under_vmap(f: Callable[..., Any], args: Sequence[Any]) -> tuple[Callable[..., Any], Sequence[Any]]:
    """Two equal examples, of which the first is taken."""

    def first(*xs: Any) -> Any:
        return [o[0] for o in vmap(f)(*[stack([x, x]) for x in xs])]

    return first, args


def _under_scan(f: Callable[..., Any], args: Sequence[Any]) -> tuple[Callable[..., Any], Sequence[Any]]:
    """Two equal steps, of which the first is taken."""

    def first(*xs: Any) -> Any:
        steps = [stack([x, x]) for x in xs]
        return [o[0] for o in scan(lambda carry, step: (carry, f(*step)), 0, steps)[1]]

    return first, args


TRANSFORMS: dict[str, Transform] = {
    "jit": _under_jit,
    "grad": _under_grad,
    "vjp": _under_vjp,
    "jvp": _under_jvp,
    "vmap": _under_vmap,
    "checkpoint": _under_checkpoint,
    "scan": _under_scan,
}


def check_pair(case: Case, outer: str, inner: str) -> None:
    """`outer` of `inner` of the primitive gives what it gives without jit, vmap, checkpoint and scan between: those
    change how something is computed, and nothing of what."""
    function, values = case.of_moving()
    if not values or not function(*values):
        return
    inside, args = TRANSFORMS[inner](function, values)
    have_function, args = TRANSFORMS[outer](inside, args)
    plain_inside = inside if inner in ("grad", "vjp", "jvp") else function
    want_function = (
        TRANSFORMS[outer](plain_inside, args)[0] if outer in ("grad", "vjp", "jvp") else plain_inside
    )
    close(list(have_function(*args)), list(want_function(*args)), f"{case}: {outer} of {inner}")


def check_primitive(primitive: Primitive, pairs: bool = True) -> None:
    """Run every check on every sample of a primitive; raises AssertionError for the first that fails."""
    for case in cases(primitive):
        check_types(case)
        check_compiled(case)
        check_batching(case, every=True)
        check_derivatives(case)
        check_transpose(case)
        if pairs:
            for outer in TRANSFORMS:
                for inner in TRANSFORMS:
                    check_pair(case, outer, inner)


__all__ = ["TRANSFORMS", "Case", "cases", "check_primitive"]
