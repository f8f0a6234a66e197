"""The record of an operation: everything that funcgrad knows of it, in one place.

A `Primitive` is made once, at import, by a module of `funcgrad/prims/`, and enters `PRIMITIVES` by name. An
incomplete record is refused then, not when it is used. Nothing else in funcgrad has a table keyed by
primitive.

The rules, and how each is called (`params` are the equation's keyword parameters):

`type_rule(*types, **params)`
    gives an ArrayType, or a tuple of them where `multiple_results`; raises ShapeError, DTypeError or AxisError
    for operands that do not fit.
`evaluate(xp, *arrays, **params)`
    gives the array, or a list of them, of exactly the types of `type_rule`; `xp` is NumPy or CuPy.
`jvp(primals, tangents, **params)`
    gives (out, tangent), lists where `multiple_results`. A tangent is a `Zero` or a value. Written with
    ordinary operations, so that it composes.
`transpose(cotangents, *operands, **params)`
    gives one cotangent, or None, per operand. `cotangents` is the output's cotangent, or a list where
    `multiple_results`. Operands in which the equation is linear are `Linear(type)`. None where the operation
    is linear in nothing.
`batch(size, operands, axes, **params)`
    gives (out, out_axis), lists where `multiple_results`; an axis is an int, or None for not batched. `size`
    is the length of the batch axis, an `AxisSize`.
`partial(unknown, operands, record, **params)`
    only for primitives with sub-graphs: split into a known and a linear part (transforms/partial.py).
`collective(size, operands, axes, **params)`
    only for primitives with a parameter `axis_name`: what they do at the vmap that declares that name; called
    and answering like `batch`, with operands that are not batched too.
`lower(in_types, out_types, **params)`
    gives the Definition of the outputs in the language of ir/expr.py.
`expand(*operands, **params)`
    instead of `lower`: the same outputs by other operations; a pass puts them in the equation's place.
`simplify(equation, definitions)`
    gives a simpler equation with the same outputs, or one atom for each output, or None; `definitions` maps
    variables to the equations that define them (ir/rewrite.py). Not even the sign of a zero may change.
`prune(equation, used)`
    only for primitives with sub-graphs: an equation that gives only the outputs that are `used`, and those that
    it needs for them; None where all are needed.
`replay(run, *arrays, **params)`
    only for primitives with sub-graphs: the outputs, where each run of a sub-graph is `run(graph, arrays, words)`,
    which gives its outputs; `words` say which run it is ("iteration 3").
`thread(step, state, *operands, **params)`
    only for primitives with sub-graphs: (state, outputs) where values are handed through all sub-graphs:
    `step(graph)` gives the graph (state, inputs) -> (state, outputs).
`hazards(*operands, **params)`
    gives, for operands on which the operation is undefined, (kind, failed, message, value): "div" or "index", a
    boolean scalar, the words for it, and the int64 scalar that stands for {} in them, or None (checkify.py).
`depends(run, operands, types, out_types, **params)`
    only where `lower` gives no scalar expression: the dependence of each output from those of the operands
    (transforms/dependence.py); `run(graph, operands)` gives those of a sub-graph. Without it everything depends on
    everything.
`workspace(*operands, **params)`
    gives, for the types of operands, the bytes that `evaluate` works in beside its results, for the predicted peak of
    memory. Without it these are the bytes of the operands: most libraries work on copies.
`opaque`
    says that passes neither merge equal equations of this primitive nor fold it.
`effect`
    says that the operation does something besides giving its outputs (ir/effects.py).
`samples()`
    gives the `Sample`s that generate the test matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from funcgrad.errors import PrimitiveError
from funcgrad.ir.types import ArrayType
from funcgrad.records import record


@record
class Zero:
    """A tangent or cotangent that is known to be zero; never stored, never computed with."""

    type: ArrayType


@record
class Linear:
    """In a transpose rule: an operand in which the equation is linear, known by its type only."""

    type: ArrayType


LINEAR_RULES = (
    "reverse mode needs tangents that are linear in the tangents a rule takes: sums of them, and products with "
    "values that do not depend on them; use forward mode (jvp, jacfwd) here, or give the function a custom_vjp rule"
)
"""What to do where a function that is transposed is not linear, which a user's rule or `linear_transpose` asked for."""


class AxisSize(int):
    """The length of a batch axis, which also knows the name that vmap gave it (or None), and how examples with
    conditions of their own run: `BRANCHING` has the words."""

    name: Any
    branching: str

    def __new__(cls, value: int, name: Any = None, branching: str = "auto") -> AxisSize:
        self = super().__new__(cls, value)
        self.name = name
        self.branching = branching
        return self

    @classmethod
    def of(cls, size: int) -> AxisSize:
        """The length of a batch axis, whatever is known of it."""
        return size if isinstance(size, cls) else cls(size)


BRANCHING = ("auto", "each", "select")
"""How a batch of examples with conditions of their own runs control flow: one example after the other, `each` with its
own branch and its own number of iterations; or all together, each to `select` its own results; or as seems faster."""


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
    expand: Callable[..., Any] | None = None
    partial: Callable[..., Any] | None = None
    collective: Callable[..., Any] | None = None
    simplify: Callable[..., Any] | None = None
    prune: Callable[..., Any] | None = None
    replay: Callable[..., Any] | None = None
    thread: Callable[..., Any] | None = None
    hazards: Callable[..., Any] | None = None
    depends: Callable[..., Any] | None = None
    workspace: Callable[..., int] | None = None
    opaque: bool = False
    effect: bool = False
    not_differentiable: str | None = None

    def __post_init__(self) -> None:
        if self.jvp is None and self.not_differentiable is None:
            raise PrimitiveError(
                f"primitive {self.name!r} has neither a jvp rule nor a reason why it has no derivative"
            )
        for rule in ("type_rule", "evaluate", "batch", "samples"):
            if not callable(getattr(self, rule)):
                raise PrimitiveError(f"primitive {self.name!r} has no {rule}")
        if (self.lower is None) == (self.expand is None) and self.collective is None:
            raise PrimitiveError(f"primitive {self.name!r} needs a rule to lower it or one to expand it")
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
        import difflib  # slow to import, and seldom needed

        close = ", ".join(map(repr, difflib.get_close_matches(name, PRIMITIVES))) or "none"
        raise PrimitiveError(
            f"there is no primitive named {name!r}", hint=f"use one of PRIMITIVES; near it: {close}"
        )
    return found
