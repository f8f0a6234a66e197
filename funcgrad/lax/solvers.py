"""Solutions of equations that are differentiated as solutions: `custom_linear_solve` and `custom_root`.

Derivatives come from the equation, by the implicit function theorem; the solver's steps are never differentiated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import tree
from funcgrad.api import jvp
from funcgrad.custom_rules import custom_jvp
from funcgrad.errors import ArgumentError, DTypeError, ShapeError, boundary
from funcgrad.flat import check_function, name_of
from funcgrad.ir.graph import ClosedGraph
from funcgrad.ir.primitive import Linear
from funcgrad.lax.bodies import operands_of
from funcgrad.prims.custom_linear_solve import custom_linear_solve_p, joined_graphs
from funcgrad.promotion import cast
from funcgrad.trace import ops
from funcgrad.trace.core import as_array, bind, type_of
from funcgrad.trace.graph_trace import evaluate_graph, trace_to_graph
from funcgrad.transforms.transpose import pull_back
from funcgrad.tree import TreeDef

F = Callable[..., Any]


def _fitted(what: str, function: F, result: Any, structure: TreeDef, types: Sequence[Any]) -> list[Any]:
    """The leaves of what `function` returned, which has to be of a vector's structure and types."""
    leaves, found = tree.flatten(result)
    if found != structure:
        raise ArgumentError(
            f"{what}: {name_of(function)} has to return the structure {structure}, and returned {found}",
            hint="vectors go in and come out as trees of one structure",
        )
    fitted = []
    for x, t in zip(leaves, types):
        have = type_of(x)
        if have.shape != t.shape:
            raise ShapeError(
                f"{what}: {name_of(function)} has to return arrays of type {t}, and returned {have}",
                hint="the system is square: as many equations as unknowns",
            )
        if have.dtype != t.dtype and not have.weak:
            raise DTypeError(
                f"{what}: {name_of(function)} has to return arrays of type {t}, and returned {have}",
                hint=f"convert its result with .astype({t.dtype.name!r})",
            )
        fitted.append(cast(x, t.dtype, t.weak))
    return fitted


@boundary
def custom_linear_solve(
    matvec: F,
    b: Any,
    solve: F,
    transpose_solve: F | None = None,
    symmetric: bool = False,
    has_aux: bool = False,
) -> Any:
    """x of matvec(x) = b, found by `solve(matvec, b)` and differentiated by solving with the same solver.

    Args:
        matvec: a linear function from trees like `b` to trees like `b`; derivatives flow into what it closes over.
        b: a tree of arrays.
        solve: gives x from (matvec, b); it may use loops that have no derivative.
        transpose_solve: solves the transposed system, given (vecmat, b); reverse mode needs it.
        symmetric: whether matvec is its own transpose, so that `solve` serves for both.
        has_aux: whether `solve` gives (x, aux), which is then returned; aux is not differentiated.

    Raises:
        ArgumentError, ShapeError, DTypeError: matvec or a solver does not return trees like `b`.
        NotDifferentiableError: in reverse mode, without transpose_solve or symmetric.

    >>> import funcgrad as fg
    >>> a = fg.numpy.array([[2.0, 1.0], [1.0, 3.0]])
    >>> solve = lambda matvec, b: fg.numpy.linalg.inv(a) @ b
    >>> f = lambda b: fg.lax.custom_linear_solve(lambda x: a @ x, b, solve, symmetric=True).sum()
    >>> fg.numpy.round(fg.grad(f)(fg.numpy.ones(2)), 3)
    Array([0.4, 0.2], dtype=float32)
    """
    what = "custom_linear_solve"
    for role, function in (("matvec", matvec), ("solve", solve)):
        check_function(what, role, function)
    leaves, structure = operands_of(what, matvec, b)
    leaves = [as_array(x) for x in leaves]
    types = [type_of(x) for x in leaves]
    held: dict[str, TreeDef] = {}

    def flat(function: F) -> Callable[..., list[Any]]:
        return lambda *xs: _fitted(what, function, function(structure.unflatten(xs)), structure, types)

    def of_graph(closed: ClosedGraph) -> F:
        return lambda x: structure.unflatten(
            evaluate_graph(closed.graph, [*closed.constants, *tree.leaves(x)])
        )

    def solving(solver: F, system: F) -> ClosedGraph:
        def run(*xs: Any) -> list[Any]:
            result = solver(system, structure.unflatten(xs))
            aux: list[Any] = []
            if has_aux:
                if not isinstance(result, tuple | list) or len(result) != 2:
                    raise ArgumentError(
                        f"{what}: with has_aux {name_of(solver)} has to return a pair (x, aux)"
                    )
                aux, held["aux"] = tree.flatten(result[1])
                result = result[0]
            return [*_fitted(what, solver, result, structure, types), *aux]

        return trace_to_graph(run, types, name_of(solver))

    forward = trace_to_graph(flat(matvec), types, name_of(matvec))
    found: dict[str, ClosedGraph | None] = {"matvec": forward, "solve": solving(solve, of_graph(forward))}
    found |= {"vecmat": None, "transpose_solve": None}
    if symmetric:
        found |= {"vecmat": forward, "transpose_solve": found["solve"]}
    elif transpose_solve is not None:
        turned = trace_to_graph(lambda *cts: _pulled(forward, cts), types, name_of(matvec) + ".transpose")
        found |= {"vecmat": turned, "transpose_solve": solving(transpose_solve, of_graph(turned))}
    graphs = joined_graphs({k: None if c is None else (c.graph, c.constants) for k, c in found.items()})
    constants = [v for c in found.values() if c is not None for v in c.constants]
    outs = bind(custom_linear_solve_p, *constants, *leaves, size=len(leaves), **graphs)
    x = structure.unflatten(outs[: len(leaves)])
    return (x, held["aux"].unflatten(outs[len(leaves) :])) if has_aux else x


def _pulled(closed: ClosedGraph, cotangents: Sequence[Any]) -> list[Any]:
    """The transpose of a linear graph, applied."""
    given = [*closed.constants, *(Linear(type_of(c)) for c in cotangents)]
    return [ops.materialize(c) for c in pull_back(closed.graph, given, cotangents)]


@boundary
def custom_root(f: F, initial_guess: Any, solve: F, tangent_solve: F, has_aux: bool = False) -> Any:
    """x of f(x) = 0, found by `solve(f, initial_guess)` and differentiated by the implicit function theorem.

    Args:
        f: a function from trees like the guess to trees like it; derivatives flow into what it closes over.
        initial_guess: a tree of arrays, in which the result is constant.
        solve: gives x from (f, initial_guess); it may use loops that have no derivative.
        tangent_solve: gives x of g(x) = y from (g, y), where g is linear: for a scalar `lambda g, y: y / g(1.0)`.
        has_aux: whether `solve` gives (x, aux), which is then returned; aux is not differentiated.

    >>> import funcgrad as fg
    >>> def root(c):
    ...     f = lambda x: x**2 - c
    ...     newton = lambda f, x: fg.lax.fori_loop(0, 20, lambda _, x: x - f(x) / fg.grad(f)(x), x)
    ...     return fg.lax.custom_root(f, 1.0, newton, lambda g, y: y / g(1.0))
    >>> fg.grad(root)(4.0)
    Array(0.25, dtype=float32, weak_type=True)
    """
    what = "custom_root"
    for role, function in (("f", f), ("solve", solve), ("tangent_solve", tangent_solve)):
        check_function(what, role, function)
    leaves, structure = operands_of(what, f, initial_guess)
    types = [type_of(x) for x in leaves]
    size = len(leaves)
    held: list[TreeDef] = []

    def flat(*xs: Any) -> list[Any]:
        return _fitted(what, f, f(structure.unflatten(xs)), structure, types)

    closed = trace_to_graph(flat, types, name_of(f))

    def residual(constants: Sequence[Any], x: Sequence[Any]) -> list[Any]:
        return evaluate_graph(closed.graph, [*constants, *x])

    def solved(*guess: Any) -> list[Any]:
        inside = lambda x: structure.unflatten(residual(closed.constants, tree.leaves(x)))  # noqa: E731
        result = solve(inside, structure.unflatten(guess))
        if has_aux and (not isinstance(result, tuple | list) or len(result) != 2):
            raise ArgumentError(f"{what}: with has_aux {name_of(solve)} has to return a pair (x, aux)")
        x, aux = result if has_aux else (result, None)
        aux_leaves, aux_tree = tree.flatten(aux)
        held[:] = [aux_tree]
        return [*_fitted(what, solve, x, structure, types), *aux_leaves]

    def linearized(*values: Any) -> list[Any]:
        x, right = list(values[:size]), structure.unflatten(values[size:])

        def linear(v: Any) -> Any:
            moved = jvp(lambda *y: residual(closed.constants, y), x, tree.leaves(v))[1]
            return structure.unflatten(moved)

        return _fitted(what, tangent_solve, tangent_solve(linear, right), structure, types)

    # what the three functions close over comes in as arguments: a rule must not find values of traces around it
    solving = trace_to_graph(solved, types, name_of(solve))
    turning = trace_to_graph(linearized, [*types, *types], name_of(tangent_solve))
    root = custom_jvp(
        lambda held_f, held_solve, held_tangent, x: evaluate_graph(solving.graph, [*held_solve, *x])
    )

    @root.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        constants, _, held_tangent, _ = primals
        outs = root(*primals)
        x = outs[:size]
        _, moved = jvp(lambda c: residual(c, x), (constants,), (tangents[0],))
        tangent = [ops.neg(t) for t in evaluate_graph(turning.graph, [*held_tangent, *x, *moved])]
        return outs, [*tangent, *(ops.zeros(type_of(a).tangent()) for a in outs[size:])]

    outs = root(list(closed.constants), list(solving.constants), list(turning.constants), leaves)
    x = structure.unflatten(outs[:size])
    return (x, held[0].unflatten(outs[size:])) if has_aux else x
