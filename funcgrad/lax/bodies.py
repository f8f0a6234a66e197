"""The functions that control flow calls: traced on types, with what they return checked and explained.

Owns the wording of errors about carries and branches, and the rule by which a weakly typed start value takes
the type that the loop's body gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import dtypes, tree
from funcgrad.errors import ArgumentError, DTypeError, ShapeError
from funcgrad.flat import check_operands, check_results, name_of
from funcgrad.ir.graph import ClosedGraph
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.promotion import cast, result_dtype
from funcgrad.trace.core import type_of
from funcgrad.trace.graph_trace import trace_to_graph
from funcgrad.tree import TreeDef, TreeError, keystr

F = Callable[..., Any]


def operands_of(what: str, function: F, value: Any) -> tuple[list[Any], TreeDef]:
    """The leaves and structure of a value that goes into `function`."""
    check_operands(function, (value,), {}, what)
    return tree.flatten(value)


class Carry:
    """What a loop carries: its structure, and the types of its leaves, which may turn from weak to strong, and from 32
    to 64 bits."""

    def __init__(self, what: str, role: str, value: Any, function: F):
        self.what, self.role = what, role
        self.leaves, self.tree = operands_of(what, function, value)
        self.types = [type_of(x) for x in self.leaves]

    def initial(self) -> list[Any]:
        """The start values in the types that the loop carries."""
        return [x if type_of(x) == t else cast(x, t.dtype, t.weak) for x, t in zip(self.leaves, self.types)]

    def fit(self, function: F, result: Any) -> list[Any]:
        """The leaves of a new carry, in the carry's types where these differ by weakness only."""
        leaves, structure = tree.flatten(result)
        check_results(function, leaves, result)
        if structure != self.tree:
            self._refuse_structure(function, result)
        return [self._settled(x, t) for x, t in zip(leaves, self.types)]

    def _settled(self, x: Any, t: ArrayType) -> Any:
        found = type_of(x)
        if found == t or found.shape != t.shape:
            return x
        gives_way = found.weak or dtypes.one_in_jax(found.dtype, t.dtype)
        if found.dtype == t.dtype or (gives_way and result_dtype(found, t)[0] == t.dtype):
            return cast(x, t.dtype, t.weak) if found.weak or not t.weak else x
        return x

    def widen(self, outs: Sequence[ArrayType]) -> bool:
        """Let weak leaves take the types of `outs`, and narrow ones their width; whether any changed."""
        changed = False
        for k, (t, out) in enumerate(zip(self.types, outs)):
            gives_way = t.weak or dtypes.one_in_jax(t.dtype, out.dtype)
            if gives_way and out != t and out.shape == t.shape:
                dtype, weak = result_dtype(t, out)
                wanted = array_type(t.shape, dtype, weak)
                if wanted != t:
                    self.types[k], changed = wanted, True
        return changed

    def check(self, function: F, outs: Sequence[ArrayType]) -> None:
        """Raise where the body gives other types than it takes."""
        wrong = [k for k, (t, o) in enumerate(zip(self.types, outs)) if not t.matches(o)]
        if not wrong:
            return
        paths = [p for p, _ in tree.leaves_with_path(self.tree.unflatten(self.leaves))]
        lines = [
            f"\n  {self.role}{keystr(paths[k])} goes in as {self.types[k]} and comes out as {outs[k]}"
            for k in wrong
        ]
        first = wrong[0]
        place, t, out = f"{self.role}{keystr(paths[first])}", self.types[first], outs[first]
        if t.shape == out.shape:
            hint = (
                f"start with {place} of dtype {out.dtype.name}, or convert what {name_of(function)} returns: "
                f".astype({t.dtype.name!r})"
            )
        else:
            hint = (
                f"let {place} start with shape {out.shape}, or let {name_of(function)} return shape {t.shape}"
            )
        if self.what == "while_loop" and [o.dtype.kind for o in outs] == ["b"]:
            hint = f"the condition comes first: while_loop(cond_fun, body_fun, init_val); or {hint}"
        kind = DTypeError if t.shape == out.shape else ShapeError
        raise kind(
            f"{self.what}: {name_of(function)} has to return a carry of the types that it was given"
            + "".join(lines),
            hint=hint,
        )

    def _refuse_structure(self, function: F, result: Any) -> None:
        try:
            self.tree.flatten_up_to(result)
            reason = f"expected {self.tree}, got {tree.structure(result)}"
        except TreeError as error:
            reason = str(error).split("\n")[0].split("asked", 1)[-1].lstrip(": ")
        raise ArgumentError(
            f"{self.what}: {name_of(function)} has to return a carry of the structure that it was given: {reason}\n"
            f"  given:    {self.tree}\n  returned: {tree.structure(result)}",
            hint="return the same containers with the same keys and lengths as the initial value",
        )


def trace_body(carry: Carry, function: F, flat: F, types: Sequence[ArrayType]) -> ClosedGraph:
    """The graph of `flat`, whose inputs are the carry's leaves and values of `types`, and whose first outputs are
    the new carry. Weak leaves of the carry are widened until the types agree."""
    count = len(carry.leaves)
    while True:
        closed = trace_to_graph(flat, [*carry.types, *types], name_of(function))
        outs = closed.out_types[:count]
        if not carry.widen(outs):
            break
    carry.check(function, outs)
    return closed


class Noting:
    """A function of flat values that also gives the structure of what it returned, which is kept in `out_tree`."""

    def __init__(self, function: Callable[..., tuple[list[Any], TreeDef]]):
        self.function = function
        self.out_tree: TreeDef

    def __call__(self, *leaves: Any) -> list[Any]:
        outs, self.out_tree = self.function(*leaves)
        return outs


class Branch:
    """A branch of `cond` or `switch`, as a function of flat operands."""

    def __init__(self, function: F, in_tree: TreeDef):
        self.function, self.in_tree = function, in_tree
        self.result: Any = None
        self.out_tree: TreeDef | None = None
        self.wanted: list[ArrayType] | None = None

    def __call__(self, *leaves: Any) -> list[Any]:
        self.result = self.function(*self.in_tree.unflatten(leaves))
        outs, self.out_tree = tree.flatten(self.result)
        check_results(self.function, outs, self.result)
        if self.wanted is not None:
            outs = [cast(o, t.dtype, t.weak) for o, t in zip(outs, self.wanted)]
        return outs


def trace_branches(
    what: str, functions: Sequence[F], in_tree: TreeDef, types: Sequence[ArrayType]
) -> tuple[list[ClosedGraph], TreeDef]:
    """The graphs of branches, all with the same output types, and the structure of their result."""
    branches = [Branch(f, in_tree) for f in functions]
    closed = [trace_to_graph(b, types, name_of(b.function)) for b in branches]
    first = branches[0]
    for branch in branches[1:]:
        if branch.out_tree != first.out_tree:
            raise ArgumentError(
                f"{what}: the branches have to return the same structure\n"
                f"  {_called(what, branches, first)} returns {first.out_tree}\n"
                f"  {_called(what, branches, branch)} returns {branch.out_tree}",
                hint="return the same containers from every branch",
            )
    wanted = []
    for k in range(len(closed[0].out_types)):
        found = [c.out_types[k] for c in closed]
        strong = next((t for t in found if not t.weak), None)
        dtype, weak = result_dtype(*found)
        same_shape = all(t.shape == found[0].shape for t in found)
        if not same_shape or not all(t.weak or dtypes.one_in_jax(t.dtype, dtype) for t in found):
            _refuse_branches(what, branches, k, found)
        wanted.append(array_type(found[0].shape, dtype, weak if strong is None else False))
    for number, (branch, one) in enumerate(zip(branches, closed)):
        if list(one.out_types) != wanted:
            branch.wanted = wanted
            closed[number] = trace_to_graph(branch, types, name_of(branch.function))
    assert first.out_tree is not None
    return closed, first.out_tree


def _called(what: str, branches: Sequence[Branch], branch: Branch) -> str:
    """The name of a branch's function, and which argument it is."""
    k = branches.index(branch)
    role = ("false_fun", "true_fun")[k] if what == "cond" else f"branch {k}"
    return f"{role} ({name_of(branch.function)})"


def _refuse_branches(what: str, branches: Sequence[Branch], k: int, found: Sequence[ArrayType]) -> None:
    path = tree.leaves_with_path(branches[0].result)[k][0]
    place = f"output{keystr(path)}"
    lines = "".join(f"\n  {_called(what, branches, b)} returns {t}" for b, t in zip(branches, found))
    shapes = len({t.shape for t in found}) > 1
    raise (ShapeError if shapes else DTypeError)(
        f"{what}: the branches have to return the same types, and {place} differs:{lines}",
        hint="broadcast or pad to one shape in each branch"
        if shapes
        else f"convert in one of them: .astype({found[0].dtype.name!r})",
    )
