"""The record of an operation: everything that funcgrad knows of it, in one place.

A `Primitive` is made once, at import, by a module of `funcgrad/prims/`, and enters `PRIMITIVES` by name. An
incomplete record is refused then, not when it is used. Nothing else in funcgrad has a table keyed by primitive.

The rules, and how each is called (`params` are the equation's keyword parameters):

========== ==================================================================================================
type_rule  `type_rule(*types, **params)` -> ArrayType, or a tuple of them where `multiple_results`; raises
           ShapeError, DTypeError, AxisError for operands that do not fit
evaluate   `evaluate(xp, *arrays, **params)` -> array(s) of exactly the types of `type_rule`; `xp` is NumPy or CuPy
jvp        `jvp(primals, tangents, **params)` -> (out, tangent) (lists where `multiple_results`). A tangent is a
           `Zero` or a value; written with ordinary operations, so that it composes
transpose  `transpose(cotangents, *operands, **params)` -> one cotangent or None per operand. Operands in which
           the equation is linear are `Linear(type)`; a cotangent may be `Zero`. None where nothing is linear
batch      `batch(size, operands, axes, **params)` -> (outs, out_axes); an axis is an int, or None (not batched)
partial    for primitives with sub-graphs only: split into known and linear parts (see transforms/partial.py)
lower      how it becomes loop IR: see lower/to_loops.py; None for primitives that passes inline away
samples    `samples()` -> iterable of `Sample`; they generate the test matrix
========== ==================================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from funcgrad.errors import PrimitiveError
from funcgrad.ir.types import ArrayType


@dataclass(frozen=True)
class Zero:
    """A tangent or cotangent that is known to be zero; never stored, never computed with."""

    type: ArrayType


@dataclass(frozen=True)
class Linear:
    """In a transpose rule: an operand in which the equation is linear, known by its type only."""

    type: ArrayType


@dataclass(frozen=True)
class Sample:
    """One example call of a primitive, from which tests are generated.

    `operands` are functions of a `numpy.random.Generator` that give the arrays (so that each test draws its
    own), or arrays. `differentiable` says which operands have derivatives to be checked there.
    """

    operands: tuple[Any, ...]
    params: dict[str, Any] = field(default_factory=dict)
    differentiable: tuple[int, ...] | None = None
    label: str = ""


@dataclass(frozen=True, eq=False)
class Primitive:
    """The record of one operation; see the module's table for its rules."""

    name: str
    type_rule: Callable[..., Any]
    evaluate: Callable[..., Any]
    jvp: Callable[..., Any] | None
    transpose: Callable[..., Any] | None
    batch: Callable[..., Any]
    lower: Any
    samples: Callable[[], Iterable[Sample]]
    multiple_results: bool = False
    partial: Callable[..., Any] | None = None
    effect: str | None = None
    not_differentiable: str | None = None

    def __post_init__(self) -> None:
        if self.jvp is None and self.not_differentiable is None:
            raise PrimitiveError(
                f"primitive {self.name!r} has neither a jvp rule nor a reason why it has no derivative"
            )
        for rule in ("type_rule", "evaluate", "batch", "samples"):
            if not callable(getattr(self, rule)):
                raise PrimitiveError(f"primitive {self.name!r} has no {rule}")
        if self.name in PRIMITIVES:
            raise PrimitiveError(f"a primitive named {self.name!r} exists already")
        PRIMITIVES[self.name] = self

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self):
        return (primitive_named, (self.name,))


PRIMITIVES: dict[str, Primitive] = {}
"""All primitives by name, in the order in which they were made."""


def primitive_named(name: str) -> Primitive:
    """The primitive called `name`; PrimitiveError where there is none."""
    found = PRIMITIVES.get(name)
    if found is None:
        raise PrimitiveError(f"there is no primitive named {name!r}")
    return found
